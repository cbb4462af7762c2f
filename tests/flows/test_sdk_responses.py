"""OpenAI's clients on Responses: for models that have it, and for models that are translated to Chat Completions."""

import json
from typing import Any

import openai
import pytest

from tests.flows.billing_checks import Books
from tests.flows.sdk_clients import BOTH, CITY, TEXT, Bridge, Speaker, Speakers, cases
from tests.world import Tenant

NATIVE = ("openai/gpt-5.5", "openai/gpt-5.5-pro")
TRANSLATED = (
    "anthropic/claude-sonnet-4-6",
    "gemini/gemini-2.5-pro",
    "upstage/solar-pro3",
    "deepseek/deepseek-chat",
)
pytestmark = pytest.mark.usefixtures("each_call_is_recorded_once_and_charged_as_listed")

CREATE = "responses.create"
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "parameters": {**CITY, "additionalProperties": False},
    "strict": True,
}
CLOCK = {
    "type": "function",
    "name": "read_clock",
    "parameters": {"type": "object", "properties": {}},
    "strict": False,
}


@cases(NATIVE + TRANSLATED)
def test_a_question_is_answered(speaker: Speaker, model: str) -> None:
    answer = speaker.call(CREATE, model=model, input=TEXT, instructions="Be brief.")
    assert TEXT[:9] in answer.output_text
    assert (answer.status, answer.instructions) == ("completed", "Be brief.")
    usage = answer.usage
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens


@cases(NATIVE + TRANSLATED)
def test_a_stream_tells_each_step_and_ends_in_the_whole(speaker: Speaker, model: str) -> None:
    plain = speaker.call(CREATE, model=model, input=TEXT)
    events = speaker.call(CREATE, model=model, input=TEXT, stream=True)
    kinds = [event.type for event in events]
    deltas = kinds.count("response.output_text.delta")
    assert kinds == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        *["response.output_text.delta"] * deltas,
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    text = "".join(event.delta for event in events if event.type.endswith("text.delta"))
    assert text == events[-1].response.output_text == plain.output_text
    assert events[-1].response.usage == plain.usage


@cases(NATIVE + TRANSLATED)
def test_the_stream_manager_assembles_the_plain_answer(speaker: Speaker, model: str) -> None:
    plain = speaker.call(CREATE, model=model, input=TEXT)
    events, whole = speaker.follow(
        "responses.stream", "get_final_response", model=model, input=TEXT
    )
    assert whole.output_text == plain.output_text
    assert events[-1].type == "response.completed"
    assert whole.usage == plain.usage


@cases(NATIVE + TRANSLATED)
def test_tools_are_called_and_their_results_read(speaker: Speaker, model: str) -> None:
    tools = [WEATHER, CLOCK]
    asked: dict[str, Any] = {
        "model": model,
        "tools": tools,
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "reasoning": {"effort": "low"},
    }
    first = speaker.call(CREATE, input=BOTH, **asked)
    calls = [item for item in first.output if item.type == "function_call"]
    assert [call.name for call in calls] == ["get_weather", "read_clock"]
    assert json.loads(calls[0].arguments)["city"]
    results = [
        {"type": "function_call_output", "call_id": call.call_id, "output": f"{call.name}: 21"}
        for call in calls
    ]
    history = [{"role": "user", "content": BOTH}, *first.output, *results]
    second = speaker.call(CREATE, input=history, **asked)
    assert "get_weather: 21" in second.output_text
    assert "read_clock: 21" in second.output_text


@cases(NATIVE + TRANSLATED)
def test_calls_of_tools_stream_in_fragments_that_join_to_json(speaker: Speaker, model: str) -> None:
    events, whole = speaker.follow(
        "responses.stream", "get_final_response", model=model, input=BOTH, tools=[WEATHER, CLOCK]
    )
    arguments: dict[int, str] = {}
    for event in events:
        if event.type == "response.function_call_arguments.delta":
            arguments[event.output_index] = arguments.get(event.output_index, "") + event.delta
    calls = [item for item in whole.output if item.type == "function_call"]
    assert list(arguments.values()) == [call.arguments for call in calls]
    assert [call.name for call in calls] == ["get_weather", "read_clock"]
    assert "city" in json.loads(calls[0].arguments)


@cases(NATIVE + TRANSLATED)
def test_a_schema_is_answered_with_an_object_of_that_shape(speaker: Speaker, model: str) -> None:
    asked: dict[str, Any] = {"model": model, "input": TEXT, "text_format": Bridge}
    answer = speaker.call("responses.parse", **asked)
    assert isinstance(answer.output_parsed, Bridge)
    _, whole = speaker.follow("responses.stream", "get_final_response", **asked)
    assert whole.output_parsed == answer.output_parsed


@cases(NATIVE)
def test_a_summary_of_the_reasoning_is_an_item_of_its_own(
    speaker: Speaker, books: Books, model: str
) -> None:
    asked: dict[str, Any] = {
        "model": model,
        "input": TEXT,
        "reasoning": {"effort": "low", "summary": "auto"},
    }
    answer = speaker.call(CREATE, **asked)
    reasoning, message = answer.output
    assert (reasoning.type, message.type) == ("reasoning", "message")
    assert reasoning.summary[0].text
    record = books.record()
    tokens = answer.usage.output_tokens_details.reasoning_tokens
    assert 0 < tokens == record["reasoning_tokens"] < record["output_tokens"]
    events, whole = speaker.follow("responses.stream", "get_final_response", **asked)
    assert "response.reasoning_summary_text.delta" in [event.type for event in events]
    assert whole.output[0].summary == reasoning.summary
    assert books.record()["amount_nanos"] == record["amount_nanos"]


@cases(TRANSLATED)
def test_reasoning_of_a_translated_model_is_charged_and_told(
    speaker: Speaker, books: Books, model: str
) -> None:
    answer = speaker.call(CREATE, model=model, input=TEXT, reasoning={"effort": "low"})
    record, totals = books.record(), books.entry()["totals"]
    assert totals["reasoning"] > 0
    assert record["output_tokens"] == totals["output"] == answer.usage.output_tokens
    assert answer.usage.output_tokens_details.reasoning_tokens == record["reasoning_tokens"]


@cases(NATIVE + TRANSLATED)
def test_a_limit_leaves_the_answer_incomplete(speaker: Speaker, model: str) -> None:
    asked: dict[str, Any] = {
        "model": model,
        "input": TEXT,
        "max_output_tokens": 16,
        "extra_body": {"simulate": {"answer_tokens": 40}},
    }
    answer = speaker.call(CREATE, **asked)
    assert (answer.status, answer.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert answer.usage.output_tokens == 16
    events = speaker.call(CREATE, stream=True, **asked)
    assert events[-1].type == "response.incomplete"
    assert events[-1].response.usage.output_tokens == 16


@cases(NATIVE)
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_is_continued_by_its_own_group_and_by_no_other(
    speakers: Speakers, kind: str, model: str, stream: bool, bob: Tenant, charlie: Tenant
) -> None:
    speaker = speakers[kind]
    first = speaker.call(CREATE, model=model, input="My name is Alice.", stream=stream)
    answer = first[-1].response if stream else first
    asked: dict[str, Any] = {
        "model": model,
        "input": "What is my name?",
        "previous_response_id": answer.id,
        "stream": stream,
    }
    second = speaker.call(CREATE, **asked)
    continued = second[-1].response if stream else second
    assert continued.usage.input_tokens > answer.usage.input_tokens + answer.usage.output_tokens
    client = speakers["sync"].client
    for stranger in (bob, charlie):
        with pytest.raises(openai.BadRequestError) as refused:
            client.with_options(api_key=stranger.key).responses.create(**asked)
        assert refused.value.code == "previous_response_not_found"
        assert refused.value.param == "previous_response_id"


def test_a_tool_s_result_alone_continues_the_answer_that_asked_for_it(speakers: Speakers) -> None:
    speaker = speakers["sync"]
    first = speaker.call(CREATE, model="gpt-5.5", input="get_weather in Oslo", tools=[WEATHER])
    result = {
        "type": "function_call_output",
        "call_id": first.output[0].call_id,
        "output": "-3 C",
    }
    second = speaker.call(
        CREATE, model="gpt-5.5", input=[result], previous_response_id=first.id, tools=[WEATHER]
    )
    assert "get_weather returned: -3 C" in second.output_text


@cases(NATIVE)
def test_an_answer_that_was_not_stored_cannot_be_continued(speaker: Speaker, model: str) -> None:
    answer = speaker.call(CREATE, model=model, input=TEXT, store=False)
    assert answer.store is False
    with pytest.raises(openai.BadRequestError) as refused:
        speaker.call(CREATE, model=model, input=TEXT, previous_response_id=answer.id)
    assert refused.value.code == "previous_response_not_found"


@cases(TRANSLATED)
def test_a_translated_answer_is_never_stored(speaker: Speaker, model: str) -> None:
    answer = speaker.call(CREATE, model=model, input=TEXT, store=True)
    assert answer.store is False
    with pytest.raises(openai.BadRequestError) as refused:
        speaker.call(CREATE, model=model, input=TEXT, previous_response_id=answer.id)
    assert refused.value.code == "unsupported_parameter"
    assert refused.value.param == "previous_response_id"


@cases(NATIVE)
def test_how_another_answer_was_cached_cannot_be_asked(speaker: Speaker, model: str) -> None:
    options = {"comparison_response_id": "resp_of_bob"}
    with pytest.raises(openai.BadRequestError) as refused:
        speaker.call(CREATE, model=model, input=TEXT, prompt_cache_options=options)
    assert refused.value.param == "prompt_cache_options.comparison_response_id"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["gpt-5.5", "solar-pro3", "deepseek-chat"])
def test_cached_input_is_charged_at_its_own_rate(
    speakers: Speakers, books: Books, model: str, stream: bool
) -> None:
    script = {"input_tokens": 5_003, "cached_tokens": 4_001, "output_tokens": 7}
    answer = speakers["sync"].call(
        CREATE, model=model, input=TEXT, stream=stream, extra_body={"simulate": script}
    )
    usage = (answer[-1].response if stream else answer).usage
    assert usage.input_tokens_details.cached_tokens == 4_001
    record = books.record()
    assert (record["input_tokens"], record["cached_input_tokens"]) == (1_002, 4_001)


@cases(NATIVE + TRANSLATED)
def test_a_stream_that_fails_in_the_middle_is_an_error_and_free(
    speaker: Speaker, books: Books, model: str
) -> None:
    script = {"error_event_after_chunks": 3}
    with pytest.raises(openai.APIError):
        speaker.call(CREATE, model=model, input=TEXT, stream=True, extra_body={"simulate": script})
    record = books.record()
    assert (record["status"], record["amount_nanos"]) == ("upstream_failed", 0)
