"""Responses: what a request asks for, what of a stream the client gets, and what is read of it in passing."""

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
from gateway.usage import read_responses_usage
from tests.gateway.surfaces.streaming import (
    JSON,
    NO_ANSWERS,
    NO_EVENTS,
    NO_JSON,
    PICTURE,
    changed,
    data_event,
    feed,
    read,
    refused,
    typed_event,
)

RESPONSES = SURFACES["responses"]
USAGE = {
    "input_tokens": 90,
    "input_tokens_details": {"cached_tokens": 64},
    "output_tokens": 12,
    "output_tokens_details": {"reasoning_tokens": 5},
    "total_tokens": 102,
}
CODEX = {
    "model": "gpt-5.2-codex",
    "instructions": "You are a coding agent.",
    "input": [
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "x"}]},
        {"role": "user", "content": "Fix it"},
        {"type": "reasoning", "summary": [], "content": None, "encrypted_content": "gAAA"},
        {"type": "function_call", "call_id": "a", "name": "shell", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "a", "output": "done"},
        {"type": "custom_tool_call", "call_id": "b", "name": "apply_patch", "input": "***"},
    ],
    "tools": [
        {"type": "function", "name": "shell", "parameters": {}, "strict": False},
        {"type": "custom", "name": "apply_patch", "format": {"type": "grammar"}},
        {"type": "tool_search"},
        {"type": "local_shell"},
    ],
    "tool_choice": "auto",
    "parallel_tool_calls": False,
    "reasoning": {"effort": "medium", "summary": "auto"},
    "store": False,
    "stream": True,
    "include": ["reasoning.encrypted_content"],
    "prompt_cache_key": "session",
    "text": {"verbosity": "low"},
    "client_metadata": {"x": "y"},
    "previous_response_id": None,
    "max_output_tokens": None,
    "background": False,
}
CREATED = typed_event(
    "response.created", sequence_number=0, response={"id": "resp_1", "status": "in_progress"}
)
TEXT = typed_event("response.output_text.delta", delta="Hi", sequence_number=4)
COMPLETED = typed_event(
    "response.completed",
    sequence_number=9,
    response={
        "id": "resp_1",
        "status": "completed",
        "usage": USAGE,
        "service_tier": "flex",
        "error": None,
    },
)


def asking(**fields: Any) -> dict[str, Any]:
    return {"model": "gpt-5.2", "input": "Hi", **fields}


def with_content(*parts: Any) -> dict[str, Any]:
    return asking(input=[{"role": "user", "content": list(parts)}])


def watch(*events: bytes) -> tuple[Watcher, bytes]:
    watcher = RESPONSES.watch(read_responses_usage, Ask(stream=True))
    return watcher, feed(watcher, *events)


def answer(body: Any) -> PlainAnswer | None:
    return RESPONSES.read_answer(msgspec.json.encode(body), read_responses_usage)


def test_what_codex_sends_is_read_and_nothing_is_taken_out() -> None:
    before = msgspec.json.encode(CODEX)
    assert read("responses", CODEX) == Ask(stream=True)
    assert msgspec.json.encode(CODEX) == before


def test_limit_tier_and_the_answer_before_are_read() -> None:
    body = asking(max_output_tokens=99, service_tier="priority", previous_response_id="resp_0")
    assert read("responses", body) == Ask(
        output_tokens=99, service_tier="priority", previous_response="resp_0"
    )


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"input": None}, "invalid_request_error", "input"),
        ({"input": ""}, "invalid_request_error", "input"),
        ({"input": []}, "invalid_request_error", "input"),
        ({"input": {}}, "invalid_request_error", "input"),
        ({"background": True}, "unsupported_parameter", "background"),
        ({"background": "true"}, "invalid_request_error", "background"),
        ({"conversation": "conv_1"}, "unsupported_parameter", "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "unsupported_parameter", "prompt"),
        ({"previous_response_id": 7}, "invalid_request_error", "previous_response_id"),
        ({"max_output_tokens": 0}, "invalid_request_error", "max_output_tokens"),
        ({"stream": 1}, "invalid_request_error", "stream"),
        ({"tools": {}}, "invalid_request_error", "tools"),
    ],
)
def test_what_cannot_be_metered_is_refused_by_name(
    fields: dict[str, Any], code: str, param: str
) -> None:
    assert refused("responses", asking(**fields)) == (code, param)


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "file_search", "vector_store_ids": ["vs_bob"]},
        {"type": "code_interpreter", "container": {"type": "auto"}},
        {"type": "image_generation"},
        {"type": "mcp", "server_label": "x", "server_url": "https://example.com"},
        {"type": "shell", "environment": {"type": "container_auto"}},
        {"type": "shell", "environment": {"type": "container_reference", "container_id": "c"}},
    ],
)
def test_a_tool_that_is_billed_apart_is_refused_by_its_place(tool: dict[str, Any]) -> None:
    body = asking(tools=[{"type": "function", "name": "f"}, tool])
    assert refused("responses", body) == ("unsupported_parameter", "tools[1].type")


@pytest.mark.parametrize(
    "tool", [{"type": "shell"}, {"type": "shell", "environment": {"type": "local"}}]
)
def test_a_shell_of_the_clients_own_passes(tool: dict[str, Any]) -> None:
    assert read("responses", asking(tools=[tool])) == Ask()


@pytest.mark.parametrize("kind", ["web_search", "web_search_preview", "web_search_2025_08_26"])
def test_a_search_that_agents_send_unasked_is_left_out_and_said(kind: str) -> None:
    function = {"type": "function", "name": "f"}
    body = asking(tools=[function, {"type": kind}], tool_choice="auto")
    assert RESPONSES.read_request(body).dropped == (f"tools[1] ({kind})",)
    assert body == asking(tools=[function], tool_choice="auto")


def test_where_only_a_search_was_offered_no_tools_are() -> None:
    body = asking(tools=[{"type": "web_search"}], tool_choice="auto")
    assert RESPONSES.read_request(body).dropped == ("tools[0] (web_search)",)
    assert body == asking()


def test_a_search_that_the_client_insists_on_is_refused() -> None:
    body = asking(tools=[{"type": "web_search"}], tool_choice={"type": "web_search"})
    assert refused("responses", body) == ("unsupported_parameter", "tool_choice")


@pytest.mark.parametrize("kind", ["additional_tools", "tool_search_output"])
@pytest.mark.parametrize("tool", ["web_search", "code_interpreter", "mcp"])
def test_an_item_cannot_bring_in_a_tool_that_is_billed_apart(kind: str, tool: str) -> None:
    items: list[dict[str, Any]] = [
        {"role": "user", "content": "Hi"},
        {"type": kind, "tools": [{}, {"type": tool}]},
    ]
    refusal = ("unsupported_parameter", "input[1].tools[1]")
    assert refused("responses", asking(input=items)) == refusal
    items[1]["tools"] = [{"type": "function", "name": "f"}]
    read("responses", asking(input=items))


@pytest.mark.parametrize("item", [{"type": "item_reference", "id": "msg_bob"}, {"id": "msg_bob"}])
def test_an_item_that_only_the_provider_keeps_is_refused(item: dict[str, Any]) -> None:
    # It may be of another group: the provider's account is shared.
    body = asking(input=[{"role": "user", "content": "Hi"}, item])
    assert refused("responses", body) == ("unsupported_parameter", "input[1]")


@pytest.mark.parametrize("kind", ["input_image", "input_file"])
def test_a_file_of_the_providers_account_is_refused(kind: str) -> None:
    body = with_content({"type": kind, "file_id": "file-bob"})
    assert refused("responses", body) == ("unsupported_parameter", "input.content.file_id")


@pytest.mark.parametrize(
    ("part", "media"),
    [
        ({"type": "input_image", "image_url": PICTURE}, Media("image", len(PICTURE))),
        ({"type": "input_image", "image_url": "https://example.com/a"}, Media("image")),
        ({"type": "input_image"}, Media("image")),
        ({"type": "input_file", "file_data": "JVBERi0x"}, Media("document", 8)),
        ({"type": "input_file", "file_url": "https://example.com/a.pdf"}, Media("document")),
        ({"type": "input_audio", "input_audio": {"data": "AAAA"}}, Media("audio", 4)),
    ],
)
def test_what_is_no_text_is_found_in_messages_and_in_what_tools_answer(
    part: dict[str, Any], media: Media
) -> None:
    said = {"role": "user", "content": [{"type": "input_text", "text": "Look"}, part]}
    answered = {"type": "function_call_output", "call_id": "a", "output": [part]}
    assert read("responses", asking(input=[said, answered])).media == (media, media)


def test_a_screenshot_is_a_picture() -> None:
    def shot(**fields: str) -> dict[str, Any]:
        screen = {"type": "computer_screenshot", **fields}
        return asking(input=[{"type": "computer_call_output", "call_id": "a", "output": screen}])

    assert read("responses", shot(image_url=PICTURE)).media == (Media("image", len(PICTURE)),)
    assert read("responses", shot(image_url="https://example.com/a")).media == (Media("image"),)
    refusal = ("unsupported_parameter", "input.content.file_id")
    assert refused("responses", shot(file_id="file-bob")) == refusal


@pytest.mark.parametrize(
    "part",
    [
        {"type": "input_text", "text": PICTURE},
        {"type": "input_file", "file_data": "data:text/csv;base64,YSxi"},
    ],
)
def test_text_is_no_media_however_it_is_wrapped(part: dict[str, Any]) -> None:
    assert read("responses", with_content(part)).media == ()


def test_a_body_goes_as_it_came_where_nothing_must_change() -> None:
    assert changed("responses", CODEX, "gpt-5.2-codex", None) == {}


def test_name_and_limit_are_set_in_their_own_fields() -> None:
    body = asking(max_output_tokens=99)
    assert changed("responses", body, "other", None) == {"model": "other"}
    assert changed("responses", body, "gpt-5.2", 70) == {"max_output_tokens": 70}


def test_everything_passes_at_once_but_the_end() -> None:
    done = typed_event("response.output_item.done", item={"type": "message"})
    watcher, passed = watch(CREATED, TEXT, done)
    assert passed == CREATED + TEXT + done
    assert not watcher.has_finished
    assert feed(watcher, COMPLETED) == b""
    assert watcher.closing() == COMPLETED
    assert watcher.is_done
    assert watcher.has_finished


@pytest.mark.parametrize("kind", ["response.completed", "response.incomplete"])
def test_usage_tier_and_id_are_read_of_the_last_event(kind: str) -> None:
    ended = {"id": "resp_1", "usage": USAGE, "service_tier": "flex"}
    watcher, _ = watch(CREATED, typed_event(kind, response=ended))
    assert watcher.usage is not None
    assert watcher.usage.input_tokens == 26
    assert watcher.usage.cached_input_tokens == 64
    assert (watcher.usage.output_tokens, watcher.usage.reasoning_tokens) == (12, 5)
    assert (watcher.upstream_id, watcher.service_tier) == ("resp_1", "flex")


def test_usage_before_the_end_is_not_the_calls_usage() -> None:
    early = typed_event("response.in_progress", response={"id": "resp_1", "usage": USAGE})
    watcher, passed = watch(early)
    assert passed == early
    assert watcher.usage is None


def test_a_cut_stream_has_its_id_and_what_was_generated_but_has_not_finished() -> None:
    watcher, _ = watch(CREATED, TEXT, TEXT)
    assert not watcher.has_finished
    assert (watcher.upstream_id, watcher.usage, watcher.generated.tokens) == ("resp_1", None, 2)


@pytest.mark.parametrize(
    "kind",
    [
        "output_text",
        "refusal",
        "reasoning_text",
        "reasoning_summary_text",
        "function_call_arguments",
        "custom_tool_call_input",
    ],
)
def test_every_kind_of_delta_counts(kind: str) -> None:
    watcher, _ = watch(typed_event(f"response.{kind}.delta", delta="ab", item_id="x"))
    assert watcher.generated.tokens == 1


@pytest.mark.parametrize(
    "kind", ["response.output_text.done", "response.content_part.done", "response.created"]
)
def test_what_repeats_the_deltas_is_not_counted_again(kind: str) -> None:
    watcher, _ = watch(TEXT, typed_event(kind, text="Hi" * 500, part={"text": "Hi" * 500}))
    assert watcher.generated.tokens == 1


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (typed_event("error", code="busy", message="Overloaded.", param=None), "Overloaded."),
        (typed_event("error", error={"message": "Overloaded."}), "Overloaded."),
        (data_event({"error": {"message": "Overloaded."}}), "Overloaded."),
        (
            typed_event(
                "response.failed",
                response={"id": "resp_1", "error": {"code": "x", "message": "Overloaded."}},
            ),
            "Overloaded.",
        ),
        (typed_event("response.failed", response={"error": None}), None),
        (typed_event("error"), None),
    ],
)
def test_an_error_is_taken_out_of_the_stream(event: bytes, said: str | None) -> None:
    watcher, passed = watch(TEXT, event)
    assert passed == TEXT
    assert watcher.error["message"] == said
    assert not watcher.has_finished
    assert watcher.closing() == b""


@pytest.mark.parametrize("event", [*NO_EVENTS, b"data: [DONE]\n\n"])
def test_what_says_nothing_passes_untouched(event: bytes) -> None:
    watcher, passed = watch(event, TEXT)
    assert passed == event + TEXT
    assert watcher.generated.tokens == 1


@pytest.mark.parametrize(
    "odd",
    [
        *NO_JSON,
        typed_event("response.output_text.delta", delta={"text": "Hi"}),
        typed_event("response.completed", response="done"),
        typed_event("response.in_progress", response={"id": 7, "service_tier": 7}),
        data_event({"type": 7, "delta": 7}),
    ],
)
def test_a_shape_that_nobody_knows_passes_as_it_came(odd: bytes) -> None:
    watcher, passed = watch(odd, TEXT)
    assert passed == odd + TEXT
    assert watcher.error is None


def test_line_ends_of_every_kind_are_understood_and_kept() -> None:
    events = [event.replace(b"\n", b"\r\n") for event in (CREATED, TEXT, COMPLETED)]
    watcher, passed = watch(*events)
    assert passed == events[0] + events[1]
    assert watcher.closing() == events[2]
    assert watcher.usage is not None


def test_what_follows_the_end_waits_behind_it() -> None:
    watcher, passed = watch(COMPLETED, b": bye\n\n", b"data: [DONE]\n\n")
    assert passed == b""
    assert watcher.closing() == COMPLETED + b": bye\n\ndata: [DONE]\n\n"


@given(
    st.dictionaries(
        st.sampled_from(["type", "delta", "response", "error", "code", "message"]),
        JSON | st.dictionaries(st.sampled_from(["id", "usage", "service_tier", "error"]), JSON),
    ),
    st.sampled_from(["error", "response.failed", "response.completed", "response.created", ""]),
)
def test_no_event_whatever_its_shape_breaks_the_watcher(event: dict[str, Any], kind: str) -> None:
    for one in (event, {**event, "type": kind}):
        _, passed = watch(data_event(one))
        assert passed in (data_event(one), b"")


@given(
    JSON
    | st.lists(
        st.dictionaries(
            st.sampled_from(["type", "role", "content", "output", "tools", "id"]),
            JSON | st.sampled_from(["input_image", "input_file", "input_audio"]),
        )
    )
)
def test_no_input_whatever_its_shape_breaks_the_reading_of_a_request(given_input: Any) -> None:
    for body in (asking(input=given_input), with_content(given_input)):
        with suppress(BadRequest):
            RESPONSES.read_request(body)


def test_a_plain_answer_gives_its_usage_tier_and_id() -> None:
    found = answer({"id": "resp_1", "output": [], "usage": USAGE, "service_tier": "flex"})
    assert found is not None
    assert found.usage is not None
    assert found.usage.output_tokens == 12
    assert (found.upstream_id, found.service_tier, found.error) == ("resp_1", "flex", None)


@pytest.mark.parametrize("body", [*NO_ANSWERS, b'{"output":{}}', b'{"choices":[]}'])
def test_what_is_no_response_is_none(body: bytes) -> None:
    assert RESPONSES.read_answer(body, read_responses_usage) is None


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "Overloaded."}},
        {"error": "Overloaded."},
        {"output": [], "status": "failed", "error": {"code": "server_error"}},
        {"output": [], "status": "failed", "error": None},
    ],
)
def test_an_error_in_a_plain_answer_is_found(body: dict[str, Any]) -> None:
    found = answer(body)
    assert found is not None
    assert found.error is not None


@pytest.mark.parametrize("usage", [None, {}, "7", {**USAGE, "total_tokens": 1}])
def test_without_a_true_report_everything_that_was_written_is_counted(usage: Any) -> None:
    output = [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm"}]},
        {"type": "message", "content": [{"type": "output_text", "text": "Hi"}]},
        {"type": "message", "content": [{"type": "refusal", "refusal": "No"}]},
        {"type": "function_call", "name": "f", "arguments": "{}"},
        {"type": "custom_tool_call", "input": "x"},
    ]
    found = answer({"output": output, "usage": usage})
    assert found is not None
    assert (found.usage, found.output_tokens, found.delivered) == (None, 6, True)


def test_an_answer_without_any_text_delivered_nothing() -> None:
    found = answer({"output": []})
    assert found is not None
    assert not found.delivered


@given(st.dictionaries(st.sampled_from(["output", "usage", "status", "error", "id"]), JSON))
def test_no_answer_whatever_its_shape_breaks_the_reader(body: dict[str, Any]) -> None:
    answer(body)


def test_a_failed_stream_ends_with_an_error_event_in_its_place() -> None:
    last = RESPONSES.error_event(UpstreamFailed("It broke."), "call_1", 3)
    assert last.startswith(b'event: error\ndata: {"type":"error"')
    assert b'"sequence_number":3' in last
