"""Chat Completions: what of a stream the client gets, when, and what is read of it in passing."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import UpstreamFailed
from gateway.surfaces import SURFACES
from gateway.surfaces.base import Ask, PlainAnswer, Watcher
from gateway.usage import read_chat_usage
from tests.gateway.surfaces.streaming import JSON, feed

CHAT = SURFACES["chat"]
DONE = b"data: [DONE]\n\n"
USAGE = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
CHUNK_PARTS = {
    "delta": JSON
    | st.dictionaries(
        st.sampled_from(
            ["content", "reasoning", "reasoning_content", "tool_calls", "function_call", "refusal"]
        ),
        JSON,
    ),
    "finish_reason": JSON,
}
ODD_CHUNK = st.dictionaries(
    st.sampled_from(["choices", "usage", "service_tier", "object"]),
    JSON | st.lists(st.fixed_dictionaries({}, optional=CHUNK_PARTS), max_size=3),
)  # fmt: skip
ODD_ANSWER = st.dictionaries(
    st.sampled_from(["choices", "usage", "service_tier"]),
    JSON
    | st.lists(
        st.dictionaries(
            st.just("message"),
            JSON | st.dictionaries(st.sampled_from(["content", "tool_calls", "refusal"]), JSON),
        ),
        max_size=3,
    ),
)


def test_a_failed_stream_ends_with_the_error_as_data() -> None:
    last = CHAT.error_event(UpstreamFailed("It broke."), "call_1", 3)
    assert last.startswith(b'data: {"error":{"message":"It broke."')
    assert last.endswith(b"}\n\n")


def test_what_follows_bytes_that_wait_waits_too() -> None:
    ping = b": keep-alive\n\n"
    watcher, passed = watch(delta("Hi"), usage_event(), ping, finish(), DONE, include_usage=True)
    assert passed == delta("Hi")
    assert watcher.closing() == usage_event() + ping + finish() + DONE


def event(chunk: Any) -> bytes:
    return b"data: " + msgspec.json.encode(chunk) + b"\n\n"


def delta(content: str | None = None, index: int = 0, **fields: Any) -> bytes:
    parts = {**({} if content is None else {"content": content}), **fields}
    return event({"choices": [{"index": index, "delta": parts, "finish_reason": None}]})


def finish(reason: str = "stop", index: int = 0, **fields: Any) -> bytes:
    return event({"choices": [{"index": index, "delta": {}, "finish_reason": reason}], **fields})


def usage_event(usage: Any = None) -> bytes:
    return event({"choices": [], "usage": USAGE if usage is None else usage})


def watch(*events: bytes, include_usage: bool = False) -> tuple[Watcher, bytes]:
    """The watcher after these events, and what the client got at once."""
    watcher = CHAT.watch(read_chat_usage, Ask(stream=True, include_usage=include_usage))
    return watcher, feed(watcher, *events)


def test_text_passes_at_once_and_the_end_is_kept_back() -> None:
    watcher, passed = watch(delta("Hel"), delta("lo"), finish(), DONE)
    assert passed == delta("Hel") + delta("lo") + finish()
    assert watcher.kept_back == [DONE]
    assert watcher.is_done
    assert watcher.has_finished
    assert watcher.closing() == DONE


def test_usage_nobody_asked_for_is_read_and_withheld() -> None:
    watcher, passed = watch(delta("Hi"), finish(), usage_event(), DONE)
    assert passed == delta("Hi") + finish()
    assert watcher.kept_back == [DONE]
    assert watcher.usage is not None
    assert (watcher.usage.input_tokens, watcher.usage.output_tokens) == (9, 4)


def test_usage_that_was_asked_for_is_kept_back_before_the_end() -> None:
    events = [delta("Hi"), finish(), usage_event(), DONE]
    watcher, passed = watch(*events, include_usage=True)
    assert watcher.kept_back == [usage_event(), DONE]
    assert passed + b"".join(watcher.kept_back) == b"".join(events)


@pytest.mark.parametrize("include_usage", [False, True])
def test_usage_on_a_chunk_with_choices_passes_with_it(include_usage: bool) -> None:
    last = finish(usage=USAGE)
    watcher, passed = watch(delta("Hi"), last, DONE, include_usage=include_usage)
    assert passed == delta("Hi") + last
    assert watcher.usage is not None
    assert watcher.kept_back == [DONE]


def test_the_last_of_several_reports_counts() -> None:
    growing = [finish(usage={"prompt_tokens": 9, "completion_tokens": n}) for n in (1, 2, 3)]
    watcher, passed = watch(*growing)
    assert watcher.usage is not None
    assert watcher.usage.output_tokens == 3
    assert passed == b"".join(growing)


@pytest.mark.parametrize("usage", [None, {"prompt_tokens": -1}, "13 tokens", [], 13, {}])
def test_a_report_that_cannot_be_true_leaves_usage_unknown(usage: Any) -> None:
    watcher, passed = watch(delta("Hi"), finish(), event({"choices": [], "usage": usage}), DONE)
    assert watcher.usage is None
    assert watcher.is_done
    assert watcher.generated.tokens == 1
    assert passed.startswith(delta("Hi") + finish())


def test_comments_and_bare_events_pass_untouched() -> None:
    odd = [
        b": keep-alive\n\n",
        b"\n\n",
        b"event: ping\n\n",
        b"id: 1\r\n\r\n",
        b": x\n" + delta("a"),
    ]
    watcher, passed = watch(*odd)
    assert passed == b"".join(odd)
    assert watcher.generated.tokens == 1


@pytest.mark.parametrize("newline", [b"\r\n\r\n", b"\r\r", b"\n\n"])
def test_every_ending_of_a_line_is_understood_and_kept(newline: bytes) -> None:
    events = [one[:-2] + newline for one in (delta("Hi"), finish(), usage_event(), DONE)]
    watcher, passed = watch(*events)
    assert passed == events[0] + events[1]
    assert watcher.kept_back == [events[3]]
    assert watcher.usage is not None


def test_a_stream_can_end_without_done() -> None:
    watcher, _ = watch(delta("Hi"), finish(), usage_event())
    assert not watcher.is_done
    assert watcher.has_finished
    assert watcher.usage is not None


def test_a_stream_of_two_choices_has_not_finished_when_one_of_them_has() -> None:
    # Else a stream that is cut after the first choice's end is billed as if it were whole.
    events = [delta("a", 0), delta("b", 1), finish("stop", 0), delta("c", 1)]
    watcher, _ = watch(*events)
    assert not watcher.has_finished
    watcher, _ = watch(*events, finish("stop", 1))
    assert watcher.has_finished


@pytest.mark.parametrize(
    "error", [{"message": "Overloaded.", "code": "busy"}, "Overloaded.", True, {}]
)
def test_an_error_event_is_taken_out_and_kept_as_the_error(error: Any) -> None:
    watcher, passed = watch(delta("Hi"), event({"error": error}))
    assert passed == delta("Hi")
    assert watcher.error == error
    assert not watcher.has_finished


def test_an_error_of_null_is_none() -> None:
    chunk = event({"choices": [{"delta": {"content": "Hi"}}], "error": None})
    watcher, passed = watch(chunk)
    assert passed == chunk
    assert watcher.error is None


def test_the_tier_that_served_the_call_is_read() -> None:
    watcher, _ = watch(
        event({"choices": [], "service_tier": "flex"}), event({"service_tier": None})
    )
    assert watcher.service_tier == "flex"


def test_everything_that_is_generated_counts() -> None:
    named = [{"index": 0, "id": "a", "function": {"name": "look_up", "arguments": ""}}]
    fragment = [{"index": 0, "function": {"arguments": '{"q":'}}]
    watcher, _ = watch(
        delta(role="assistant", tool_calls=named),
        delta(tool_calls=fragment),
        delta(tool_calls=fragment + fragment),
        delta(function_call={"name": "f", "arguments": "{}"}),
        delta(refusal="No"),
        delta(reasoning_content="Hm"),
        delta(reasoning="Hm"),
        delta(""),
        delta(None),
    )
    # a name, three fragments, a name and its arguments, a refusal, and two thoughts
    assert watcher.generated.tokens == 9


def test_a_thought_under_both_its_names_counts_once() -> None:
    watcher, _ = watch(delta(reasoning_content="Hm", reasoning="Hm"))
    assert watcher.generated.tokens == 1


HALVES = [
    b'data: {"choices":[{"delta":{"content":"\\ud83d"}}]}\n\n',
    b'data: {"choices":[{"delta":{"content":"\\ude00"}}]}\n\n',
]


def test_halves_of_a_character_pass_as_they_came() -> None:
    watcher, passed = watch(delta("a"), *HALVES, finish(), usage_event(), DONE)
    assert passed == delta("a") + b"".join(HALVES) + finish()
    assert watcher.usage is not None
    assert watcher.has_finished


def test_halves_of_a_character_count_as_text_and_not_by_the_size_of_their_event() -> None:
    watcher, _ = watch(*HALVES)
    assert watcher.generated.tokens <= 2


def test_half_a_character_hides_neither_the_finish_nor_the_usage_beside_it() -> None:
    last = (
        b'data: {"choices":[{"delta":{"content":"\\ude00"},"finish_reason":"stop"}],'
        b'"usage":{"prompt_tokens":9,"completion_tokens":4}}\n\n'
    )
    watcher, passed = watch(HALVES[0], last)
    assert passed == HALVES[0] + last
    assert watcher.has_finished
    assert watcher.usage is not None


ODD = [
    b"data: not json\n\n",
    b"data: [1,2]\n\n",
    b"data: 7\n\n",
    b"data: \xff\xfe\n\n",
    b"data: " + b"[" * 20_000 + b"\n\n",
    event({"choices": {"0": "Hi"}}),
    event({"choices": [5]}),
    event({"choices": [None]}),
    event({"choices": [{"delta": "Hi"}]}),
    event({"choices": [{"delta": {"content": ["Hi", {"text": "there"}]}}]}),
    event({"choices": [{"delta": {"content": 5, "reasoning": 5, "refusal": {}}}]}),
    event({"choices": [{"delta": {"tool_calls": "look_up"}}]}),
    event({"choices": [{"delta": {"tool_calls": {"function": {"name": "look_up"}}}}]}),
    event({"choices": [{"delta": {"tool_calls": [5, None, {"function": 5}]}}]}),
    event({"choices": [{"delta": {"tool_calls": [{"function": {"name": 5, "arguments": {}}}]}}]}),
    event({"choices": [{"delta": {"tool_calls": 5}}]}),
    event({"choices": [{"delta": {"tool_calls": True}}]}),
    event({"choices": [{"delta": {"function_call": 5}}]}),
]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: str(odd[6:60]))
def test_a_shape_that_nobody_knows_passes_as_it_came(odd: bytes) -> None:
    watcher, passed = watch(odd, delta("Hi"), finish(), DONE)
    assert passed == odd + delta("Hi") + finish()
    assert watcher.is_done
    assert watcher.generated.tokens >= 1


@given(ODD_CHUNK)
def test_no_chunk_whatever_its_shape_breaks_the_watcher(chunk: dict[str, Any]) -> None:
    _, passed = watch(event(chunk))
    assert passed in (event(chunk), b"")


def answer(body: Any) -> PlainAnswer | None:
    return CHAT.read_answer(msgspec.json.encode(body), read_chat_usage)


def message(**fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": {"role": "assistant", **fields}}]}


def test_a_plain_answer_gives_its_usage_and_tier() -> None:
    found = answer({**message(content="Hi"), "usage": USAGE, "service_tier": "default"})
    assert found is not None
    assert found.usage is not None
    assert found.usage.output_tokens == 4
    assert (found.service_tier, found.error) == ("default", None)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<!doctype html><html></html>",
        b'{"choices":[{"mess',
        b"[]",
        b"7",
        b"{}",
        b'{"choices":{}}',
        b'{"choices":null}',
        b'{"id":"x","object":"chat.completion"}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_what_is_no_completion_is_none(body: bytes) -> None:
    assert CHAT.read_answer(body, read_chat_usage) is None


@pytest.mark.parametrize("error", [{"message": "Overloaded."}, "Overloaded.", {}])
def test_an_error_in_a_plain_answer_is_found(error: Any) -> None:
    found = answer({"error": error})
    assert found is not None
    assert found.error == error


@pytest.mark.parametrize("usage", [None, {"prompt_tokens": -4}, "13", {}])
def test_without_a_true_report_the_text_is_counted(usage: Any) -> None:
    calls = [{"function": {"name": "look_up", "arguments": '{"q":"x"}'}}]
    found = answer({**message(content="Hi there", refusal="No", tool_calls=calls), "usage": usage})
    assert found is not None
    assert found.usage is None
    assert (found.output_tokens, found.delivered) == (4, True)


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_thoughts_count_under_either_name_and_once_under_both(name: str) -> None:
    for fields in ({name: "Hm"}, {"reasoning": "Hm", "reasoning_content": "Hm"}):
        found = answer(message(**fields))
        assert found is not None
        assert found.output_tokens == 1


def test_an_answer_without_any_text_delivered_nothing() -> None:
    found = answer(message(content=""))
    assert found is not None
    assert (found.output_tokens, found.delivered) == (0, False)


def test_half_a_character_in_a_plain_answer_is_still_an_answer() -> None:
    body = (
        b'{"choices":[{"message":{"content":"cut at \\ud83d"}}],'
        b'"usage":{"prompt_tokens":9,"completion_tokens":4}}'
    )
    found = CHAT.read_answer(body, read_chat_usage)
    assert found is not None
    assert found.usage is not None


@pytest.mark.parametrize(
    "fields",
    [
        {"content": 5},
        {"content": [{"type": "text", "text": "Hi"}]},
        {"content": None, "tool_calls": 5},
        {"content": None, "tool_calls": True},
        {"content": None, "tool_calls": {"function": {}}},
        {"content": None, "tool_calls": [5, {"function": 5}, {"function": {"name": 5}}]},
    ],
)
def test_an_odd_message_without_usage_is_an_answer_all_the_same(fields: dict[str, Any]) -> None:
    assert answer(message(**fields)) is not None


@given(ODD_ANSWER)
def test_no_answer_whatever_its_shape_breaks_the_reader(body: dict[str, Any]) -> None:
    answer(body)
