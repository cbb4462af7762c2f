"""How long limited models are left alone, what callers are told of it, and what `retry-after` says."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.breaker import read_retry_after
from tests.gateway.breaking import LARGE, MAIN, OTHER, SMALL, admitted, channel, following, opened

# Cooling.


@pytest.mark.parametrize(
    ("status", "retry_after_s", "rest_s"),
    [(429, 7, 7), (429, 60, 60), (429, 86400, 60), (429, 0, 0), (503, 5, 5)],
)
def test_a_limited_model_rests_as_long_as_the_provider_says(
    status: int, retry_after_s: int, rest_s: int
) -> None:
    breakers = following(MAIN)
    breakers.record_status(admitted(breakers, 1.0), status, retry_after_s, 1.0)
    assert breakers.usable(MAIN, LARGE, 1.0)
    if rest_s:
        assert not breakers.usable(MAIN, SMALL, 1.0 + rest_s - 0.1)
    assert breakers.usable(MAIN, SMALL, 1.0 + rest_s)


def test_a_429_without_a_time_leaves_the_model_usable_and_marks_it_for_a_second() -> None:
    breakers = following(MAIN)
    breakers.record_status(admitted(breakers, 1.0), 429, None, 1.0)
    assert breakers.usable(MAIN, SMALL, 1.0)
    assert breakers.is_limited(MAIN, SMALL, 1.9)
    assert not breakers.is_limited(MAIN, LARGE, 1.9)
    assert not breakers.is_limited(MAIN, SMALL, 2.0)


def test_a_503_without_a_time_cools_nothing() -> None:
    breakers = following(MAIN)
    breakers.record_status(admitted(breakers, 1.0), 503, None, 1.0)
    assert breakers.usable(MAIN, SMALL, 1.0)


def test_of_refusals_that_arrive_together_the_longest_rest_holds() -> None:
    breakers = following(MAIN)
    both = [admitted(breakers, 1.0), admitted(breakers, 1.0)]
    for admission, rest_s in zip(both, (30, None), strict=True):
        breakers.record_status(admission, 429, rest_s, 1.0)
    breakers.record_success(
        both[0], 2.0
    )  # a call from before ends well: the provider's word stands
    assert not breakers.usable(MAIN, SMALL, 30.9)


def test_limits_never_open_a_channel() -> None:
    breakers = following(MAIN)
    for now in range(200):
        breakers.record_status(admitted(breakers, now * 2.0), 429, None, now * 2.0)
    assert breakers.usable(MAIN, LARGE, 398.0)


def test_models_that_have_one_name_at_the_channel_are_limited_together() -> None:
    mapped = channel(1, model_map={SMALL.name: "deployment", LARGE.name: "deployment"})
    breakers = following(mapped)
    admission = breakers.admit(mapped, SMALL, 1.0)
    assert admission is not None
    breakers.record_status(admission, 429, 5, 1.0)
    assert not breakers.usable(mapped, LARGE, 1.0)


# The wait that callers are told.


def test_callers_are_told_the_soonest_time_in_whole_seconds() -> None:
    breakers = following(MAIN, OTHER)
    for chosen, rest_s in ((MAIN, 30), (OTHER, 9)):
        admission = breakers.admit(chosen, SMALL, 0.5)
        assert admission is not None
        breakers.record_status(admission, 429, rest_s, 0.5)
    assert breakers.retry_after_s((MAIN, OTHER), SMALL, 0.6) == 9
    assert breakers.retry_after_s((MAIN, OTHER), SMALL, 4.5) == 5
    assert breakers.retry_after_s((MAIN,), SMALL, 0.5) == 30


def test_callers_are_told_when_an_open_channel_is_probed_and_never_less_than_a_second() -> None:
    breakers = opened(0.0)
    breakers.record_probe_failure(MAIN, "not reached", 2.0)
    breakers.record_probe_failure(MAIN, "not reached", 6.0)
    assert breakers.retry_after_s((MAIN,), SMALL, 6.0) == 8
    assert breakers.retry_after_s((MAIN,), SMALL, 1e6) == 1
    assert breakers.retry_after_s((), SMALL, 0.0) == 1


# retry-after.

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("5", 5),
        (" 120 ", 120),
        ("9" * 5000, 999_999_999),
        ("Sat, 21 Nov 2026 12:00:30 GMT", 30),
        ("Saturday, 21-Nov-26 12:00:30 GMT", 30),
        ("Sat Nov 21 12:00:30 2026", 30),
        ("Sat, 21 Nov 2026 11:59:30 GMT", 0),
        (None, None),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("²", None),
        ("soon", None),
        ("Sat, 99 Nov 2026 12:00:30 GMT", None),
    ],
)
def test_a_time_to_wait_is_a_number_or_a_date(text: str | None, seconds: int | None) -> None:
    assert read_retry_after(text, NOON) == seconds


@given(st.timedeltas(timedelta(0), timedelta(days=400)))
def test_a_date_is_as_far_away_as_it_says(ahead: timedelta) -> None:
    date = format_datetime(NOON + ahead, usegmt=True)
    assert read_retry_after(date, NOON) == int(ahead.total_seconds())


@given(st.text(max_size=40))
def test_whatever_stands_in_the_header_is_no_error(text: str) -> None:
    seconds = read_retry_after(text, NOON)
    assert seconds is None or seconds >= 0
