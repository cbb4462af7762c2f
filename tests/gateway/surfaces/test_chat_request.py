"""Chat Completions: what a request asks for, what is refused, and what must differ towards the provider."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from gateway.errors import BadRequest
from gateway.estimate import Media
from gateway.surfaces import SURFACES
from gateway.surfaces.base import Ask
from tests.gateway.surfaces.streaming import JSON, PICTURE, changed, read, refused

HERMES = {
    "model": "gpt-5.2",
    "messages": [
        {"role": "developer", "content": "You are terse."},
        {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "a", "function": {}}]},
        {"role": "tool", "tool_call_id": "a", "name": "look_up", "content": "7"},
    ],
    "tools": [{"type": "function", "function": {"name": "look_up", "strict": None}}],
    "tool_choice": "auto",
    "max_completion_tokens": 65_536,
    "stream": True,
    "stream_options": {"include_usage": True},
    "reasoning_effort": "medium",
    "parallel_tool_calls": True,
    "store": False,
    "something_new": {"x": 1},
}


def asking(**fields: Any) -> dict[str, Any]:
    return {"model": "gpt-5.2", "messages": [{"role": "user", "content": "Hi"}], **fields}


def with_parts(*parts: Any) -> dict[str, Any]:
    return asking(messages=[{"role": "user", "content": list(parts)}])


def test_what_an_agent_sends_is_read() -> None:
    assert read("chat", HERMES) == Ask(stream=True, include_usage=True, output_tokens=65_536)


def test_nulls_are_like_fields_that_are_not_there() -> None:
    names = (
        "n",
        "max_tokens",
        "max_completion_tokens",
        "stream",
        "stream_options",
        "modalities",
        "prediction",
        "service_tier",
        "web_search_options",
    )
    assert read("chat", asking(**dict.fromkeys(names))) == Ask()


def test_usage_is_not_asked_for_without_a_stream() -> None:
    assert not read("chat", asking(stream_options={"include_usage": True})).include_usage


def test_choices_sound_tier_and_prediction_are_read() -> None:
    body = asking(
        n=3, modalities=["text", "audio"], service_tier="flex", prediction={"content": "abc"}
    )
    ask = read("chat", body)
    assert (ask.choices, ask.audio_output, ask.service_tier) == (3, True, "flex")
    assert ask.extra_output_tokens == len(b'{"content":"abc"}')


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"messages": []}, "invalid_request_error", "messages"),
        ({"messages": "Hi"}, "invalid_request_error", "messages"),
        ({"messages": None}, "invalid_request_error", "messages"),
        ({"web_search_options": {}}, "unsupported_parameter", "web_search_options"),
        ({"search_parameters": {}}, "unsupported_parameter", "search_parameters"),
        ({"stream": "yes"}, "invalid_request_error", "stream"),
        ({"stream_options": []}, "invalid_request_error", "stream_options"),
        (
            {"stream": True, "stream_options": {"include_usage": 1}},
            "invalid_request_error",
            "stream_options.include_usage",
        ),
        ({"n": 0}, "invalid_request_error", "n"),
        ({"n": 129}, "invalid_request_error", "n"),
        ({"n": True}, "invalid_request_error", "n"),
        ({"max_tokens": 0}, "invalid_request_error", "max_tokens"),
        ({"max_tokens": 1.5}, "invalid_request_error", "max_tokens"),
        ({"max_completion_tokens": "9"}, "invalid_request_error", "max_completion_tokens"),
        (
            {"max_tokens": 9, "max_completion_tokens": 8},
            "invalid_request_error",
            "max_tokens",
        ),
        ({"modalities": "audio"}, "invalid_request_error", "modalities"),
    ],
)
def test_what_cannot_be_metered_is_refused_by_name(
    fields: dict[str, Any], code: str, param: str
) -> None:
    assert refused("chat", asking(**fields)) == (code, param)


def test_a_file_of_the_providers_account_is_refused() -> None:
    body = with_parts({"type": "file", "file": {"file_id": "file-alice"}})
    assert refused("chat", body) == ("unsupported_parameter", "messages.content.file.file_id")


@pytest.mark.parametrize(
    ("part", "media"),
    [
        ({"type": "image_url", "image_url": {"url": PICTURE}}, Media("image", len(PICTURE))),
        ({"type": "image_url", "image_url": PICTURE}, Media("image", len(PICTURE))),
        ({"type": "image_url", "image_url": {"url": "https://example.com/a"}}, Media("image")),
        ({"type": "image_url", "image_url": {}}, Media("image")),
        ({"type": "text", "image_url": {"url": PICTURE}}, Media("image", len(PICTURE))),
        ({"type": "input_audio", "input_audio": {"data": "AAAA"}}, Media("audio", 4)),
        ({"type": "file", "file": {"file_data": "JVBERi0x"}}, Media("document", 8)),
    ],
)
def test_what_is_no_text_is_found_and_its_data_known(part: dict[str, Any], media: Media) -> None:
    assert read("chat", with_parts({"type": "text", "text": "Look"}, part)).media == (media,)


def test_a_picture_that_a_tool_answers_with_is_found() -> None:
    shown = {"type": "image_url", "image_url": {"url": PICTURE}}
    body = asking(messages=[{"role": "tool", "tool_call_id": "a", "content": [shown, shown]}])
    assert read("chat", body).media == (Media("image", len(PICTURE)),) * 2


@pytest.mark.parametrize(
    "part",
    [
        {"type": "text", "text": PICTURE},
        {"type": "file", "file": {"file_data": "data:text/plain;base64,SGk="}},
        {"type": "file", "file": {"file_data": "DATA:Text/Markdown;base64,SGk="}},
    ],
)
def test_text_is_no_media_however_it_is_wrapped(part: dict[str, Any]) -> None:
    assert read("chat", with_parts(part)).media == ()


@given(
    JSON
    | st.lists(
        st.dictionaries(st.sampled_from(["type", "image_url", "input_audio", "file"]), JSON),
        max_size=3,
    )
)
def test_no_content_whatever_its_shape_breaks_the_reading_of_a_request(content: Any) -> None:
    with contextlib.suppress(BadRequest):
        read("chat", asking(messages=[{"role": "user", "content": content}, content]))


@pytest.mark.parametrize(
    ("part", "field"),
    [
        ({"type": "document_url", "document_url": "https://example.com/a.pdf"}, "type"),
        ({"type": "video_url", "video_url": {"url": "https://example.com/a.mp4"}}, "type"),
        ({"type": "file", "file_id": "file-1"}, "file_id"),
        ({"type": "input_audio", "input_audio": "https://example.com/a.mp3"}, "input_audio"),
        ({"type": "input_audio", "input_audio": {"data": "HTTPS://a.mp3"}}, "input_audio"),
    ],
)
def test_what_the_provider_fetches_or_keeps_is_refused(part: dict[str, Any], field: str) -> None:
    assert refused("chat", with_parts(part))[1] == f"messages.content.{field}"


def test_an_answer_that_the_provider_keeps_is_refused() -> None:
    kept = {"role": "assistant", "audio": {"id": "audio_1"}}
    assert refused("chat", asking(messages=[kept]))[1] == "messages.audio"
    google = {"google": {"cached_content": "cachedContents/1"}}
    _, field = refused("chat", asking(extra_body=google))
    assert field == "extra_body.google.cached_content"
    read("chat", asking(extra_body={"google": {"thinking_config": {"thinking_budget": 1}}}))


def test_a_body_goes_as_it_came_where_nothing_must_change() -> None:
    assert changed("chat", HERMES, "gpt-5.2", None, "max_completion_tokens") == {}
    assert changed("chat", asking(stream=False), "gpt-5.2", None) == {}


def test_the_provider_is_told_its_own_name_of_the_model() -> None:
    assert changed("chat", asking(), "gpt-5.2-2026", None) == {"model": "gpt-5.2-2026"}


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        (None, {"include_usage": True}),
        ({"include_usage": False, "x": 1}, {"include_usage": True, "x": 1}),
    ],
)
def test_a_stream_is_always_asked_for_its_usage(options: Any, sent: dict[str, Any]) -> None:
    body = asking(stream=True, stream_options=options)
    assert changed("chat", body, "gpt-5.2", None) == {"stream_options": sent}


@pytest.mark.parametrize(
    ("fields", "changes"),
    [
        ({}, {"max_completion_tokens": 70}),
        ({"max_tokens": None}, {"max_completion_tokens": 70}),
        ({"max_tokens": 99}, {"max_tokens": 70}),
        ({"max_completion_tokens": 99}, {"max_completion_tokens": 70}),
        (
            {"max_tokens": 99, "max_completion_tokens": 99},
            {"max_tokens": 70, "max_completion_tokens": 70},
        ),
    ],
)
def test_a_limit_is_set_where_the_client_set_his_or_where_the_provider_reads_it(
    fields: dict[str, Any], changes: dict[str, int]
) -> None:
    body = asking(**fields)
    assert changed("chat", body, "gpt-5.2", 70, "max_completion_tokens") == changes


def test_a_limit_is_named_as_the_provider_knows_it() -> None:
    # DeepSeek passes over `max_completion_tokens`: it would generate beyond what is held.
    body = {"model": "m", "messages": [], "max_completion_tokens": 10}
    assert SURFACES["chat"].changes(body, "m", None, "max_tokens") == {
        "max_completion_tokens": UNSET,
        "max_tokens": 10,
    }
    assert SURFACES["chat"].changes(body, "m", 7, "max_tokens") == {
        "max_completion_tokens": UNSET,
        "max_tokens": 7,
    }
    assert SURFACES["chat"].changes(body, "m", None, "max_completion_tokens") == {}
    old = {"model": "m", "messages": [], "max_tokens": 10}
    assert SURFACES["chat"].changes(old, "m", None, "max_completion_tokens") == {}
