"""Streams of Chat Completions for a client of Responses, and what it sends back of them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.translate.responses_over_chat import (
    StreamTranslation,
    translate_answer,
    translate_request,
)
from tests.gateway.translate.client_models import JSON, client_of, read_response_events
from tests.gateway.translate.responses_over_chat_samples import (
    CHUNK,
    CODEX,
    MODEL,
    SHELL,
    USAGE,
    asked,
    chat_call,
    chunk,
    completion,
    messages,
    result,
)


def fragment(arguments: Any = "", name: Any = None, **fields: Any) -> dict[str, Any]:
    function = {"arguments": arguments, **({} if name is None else {"name": name})}
    return {"function": function, **fields}


def stream(
    *chunks: Any, request: dict[str, Any] | None = None
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The events of a stream, read by the client's models, and the Response at its end."""
    translation = StreamTranslation(request or asked())
    passed = [event for one in chunks for event in translation.feed(one)]
    events = read_response_events([*passed, *translation.finish()])
    return events, events[-1]["response"]


def types(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


def deltas(events: list[dict[str, Any]], kind: str) -> list[str]:
    return [event["delta"] for event in events if event["type"] == f"response.{kind}.delta"]


def items_done(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [event["item"] for event in events if event["type"] == "response.output_item.done"]


def test_text_comes_out_as_it_comes_in() -> None:
    translation = StreamTranslation(asked())
    first = translation.feed(chunk(role="assistant", content=""))
    assert types(read_response_events(first)) == ["created", "in_progress"]
    for text in ("He", "llo"):
        [*_, event] = translation.feed(chunk(content=text))
        assert json.loads(event.split(b"data: ")[1])["delta"] == text
    assert translation.feed(chunk("stop")) == []
    assert translation.feed({"choices": [], "usage": USAGE}) == []


def test_a_stream_of_reasoning_text_and_a_call_is_told_in_order() -> None:
    events, response = stream(
        chunk(role="assistant", content=""),
        chunk(reasoning_content="Hm"),
        chunk(content="I look."),
        chunk(tool_calls=[fragment("", "exec_command", index=0, id="a")]),
        chunk(tool_calls=[fragment('{"cmd"', index=0)]),
        chunk(tool_calls=[fragment(':"ls"}', index=0)]),
        chunk("tool_calls"),
        {"choices": [], "usage": USAGE},
        request=asked(tools=[SHELL]),
    )
    assert types(events) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "reasoning_text.delta",
        "reasoning_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    assert items_done(events) == response["output"]
    assert response["output"][2]["arguments"] == '{"cmd":"ls"}'
    assert response["output"][2]["call_id"] == "a"
    assert response["usage"]["input_tokens"] == 30


def test_a_stream_ends_with_what_a_whole_answer_says() -> None:
    tool_calls = [chat_call("a", arguments='{"cmd":"ls"}'), chat_call("b")]
    message = {"content": "I look.", "reasoning": "Hm", "tool_calls": tool_calls}
    numbered = [{**one, "index": index} for index, one in enumerate(tool_calls)]
    _, response = stream(
        chunk(reasoning="Hm"),
        chunk(content="I look."),
        *[chunk(tool_calls=[one]) for one in numbered],
        {**chunk("tool_calls"), "usage": USAGE},
        request=CODEX,
    )
    whole = translate_answer(completion(message, "tool_calls"), CODEX)
    assert {**response, "completed_at": 0} == {**whole, "completed_at": 0}


@pytest.mark.parametrize(
    ("reason", "cut"),
    [("length", "max_output_tokens"), ("content_filter", "content_filter")],
)
def test_an_answer_that_was_cut_is_incomplete(reason: str, cut: str) -> None:
    answer = translate_answer(completion({"content": "Two"}, reason), asked())
    assert answer["status"] == "incomplete"
    assert answer["incomplete_details"] == {"reason": cut}
    assert answer["output"][0]["status"] == "incomplete"
    events, response = stream(chunk(content="Two"), chunk(reason))
    assert types(events)[-1] == "incomplete"
    assert response["incomplete_details"] == {"reason": cut}


def test_the_official_client_makes_the_same_answer_of_the_stream() -> None:
    translation = StreamTranslation(CODEX)
    chunks = [
        chunk(reasoning_content="Hm"),
        chunk(content="I look."),
        chunk(tool_calls=[fragment("{", "exec_command", index=0, id="a")]),
        chunk(tool_calls=[fragment('{"input":"x', "apply_patch", index=1, id="b")]),
        chunk(tool_calls=[fragment("}", index=0), fragment('y"}', index=1)]),
        chunk("tool_calls"),
    ]
    events = [event for one in chunks for event in translation.feed(one)] + translation.finish()
    with (
        client_of(events) as client,
        client.responses.stream(model=MODEL, input="Hello") as answer,
    ):
        response = answer.get_final_response()
    assert response.output_text == "I look."
    assert [item.type for item in response.output] == [
        "reasoning",
        "message",
        "function_call",
        "custom_tool_call",
    ]
    [_, _, function_call, custom_call] = response.model_dump()["output"]
    assert function_call["arguments"] == "{}"
    assert custom_call["input"] == "xy"


def test_a_refusal_is_streamed_as_one() -> None:
    events, response = stream(chunk(refusal="I "), chunk(refusal="will not."), chunk("stop"))
    assert types(events)[4:7] == ["refusal.delta", "refusal.delta", "refusal.done"]
    assert response["output"][0]["content"] == [{"type": "refusal", "refusal": "I will not."}]


@pytest.mark.parametrize(
    "fragments",
    [
        # interleaved
        [
            fragment("{", "f", index=0, id="a"),
            fragment("{", "g", index=1, id="b"),
            fragment("}", index=0),
            fragment("}", index=1),
        ],
        # every call numbered 0, as Gemini does
        [fragment("{}", "f", index=0, id="a"), fragment("{}", "g", index=0, id="b")],
        # no numbers
        [fragment("{", "f", id="a"), fragment("}"), fragment("{}", "g", id="b")],
        [fragment("{", "f", id="a"), fragment("}", id="a"), fragment("{}", "g", id="b")],
        # the name after the id
        [
            fragment("", index=0, id="a"),
            fragment("{}", "f", index=0),
            fragment("{}", "g", index=1, id="b"),
        ],
        [fragment({}, "f", id="a"), fragment({}, "g", id="b")],
    ],
)
def test_fragments_find_their_call(fragments: list[Any]) -> None:
    _, response = stream(*[chunk(tool_calls=[one]) for one in fragments], chunk("tool_calls"))
    calls = [(item["call_id"], item["name"], item["arguments"]) for item in response["output"]]
    assert calls == [("a", "f", "{}"), ("b", "g", "{}")]


@pytest.mark.parametrize(
    "text",
    [
        '*** Begin Patch\n+é "quoted" \\ back\u2028slash \U0001f600\n',
        "",
        "plain",
    ],
)
@pytest.mark.parametrize("is_ascii", [True, False])
def test_a_custom_input_is_unwrapped_while_it_comes(text: str, is_ascii: bool) -> None:
    arguments = json.dumps({"input": text}, ensure_ascii=is_ascii)
    fragments = [fragment("", "apply_patch", index=0, id="a")]
    fragments += [fragment(character, index=0) for character in arguments]
    events, response = stream(*[chunk(tool_calls=[one]) for one in fragments], request=CODEX)
    parts = deltas(events, "custom_tool_call_input")
    assert "".join(parts) == text
    assert len(parts) == len(text)
    assert response["output"][0]["input"] == text


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("*** Begin", "*** Begin"),
        ('{"patch": "x"}', '{"patch": "x"}'),
        ('{"why": "so", "input": "x"}', "x"),
        ('{"input": "cut', "cut"),
        (r'{"input": "a\u00', "a"),
        (r'{"input": "a\qb\uzzzz"}', r"a\qb\uzzzz"),
        ('{"input": "a\nb"}', "a\nb"),
    ],
)
def test_a_custom_input_that_is_wrapped_badly_is_not_lost(arguments: str, expected: str) -> None:
    calls = [fragment(arguments, "apply_patch", index=0, id="a")]
    events, response = stream(chunk(tool_calls=calls), chunk("tool_calls"), request=CODEX)
    assert response["output"][0]["input"] == expected
    assert "".join(deltas(events, "custom_tool_call_input")) == expected


def test_a_character_cut_in_two_comes_out_whole() -> None:
    events, response = stream(
        chunk(content="a\ud83d"), chunk(content="\ude00b"), chunk(content="\ud83d")
    )
    assert deltas(events, "output_text") == ["a", "\U0001f600b", "\ufffd"]
    assert response["output"][0]["content"][0]["text"] == "a\U0001f600b\ufffd"


def test_logprobs_go_with_their_text() -> None:
    entry = {"token": "Hi", "logprob": -0.5, "bytes": None, "top_logprobs": []}
    with_logprobs = chunk(content="Hi")
    with_logprobs["choices"][0]["logprobs"] = {"content": [entry]}
    events, response = stream(with_logprobs)
    expected = [{"token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": []}]
    assert events[4]["logprobs"] == expected
    assert response["output"][0]["content"][0]["logprobs"] == expected


def test_an_empty_stream_is_an_empty_response() -> None:
    events, response = stream()
    assert types(events) == ["created", "in_progress", "completed"]
    assert response["output"] == []


SIGNED = {**chat_call("a"), "extra_content": {"google": {"thought_signature": "c2ln"}}}


def second_leg(message: dict[str, Any], model: str = MODEL, **fields: Any) -> Any:
    """The assistant's message as the provider gets it back with the result of its call."""
    request = {**CODEX, **fields}
    numbered = [{**one, "index": i} for i, one in enumerate(message["tool_calls"])]
    events, _ = stream(chunk("tool_calls", **{**message, "tool_calls": numbered}), request=request)
    body = {**request, "model": model, "input": [*items_done(events), result("a", "one.txt")]}
    [_, said, answered] = translate_request(body)["messages"]
    assert answered == {"role": "tool", "tool_call_id": "a", "content": "one.txt"}
    return said


def test_a_tool_turn_comes_back_as_the_provider_said_it() -> None:
    message = {"content": "I look.", "reasoning_content": "Hm \u00e9", "tool_calls": [SIGNED]}
    assert second_leg(message) == {"role": "assistant", **message}


def test_what_one_model_wants_back_is_not_shown_to_another() -> None:
    message = {"content": "I look.", "reasoning_content": "Hm", "tool_calls": [SIGNED]}
    assert second_leg(message, model="deepseek/deepseek-v4-pro") == {
        "role": "assistant",
        "content": "I look.",
        "tool_calls": [chat_call("a")],
    }


def test_reasoning_travels_sealed_only_for_clients_that_ask() -> None:
    message = {"content": None, "reasoning_content": "Hm", "tool_calls": [chat_call("a")]}
    assert "reasoning_content" in second_leg(message)
    assert "reasoning_content" not in second_leg(message, include=None)


def test_reasoning_without_a_call_is_not_sent_back() -> None:
    _, response = stream(chunk(reasoning_content="Hm"), chunk(content="Hi"), request=CODEX)
    assert messages(*response["output"]) == [{"role": "assistant", "content": "Hi"}]


@given(chunks=st.lists(CHUNK | JSON, max_size=5))
def test_no_stream_is_too_odd_for_a_client(chunks: list[Any]) -> None:
    stream(*chunks, request=CODEX)
