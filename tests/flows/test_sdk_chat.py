"""OpenAI's clients on Chat Completions, for every vendor's models."""

import json
from typing import Any

import openai
import pytest

from tests.flows.billing_checks import Books
from tests.flows.sdk_clients import BOTH, CITY, TEXT, Bridge, Speaker, Speakers, cases
from tests.world import Tenant, World

NATIVE = (
    "openai/gpt-5.5",
    "anthropic/claude-sonnet-4-6",
    "gemini/gemini-2.5-pro",
    "upstage/solar-pro3",
    "deepseek/deepseek-chat",
)
# OpenAI has these in its Responses API alone.
TRANSLATED = ("openai/gpt-5.5-pro", "openai/gpt-5.3-codex")
pytestmark = pytest.mark.usefixtures("each_call_is_recorded_once_and_charged_as_listed")
every_model = cases(NATIVE + TRANSLATED)

CREATE = "chat.completions.create"
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": CITY,
    },
}
CLOCK = {
    "type": "function",
    "function": {"name": "read_clock", "parameters": {"type": "object", "properties": {}}},
}


@pytest.fixture(scope="module")
def alice(world: World) -> Tenant:
    """Rich enough for the worst case of a long prompt."""
    return world.add_tenant("Alice", balance="500")


def said(text: Any = TEXT) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


@every_model
def test_a_question_is_answered(speaker: Speaker, model: str) -> None:
    answer = speaker.call(CREATE, model=model, messages=said())
    assert TEXT[:9] in answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


@every_model
def test_a_stream_says_what_the_plain_answer_says(speaker: Speaker, model: str) -> None:
    plain = speaker.call(CREATE, model=model, messages=said())
    parts = speaker.call(CREATE, model=model, messages=said(), stream=True)
    # The documented loop reads choices[0] of every chunk.
    text = "".join(part.choices[0].delta.content or "" for part in parts)
    assert text == plain.choices[0].message.content
    assert parts[-1].choices[0].finish_reason == "stop"
    assert all(part.usage is None for part in parts)


@every_model
def test_a_stream_ends_in_its_usage_if_that_is_asked_for(speaker: Speaker, model: str) -> None:
    plain = speaker.call(CREATE, model=model, messages=said())
    options = {"include_usage": True}
    parts = speaker.call(CREATE, model=model, messages=said(), stream=True, stream_options=options)
    assert (parts[-1].choices, parts[-1].usage) == ([], plain.usage)
    assert all(part.usage is None for part in parts[:-1])


@every_model
def test_tools_are_called_in_parallel_and_their_results_read(speaker: Speaker, model: str) -> None:
    tools = [WEATHER, CLOCK]
    first = speaker.call(CREATE, model=model, messages=said(BOTH), tools=tools).choices[0]
    assert first.finish_reason == "tool_calls"
    calls = first.message.tool_calls
    assert [call.function.name for call in calls] == ["get_weather", "read_clock"]
    assert json.loads(calls[0].function.arguments)["city"]
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": f"{call.function.name}: 21"}
        for call in calls
    ]
    history = [*said(BOTH), first.message, *results]
    second = speaker.call(CREATE, model=model, messages=history, tools=tools).choices[0]
    assert "get_weather: 21" in second.message.content
    assert "read_clock: 21" in second.message.content


@every_model
def test_calls_of_tools_stream_in_fragments_that_join_to_json(speaker: Speaker, model: str) -> None:
    names, arguments = [], ["", ""]
    parts = speaker.call(
        CREATE, model=model, messages=said(BOTH), tools=[WEATHER, CLOCK], stream=True
    )
    for part in parts:
        for call in part.choices[0].delta.tool_calls or ():
            if call.function.name:
                names.append(call.function.name)
            arguments[call.index] += call.function.arguments or ""
    assert names == ["get_weather", "read_clock"]
    assert "city" in json.loads(arguments[0])
    assert json.loads(arguments[1]) == {}
    assert parts[-1].choices[0].finish_reason == "tool_calls"


@every_model
def test_parallel_calls_of_tools_can_be_declined(speaker: Speaker, model: str) -> None:
    answer = speaker.call(
        CREATE,
        model=model,
        messages=said(BOTH),
        tools=[WEATHER, CLOCK],
        parallel_tool_calls=False,
    )
    assert len(answer.choices[0].message.tool_calls) == 1


@every_model
def test_a_schema_is_answered_with_an_object_of_that_shape(speaker: Speaker, model: str) -> None:
    answer = speaker.call(
        "chat.completions.parse", model=model, messages=said(), response_format=Bridge
    )
    assert isinstance(answer.choices[0].message.parsed, Bridge)
    _, followed = speaker.follow(
        "chat.completions.stream",
        "get_final_completion",
        model=model,
        messages=said(),
        response_format=Bridge,
    )
    assert followed.choices[0].message.parsed == answer.choices[0].message.parsed


@every_model
def test_reasoning_is_charged_as_output_though_it_is_not_said(
    speaker: Speaker, books: Books, model: str
) -> None:
    speaker.call(CREATE, model=model, messages=said())
    silent = books.record()
    speaker.call(CREATE, model=model, messages=said(), reasoning_effort="medium")
    thought, reasoning = books.record(), books.entry()["totals"]["reasoning"]
    assert reasoning > 0
    assert thought["output_tokens"] == silent["output_tokens"] + reasoning
    # Anthropic's compatible endpoint does not say how much of the output is reasoning.
    assert thought["reasoning_tokens"] == (0 if "claude" in model else reasoning)
    assert thought["amount_nanos"] > silent["amount_nanos"]
    speaker.call(CREATE, model=model, messages=said(), reasoning_effort="medium", stream=True)
    streamed = books.record()
    assert streamed["amount_nanos"] == thought["amount_nanos"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "model", [name for name in (*NATIVE, *TRANSLATED) if "claude" not in name and "gem" not in name]
)
def test_cached_input_is_charged_at_its_own_rate(
    speakers: Speakers, books: Books, model: str, stream: bool
) -> None:
    script = {"input_tokens": 5_003, "cached_tokens": 4_001, "output_tokens": 7}
    speakers["sync"].call(
        CREATE, model=model, messages=said(), stream=stream, extra_body={"simulate": script}
    )
    record = books.record()
    assert (record["input_tokens"], record["cached_input_tokens"]) == (1_002, 4_001)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("model", "threshold"),
    [("gpt-5.5", 272_000), ("gpt-5.5-pro", 272_000), ("gemini-2.5-pro", 200_000)],
)
def test_one_token_above_the_threshold_costs_the_rates_of_long_context(
    speakers: Speakers, books: Books, model: str, threshold: int, stream: bool
) -> None:
    amounts = []
    for tokens in (threshold, threshold + 1):
        speakers["sync"].call(
            CREATE,
            model=model,
            # A prompt that can be so long: what is held for it is what it can cost at most.
            messages=said("Hello. " * (tokens // 2)),
            stream=stream,
            max_tokens=300,
            extra_body={"simulate": {"input_tokens": tokens, "output_tokens": 3}},
        )
        amounts.append(books.record()["amount_nanos"])
    assert amounts[1] > amounts[0] * 19 // 10


def test_a_service_tier_has_its_own_price(speakers: Speakers, books: Books) -> None:
    for tier in ("flex", "priority"):
        answer = speakers["sync"].call(CREATE, model="gpt-5.5", messages=said(), service_tier=tier)
        assert answer.service_tier == tier
        assert books.record()["service_tier"] == tier


@pytest.mark.parametrize(("cached", "amount_nanos"), [(1, 2_288), (2, 2_325), (3, 2_362)])
def test_half_a_nano_dollar_is_rounded_to_even(
    speakers: Speakers, books: Books, cached: int, amount_nanos: int
) -> None:
    # A cached token is sold for 37.5 nano-dollars here, a token of output for 2,250.
    script = {"input_tokens": cached, "cached_tokens": cached, "output_tokens": 1}
    speakers["sync"].call(
        CREATE, model="gpt-5.4-mini", messages=said(), extra_body={"simulate": script}
    )
    assert books.record()["amount_nanos"] == amount_nanos


@every_model
def test_a_stream_that_fails_in_the_middle_is_an_error_and_free(
    speaker: Speaker, books: Books, model: str
) -> None:
    script = {"error_event_after_chunks": 3}
    with pytest.raises(openai.APIError):
        speaker.call(
            CREATE, model=model, messages=said(), stream=True, extra_body={"simulate": script}
        )
    record = books.record()
    assert (record["status"], record["amount_nanos"]) == ("upstream_failed", 0)


def test_models_are_listed_and_found_by_both_of_their_names(speakers: Speakers) -> None:
    client = speakers["sync"].client
    listed = [model.id for model in client.models.list()]
    assert set(NATIVE + TRANSLATED) <= set(listed)
    for name in NATIVE + TRANSLATED:
        bare = name.partition("/")[2]
        assert client.models.retrieve(name).id == name
        assert client.models.retrieve(bare).id == bare


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt_cache_options": {"ttl": "12h"}},
        {
            "messages": said(
                [
                    {
                        "type": "text",
                        "text": TEXT,
                        "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"},
                    }
                ]
            )
        },
    ],
)
def test_a_cache_that_is_kept_for_long_is_refused_where_it_is_priced_apart(
    speakers: Speakers, fields: dict[str, Any]
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        speakers["sync"].call(CREATE, **{"model": "gpt-5.6-sol", "messages": said(), **fields})
    assert refused.value.code == "unsupported_parameter"
    assert speakers["sync"].call(CREATE, **{"model": "gpt-5.5", "messages": said(), **fields})
