"""A stream of Messages reports its usage twice; the two make one."""

from typing import Any

import pytest
from hypothesis import given

from gateway.usage import merge_messages_usage, read_messages_usage
from tests.gateway.usage_reports import JSON, ODD, WHOLE, buckets, messages


def merged(start: Any, delta: Any) -> dict[str, int] | None:
    return buckets(read_messages_usage(merge_messages_usage(start, delta)))


def test_a_delta_brings_the_output_and_leaves_the_input() -> None:
    start = messages(25, 1, read=7, written=12, short=2, long=10)
    assert merged(start, {"output_tokens": 15}) == {
        "input": 25,
        "cached_input": 7,
        "cache_write": 2,
        "cache_write_1h": 10,
        "output": 15,
    }


def test_a_delta_that_repeats_the_input_does_not_double_it() -> None:
    start = messages(25, 1, read=7, written=12)
    again = messages(25, 15, read=7, written=12)
    assert merged(start, again) == {
        "input": 25,
        "cached_input": 7,
        "cache_write": 12,
        "output": 15,
    }
    assert merged(merge_messages_usage(start, again), again) == merged(start, again)


def test_nulls_in_a_delta_say_nothing() -> None:
    start = messages(25, 1, read=7)
    delta = {"output_tokens": 15, "input_tokens": None, "cache_read_input_tokens": None}
    assert merged(start, delta) == {"input": 25, "cached_input": 7, "output": 15}


def test_a_delta_may_know_of_more_input_than_the_start() -> None:
    start = messages(0, 0)
    assert merged(start, messages(40, 15, read=60)) == {
        "input": 40,
        "cached_input": 60,
        "output": 15,
    }


@pytest.mark.parametrize(
    ("short", "long", "expected"),
    [
        (10, 0, {"cache_write": 30}),
        (0, 10, {"cache_write_1h": 30}),
        (4, 6, {"cache_write": 4, "cache_write_1h": 26}),
        (0, 0, {"cache_write": 30}),
    ],
)
def test_writes_that_came_later_have_the_longest_lifetime_of_the_start(
    short: int, long: int, expected: dict[str, int]
) -> None:
    start = messages(1, 1, written=short + long, short=short, long=long)
    delta = {"cache_creation_input_tokens": 30, "output_tokens": 2}
    assert merged(start, delta) == {"input": 1, "output": 2, **expected}


def test_lifetimes_that_a_delta_gives_itself_count() -> None:
    start = messages(1, 1, written=10, long=10)
    delta = messages(1, 2, written=30, short=20, long=10)
    assert merged(start, delta) == {
        "input": 1,
        "output": 2,
        "cache_write": 20,
        "cache_write_1h": 10,
    }


def test_input_that_shrinks_is_impossible() -> None:
    assert merged(messages(25, 1), messages(0, 15)) is None
    assert (
        merged(messages(25, 1, read=7), {"cache_read_input_tokens": 6, "output_tokens": 2}) is None
    )


def test_without_a_start_a_delta_must_say_everything() -> None:
    assert merged(None, messages(25, 15)) == {"input": 25, "output": 15}
    assert merged(None, {"output_tokens": 15}) is None


def test_without_a_delta_the_start_stands() -> None:
    assert merged(messages(25, 1), None) == {"input": 25, "output": 1}
    assert merged(None, None) is None


@pytest.mark.parametrize("odd", ODD, ids=repr)
@pytest.mark.parametrize(
    "field", ["input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_creation"]
)
def test_an_odd_figure_in_a_delta_makes_the_whole_report_none(field: str, odd: Any) -> None:
    start = messages(25, 1, written=12, short=2, long=10)
    assert merged(start, {"output_tokens": 15, field: odd}) is None


@given(JSON, JSON)
def test_nothing_that_a_stream_says_breaks_the_merging(start: Any, delta: Any) -> None:
    merged(start, delta)
    merged(WHOLE["messages"], delta)
    merged({"cache_creation": start}, {"cache_creation_input_tokens": delta})
