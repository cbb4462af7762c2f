"""What Google's own client makes of the Gemini API."""

import json

import pytest
from google.genai import errors, types
from pydantic import BaseModel

from simulator.tokens import split_tokens

WEATHER = types.FunctionDeclaration(
    name="get_weather",
    description="Weather of a city",
    parameters=types.Schema(
        type=types.Type.OBJECT,
        properties={"city": types.Schema(type=types.Type.STRING)},
        required=["city"],
    ),
)
CLOCK = types.FunctionDeclaration(
    name="read_clock", parameters_json_schema={"type": "object", "properties": {}}
)
TOOLS = types.Tool(function_declarations=[WEATHER, CLOCK])
STREAM = "/v1beta/models/gemini-2.5-pro:streamGenerateContent"
PLAIN = "/v1beta/models/gemini-2.5-pro:generateContent"


def config(**fields):
    fields.setdefault(
        "automatic_function_calling", types.AutomaticFunctionCallingConfig(disable=True)
    )
    return types.GenerateContentConfig(**fields)


def scripted(text="Say hello to the team.", **script):
    """A prompt with a script inside: this client cannot add a field to the body."""
    return f"{text} [[simulate {json.dumps(script)}]]"


def generate(gemini, contents="Say hello to the team.", **fields):
    return gemini.models.generate_content(
        model="gemini-2.5-pro", contents=contents, config=config(**fields)
    )


def stream(gemini, contents="Say hello to the team.", **fields):
    return list(
        gemini.models.generate_content_stream(
            model="gemini-2.5-pro", contents=contents, config=config(**fields)
        )
    )


def ask(text="Hi", **fields):
    return {"contents": [{"role": "user", "parts": [{"text": text}]}], **fields}


def test_a_plain_answer_has_the_text_and_the_usage(gemini, last_ended):
    answer = generate(gemini, system_instruction="Be brief.")
    assert "Say hello" in answer.text
    assert answer.model_version == "gemini-2.5-pro"
    assert answer.candidates[0].finish_reason == types.FinishReason.STOP
    usage = answer.usage_metadata
    assert usage.candidates_token_count == len(split_tokens(answer.text))
    assert usage.total_token_count == usage.prompt_token_count + usage.candidates_token_count
    assert usage.thoughts_token_count is None
    (detail,) = usage.prompt_tokens_details
    assert (detail.modality, detail.token_count) == ("TEXT", usage.prompt_token_count)
    entry = last_ended()
    assert (entry["id"], entry["dialect"]) == (answer.response_id, "generate")
    assert (entry["model"], entry["stream"]) == ("gemini-2.5-pro", False)
    assert entry["usage"]["candidatesTokenCount"] == entry["totals"]["output"]


def test_scripted_figures_are_split_as_google_does(gemini, last_ended):
    text = scripted(
        input_tokens=1000,
        cached_tokens=600,
        tool_use_prompt_tokens=100,
        output_tokens=200,
        reasoning_tokens=30,
    )
    usage = generate(gemini, text).usage_metadata
    assert usage.prompt_token_count == 900
    assert usage.cached_content_token_count == 600
    assert usage.tool_use_prompt_token_count == 100
    assert usage.candidates_token_count == 170
    assert usage.thoughts_token_count == 30
    assert usage.total_token_count == 1200
    assert last_ended()["totals"] == {
        "input": 1000,
        "cached": 600,
        "cache_write": 0,
        "cache_write_1h": 0,
        "output": 200,
        "reasoning": 30,
    }


def test_a_script_in_the_text_is_no_part_of_the_prompt(gemini):
    plain = generate(gemini)
    marked = generate(gemini, scripted(chunk_tokens=2))
    assert marked.text == plain.text
    assert marked.usage_metadata == plain.usage_metadata


def test_a_stream_reports_cumulatively_and_completely_at_its_end(gemini):
    text = scripted(input_tokens=100, output_tokens=20, reasoning_tokens=5)
    found = stream(gemini, text)
    spoken = [chunk.usage_metadata.candidates_token_count for chunk in found]
    assert spoken == [*range(1, 16), 15]
    assert {chunk.usage_metadata.thoughts_token_count for chunk in found} == {5}
    assert [chunk.usage_metadata.total_token_count for chunk in found][-2:] == [120, 120]
    reasons = [chunk.candidates[0].finish_reason for chunk in found]
    assert reasons == [None] * 15 + [types.FinishReason.STOP]
    assert "".join(chunk.text or "" for chunk in found) == generate(gemini, text).text
    assert len({chunk.response_id for chunk in found}) == 1


def test_without_sse_a_stream_is_one_json_array(post):
    answer = post(STREAM, ask(simulate={"output_tokens": 3}))
    assert answer.headers["content-type"].startswith("application/json")
    found = json.loads(answer.text)
    assert len(found) == 4
    assert found[-1]["candidates"][0]["finishReason"] == "STOP"
    events = post(STREAM + "?alt=sse", ask(simulate={"output_tokens": 3}))
    assert events.headers["content-type"].startswith("text/event-stream")
    assert events.text.count("data: ") == 4


@pytest.mark.parametrize("after", [0, 2])
def test_an_error_within_a_stream_is_an_element_like_the_others(post, after):
    script = {"error_event_after_chunks": after, "error": {"message": "Out of luck."}}
    found = post(STREAM, ask(simulate=script)).json()
    assert len(found) == after + 1
    assert found[-1] == {"error": {"code": 500, "message": "Out of luck.", "status": "INTERNAL"}}
    events = post(STREAM + "?alt=sse", ask(simulate=script)).text
    assert events.count("data: ") == after + 1
    assert json.loads(events.split("data: ")[-1]) == found[-1]


def test_thoughts_are_shown_only_if_asked(gemini):
    shown = generate(
        gemini,
        thinking_config=types.ThinkingConfig(thinking_budget=2_000, include_thoughts=True),
    )
    thought, text = shown.candidates[0].content.parts
    assert thought.thought
    assert thought.text
    assert not text.thought
    hidden = generate(gemini, thinking_config=types.ThinkingConfig(thinking_budget=2_000))
    assert len(hidden.candidates[0].content.parts) == 1
    assert hidden.usage_metadata == shown.usage_metadata
    assert hidden.usage_metadata.thoughts_token_count > 0
    off = generate(gemini, thinking_config=types.ThinkingConfig(thinking_budget=0))
    assert off.usage_metadata.thoughts_token_count is None
    found = stream(
        gemini, thinking_config=types.ThinkingConfig(thinking_budget=-1, include_thoughts=True)
    )
    assert found[0].candidates[0].content.parts[0].thought


def test_functions_are_called_plainly_and_in_streams(gemini):
    text = "Call get_weather for Oslo, then read_clock"
    plain = generate(gemini, text, tools=[TOOLS])
    assert [(call.name, call.args) for call in plain.function_calls] == [
        ("get_weather", {"city": "Oslo"}),
        ("read_clock", {}),
    ]
    assert plain.candidates[0].finish_reason == types.FinishReason.STOP
    found = stream(gemini, text, tools=[TOOLS])
    calls = [call for chunk in found for call in chunk.function_calls or ()]
    assert [(call.name, call.args) for call in calls] == [
        (call.name, call.args) for call in plain.function_calls
    ]
    assert found[-1].usage_metadata == plain.usage_metadata


def test_a_call_that_was_thought_of_is_signed(gemini):
    thinking = types.ThinkingConfig(thinking_level=types.ThinkingLevel.HIGH)
    answer = generate(gemini, "get_weather in Oslo", tools=[TOOLS], thinking_config=thinking)
    assert answer.candidates[0].content.parts[0].thought_signature


@pytest.mark.parametrize(
    ("mode", "allowed", "names"),
    [
        ("NONE", None, []),
        ("AUTO", None, []),
        ("ANY", None, ["get_weather"]),
        ("ANY", ["read_clock"], ["read_clock"]),
    ],
)
def test_the_calling_mode_is_obeyed(gemini, mode, allowed, names):
    calling = types.FunctionCallingConfig(mode=mode, allowed_function_names=allowed)
    chosen = types.ToolConfig(function_calling_config=calling)
    answer = generate(gemini, "Good morning", tools=[TOOLS], tool_config=chosen)
    assert [call.name for call in answer.function_calls or ()] == names


def test_results_of_functions_are_quoted(gemini):
    user = types.Content(role="user", parts=[types.Part(text="get_weather in Oslo")])
    called = generate(gemini, [user], tools=[TOOLS]).candidates[0].content
    result = types.Part.from_function_response(name="get_weather", response={"result": "-3 C"})
    result.function_response.id = called.parts[0].function_call.id
    history = [user, called, types.Content(role="user", parts=[result])]
    answer = generate(gemini, history, tools=[TOOLS])
    assert 'get_weather returned: {"result":"-3 C"}' in answer.text


def test_functions_of_python_are_run_by_the_client(gemini):
    def get_weather(city: str) -> str:
        """Weather of a city."""
        return f"snow in {city}"

    answer = generate(
        gemini,
        "get_weather in Oslo",
        tools=[get_weather],
        automatic_function_calling=types.AutomaticFunctionCallingConfig(),
    )
    assert "snow in Oslo" in answer.text


class Recipe(BaseModel):
    name: str
    minutes: int


def test_structured_output_parses_into_the_model(gemini):
    answer = generate(
        gemini,
        "A recipe for Borscht",
        response_mime_type="application/json",
        response_schema=Recipe,
    )
    assert answer.parsed.name == "Borscht"
    by_json_schema = generate(
        gemini,
        "A recipe for Borscht",
        response_mime_type="application/json",
        response_json_schema=Recipe.model_json_schema(),
    )
    assert json.loads(by_json_schema.text) == answer.parsed.model_dump()
    free = generate(gemini, "Give json", response_mime_type="application/json")
    assert isinstance(json.loads(free.text), dict)


def test_limits_candidates_and_stops(gemini):
    cut = generate(gemini, max_output_tokens=4)
    assert cut.candidates[0].finish_reason == types.FinishReason.MAX_TOKENS
    assert cut.usage_metadata.candidates_token_count == 4
    several = generate(gemini, candidate_count=3, max_output_tokens=9)
    assert [one.index for one in several.candidates] == [0, 1, 2]
    assert several.usage_metadata.candidates_token_count == 27
    found = stream(gemini, candidate_count=3, max_output_tokens=9)
    assert found[-1].usage_metadata == several.usage_metadata
    stopped = generate(gemini, scripted(content="One, two"), stop_sequences=[", t"])
    assert stopped.text == "One"


def test_pictures_are_counted_apart(gemini):
    picture = types.Part.from_bytes(data=b"x", mime_type="image/png")
    usage = generate(gemini, ["Describe the violin", picture]).usage_metadata
    details = {one.modality: one.token_count for one in usage.prompt_tokens_details}
    assert details["IMAGE"] == 765
    assert sum(details.values()) == usage.prompt_token_count


def test_both_spellings_of_names_mean_the_same(post):
    camel = {
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "generationConfig": {"maxOutputTokens": 7, "stopSequences": ["zz"]},
        "tools": [{"functionDeclarations": [{"name": "get_time"}]}],
        "toolConfig": {
            "functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["get_time"]}
        },
    }
    snake = {
        "system_instruction": {"parts": [{"text": "Be brief."}]},
        "generation_config": {"max_output_tokens": 7, "stop_sequences": ["zz"]},
        "tools": [{"function_declarations": [{"name": "get_time"}]}],
        "tool_config": {
            "function_calling_config": {"mode": "ANY", "allowed_function_names": ["get_time"]}
        },
    }
    first, second = (post(PLAIN, ask("Hi", **fields)).json() for fields in (camel, snake))
    assert first["usageMetadata"] == second["usageMetadata"]
    assert first["candidates"][0]["finishReason"] == "MAX_TOKENS"
    assert second["candidates"][0]["finishReason"] == "MAX_TOKENS"


def test_tokens_are_counted_as_they_would_be_billed_and_not_logged(gemini, vendor):
    before = len(vendor.entries(None))
    counted = gemini.models.count_tokens(
        model="gemini-2.5-pro", contents="Say hello to the team."
    ).total_tokens
    assert len(vendor.entries(None)) == before
    assert counted == generate(gemini).usage_metadata.prompt_token_count


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "INVALID_ARGUMENT"),
        (403, "PERMISSION_DENIED"),
        (404, "NOT_FOUND"),
        (429, "RESOURCE_EXHAUSTED"),
        (500, "INTERNAL"),
        (503, "UNAVAILABLE"),
    ],
)
def test_an_error_status_comes_in_googles_envelope(gemini, status, name):
    with pytest.raises(errors.APIError) as refused:
        generate(gemini, scripted(status=status, error={"message": "No."}))
    assert (refused.value.code, refused.value.status) == (status, name)
    assert refused.value.message == "No."


def test_usage_can_be_anything_or_missing(post):
    for path in (PLAIN, STREAM):
        text = post(path, ask(simulate={"usage": {"x": -1}})).text
        assert '"usageMetadata":{"x":-1}' in text
        assert "TokenCount" not in text
        assert '"usageMetadata"' not in post(path, ask(simulate={"no_usage": True})).text


def test_more_used_by_tools_than_there_is_input_is_refused(post):
    script = {"input_tokens": 5, "tool_use_prompt_tokens": 6}
    answer = post(PLAIN, ask(simulate=script))
    assert answer.status_code == 400
    assert "part of `input_tokens`" in answer.json()["error"]["message"]


def test_a_key_in_the_query_is_taken_and_a_missing_or_wrong_one_is_a_401(post, vendor):
    none = {"x-goog-api-key": ""}
    assert post(f"{PLAIN}?key={vendor.api_key}", ask(), **none).status_code == 200
    wrong = {"x-goog-api-key": "sk-wrong"}
    for path in (PLAIN, STREAM, PLAIN.replace("generateContent", "countTokens")):
        for answer in (post(path, ask(), **none), post(path, ask(), **wrong)):
            assert answer.status_code == 401
            assert answer.json()["error"]["status"] == "UNAUTHENTICATED"


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"contents": None}, "contents"),
        ({"contents": []}, "contents"),
        ({"contents": [{"parts": []}]}, "contents[0].parts"),
        ({"contents": [{"role": "robot", "parts": [{"text": "x"}]}]}, "contents[0].role"),
        ({"contents": [{"parts": [{"text": 3}]}]}, "text"),
        ({"contents": [{"parts": [{"functionResponse": {}}]}]}, "functionResponse.name"),
        ({"generationConfig": []}, "generationConfig"),
        ({"generationConfig": {"maxOutputTokens": 65_537}}, "maxOutputTokens"),
        ({"generationConfig": {"candidateCount": 9}}, "candidateCount"),
        ({"generationConfig": {"stopSequences": ["x"] * 6}}, "stopSequences"),
        ({"generationConfig": {"responseSchema": {"type": "STRING"}}}, "responseSchema"),
        ({"generationConfig": {"thinkingConfig": {"thinkingBudget": -2}}}, "thinkingBudget"),
        ({"tools": [{"functionDeclarations": [{}]}]}, "functionDeclarations.name"),
        ({"simulate": {"nonsense": 1}}, "nonsense"),
    ],
)
def test_a_wrong_field_is_named_in_the_error(post, changes, word):
    answer = post(PLAIN, {**ask(), **changes})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["code"], error["status"]) == (400, "INVALID_ARGUMENT")
    assert word in error["message"]


@pytest.mark.parametrize("path", ["/v1beta/models/m:embed", "/v1beta/nothing", "/v1beta/models/m"])
def test_other_paths_are_googles_404(post, path):
    answer = post(path, ask())
    assert answer.status_code == 404
    assert answer.json()["error"]["status"] == "NOT_FOUND"


def test_models_are_listed_in_googles_form(gemini, root_url):
    names = [model.name for model in gemini.models.list()]
    assert "models/gemini-2.5-pro" in names
    assert gemini.models.get(model="gemini-2.5-flash").output_token_limit == 65_536
    with pytest.raises(errors.APIError):
        gemini.models.get(model="gpt-5.5")
