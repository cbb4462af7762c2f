"""Gemini's generateContent: what a request asks for, what of a stream the client gets, and what is read in passing."""

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
from gateway.usage import read_generate_usage
from tests.gateway.surfaces.streaming import (
    JSON,
    NO_ANSWERS,
    NO_EVENTS,
    NO_JSON,
    changed,
    data_event,
    feed,
    read,
    refused,
)

GENERATE = SURFACES["generate"]
SDK = {
    "contents": [
        {"role": "user", "parts": [{"text": "Hi"}]},
        {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"x": 1}}}]},
    ],
    "systemInstruction": {"role": "user", "parts": [{"text": "You are terse."}]},
    "generationConfig": {
        "temperature": 0.5,
        "candidateCount": 2,
        "maxOutputTokens": 99,
        "thinkingConfig": {"thinkingBudget": 50},
    },
    "tools": [{"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT"}}]}],
    "toolConfig": {"functionCallingConfig": {"mode": "AUTO"}},
    "safetySettings": [],
}
USAGE = {
    "promptTokenCount": 9,
    "candidatesTokenCount": 4,
    "thoughtsTokenCount": 3,
    "totalTokenCount": 16,
}
BLOCKED = data_event({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": USAGE})


def asking(**fields: Any) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}], **fields}


def with_parts(*parts: Any) -> dict[str, Any]:
    return asking(contents=[{"role": "user", "parts": list(parts)}])


def part(said: dict[str, Any] | str, reason: str | None = None, index: int | None = 0) -> bytes:
    """An event with a part of one candidate; `reason` ends it."""
    piece = {"text": said} if isinstance(said, str) else said
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": [piece]}}
    if index is not None:
        candidate["index"] = index
    if reason is not None:
        candidate["finishReason"] = reason
    return data_event({"candidates": [candidate], "modelVersion": "gemini-3-pro"})


def report(**fields: Any) -> bytes:
    return data_event({"usageMetadata": {**USAGE, **fields}})


def watch(*events: bytes) -> tuple[Watcher, bytes]:
    watcher = GENERATE.watch(read_generate_usage, Ask(stream=True))
    return watcher, feed(watcher, *events)


def answer(body: Any) -> PlainAnswer | None:
    return GENERATE.read_answer(msgspec.json.encode(body), read_generate_usage)


def test_what_googles_own_client_sends_is_read() -> None:
    assert read("generate", SDK) == Ask(output_tokens=99, choices=2)


def test_the_path_alone_asks_for_a_stream() -> None:
    assert GENERATE.read_request(asking(), stream=True).stream
    assert not GENERATE.read_request(asking(stream=True)).stream


def test_both_spellings_of_a_field_are_read() -> None:
    snake = {
        "max_output_tokens": 99,
        "candidate_count": 2,
        "response_modalities": ["TEXT", "audio"],
    }
    camel = {
        "maxOutputTokens": 99,
        "candidateCount": 2,
        "responseModalities": ["TEXT", "AUDIO"],
    }
    ask = Ask(output_tokens=99, choices=2, audio_output=True)
    assert read("generate", asking(generation_config=snake)) == ask
    assert read("generate", asking(generationConfig=camel)) == ask


@pytest.mark.parametrize("name", ["serviceTier", "service_tier"])
@pytest.mark.parametrize(
    ("asked", "tier"),
    [("flex", "flex"), ("PRIORITY", "priority"), ("standard", None), ("UNSPECIFIED", None)],
)
def test_the_tier_that_is_asked_for_is_read(name: str, asked: str, tier: str | None) -> None:
    assert read("generate", asking(**{name: asked})).service_tier == tier


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"contents": None}, "invalid_request_error", "contents"),
        ({"contents": []}, "invalid_request_error", "contents"),
        ({"contents": "Hi"}, "invalid_request_error", "contents"),
        ({"cachedContent": "cachedContents/bob"}, "unsupported_parameter", "cachedContent"),
        ({"cached_content": "cachedContents/bob"}, "unsupported_parameter", "cachedContent"),
        ({"generationConfig": []}, "invalid_request_error", "generationConfig"),
        (
            {"generationConfig": {}, "generation_config": {}},
            "invalid_request_error",
            "generationConfig",
        ),
        (
            {"generationConfig": {"maxOutputTokens": 9, "max_output_tokens": 9}},
            "invalid_request_error",
            "maxOutputTokens",
        ),
        ({"generationConfig": {"maxOutputTokens": 0}}, "invalid_request_error", "maxOutputTokens"),
        (
            {"generation_config": {"max_output_tokens": "9"}},
            "invalid_request_error",
            "maxOutputTokens",
        ),
        ({"generationConfig": {"candidateCount": 9}}, "invalid_request_error", "candidateCount"),
        (
            {"generationConfig": {"responseModalities": 7}},
            "invalid_request_error",
            "responseModalities",
        ),
        ({"tools": {}}, "invalid_request_error", "tools"),
    ],
)
def test_what_cannot_be_metered_is_refused_by_name(
    fields: dict[str, Any], code: str, param: str
) -> None:
    assert refused("generate", asking(**fields)) == (code, param)


@pytest.mark.parametrize(
    ("tool", "name"),
    [
        ("googleSearch", "googleSearch"),
        ("google_search", "googleSearch"),
        ("google_search_retrieval", "googleSearchRetrieval"),
        ("googleMaps", "googleMaps"),
        ("urlContext", "urlContext"),
        ("url_context", "urlContext"),
        ("fileSearch", "fileSearch"),
        ("code_execution", "codeExecution"),
        ("mcp_servers", "mcpServers"),
    ],
)
def test_a_tool_that_the_provider_runs_is_refused_in_either_spelling(tool: str, name: str) -> None:
    body = asking(tools=[{"functionDeclarations": []}, {"functionDeclarations": [], tool: {}}])
    assert refused("generate", body) == ("unsupported_parameter", f"tools[1].{name}")


@pytest.mark.parametrize(
    ("inline", "media"),
    [
        ({"inlineData": {"mimeType": "image/png", "data": "A" * 40}}, (Media("image", 40),)),
        ({"inline_data": {"mime_type": "image/png", "data": "A" * 40}}, (Media("image", 40),)),
        (
            {"inlineData": {"mimeType": "application/pdf", "data": "A" * 40}},
            (Media("document", 40),),
        ),
        ({"inlineData": {"mimeType": "text/plain", "data": "A" * 40}}, ()),
        ({"inlineData": {"mimeType": "audio/mp3", "data": "A" * 40}}, (Media("film", 40),)),
        ({"inlineData": {"mimeType": "video/mp4", "data": "A" * 40}}, (Media("film", 40),)),
        ({"inlineData": {"mimeType": "text/csv", "data": "A" * 40}}, ()),
        ({"text": "data:image/png;base64,AAAA"}, ()),
    ],
)
def test_pictures_and_documents_are_found_and_all_else_is_bounded_by_its_bytes(
    inline: dict[str, Any], media: tuple[Media, ...]
) -> None:
    assert read("generate", with_parts({"text": "x"}, inline)).media == media
    assert read("generate", {"contents": {"parts": inline}}).media == media
    shown = {"functionResponse": {"name": "f", "response": {}, "parts": [inline]}}
    assert read("generate", with_parts(shown)).media == media
    assert read("generate", asking(systemInstruction={"parts": [inline]})).media == media


@pytest.mark.parametrize("name", ["fileData", "file_data"])
def test_a_file_of_unknown_size_is_refused_wherever_it_stands(name: str) -> None:
    file = {name: {"fileUri": "https://example.com/film.mp4"}}
    refusal = ("unsupported_parameter", "contents.parts.fileData")
    assert refused("generate", with_parts(file)) == refusal
    shown = {"functionResponse": {"name": "f", "response": {}, "parts": [file]}}
    assert refused("generate", with_parts(shown)) == refusal
    assert refused("generate", asking(system_instruction={"parts": file})) == refusal


def test_a_body_goes_as_it_came_where_nothing_must_change() -> None:
    assert changed("generate", SDK, "gemini-3-pro", None) == {}


@pytest.mark.parametrize(
    ("fields", "changes"),
    [
        ({}, {"generationConfig": {"maxOutputTokens": 70}}),
        ({"generationConfig": None}, {"generationConfig": {"maxOutputTokens": 70}}),
        (
            {"generationConfig": {"maxOutputTokens": 99, "topK": 1}},
            {"generationConfig": {"maxOutputTokens": 70, "topK": 1}},
        ),
        (
            {"generationConfig": {"max_output_tokens": 99}},
            {"generationConfig": {"max_output_tokens": 70}},
        ),
        (
            {"generation_config": {"maxOutputTokens": 99}},
            {"generation_config": {"maxOutputTokens": 70}},
        ),
        (
            {"generation_config": {"max_output_tokens": 99, "top_k": 1}},
            {"generation_config": {"max_output_tokens": 70, "top_k": 1}},
        ),
        ({"generation_config": {}}, {"generation_config": {"maxOutputTokens": 70}}),
    ],
)
def test_a_limit_is_set_in_the_spelling_that_the_client_used(
    fields: dict[str, Any], changes: dict[str, Any]
) -> None:
    body = asking(**fields)
    sent = changed("generate", body, "gemini-3-pro", 70)
    assert sent == changes
    assert read("generate", {**body, **sent}).output_tokens == 70


def test_text_passes_at_once_and_the_end_is_kept_back() -> None:
    last = part("!", "STOP")
    watcher, passed = watch(part("Hel"), part("lo"))
    assert passed == part("Hel") + part("lo")
    assert feed(watcher, last, report()) == b""
    assert watcher.closing() == last + report()
    assert watcher.has_finished


def test_the_last_report_counts() -> None:
    growing = [report(candidatesTokenCount=n, totalTokenCount=12 + n) for n in (1, 2, 4)]
    watcher, passed = watch(growing[0], part("Hi"), growing[1], part("!", "STOP"), growing[2])
    assert passed == growing[0] + part("Hi") + growing[1]
    assert watcher.usage is not None
    assert watcher.usage.input_tokens == 9
    assert (watcher.usage.output_tokens, watcher.usage.reasoning_tokens) == (7, 3)


def test_the_tier_that_served_the_call_is_read_of_the_report() -> None:
    watcher, _ = watch(report(serviceTier="FLEX"), part("!", "STOP"), report())
    assert watcher.service_tier == "flex"
    found = answer({"candidates": [], "usageMetadata": {**USAGE, "serviceTier": "standard"}})
    assert found is not None
    assert found.service_tier == "standard"


@pytest.mark.parametrize("usage", [{}, "7", {"promptTokenCount": -1}, {**USAGE, "thoughts": 1}, 7])
def test_a_report_that_cannot_be_true_leaves_usage_unknown(usage: Any) -> None:
    usage = {**usage, "totalTokenCount": 1} if isinstance(usage, dict) else usage
    watcher, _ = watch(part("Hi", "STOP"), data_event({"usageMetadata": usage}))
    assert watcher.usage is None
    assert watcher.has_finished


def test_a_cut_stream_has_not_finished_but_has_what_was_reported() -> None:
    watcher, _ = watch(part("Hi"), report())
    assert not watcher.has_finished
    assert watcher.usage is not None
    assert watcher.generated.tokens == 1


def test_a_stream_of_two_candidates_has_finished_when_both_have() -> None:
    events = [part("a", index=0), part("b", index=1), part("", "STOP", 0), part("c", index=1)]
    watcher, passed = watch(*events)
    assert passed == b"".join(events)
    assert not watcher.has_finished
    feed(watcher, part("", "MAX_TOKENS", 1))
    assert watcher.has_finished


def test_a_candidate_without_an_index_is_the_first() -> None:
    watcher, _ = watch(part("a", index=None), part("b", "STOP", 0))
    assert watcher.has_finished


def test_a_blocked_prompt_is_a_whole_answer() -> None:
    watcher, passed = watch(BLOCKED)
    assert passed == b""
    assert watcher.has_finished
    assert watcher.closing() == BLOCKED
    assert watcher.usage is not None


@pytest.mark.parametrize(
    "said", ["Hi", {"text": "Hm", "thought": True}, {"functionCall": {"name": "f"}}]
)
def test_every_kind_of_part_counts(said: Any) -> None:
    watcher, _ = watch(part(said))
    assert watcher.generated.tokens == 1


def test_the_arguments_of_a_function_count() -> None:
    watcher, _ = watch(part({"functionCall": {"name": "f", "args": {"q": "x"}}}))
    assert watcher.generated.tokens == 2


@pytest.mark.parametrize(
    "error", [{"code": 503, "message": "Overloaded", "status": "UNAVAILABLE"}, "Overloaded", {}]
)
def test_an_error_is_taken_out_of_the_stream(error: Any) -> None:
    watcher, passed = watch(part("Hi"), data_event({"error": error}))
    assert passed == part("Hi")
    assert watcher.error == error
    assert not watcher.has_finished


@pytest.mark.parametrize("event", NO_EVENTS)
def test_what_says_nothing_passes_untouched(event: bytes) -> None:
    watcher, passed = watch(event, part("Hi"))
    assert passed == event + part("Hi")
    assert watcher.generated.tokens == 1


@pytest.mark.parametrize(
    "odd",
    [
        *NO_JSON,
        data_event({"candidates": "Hi"}),
        data_event({"candidates": [7, None, {"content": "Hi"}]}),
        data_event({"candidates": [{"content": {"parts": "Hi"}, "index": "0"}]}),
        data_event({"candidates": [{"content": {"parts": [{"text": 7, "functionCall": 7}]}}]}),
        data_event({"promptFeedback": "SAFETY"}),
    ],
)
def test_a_shape_that_nobody_knows_passes_as_it_came(odd: bytes) -> None:
    watcher, passed = watch(odd, part("Hi"))
    assert passed == odd + part("Hi")
    assert watcher.error is None


def test_line_ends_of_every_kind_are_understood_and_kept() -> None:
    events = [one.replace(b"\n", b"\r\n") for one in (part("Hi"), part("!", "STOP"), report())]
    watcher, passed = watch(*events)
    assert passed == events[0]
    assert watcher.closing() == events[1] + events[2]
    assert watcher.usage is not None


ODD_CANDIDATES = JSON | st.lists(
    st.dictionaries(
        st.sampled_from(["content", "index", "finishReason"]),
        JSON | st.fixed_dictionaries({"parts": JSON | st.lists(JSON)}),
    )
)


@given(
    st.dictionaries(
        st.sampled_from(["candidates", "promptFeedback", "usageMetadata"]), ODD_CANDIDATES
    )
)
def test_no_event_whatever_its_shape_breaks_the_watcher(event: dict[str, Any]) -> None:
    watcher, passed = watch(data_event(event))
    assert passed + watcher.closing() == data_event(event)


@given(st.dictionaries(st.sampled_from(["candidates", "usageMetadata", "error"]), ODD_CANDIDATES))
def test_no_answer_whatever_its_shape_breaks_the_reader(body: dict[str, Any]) -> None:
    answer(body)


@given(
    st.dictionaries(
        st.sampled_from(["contents", "systemInstruction", "generationConfig", "tools"]),
        JSON
        | st.lists(st.fixed_dictionaries({"parts": JSON}))
        | st.dictionaries(st.sampled_from(["parts", "responseModalities"]), JSON),
    )
)
def test_no_body_whatever_its_shape_breaks_the_reading_of_a_request(body: dict[str, Any]) -> None:
    with suppress(BadRequest):
        GENERATE.read_request(body)


def test_a_plain_answer_gives_its_usage() -> None:
    found = answer({"candidates": [{"finishReason": "STOP"}], "usageMetadata": USAGE})
    assert found is not None
    assert found.usage is not None
    assert (found.usage.input_tokens, found.usage.output_tokens) == (9, 7)
    assert found.error is None


def test_a_blocked_prompt_is_an_answer_that_delivered_nothing() -> None:
    found = answer({"promptFeedback": {"blockReason": "SAFETY"}})
    assert found is not None
    assert (found.usage, found.delivered) == (None, False)


@pytest.mark.parametrize(
    "body", [*NO_ANSWERS, b'{"candidates":{}}', b'{"usageMetadata":{"promptTokenCount":1}}']
)
def test_what_is_no_answer_is_none(body: bytes) -> None:
    assert GENERATE.read_answer(body, read_generate_usage) is None


def test_an_error_in_a_plain_answer_is_found() -> None:
    found = answer({"error": {"code": 503, "message": "Overloaded"}})
    assert found is not None
    assert found.error["message"] == "Overloaded"


@pytest.mark.parametrize("usage", [None, {}, "7", {**USAGE, "totalTokenCount": 1}])
def test_without_a_true_report_everything_that_was_written_is_counted(usage: Any) -> None:
    parts = [
        {"text": "Hm", "thought": True},
        {"text": "Hi"},
        {"functionCall": {"name": "f", "args": {"q": 1}}},
    ]
    found = answer({"candidates": [{"content": {"parts": parts}}], "usageMetadata": usage})
    assert found is not None
    assert (found.usage, found.output_tokens, found.delivered) == (None, 4, True)


def test_a_failed_stream_ends_with_the_error_as_data() -> None:
    last = GENERATE.error_event(UpstreamFailed("It broke."), "call_1", 3)
    assert last.startswith(b'data: {"error":{"code":502,"message":"It broke."')
    assert last.endswith(b"}\n\n")
