"""Upper bounds of what a call can use."""

import contextlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequest
from gateway.estimate import (
    DOCUMENT_TOKENS_MAX,
    FLOOR_OUTPUT_TOKENS,
    IMAGE_TOKENS_MAX,
    OUTPUT_TOKENS_UNKNOWN,
    Media,
    bound_input_tokens,
    bound_output_tokens,
    inline_media,
    is_text_data,
)
from gateway.surfaces import SURFACES

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
PART = st.dictionaries(st.sampled_from(["type", "image_url", "input_audio", "text"]), JSON)
MESSAGE = JSON | st.fixed_dictionaries({"content": JSON | st.lists(PART | JSON, max_size=4)})


def bound_chat(body: dict[str, Any]) -> tuple[int, int]:
    """The bound for a chat body, and its size."""
    size = len(msgspec.json.encode(body))
    return bound_input_tokens(size, SURFACES["chat"].read_request(body).media), size


def bound(*content: Any) -> tuple[int, int]:
    """The bound for one user message of these parts, and the size of its body."""
    return bound_chat({"messages": [{"role": "user", "content": list(content)}]})


@given(st.lists(st.text(), min_size=1, max_size=5))
def test_text_is_bounded_by_its_bytes(texts: list[str]) -> None:
    body = {"messages": [{"role": "user", "content": text} for text in texts]}
    tokens, size = bound_chat(body)
    assert tokens == size
    assert size >= sum(len(text.encode()) for text in texts)


def test_tools_and_formats_count_as_text() -> None:
    body = {"messages": [{"content": "x"}], "tools": [{"function": {"name": "y" * 5000}}]}
    assert bound_chat(body)[0] > 5000


@pytest.mark.parametrize("as_object", [True, False])
def test_an_inline_picture_costs_a_picture_and_not_its_bytes(as_object: bool) -> None:
    data = "data:image/png;base64," + "A" * 100_000
    tokens, size = bound({"type": "image_url", "image_url": {"url": data} if as_object else data})
    assert tokens == size - len(data) + IMAGE_TOKENS_MAX
    assert tokens < IMAGE_TOKENS_MAX + 200


def test_each_linked_picture_costs_a_picture() -> None:
    link = {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}}
    tokens, size = bound(link, link, {"type": "text", "text": "two cats"})
    assert tokens == size + 2 * IMAGE_TOKENS_MAX


def test_sound_costs_by_its_length() -> None:
    data = "A" * 640_000
    tokens, size = bound({"type": "input_audio", "input_audio": {"data": data, "format": "wav"}})
    assert tokens == size - len(data) + 10_000 + 128


@given(st.lists(MESSAGE, min_size=1, max_size=5))
def test_no_shape_of_messages_breaks_the_bound(messages: list[Any]) -> None:
    with contextlib.suppress(BadRequest):
        assert bound_chat({"messages": messages})[0] >= 0


@pytest.mark.parametrize("messages", [[5], ["x"], [None], [[]], [{"content": 7}]])
def test_messages_of_no_known_shape_are_bounded_by_bytes(messages: Any) -> None:
    tokens, size = bound_chat({"messages": messages})
    assert tokens == size


def test_a_document_costs_what_a_model_can_read_and_not_its_bytes() -> None:
    document = Media("document", 5_000_000)
    assert bound_input_tokens(5_000_100, [document]) == 100 + DOCUMENT_TOKENS_MAX
    assert bound_input_tokens(5_000_100, [document], 128_000) == 100 + 128_000
    assert bound_input_tokens(5_000_100, [document], 2_000_000) == 100 + DOCUMENT_TOKENS_MAX


def test_all_documents_of_a_call_share_what_a_model_can_read() -> None:
    linked = Media("document")
    assert bound_input_tokens(100, [linked] * 3) == 100 + 3 * DOCUMENT_TOKENS_MAX
    assert bound_input_tokens(100, [linked] * 3, 400_000) == 100 + 400_000


def test_neither_text_nor_pictures_are_bounded_by_what_a_model_can_read() -> None:
    assert bound_input_tokens(500_000, [Media("image", 100)], 8_000) == 499_900 + IMAGE_TOKENS_MAX


@pytest.mark.parametrize("kind", ["image", "audio", "document"])
@pytest.mark.parametrize(
    ("data", "size"),
    [
        ("data:image/png;base64,AAAA", 26),
        ("AAAA", 4),
        ("", 0),
        ("https://example.com/a.png", 0),
        ("http://example.com/a.png", 0),
        ("gs://bucket/a.png", 0),
        (None, 0),
        (7, 0),
        ({"url": "AAAA"}, 0),
    ],
)
def test_only_data_in_the_body_is_taken_out_of_its_bytes(kind: Any, data: Any, size: int) -> None:
    assert inline_media(kind, data) == Media(kind, size)


@pytest.mark.parametrize(
    ("data", "is_text"),
    [
        ("data:text/plain;base64,SGk=", True),
        ("DATA:TEXT/csv,a", True),
        ("data:application/pdf;base64,JVBERi0x", False),
        ("text/plain", False),
        (None, False),
        (["data:text/plain"], False),
    ],
)
def test_text_in_a_data_url_is_known_by_its_type(data: Any, is_text: bool) -> None:
    assert is_text_data(data) == is_text


def test_output_is_bounded_by_the_first_limit_that_is_known() -> None:
    assert bound_output_tokens(None, 128_000, 400_000) == 128_000
    assert bound_output_tokens(None, None, 32_000) == 32_000
    assert bound_output_tokens(None, None, None) == OUTPUT_TOKENS_UNKNOWN


def test_a_limit_that_was_asked_for_counts_up_to_what_the_model_gives() -> None:
    assert bound_output_tokens(1, 128_000, 400_000) == 1
    assert bound_output_tokens(FLOOR_OUTPUT_TOKENS, None, None) == FLOOR_OUTPUT_TOKENS
    assert bound_output_tokens(2**31 - 1, 128_000, 400_000) == 128_000
    assert bound_output_tokens(2**31 - 1, None, None) == OUTPUT_TOKENS_UNKNOWN
