"""Event streams as bytes: however they are cut, the same events come out and no byte is lost."""

import re
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sse import EVENT_BYTES_MAX, EventSplitter, EventTooLong, data_of

NEWLINES = st.sampled_from([b"\n", b"\r\n", b"\r"])
VALUE = st.text(st.characters(blacklist_characters="\r\n", blacklist_categories=["Cs"]), max_size=8)
LINE = st.one_of(
    VALUE.map(lambda value: b"data: " + value.encode()),
    VALUE.map(lambda value: b"data:" + value.encode()),
    VALUE.map(lambda value: b": " + value.encode()),
    st.sampled_from([b"event: message", b"id: 7", b"retry: 10", b"data"]),
)
EVENT = st.lists(LINE, min_size=1, max_size=4)
ANY_BYTES = st.lists(
    st.sampled_from([b"\r", b"\n", b"\r\n", b"data: ", b"data:", b": ping", b"x", b"\n\n", b"\xff"])
).map(b"".join)


def split(*chunks: bytes) -> tuple[list[bytes], bytes]:
    """The events of the chunks, and what is left over."""
    splitter = EventSplitter()
    events = [event for chunk in chunks for event in splitter.feed(chunk)]
    return events, splitter.rest


def cut(data: bytes, places: list[int]) -> list[bytes]:
    bounds = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(bounds)]


def standard_data(event: bytes) -> bytes | None:
    """The data of an event by the letter of the HTML standard ("9.2.6 Interpreting an event stream")."""
    values = []
    for line in re.split(rb"\r\n|\n|\r", event):
        name, _, value = line.partition(b":")
        if name == b"data":
            values.append(value.removeprefix(b" "))
    return b"\n".join(values) if values else None


@given(ANY_BYTES, st.lists(st.integers(0, 10_000), max_size=12))
def test_any_cutting_gives_the_same_events_and_loses_no_byte(
    data: bytes, places: list[int]
) -> None:
    whole = split(data)
    assert split(*cut(data, places)) == whole
    assert split(*(data[at : at + 1] for at in range(len(data)))) == whole
    assert b"".join(whole[0]) + whole[1] == data


@given(st.lists(EVENT, max_size=6), NEWLINES, st.lists(st.integers(0, 10_000), max_size=12))
def test_each_event_comes_out_alone_whatever_ends_its_lines(
    events: list[list[bytes]], newline: bytes, places: list[int]
) -> None:
    encoded = [newline.join(lines) + newline * 2 for lines in events]
    found, rest = split(*cut(b"".join(encoded), places))
    if newline == b"\r" and rest:
        found.append(rest)  # a line feed that belongs to its last byte may still come
    assert found == encoded


def test_lines_may_end_in_different_ways_within_one_event() -> None:
    # The standard lets any of the three follow any other; proxies that add lines of their own mix them.
    assert split(b"data: a\n\r\ndata: b\r\n\ndata: c\n\n")[0] == [
        b"data: a\n\r\n",
        b"data: b\r\n\n",
        b"data: c\n\n",
    ]


@given(EVENT, NEWLINES)
def test_data_is_read_as_the_standard_says(lines: list[bytes], newline: bytes) -> None:
    # A bare `data` without a colon is an empty line of data to the standard; no provider sends one.
    lines = [line for line in lines if line != b"data"]
    event = newline.join(lines) + newline * 2
    assert data_of(event) == standard_data(event)


@pytest.mark.parametrize(
    ("event", "data"),
    [
        (b'data: {"a":1}\n\n', b'{"a":1}'),
        (b'data: {"a":1}\r\n\r\n', b'{"a":1}'),
        (b'data: {"a":1}\r\r', b'{"a":1}'),
        (b'data:{"a":1}\n\n', b'{"a":1}'),
        (b"data:  two blanks\n\n", b" two blanks"),
        (b": keep-alive\ndata: x\n\n", b"x"),
        (b"event: delta\nid: 4\ndata: x\n\n", b"x"),
        (b"data: a\ndata: b\n\n", b"a\nb"),
        (b"data: a\r\ndata: b\r\n\r\n", b"a\nb"),
        (b"data: a\rdata: b\n\n", b"a\nb"),
        (b"data: [DONE]\n\n", b"[DONE]"),
        (b"data:\n\n", b""),
        (b": keep-alive\n\n", None),
        (b"\n\n", None),
        (b"database: x\n\n", None),
    ],
)
def test_the_data_of_an_event(event: bytes, data: bytes | None) -> None:
    assert data_of(event) == data


def test_what_follows_the_last_event_is_kept_until_its_end_comes() -> None:
    splitter = EventSplitter()
    assert splitter.feed(b"data: a\n\ndata: b") == [b"data: a\n\n"]
    assert splitter.rest == b"data: b"
    assert splitter.feed(b"\n") == []
    assert splitter.feed(b"\n") == [b"data: b\n\n"]
    assert splitter.rest == b""


def test_an_event_of_the_greatest_length_passes() -> None:
    event = b"data: " + b"x" * (EVENT_BYTES_MAX - 8) + b"\n\n"
    assert split(*(event[at : at + 65_536] for at in range(0, len(event), 65_536))) == (
        [event],
        b"",
    )


def test_an_event_without_an_end_is_given_up() -> None:
    splitter = EventSplitter()
    for _ in range(EVENT_BYTES_MAX // 65_536):
        splitter.feed(b"x" * 65_536)
    with pytest.raises(EventTooLong):
        splitter.feed(b"x")


def test_a_long_event_in_small_pieces_costs_by_its_length() -> None:
    # The event loop stands still meanwhile: what was looked through once must not be looked through again.
    splitter = EventSplitter()
    began = time.thread_time()
    for _ in range(1000):
        splitter.feed(b"x" * 1000)
    assert splitter.feed(b"\n\n") == [b"x" * 1_000_000 + b"\n\n"]
    assert time.thread_time() - began < 0.5
