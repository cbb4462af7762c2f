"""What the official OpenAI client makes of the vendor."""

import asyncio
import json

import openai
import pytest
from pydantic import BaseModel

from simulator.tokens import split_tokens

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather of a city",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "unit": {"type": "string", "enum": ["C", "F"]},
                "days": {"type": "integer", "minimum": 2, "maximum": 5},
            },
            "required": ["city", "unit"],
            "additionalProperties": False,
        },
    },
}
CLOCK = {
    "type": "function",
    "function": {"name": "read_clock", "parameters": {"type": "object", "properties": {}}},
}


def ask(text):
    return [{"role": "user", "content": text}]


def create(client, text="Say hello to the team.", **options):
    options.setdefault("messages", ask(text))
    return client.chat.completions.create(model="gpt-5.5", **options)


def test_the_documented_example_is_answered_with_code_that_works(client, seed_messages):
    answer = create(client, messages=seed_messages, temperature=0.3, max_tokens=1024)
    usage = answer.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (38, 95, 133)
    assert usage.prompt_tokens_details.cached_tokens == 0
    assert usage.completion_tokens_details.reasoning_tokens == 0
    choice = answer.choices[0]
    assert (choice.finish_reason, choice.message.role, choice.message.refusal) == (
        "stop",
        "assistant",
        None,
    )
    space = {}
    exec(choice.message.content, space)
    assert space["merge_sorted"]([1, 4, 9], [2, 4, 10]) == [1, 2, 4, 4, 9, 10]
    assert space["merge_sorted"]([], [3]) == [3]
    assert answer.id.startswith("chatcmpl-")
    assert (answer.object, answer.model, answer.service_tier) == (
        "chat.completion",
        "gpt-5.5",
        "default",
    )
    assert answer.system_fingerprint.startswith("fp_")


def test_an_answer_is_about_its_prompt_and_always_the_same(client):
    first = create(client, "How do I bake sourdough bread?").choices[0].message.content
    again = create(client, "How do I bake sourdough bread?").choices[0].message.content
    other = create(client, "How do I train a puppy?").choices[0].message.content
    assert first == again != other
    assert "sourdough bread" in first


@pytest.mark.parametrize(
    ("prompt", "low", "high"),
    [
        ("안녕하세요!", "가", "힣"),
        ("你好，请介绍一下你自己", "一", "鿿"),
        ("自己紹介をお願いします", "ぁ", "ヿ"),
    ],
)
def test_the_answer_is_in_the_language_of_the_prompt(client, prompt, low, high):
    content = create(client, prompt).choices[0].message.content
    assert sum(low <= letter <= high for letter in content) > len(content) / 4


def test_a_stream_is_role_then_tokens_then_finish_and_no_usage_unasked(client):
    plain = create(client).choices[0].message.content
    chunks = list(create(client, stream=True))
    assert [chunk.choices[0].delta.role for chunk in chunks[:2]] == ["assistant", None]
    pieces = [chunk.choices[0].delta.content for chunk in chunks[1:-1]]
    assert pieces == split_tokens(plain)
    assert [chunk.choices[0].finish_reason for chunk in chunks[-2:]] == [None, "stop"]
    assert all("usage" not in chunk.model_fields_set for chunk in chunks)
    assert len({chunk.id for chunk in chunks}) == 1
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}


def test_asked_for_usage_comes_last_without_choices_and_is_null_before(client):
    plain = create(client).usage
    chunks = list(create(client, stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].choices == []
    assert chunks[-1].usage == plain
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert all("usage" in chunk.model_fields_set for chunk in chunks[:-1])


def test_the_async_client_is_served_in_parallel(vendor):
    async def run():
        async with openai.AsyncOpenAI(
            base_url=vendor.base_url, api_key=vendor.api_key, max_retries=0
        ) as client:
            answers = await asyncio.gather(*(create(client, f"Topic {k}?") for k in range(20)))
            stream = await create(client, stream=True)
            text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
        return [answer.choices[0].message.content for answer in answers], text

    answers, streamed = asyncio.run(run())
    assert all(f"Topic {k}" in answer for k, answer in enumerate(answers))
    assert "hello" in streamed


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_a_token_limit_cuts_the_answer(client, name):
    answer = create(client, **{name: 4})
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 4
    assert len(split_tokens(answer.choices[0].message.content)) == 4


def test_a_stop_sequence_ends_the_answer_before_it(client, seed_messages):
    answer = create(client, messages=seed_messages, stop=["merged =", "never"])
    content = answer.choices[0].message.content
    assert content.endswith('time."""\n    ')
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.completion_tokens < 95


def test_several_choices_differ_and_all_are_counted(client):
    answer = create(client, n=3, max_tokens=9)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert len({choice.message.content for choice in answer.choices}) > 1
    assert answer.usage.completion_tokens == 27
    texts = ["", "", ""]
    finished = set()
    for chunk in create(client, n=3, max_tokens=9, stream=True):
        choice = chunk.choices[0]
        texts[choice.index] += choice.delta.content or ""
        if choice.finish_reason:
            finished.add((choice.index, choice.finish_reason))
    assert texts == [choice.message.content for choice in answer.choices]
    assert finished == {(0, "length"), (1, "length"), (2, "length")}


def test_log_probabilities_cover_every_token(client):
    answer = create(client, logprobs=True, top_logprobs=12)
    choice = answer.choices[0]
    tokens = [entry.token for entry in choice.logprobs.content]
    assert "".join(tokens) == choice.message.content
    first = choice.logprobs.content[0]
    assert bytes(first.bytes).decode() == first.token
    assert len({top.token for top in first.top_logprobs}) == 12
    assert all(entry.logprob <= 0 for entry in choice.logprobs.content)
    streamed = [
        chunk.choices[0].logprobs.content[0].token
        for chunk in create(client, logprobs=True, stream=True)
        if chunk.choices[0].logprobs
    ]
    assert streamed == tokens


def test_the_service_tier_is_echoed(client):
    assert create(client, service_tier="flex").service_tier == "flex"
    assert create(client, service_tier="auto").service_tier == "default"


def test_reasoning_effort_costs_tokens_inside_the_completion(client):
    plain = create(client).usage
    low, high = (create(client, reasoning_effort=effort).usage for effort in ("low", "high"))
    spent = low.completion_tokens_details.reasoning_tokens
    assert 0 < spent < high.completion_tokens_details.reasoning_tokens
    assert low.completion_tokens == plain.completion_tokens + spent
    starved = create(client, reasoning_effort="high", max_completion_tokens=20)
    assert starved.choices[0].message.content == ""
    assert starved.choices[0].finish_reason == "length"
    assert starved.usage.completion_tokens_details.reasoning_tokens == 20


def test_a_named_tool_is_called_with_arguments_that_fit_its_schema(client):
    answer = create(client, "Please use get_weather for Paris", tools=[WEATHER, CLOCK])
    choice = answer.choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    (call,) = choice.message.tool_calls
    arguments = json.loads(call.function.arguments)
    assert arguments == {"city": "Paris", "unit": "C", "days": 2}
    assert call.function.name == "get_weather"
    assert call.id.startswith("call_")


def test_the_name_is_found_beside_a_korean_particle_but_not_inside_a_word(client):
    asked = create(client, "get_weather를 사용해 주세요", tools=[WEATHER])
    assert asked.choices[0].finish_reason == "tool_calls"
    inside = create(client, "What does get_weather_history do?", tools=[WEATHER])
    assert inside.choices[0].finish_reason == "stop"


def test_tool_calls_stream_as_fragments_and_in_parallel(client):
    text = "Call get_weather for Oslo, then read_clock"
    whole = create(client, text, tools=[WEATHER, CLOCK]).choices[0].message.tool_calls
    calls = {}
    fragments = 0
    finish = None
    stream = create(
        client, text, tools=[WEATHER, CLOCK], stream=True, stream_options={"include_usage": True}
    )
    for chunk in stream:
        if not chunk.choices:
            usage = chunk.usage
            continue
        finish = chunk.choices[0].finish_reason or finish
        for part in chunk.choices[0].delta.tool_calls or []:
            call = calls.setdefault(part.index, {"arguments": ""})
            if part.id:
                call["id"], call["name"] = part.id, part.function.name
            fragments += 1
            call["arguments"] += part.function.arguments
    assert finish == "tool_calls"
    assert [call["name"] for call in calls.values()] == ["get_weather", "read_clock"]
    assert [call["arguments"] for call in calls.values()] == [
        call.function.arguments for call in whole
    ]
    assert len({call["id"] for call in calls.values()}) == 2
    assert fragments > 6
    assert usage.completion_tokens > fragments


def test_parallel_calls_can_be_declined(client):
    text = "Call get_weather for Oslo, then read_clock"
    answer = create(client, text, tools=[WEATHER, CLOCK], parallel_tool_calls=False)
    assert len(answer.choices[0].message.tool_calls) == 1


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("none", []),
        ("auto", []),
        ("required", ["get_weather"]),
        ({"type": "function", "function": {"name": "read_clock"}}, ["read_clock"]),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "required",
                    "tools": [{"type": "function", "function": {"name": "read_clock"}}],
                },
            },
            ["read_clock"],
        ),
    ],
)
def test_tool_choice_is_obeyed(client, choice, names):
    answer = create(client, "Good morning", tools=[WEATHER, CLOCK], tool_choice=choice)
    called = [call.function.name for call in answer.choices[0].message.tool_calls or []]
    assert called == names


def test_after_the_tools_ran_their_results_are_quoted(client):
    text = "Call get_weather for Oslo, then read_clock"
    called = create(client, text, tools=[WEATHER, CLOCK]).choices[0].message
    history = [*ask(text), called.model_dump(exclude_none=True)]
    for call, result in zip(called.tool_calls, ("-3 C, snow", "09:26"), strict=True):
        history.append({"role": "tool", "tool_call_id": call.id, "content": result})
    answer = create(client, messages=history, tools=[WEATHER, CLOCK]).choices[0]
    assert answer.finish_reason == "stop"
    assert "get_weather returned: -3 C, snow" in answer.message.content
    assert "read_clock returned: 09:26" in answer.message.content


def test_a_tool_call_is_cut_by_the_token_limit(client):
    answer = create(client, "get_weather Oslo", tools=[WEATHER], max_tokens=14)
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 14


class Step(BaseModel):
    title: str
    minutes: int


class Recipe(BaseModel):
    name: str
    vegan: bool
    steps: list[Step]
    note: str | None


def test_structured_output_parses_into_the_model(client):
    answer = client.chat.completions.parse(
        model="gpt-5.5", messages=ask("A recipe for Borscht"), response_format=Recipe
    )
    recipe = answer.choices[0].message.parsed
    assert recipe.name == "Borscht"
    assert recipe.steps


def test_structured_output_streams(client):
    with client.chat.completions.stream(
        model="gpt-5.5", messages=ask("A recipe for Borscht"), response_format=Recipe
    ) as stream:
        for _ in stream:
            pass
        assert stream.get_final_completion().choices[0].message.parsed.steps


def test_json_mode_answers_an_object(client):
    answer = create(client, "Give json", response_format={"type": "json_object"})
    assert isinstance(json.loads(answer.choices[0].message.content), dict)


def test_a_schema_without_a_value_is_a_400(client):
    schema = {"type": "integer", "minimum": 2, "maximum": 1}
    with pytest.raises(openai.BadRequestError, match="no number fits"):
        create(
            client,
            response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}},
        )


def test_content_in_parts_and_pictures_are_read(client):
    parts = [
        {"type": "text", "text": "Describe the violin"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
    ]
    answer = create(client, messages=[{"role": "user", "content": parts}])
    assert "Describe the violin" in answer.choices[0].message.content
    assert answer.usage.prompt_tokens > 765


def test_models_are_listed_and_found_with_a_slash_either_way(client, http):
    listed = {model.id for model in client.models.list()}
    assert {"gpt-5.5", "gpt-5.4", "solar-pro3"} <= listed
    assert client.models.retrieve("gpt-5.5").owned_by == "openai"
    assert client.models.retrieve("openai/gpt-5.2").id == "openai/gpt-5.2"
    assert http.get("/models/openai/gpt-5.2").json()["id"] == "openai/gpt-5.2"
    with pytest.raises(openai.NotFoundError) as missing:
        client.models.retrieve("no-such-model")
    assert missing.value.code == "model_not_found"


def test_the_request_id_is_exposed(client):
    assert create(client)._request_id.startswith("req_")


def test_a_model_that_is_not_in_the_catalogue_is_served_by_its_name(client):
    answer = client.chat.completions.create(model="acme/brand-new", messages=ask("Hi"))
    assert answer.model == "acme/brand-new"
