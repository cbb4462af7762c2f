"""Streams of OpenAI's Responses API for a client of Chat Completions."""

import json
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.translate.chat_over_responses import StreamTranslation, translate_answer
from tests.gateway.translate.chat_over_responses_samples import (
    CALL,
    HERMES,
    ITEM,
    MESSAGE,
    MODEL,
    RESPONSE,
    asked,
    items,
    response,
)
from tests.gateway.translate.client_models import (
    JSON,
    TEXT,
    client_of,
    is_completion,
    odd,
    read_chunks,
)


def event(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}", "output_index": 0, "item_id": "i", **fields}


CREATED = event("created", response=response(status="in_progress", usage=None))
COMPLETED = event("completed", response=response())


def text_delta(text: Any, **fields: Any) -> dict[str, Any]:
    return event("output_text.delta", content_index=0, delta=text, **fields)


BEGUN: dict[str, Any] = {**CALL, "arguments": ""}
TURN = (
    CREATED,
    text_delta("I look."),
    event("output_item.added", item=BEGUN, output_index=1),
    event("function_call_arguments.delta", delta=CALL["arguments"], output_index=1),
    COMPLETED,
)


def feed(translation: StreamTranslation, events: Iterable[Any]) -> list[bytes]:
    return [data for one in events for data in translation.feed(one)]


def stream(
    *events: Any, request: dict[str, Any] | None = None
) -> tuple[list[dict[str, Any]], list[bytes]]:
    """The chunks of a stream, read by the client's models, and the bytes that its end added."""
    translation = StreamTranslation(request or asked(stream=True))
    passed = feed(translation, events)
    ending = translation.finish()
    assert ending[-1] == b"data: [DONE]\n\n"
    assert b"data: [DONE]\n\n" not in passed
    return read_chunks([*passed, *ending]), ending


def deltas(chunks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [choice["delta"] for chunk in chunks for choice in chunk["choices"] if choice["delta"]]


def joined(chunks: list[dict[str, Any]]) -> dict[str, Any]:
    """The message that a client makes of the chunks."""
    message: dict[str, Any] = {}
    calls: list[dict[str, Any]] = []
    for delta in deltas(chunks):
        for name in ("content", "refusal", "reasoning_content"):
            if delta.get(name):
                message[name] = message.get(name, "") + delta[name]
        for fragment in delta.get("tool_calls", []):
            if fragment["index"] == len(calls):
                calls.append({k: v for k, v in fragment.items() if k != "index"})
            else:
                kind = "custom" if "custom" in fragment else "function"
                for name, text in fragment[kind].items():
                    calls[fragment["index"]][kind][name] += text
    return {**message, **({"tool_calls": calls} if calls else {})}


def test_text_comes_out_as_it_comes_in() -> None:
    translation = StreamTranslation(HERMES)
    [first] = read_chunks(translation.feed(CREATED))
    assert first["choices"][0]["delta"]["role"] == "assistant"
    for text in ("He", "llo"):
        [chunk] = read_chunks(translation.feed(text_delta(text)))
        assert chunk["choices"][0]["delta"] == {"content": text}
        assert chunk["usage"] is None
    assert translation.feed(event("output_text.done", content_index=0, text="Hello")) == []
    assert translation.feed(COMPLETED) == []
    end, usage = read_chunks(translation.finish())
    assert end["choices"][0]["finish_reason"] == "stop"
    assert usage["choices"] == []
    assert usage["usage"]["total_tokens"] == 42
    assert {chunk["id"] for chunk in (first, end, usage)} == {first["id"]}


def test_usage_is_for_clients_that_asked() -> None:
    chunks, ending = stream(CREATED, text_delta("Hi"), COMPLETED)
    assert all("usage" not in chunk for chunk in chunks)
    assert len(ending) == 2


def test_logprobs_come_where_they_were_asked_for() -> None:
    entry = {"token": "A", "bytes": [65], "logprob": -0.5, "top_logprobs": []}
    part = {"type": "output_text", "text": "A", "logprobs": [entry]}
    told = response({"type": "message", "content": [part]})
    assert translate_answer(told, asked())["choices"][0]["logprobs"] is None
    answer = translate_answer(told, asked(logprobs=True))
    assert is_completion(answer)
    assert answer["choices"][0]["logprobs"]["content"] == [entry]
    delta = text_delta("A", logprobs=[entry])
    chunks, _ = stream(CREATED, delta, request=asked(logprobs=True))
    assert chunks[1]["choices"][0]["logprobs"]["content"] == [entry]


def test_calls_are_streamed_with_their_numbers() -> None:
    patch = {"type": "custom_tool_call", "id": "ctc_1", "call_id": "b", "name": "p", "input": ""}
    translation = StreamTranslation(asked())
    events = [
        CREATED,
        event("output_item.added", item=BEGUN, output_index=1),
        event("function_call_arguments.delta", delta='{"cmd"', output_index=1, item_id="fc_1"),
        event("function_call_arguments.delta", delta=':"ls"}', output_index=1, item_id="fc_1"),
        event("output_item.done", item=CALL, output_index=1),
        event("output_item.added", item=patch, output_index=2),
        event("custom_tool_call_input.delta", delta="x", output_index=2),
        COMPLETED,
    ]
    passed = [json.loads(data[6:]) for data in feed(translation, events)]
    assert [delta["tool_calls"] for delta in deltas(passed)[1:]] == [
        [
            {
                "index": 0,
                "id": "a",
                "type": "function",
                "function": {"name": "terminal", "arguments": ""},
            }
        ],
        [{"index": 0, "function": {"arguments": '{"cmd"'}}],
        [{"index": 0, "function": {"arguments": ':"ls"}'}}],
        [{"index": 1, "id": "b", "type": "custom", "custom": {"name": "p", "input": ""}}],
        [{"index": 1, "custom": {"input": "x"}}],
    ]
    assert b'"finish_reason":"tool_calls"' in translation.finish()[0]


def test_the_official_client_makes_the_same_answer_of_the_stream() -> None:
    translation = StreamTranslation(HERMES)
    chunks = feed(translation, TURN) + translation.finish()
    with (
        client_of(chunks) as client,
        client.chat.completions.stream(model=MODEL, messages=[]) as answer,
    ):
        completion = answer.get_final_completion().model_dump()
    [choice] = completion["choices"]
    assert choice["message"]["content"] == "I look."
    assert choice["message"]["tool_calls"][0]["function"]["arguments"] == CALL["arguments"]
    assert choice["finish_reason"] == "tool_calls"
    assert completion["usage"]["total_tokens"] == 42


@pytest.mark.parametrize(
    "events",
    [
        # only the ends
        [
            event("output_text.done", content_index=0, text="I look."),
            event("output_item.done", item=MESSAGE),
            event("output_item.done", item=CALL, output_index=1),
        ],
        # items alone
        [event("output_item.done", item=MESSAGE), event("output_item.done", item=CALL, output_index=1)],
        # no places, ids only
        [
            {"type": "response.output_text.delta", "item_id": "msg_1", "delta": "I look."},
            {"type": "response.output_item.done", "item": MESSAGE},
            {"type": "response.output_item.added", "item": BEGUN},
            {
                "type": "response.function_call_arguments.delta",
                "item_id": "fc_1",
                "delta": CALL["arguments"],
            },
            {"type": "response.output_item.done", "item": CALL},
        ],
        # ids that change
        [
            text_delta("I look."),
            event("output_item.added", item=BEGUN, output_index=1),
            event(
                "function_call_arguments.done",
                output_index=1,
                item_id="other",
                arguments=CALL["arguments"],
            ),
            event("output_item.done", item={**CALL, "id": "another"}, output_index=1),
        ],
    ],
)  # fmt: skip
def test_nothing_is_lost_or_said_twice(events: list[Any]) -> None:
    chunks, _ = stream(CREATED, *events, COMPLETED)
    whole = translate_answer(response(MESSAGE, CALL), asked())["choices"][0]["message"]
    assert joined(chunks) == {
        "content": whole["content"],
        "tool_calls": whole["tool_calls"],
    }


def test_parts_of_a_summary_are_parted() -> None:
    chunks, _ = stream(
        event("reasoning_summary_text.delta", summary_index=0, delta="On"),
        event("reasoning_summary_text.delta", summary_index=0, delta="e."),
        event("reasoning_summary_text.delta", summary_index=1, delta="Two."),
    )
    assert joined(chunks) == {"reasoning_content": "One.\n\nTwo."}


def test_a_streamed_refusal_stays_one() -> None:
    chunks, _ = stream(event("refusal.delta", delta="No"), event("refusal.delta", delta="."))
    assert joined(chunks) == {"refusal": "No."}


def test_a_character_cut_in_two_comes_out_whole() -> None:
    chunks, _ = stream(text_delta("a\ud83d"), text_delta("\ude00b"), text_delta("\ud83d"))
    assert joined(chunks) == {"content": "a\U0001f600b\ufffd"}


def test_a_cut_stream_says_so() -> None:
    cut = response(status="incomplete", incomplete_details={"reason": "max_output_tokens"})
    chunks, _ = stream(CREATED, text_delta("Hi"), event("incomplete", response=cut))
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"


def test_an_empty_stream_has_a_beginning_and_an_end() -> None:
    chunks, _ = stream()
    assert [bool(chunk["choices"][0]["delta"]) for chunk in chunks] == [True, False]


def test_a_tool_turn_comes_back_as_the_provider_said_it() -> None:
    chunks, _ = stream(*TURN)
    said = {"role": "assistant", **joined(chunks)}
    answered = {"role": "tool", "tool_call_id": "a", "content": "one.txt"}
    assert items(said, answered) == [
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "I look."}],
        },
        {name: value for name, value in CALL.items() if name != "id"},
        {"type": "function_call_output", "call_id": "a", "output": "one.txt"},
    ]


EVENT = odd(
    type=st.sampled_from(
        [
            "response.created",
            "response.output_text.delta",
            "response.output_text.done",
            "response.refusal.delta",
            "response.reasoning_summary_text.delta",
            "response.output_item.added",
            "response.output_item.done",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.done",
            "response.custom_tool_call_input.delta",
            "response.completed",
        ]
    ),
    response=RESPONSE,
    item=ITEM,
    delta=TEXT,
    text=TEXT,
    arguments=TEXT,
    output_index=st.integers(0, 2),
    content_index=st.integers(0, 1),
    item_id=TEXT,
    logprobs=JSON,
)


@given(events=st.lists(EVENT | JSON, max_size=6), logprobs=st.booleans())
def test_no_stream_is_too_odd_for_a_client(events: list[Any], logprobs: bool) -> None:
    translation = StreamTranslation({**HERMES, "logprobs": logprobs})
    passed = feed(translation, events)
    for data in [*passed, *translation.finish()[:-1]]:
        assert (
            msgspec.json.decode(data.removeprefix(b"data: "))["object"] == "chat.completion.chunk"
        )
