"""Messages: what a request asks for, what of a stream the client gets, and what is read of it in passing."""

from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequest, UpstreamFailed
from gateway.estimate import Media
from gateway.surfaces import SURFACES
from gateway.surfaces.base import Ask, PlainAnswer, Watcher
from gateway.usage import read_messages_usage
from tests.gateway.surfaces.streaming import (
    JSON,
    NO_ANSWERS,
    NO_EVENTS,
    NO_JSON,
    PICTURE,
    changed,
    feed,
    read,
    refused,
    typed_event,
)

MESSAGES = SURFACES["messages"]
CLAUDE_CODE = {
    "model": "claude-opus-5",
    "max_tokens": 32_000,
    "system": [{"type": "text", "text": "You code.", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {"role": "user", "content": "Fix it"},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm", "signature": "Eq"},
                {"type": "tool_use", "id": "a", "name": "Bash", "input": {"command": "ls"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "a", "content": "x", "is_error": False}
            ],
        },
    ],
    "tools": [
        {"name": "Bash", "description": "Run", "input_schema": {"type": "object"}},
        {"type": "bash_20250124", "name": "bash"},
        {"type": "tool_search_tool_regex_20251119", "name": "tool_search_tool_regex"},
    ],
    "thinking": {"type": "enabled", "budget_tokens": 31_999},
    "metadata": {"user_id": "alice"},
    "stream": True,
    "temperature": 1,
}
START = typed_event(
    "message_start",
    message={
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "content": [],
        "usage": {
            "input_tokens": 10,
            "cache_read_input_tokens": 50,
            "cache_creation_input_tokens": 7,
            "cache_creation": {"ephemeral_5m_input_tokens": 7, "ephemeral_1h_input_tokens": 0},
            "output_tokens": 1,
        },
    },
)
PING = typed_event("ping")
BLOCK = typed_event("content_block_start", index=0, content_block={"type": "text", "text": ""})
BLOCK_STOP = typed_event("content_block_stop", index=0)
STOP = typed_event("message_stop")


def text(said: str = "Hi") -> bytes:
    delta = {"type": "text_delta", "text": said}
    return typed_event("content_block_delta", index=0, delta=delta)


def message_delta(output_tokens: int = 12, reason: str | None = "end_turn") -> bytes:
    return typed_event(
        "message_delta", delta={"stop_reason": reason}, usage={"output_tokens": output_tokens}
    )


def asking(**fields: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": "Hi"}]
    return {"model": "claude-opus-5", "max_tokens": 99, "messages": messages, **fields}


def with_blocks(*blocks: Any) -> dict[str, Any]:
    return asking(messages=[{"role": "user", "content": list(blocks)}])


def block(kind: str, origin: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "source": {"type": origin, **fields}}


def watch(*events: bytes) -> tuple[Watcher, bytes]:
    watcher = MESSAGES.watch(read_messages_usage, Ask(stream=True))
    return watcher, feed(watcher, *events)


def answer(body: Any) -> PlainAnswer | None:
    return MESSAGES.read_answer(msgspec.json.encode(body), read_messages_usage)


def test_what_claude_code_sends_is_read() -> None:
    assert read("messages", CLAUDE_CODE) == Ask(stream=True, output_tokens=32_000)


def test_the_version_and_the_betas_go_on_to_the_provider() -> None:
    assert MESSAGES.forwarded_headers == (b"anthropic-version", b"anthropic-beta")


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"messages": []}, "invalid_request_error", "messages"),
        ({"messages": "Hi"}, "invalid_request_error", "messages"),
        ({"max_tokens": None}, "invalid_request_error", "max_tokens"),
        ({"max_tokens": 0}, "invalid_request_error", "max_tokens"),
        ({"max_tokens": "9"}, "invalid_request_error", "max_tokens"),
        ({"service_tier": "priority"}, "invalid_request_error", "service_tier"),
        ({"speed": "fast"}, "unsupported_parameter", "speed"),
        ({"inference_geo": "us"}, "unsupported_parameter", "inference_geo"),
        ({"mcp_servers": [{"url": "x"}]}, "unsupported_parameter", "mcp_servers"),
        ({"fallbacks": [{"model": "x"}]}, "unsupported_parameter", "fallbacks"),
        ({"tools": {}}, "invalid_request_error", "tools"),
        ({"stream": "yes"}, "invalid_request_error", "stream"),
    ],
)
def test_what_cannot_be_metered_is_refused_by_name(
    fields: dict[str, Any], code: str, param: str
) -> None:
    assert refused("messages", asking(**fields)) == (code, param)


@pytest.mark.parametrize(
    "kind",
    [
        "web_search_20250305",
        "web_fetch_20250910",
        "code_execution_20260120",
        "mcp_toolset",
        "advisor_20260301",
    ],
)
def test_a_tool_that_the_provider_runs_and_bills_is_refused_by_its_place(kind: str) -> None:
    body = asking(tools=[{"name": "f", "input_schema": {}}, {"type": kind, "name": "x"}])
    assert refused("messages", body) == ("unsupported_parameter", "tools[1].type")


@pytest.mark.parametrize(
    "fields",
    [
        {"service_tier": "auto", "speed": "standard", "inference_geo": "global"},
        {"service_tier": "standard_only", "speed": None, "inference_geo": None},
        {"mcp_servers": [], "tools": [], "fallbacks": None},
    ],
)
def test_the_values_that_cost_no_more_pass(fields: dict[str, Any]) -> None:
    assert read("messages", asking(**fields)) == Ask(output_tokens=99)


@pytest.mark.parametrize(
    ("part", "media"),
    [
        (block("image", "base64", data="A" * 40), Media("image", 40)),
        (block("image", "url", url="https://example.com/a.png"), Media("image")),
        (block("document", "base64", data="A" * 40), Media("document", 40)),
        (block("document", "url", url="https://example.com/a.pdf"), Media("document")),
        (
            block("document", "content", content=[block("image", "base64", data="A" * 40)]),
            Media("image", 40),
        ),
    ],
)
def test_what_is_no_text_is_found_in_messages_and_in_what_tools_answer(
    part: dict[str, Any], media: Media
) -> None:
    result = {"type": "tool_result", "tool_use_id": "a", "content": [part, part]}
    assert read("messages", with_blocks({"type": "text", "text": "x"}, part)).media == (media,)
    assert read("messages", with_blocks(result, part)).media == (media,) * 3


@pytest.mark.parametrize(
    "part",
    [
        {"type": "text", "text": PICTURE},
        block("document", "text", media_type="text/plain", data="Hi" * 400),
        block("document", "content", content="Hi"),
        {"type": "tool_result", "tool_use_id": "a", "content": PICTURE},
        {"type": "search_result", "source": "https://example.com", "content": []},
    ],
)
def test_text_is_no_media_however_it_is_wrapped(part: dict[str, Any]) -> None:
    assert read("messages", with_blocks(part)).media == ()


@pytest.mark.parametrize("kind", ["image", "document"])
def test_a_file_of_the_providers_account_is_refused_at_any_depth(kind: str) -> None:
    part = block(kind, "file", file_id="file_bob")
    refusal = ("unsupported_parameter", "messages.content.source.file_id")
    assert refused("messages", with_blocks(part)) == refusal
    assert refused("messages", with_blocks({"type": "tool_result", "content": [part]})) == refusal


def test_results_within_results_as_deep_as_json_goes_break_nothing() -> None:
    inner = b'{"type":"image","source":{"type":"base64","data":"AAAA"}}'
    for _ in range(300):
        inner = b'{"type":"tool_result","content":[' + inner + b"]}"
    assert read("messages", with_blocks(msgspec.json.decode(inner))).media == (Media("image", 4),)


def test_a_body_goes_as_it_came_where_nothing_must_change() -> None:
    assert changed("messages", CLAUDE_CODE, "claude-opus-5", None) == {}


def test_the_provider_is_told_its_own_name_of_the_model() -> None:
    assert changed("messages", asking(), "other", None) == {"model": "other"}


@pytest.mark.parametrize(
    ("limit", "thinking"),
    [
        (40_000, None),
        (32_000, None),
        (31_999, {"type": "enabled", "budget_tokens": 31_998}),
        (1025, {"type": "enabled", "budget_tokens": 1024}),
        (1024, {"type": "disabled"}),
        (256, {"type": "disabled"}),
    ],
)
def test_the_budget_of_thoughts_stays_below_a_limit_that_is_lowered(
    limit: int, thinking: dict[str, Any] | None
) -> None:
    changes: dict[str, Any] = {"max_tokens": limit}
    if thinking is not None:
        changes["thinking"] = thinking
    assert changed("messages", CLAUDE_CODE, "claude-opus-5", limit) == changes


@pytest.mark.parametrize(
    "thinking", [None, {"type": "adaptive"}, {"type": "disabled"}, "on", {"budget_tokens": "9"}]
)
def test_thinking_without_a_budget_is_left_alone(thinking: Any) -> None:
    body = asking(thinking=thinking)
    assert changed("messages", body, "claude-opus-5", 50) == {"max_tokens": 50}


def test_everything_passes_at_once_but_the_reason_to_end_and_what_follows() -> None:
    watcher, passed = watch(START, PING, BLOCK, text(), BLOCK_STOP)
    assert passed == START + PING + BLOCK + text() + BLOCK_STOP
    assert feed(watcher, message_delta(), PING, STOP) == b""
    assert watcher.closing() == message_delta() + PING + STOP
    assert watcher.is_done
    assert watcher.has_finished


def test_the_input_of_the_start_and_the_output_of_the_end_make_the_usage() -> None:
    watcher, _ = watch(START, text(), message_delta(12), STOP)
    assert watcher.usage is not None
    assert watcher.usage.input_tokens == 10
    assert watcher.usage.cached_input_tokens == 50
    assert watcher.usage.cache_write_tokens == 7
    assert watcher.usage.output_tokens == 12
    assert watcher.upstream_id == "msg_1"


def test_reports_are_cumulative_and_the_last_counts() -> None:
    first = message_delta(5, None)
    watcher, passed = watch(START, first, message_delta(12), STOP)
    assert passed == START + first
    assert watcher.usage is not None
    assert watcher.usage.output_tokens == 12


def test_input_that_a_delta_reports_anew_replaces_the_first() -> None:
    news = {"input_tokens": 30, "output_tokens": 12}
    delta = typed_event("message_delta", delta={"stop_reason": "end_turn"}, usage=news)
    watcher, _ = watch(START, delta, STOP)
    assert watcher.usage is not None
    assert (watcher.usage.input_tokens, watcher.usage.cached_input_tokens) == (30, 50)


def test_a_cut_stream_knows_its_input_and_what_was_generated() -> None:
    watcher, _ = watch(START, BLOCK, text(), text())
    assert not watcher.has_finished
    assert watcher.usage is None
    assert watcher.input_usage is not None
    assert (watcher.input_usage.input_tokens, watcher.input_usage.cached_input_tokens) == (10, 50)
    assert watcher.generated.tokens == 2


def test_a_stream_that_is_cut_before_its_stop_has_not_finished() -> None:
    watcher, _ = watch(START, text(), message_delta())
    assert not watcher.has_finished
    assert watcher.usage is not None


@pytest.mark.parametrize("usage", [None, {}, "7", {"input_tokens": -1}])
def test_a_start_that_cannot_be_true_leaves_the_usage_unknown(usage: Any) -> None:
    start = typed_event("message_start", message={"id": "msg_1", "usage": usage})
    watcher, passed = watch(start, text(), message_delta(), STOP)
    assert passed == start + text()
    assert (watcher.usage, watcher.input_usage) == (None, None)
    assert watcher.has_finished


@pytest.mark.parametrize(
    "delta",
    [
        {"type": "text_delta", "text": "Hi"},
        {"type": "thinking_delta", "thinking": "Hm"},
        {"type": "input_json_delta", "partial_json": '{"q":'},
    ],
)
def test_every_kind_of_delta_counts(delta: dict[str, Any]) -> None:
    event = typed_event("content_block_delta", index=0, delta=delta)
    watcher, passed = watch(event)
    assert passed == event
    assert watcher.generated.tokens == 1


def test_the_name_of_a_tool_counts() -> None:
    tool = {"type": "tool_use", "id": "a", "name": "look_up", "input": {}}
    watcher, _ = watch(typed_event("content_block_start", index=1, content_block=tool))
    assert watcher.generated.tokens == 1


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (
            typed_event("error", error={"type": "overloaded_error", "message": "Overloaded"}),
            "Overloaded",
        ),
        (typed_event("error"), "The provider reported an error."),
        (b'data: {"error":{"message":"Overloaded"}}\n\n', "Overloaded"),
    ],
)
def test_an_error_is_taken_out_of_the_stream(event: bytes, said: str) -> None:
    watcher, passed = watch(START, text(), event)
    assert passed == START + text()
    assert watcher.error["message"] == said
    assert not watcher.has_finished


@pytest.mark.parametrize("event", NO_EVENTS)
def test_what_says_nothing_passes_untouched(event: bytes) -> None:
    watcher, passed = watch(event, text())
    assert passed == event + text()
    assert watcher.generated.tokens == 1


@pytest.mark.parametrize(
    "odd",
    [
        *NO_JSON,
        typed_event("message_start", message="Hi"),
        typed_event("content_block_delta", delta="Hi"),
        typed_event("content_block_delta", delta={"text": 7, "thinking": [], "partial_json": {}}),
        typed_event("content_block_start", content_block=[]),
        typed_event("something_new", x=1),
    ],
)
def test_a_shape_that_nobody_knows_passes_as_it_came(odd: bytes) -> None:
    watcher, passed = watch(odd, text())
    assert passed == odd + text()
    assert watcher.error is None


def test_line_ends_of_every_kind_are_understood_and_kept() -> None:
    plain = (START, text(), message_delta(), STOP)
    events = [event.replace(b"\n", b"\r\n") for event in plain]
    watcher, passed = watch(*events)
    assert passed == events[0] + events[1]
    assert watcher.closing() == events[2] + events[3]
    assert watcher.usage is not None


@given(
    st.dictionaries(
        st.sampled_from(["delta", "content_block", "message", "usage", "error"]),
        JSON
        | st.dictionaries(
            st.sampled_from(["id", "usage", "text", "stop_reason", "name", "input_tokens"]), JSON
        ),
    ),
    st.sampled_from(
        ["message_start", "content_block_start", "content_block_delta", "message_delta", "x"]
    ),
)
def test_no_event_whatever_its_shape_breaks_the_watcher(event: dict[str, Any], kind: str) -> None:
    one = typed_event(kind, **event)
    _, passed = watch(START, one)
    assert passed in (START + one, START)


@given(
    JSON
    | st.lists(
        st.dictionaries(
            st.sampled_from(["type", "source", "content"]),
            JSON | st.sampled_from(["image", "document", "tool_result"]),
        )
    )
)
def test_no_content_whatever_its_shape_breaks_the_reading_of_a_request(content: Any) -> None:
    with suppress(BadRequest):
        MESSAGES.read_request(asking(messages=[{"role": "user", "content": content}, content]))


def test_a_plain_answer_gives_its_usage() -> None:
    found = answer({"content": [], "usage": {"input_tokens": 9, "output_tokens": 4}})
    assert found is not None
    assert found.usage is not None
    assert (found.usage.input_tokens, found.usage.output_tokens) == (9, 4)
    assert found.error is None


@pytest.mark.parametrize("body", [*NO_ANSWERS, b'{"content":{}}', b'{"content":"Hi"}'])
def test_what_is_no_message_is_none(body: bytes) -> None:
    assert MESSAGES.read_answer(body, read_messages_usage) is None


def test_an_error_in_a_plain_answer_is_found() -> None:
    found = answer({"type": "error", "error": {"type": "api_error", "message": "Overloaded"}})
    assert found is not None
    assert found.error["message"] == "Overloaded"


@pytest.mark.parametrize("usage", [None, {}, "7", {"input_tokens": 9}])
def test_without_a_true_report_everything_that_was_written_is_counted(usage: Any) -> None:
    content = [
        {"type": "thinking", "thinking": "Hm"},
        {"type": "text", "text": "Hi"},
        {"type": "tool_use", "name": "f", "input": {"q": 1}},
    ]
    found = answer({"content": content, "usage": usage})
    assert found is not None
    assert (found.usage, found.output_tokens, found.delivered) == (None, 4, True)


def test_an_answer_without_any_text_delivered_nothing() -> None:
    found = answer({"content": []})
    assert found is not None
    assert not found.delivered


@given(st.dictionaries(st.sampled_from(["content", "usage", "error"]), JSON))
def test_no_answer_whatever_its_shape_breaks_the_reader(body: dict[str, Any]) -> None:
    answer(body)


def test_a_failed_stream_ends_with_an_error_event() -> None:
    last = MESSAGES.error_event(UpstreamFailed("It broke."), "call_1", 3)
    assert last.startswith(b'event: error\ndata: {"type":"error","error":{"type":"api_error"')
    assert b'"request_id":"call_1"' in last
