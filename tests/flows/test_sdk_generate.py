"""Google's clients on generateContent, by the version that they choose themselves and by v1beta."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from google.genai import errors, types

from tests.flows.billing_checks import Books
from tests.flows.sdk_clients import (
    BOTH,
    TEXT,
    Bridge,
    Speaker,
    Speakers,
    allow_models,
    every_way,
    speak_google,
)
from tests.gateway.batching import put_limit
from tests.world import GatewayProcess, Tenant, World

BARE, FULL = "gemini-2.5-pro", "gemini/gemini-2.5-pro"
pytestmark = pytest.mark.usefixtures("each_call_is_recorded_once_and_charged_as_listed")
every_name = pytest.mark.parametrize("model", [BARE, FULL])

GENERATE, STREAM = "models.generate_content", "models.generate_content_stream"
WEATHER = types.FunctionDeclaration(
    name="get_weather",
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


def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"{len(city)} degrees"


@pytest.fixture(scope="module", params=["v1", "v1beta"])
def speakers(
    all_vendors_gateway: GatewayProcess, alice: Tenant, books: Books, request: pytest.FixtureRequest
) -> Iterator[Speakers]:
    version = None if request.param == "v1" else request.param
    with speak_google(all_vendors_gateway, alice.key, books, version) as made:
        yield made


def config(**fields: Any) -> types.GenerateContentConfig:
    """Without functions that the client would call itself."""
    fields.setdefault(
        "automatic_function_calling", types.AutomaticFunctionCallingConfig(disable=True)
    )
    return types.GenerateContentConfig(**fields)


def scripted(**script: Any) -> str:
    """A prompt with a script inside: this client cannot add a field to one call's body."""
    return f"{TEXT} [[simulate {json.dumps(script)}]]"


@every_way
@every_name
def test_a_question_is_answered(speaker: Speaker, books: Books, model: str) -> None:
    answer = speaker.call(
        GENERATE, model=model, contents=TEXT, config=config(system_instruction="Be brief.")
    )
    assert TEXT[:9] in answer.text
    assert answer.candidates[0].finish_reason == types.FinishReason.STOP
    usage = answer.usage_metadata
    assert usage.total_token_count == usage.prompt_token_count + usage.candidates_token_count
    assert books.record()["endpoint"] == "generateContent"


@every_way
@every_name
def test_a_stream_says_what_the_plain_answer_says(speaker: Speaker, model: str) -> None:
    plain = speaker.call(GENERATE, model=model, contents=TEXT, config=config())
    parts = speaker.call(STREAM, model=model, contents=TEXT, config=config())
    assert len(parts) > 2
    assert "".join(part.text or "" for part in parts) == plain.text
    assert parts[-1].candidates[0].finish_reason == types.FinishReason.STOP
    assert parts[-1].usage_metadata == plain.usage_metadata


@every_way
@every_name
def test_functions_are_called_and_their_results_read(speaker: Speaker, model: str) -> None:
    asked = config(tools=[TOOLS])
    first = speaker.call(GENERATE, model=model, contents=BOTH, config=asked)
    assert [call.name for call in first.function_calls] == ["get_weather", "read_clock"]
    assert first.function_calls[0].args["city"]
    results = [
        types.Part.from_function_response(name=call.name, response={"result": f"{call.name}: 21"})
        for call in first.function_calls
    ]
    history = [
        types.UserContent(BOTH),
        first.candidates[0].content,
        types.Content(role="user", parts=results),
    ]
    second = speaker.call(GENERATE, model=model, contents=history, config=asked)
    assert "get_weather: 21" in second.text
    assert "read_clock: 21" in second.text


@every_way
def test_functions_are_called_in_streams_too(speaker: Speaker) -> None:
    asked = config(tools=[TOOLS])
    plain = speaker.call(GENERATE, model=BARE, contents=BOTH, config=asked)
    parts = speaker.call(STREAM, model=BARE, contents=BOTH, config=asked)
    calls = [call for part in parts for call in part.function_calls or ()]
    assert [(call.name, call.args) for call in calls] == [
        (call.name, call.args) for call in plain.function_calls
    ]


@every_way
def test_the_client_calls_a_function_of_python_by_itself(speaker: Speaker, books: Books) -> None:
    answer = speaker.call(
        GENERATE,
        model=BARE,
        contents="Use get_weather for Oslo.",
        config=types.GenerateContentConfig(tools=[get_weather]),
    )
    assert "4 degrees" in answer.text
    called, told = answer.automatic_function_calling_history[1:]
    assert called.parts[0].function_call.args == {"city": "Oslo"}
    assert told.parts[0].function_response.response == {"result": "4 degrees"}
    # Two calls: the one that asked for the function, and the one that read its result.
    assert len(books.answers) == 2


@every_way
def test_a_chat_remembers_what_was_said(speaker: Speaker, books: Books) -> None:
    chat = speaker.make("chats.create", model=FULL, config=config())
    first = chat.call("send_message", message="My name is Alice.")
    second = chat.call("send_message", message="What is my name?")
    parts = chat.call("send_message_stream", message="And again?")
    prompts = [answer.usage_metadata.prompt_token_count for answer in (first, second, parts[-1])]
    assert prompts == sorted(set(prompts))
    assert len(books.answers) == 3


@every_way
def test_a_schema_is_answered_with_an_object_of_that_shape(speaker: Speaker) -> None:
    asked = config(response_mime_type="application/json", response_schema=Bridge)
    answer = speaker.call(GENERATE, model=BARE, contents=TEXT, config=asked)
    assert isinstance(answer.parsed, Bridge)
    parts = speaker.call(STREAM, model=BARE, contents=TEXT, config=asked)
    assert Bridge.model_validate_json("".join(part.text or "" for part in parts)) == answer.parsed


@every_way
@every_name
def test_thoughts_are_charged_as_output_whether_they_are_shown_or_not(
    speaker: Speaker, books: Books, model: str
) -> None:
    amounts = set()
    for is_shown in (False, True):
        thinking = types.ThinkingConfig(thinking_budget=2_000, include_thoughts=is_shown)
        asked = config(thinking_config=thinking)
        answer = speaker.call(GENERATE, model=model, contents=TEXT, config=asked)
        assert len(answer.candidates[0].content.parts) == 1 + is_shown
        usage, record = answer.usage_metadata, books.record()
        assert record["reasoning_tokens"] == usage.thoughts_token_count > 0
        spoken = record["output_tokens"] - record["reasoning_tokens"]
        assert spoken == usage.candidates_token_count
        amounts.add(record["amount_nanos"])
        speaker.call(STREAM, model=model, contents=TEXT, config=asked)
        amounts.add(books.record()["amount_nanos"])
    assert len(amounts) == 1


@every_way
@pytest.mark.parametrize("method", [GENERATE, STREAM])
def test_cached_input_is_charged_at_its_own_rate(
    speaker: Speaker, books: Books, method: str
) -> None:
    text = scripted(
        input_tokens=5_003,
        cached_tokens=4_001,
        tool_use_prompt_tokens=101,
        output_tokens=29,
        reasoning_tokens=22,
    )
    speaker.call(method, model=BARE, contents=text, config=config())
    record = books.record()
    names = ("input", "cached_input", "output", "reasoning")
    assert [record[f"{name}_tokens"] for name in names] == [1_002, 4_001, 29, 22]
    # 1.25, 0.125 and 10 dollars a million at half the list price: 1,021,312.5 nano-dollars.
    assert record["amount_nanos"] == 1_021_312


@every_way
@every_name
def test_counting_tokens_is_exact_and_free(
    speaker: Speaker, world: World, alice: Tenant, model: str
) -> None:
    before = world.wallet(alice)
    counted = speaker.call("models.count_tokens", model=model, contents=TEXT)
    assert world.wallet(alice) == before
    answer = speaker.call(GENERATE, model=model, contents=TEXT, config=config())
    assert counted.total_tokens == answer.usage_metadata.prompt_token_count


@every_way
def test_the_models_that_generate_are_listed(speaker: Speaker) -> None:
    names = [model.name for model in speaker.call("models.list")]
    assert f"models/{FULL}" in names
    assert not [name for name in names if "gemini" not in name]
    for name in (BARE, FULL):
        found = speaker.call("models.get", model=name)
        assert found.name == f"models/{name}"
        assert "generateContent" in found.supported_actions
        assert found.input_token_limit == 1_048_576


@every_way
@pytest.mark.parametrize("method", [GENERATE, "models.count_tokens"])
def test_a_file_of_the_account_is_neither_read_nor_counted(speaker: Speaker, method: str) -> None:
    address = "https://generativelanguage.googleapis.com/v1beta/files/of-bob"
    part = types.Part.from_uri(file_uri=address, mime_type="text/plain")
    with pytest.raises(errors.ClientError) as refused:
        speaker.call(method, model=BARE, contents=[part])
    assert refused.value.details["error"]["details"][0]["reason"] == "unsupported_parameter"


@every_way
def test_what_the_provider_keeps_cannot_be_named(speaker: Speaker) -> None:
    for fields in ({"cached_content": "cachedContents/bob"}, {"continuation_token": b"of-bob"}):
        with pytest.raises(errors.ClientError) as refused:
            speaker.call(GENERATE, model=BARE, contents=TEXT, config=config(**fields))
        assert refused.value.details["error"]["details"][0]["reason"] == "unsupported_parameter"


@every_way
def test_errors_are_the_client_s_own(speaker: Speaker) -> None:
    def fail(code: int, status: str, **fields: Any) -> Any:
        kind = errors.ClientError if code < 500 else errors.ServerError
        asked = {"model": BARE, "contents": TEXT, "config": config(), **fields}
        for method in (GENERATE, STREAM):
            with pytest.raises(kind) as raised:
                speaker.call(method, **asked)
            assert (raised.value.code, raised.value.status) == (code, status)
        (detail,) = raised.value.details["error"]["details"]
        assert detail["metadata"]["request_id"].startswith("call_")
        return detail["reason"]

    assert fail(404, "NOT_FOUND", model="gemini-none") == "model_not_found"
    assert fail(400, "INVALID_ARGUMENT", model="gpt-5.5") == "model_endpoint_mismatch"
    search = config(tools=[types.Tool(google_search=types.GoogleSearch())])
    assert fail(400, "INVALID_ARGUMENT", config=search) == "unsupported_parameter"
    assert fail(400, "INVALID_ARGUMENT", config=config(candidate_count=9))
    assert fail(400, "INVALID_ARGUMENT", config=config(stop_sequences=list("abcdef")))
    assert fail(429, "RESOURCE_EXHAUSTED", contents=scripted(status=429))
    assert fail(502, "UNAVAILABLE", contents=scripted(status=500)) == "upstream_error"


@every_way
def test_a_stream_that_fails_in_the_middle_is_an_error_and_free(
    speaker: Speaker, books: Books
) -> None:
    contents = scripted(error_event_after_chunks=3)
    with pytest.raises(errors.APIError):
        speaker.call(STREAM, model=BARE, contents=contents, config=config())
    record = books.record()
    assert (record["status"], record["amount_nanos"]) == ("upstream_failed", 0)


def test_a_key_gets_the_client_s_own_errors_for_what_it_may_not(
    all_vendors_gateway: GatewayProcess, world: World, books: Books, charlie: Tenant
) -> None:
    def fail(code: int, key: str) -> Any:
        with (
            speak_google(all_vendors_gateway, key, books) as made,
            pytest.raises(errors.ClientError) as raised,
        ):
            made["sync"].call(GENERATE, model=BARE, contents=TEXT, config=config())
        assert raised.value.code == code
        return raised.value.status

    assert fail(401, "nonsense") == "UNAUTHENTICATED"
    narrow = world.add_tenant("Narrow", balance="1")
    allow_models(world, narrow, "openai/*")
    assert fail(403, narrow.key) == "PERMISSION_DENIED"
    assert fail(402, world.add_tenant("Poor").key) == "FAILED_PRECONDITION"
    put_limit(world, key=charlie, requests_per_minute=1)
    with speak_google(all_vendors_gateway, charlie.key, books) as made:
        assert made["sync"].call(GENERATE, model=BARE, contents=TEXT, config=config()).text
    assert fail(429, charlie.key) == "RESOURCE_EXHAUSTED"
