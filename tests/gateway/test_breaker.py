"""When channels are left alone, and when they are called again."""

import itertools
import logging

import pytest

from gateway.breaker import Breakers
from gateway.catalog import Catalog
from tests.gateway.breaking import (
    LARGE,
    MAIN,
    OTHER,
    SECRET,
    SMALL,
    admitted,
    channel,
    fail,
    following,
    opened,
    succeed,
)


def told_to_operators(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [row.getMessage() for row in caplog.records if row.levelno == logging.ERROR]


def rest_s(breakers: Breakers, now: float) -> int:
    """Whole seconds from that moment until MAIN is due."""
    return next(rest for rest in itertools.count() if breakers.due(now + rest))


# What opens a channel.


def test_five_failures_open_a_channel_and_four_do_not() -> None:
    breakers = following(MAIN, OTHER)
    fail(breakers, 4, 1.0)
    assert breakers.usable(MAIN, SMALL, 1.0)
    fail(breakers, 1, 1.0)
    assert not breakers.usable(MAIN, SMALL, 1.0)
    assert not breakers.usable(MAIN, LARGE, 1.0)
    assert breakers.usable(OTHER, SMALL, 1.0)


@pytest.mark.parametrize(("successes", "opens"), [(5, True), (6, False)])
def test_failures_must_be_at_least_half(successes: int, opens: bool) -> None:
    breakers = following(MAIN)
    succeed(breakers, successes, 1.0)
    fail(breakers, 5, 1.0)
    assert breakers.usable(MAIN, SMALL, 1.0) is not opens


def test_only_the_last_twenty_outcomes_count() -> None:
    breakers = following(MAIN)
    succeed(breakers, 500, 1.0)
    fail(breakers, 9, 1.0)
    assert breakers.usable(MAIN, SMALL, 1.0)
    fail(breakers, 1, 1.0)
    assert not breakers.usable(MAIN, SMALL, 1.0)


@pytest.mark.parametrize(("later", "opens"), [(30.0, True), (30.1, False)])
def test_only_outcomes_of_thirty_seconds_count(later: float, opens: bool) -> None:
    breakers = following(MAIN)
    fail(breakers, 4, 1.0)
    fail(breakers, 1, 1.0 + later)
    assert breakers.usable(MAIN, SMALL, 1.0 + later) is not opens


def test_three_tries_in_a_row_that_do_not_reach_it_open_a_channel() -> None:
    breakers = following(MAIN)
    succeed(breakers, 20, 1.0)
    for expected in (True, True, False):
        breakers.record_not_reached(admitted(breakers, 1.0), "connection refused", 1.0)
        assert breakers.usable(MAIN, SMALL, 1.0) is expected


@pytest.mark.parametrize("between", ["success", "failure", "refusal"])
def test_whatever_reached_it_in_between_breaks_the_row(between: str) -> None:
    breakers = following(MAIN)
    succeed(breakers, 20, 1.0)
    for number in range(4):
        breakers.record_not_reached(admitted(breakers, 1.0), "connection refused", 1.0)
        if number == 1 and between == "success":
            succeed(breakers, 1, 1.0)
        elif number == 1 and between == "failure":
            fail(breakers, 1, 1.0)
        elif number == 1:
            breakers.record_status(admitted(breakers, 1.0), 400, None, 1.0)
    assert breakers.usable(MAIN, SMALL, 1.0)


@pytest.mark.parametrize("status", [401, 402, 407])
def test_a_refused_account_opens_a_channel_at_once_and_an_operator_is_told_once(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    breakers = following(MAIN)
    for _ in range(3):
        breakers.record_status(admitted(breakers, 1.0), status, None, 1.0)
        assert not breakers.usable(MAIN, SMALL, 1.0)
        breakers.record_probe(MAIN, 200, 1.0)
    told = told_to_operators(caplog)
    assert len(told) == 1
    assert "openai:c1" in told[0]
    assert str(status) in told[0]
    assert SECRET not in caplog.text


def test_after_a_live_success_an_operator_is_told_again(caplog: pytest.LogCaptureFixture) -> None:
    breakers = following(MAIN)
    for _ in range(2):
        breakers.record_status(admitted(breakers, 1.0), 401, None, 1.0)
        breakers.record_probe(MAIN, 200, 1.0)
        succeed(breakers, 1, 1.0)
    assert len(told_to_operators(caplog)) == 2


@pytest.mark.parametrize("has_served", [False, True])
def test_a_403_takes_nothing_from_anybody_and_puts_the_channel_last_for_its_model(
    has_served: bool, caplog: pytest.LogCaptureFixture
) -> None:
    # A caller can bring one about: a vendor says so of one call's content or fields too.
    breakers = following(MAIN)
    if has_served:
        succeed(breakers, 1, 1.0)
    for _ in range(9):
        breakers.record_status(admitted(breakers, 2.0, LARGE), 403, None, 2.0)
    assert breakers.usable(MAIN, LARGE, 2.0)
    assert breakers.is_limited(MAIN, LARGE, 61.9)
    assert not breakers.is_limited(MAIN, SMALL, 61.9)
    assert not breakers.is_limited(MAIN, LARGE, 62.0)
    assert len(told_to_operators(caplog)) == 1


@pytest.mark.parametrize("status", [301, 500, 502, 503, 504, 520, 529])
def test_a_failing_status_counts(status: int) -> None:
    breakers = following(MAIN)
    for _ in range(5):
        breakers.record_status(admitted(breakers, 1.0), status, None, 1.0)
    assert not breakers.usable(MAIN, SMALL, 1.0)


@pytest.mark.parametrize("status", [400, 404, 408, 409, 413, 422])
def test_refusals_of_callers_own_requests_neither_open_a_channel_nor_hide_failures(
    status: int,
) -> None:
    breakers = following(MAIN)
    for _ in range(100):
        breakers.record_status(admitted(breakers, 1.0), status, None, 1.0)
    assert breakers.usable(MAIN, SMALL, 1.0)
    fail(breakers, 5, 1.0)
    assert not breakers.usable(MAIN, SMALL, 1.0)


# What closes it.


def test_an_open_channel_stays_so_until_a_probe_says_otherwise() -> None:
    breakers = opened(0.0)
    assert breakers.due(1.9) == []
    assert breakers.due(2.0) == [MAIN]
    for now in (2.0, 60.0, 1e6):
        assert not breakers.usable(MAIN, SMALL, now)
        assert breakers.admit(MAIN, SMALL, now) is None
    breakers.record_probe(MAIN, 200, 1e6)
    assert breakers.usable(MAIN, SMALL, 1e6)
    assert breakers.due(1e6) == []


@pytest.mark.parametrize(
    ("status", "closes"),
    [(200, True), (204, True), (404, True), (405, True)]
    + [(status, False) for status in (302, 400, 401, 402, 403, 407, 429, 500, 503)],
)
def test_only_an_answering_address_closes_a_channel(status: int, closes: bool) -> None:
    breakers = opened()
    breakers.record_probe(MAIN, status, 2.0)
    assert breakers.usable(MAIN, SMALL, 2.0) is closes


@pytest.mark.parametrize("status", [401, 403])
def test_a_probe_whose_credential_is_refused_tells_an_operator_once(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    breakers = opened()
    for now in (2.0, 6.0, 14.0):
        breakers.record_probe(MAIN, status, now)
    assert len(told_to_operators(caplog)) == 1


def test_each_failed_probe_doubles_the_rest_up_to_a_quarter_of_a_minute() -> None:
    breakers, now, rests = opened(0.0), 2.0, []
    for _ in range(5):
        breakers.record_probe_failure(MAIN, "not reached", now)
        rests.append(rest_s(breakers, now))
        now += rests[-1]
    assert rests == [4, 8, 15, 15, 15]


def test_a_refused_account_rests_up_to_a_minute() -> None:
    breakers, now, rests = following(MAIN), 2.0, []
    breakers.record_status(admitted(breakers, 0.0), 401, None, 0.0)
    for _ in range(6):
        breakers.record_probe(MAIN, 401, now)
        rests.append(rest_s(breakers, now))
        now += rests[-1]
    assert rests == [4, 8, 16, 32, 60, 60]


def test_a_channel_that_passes_probes_and_serves_nothing_rests_longer_each_time() -> None:
    breakers = opened(0.0)
    breakers.record_probe(MAIN, 200, 2.0)
    fail(breakers, 5, 2.0)
    assert breakers.due(5.9) == []
    assert breakers.due(6.0) == [MAIN]
    breakers.record_probe(MAIN, 200, 6.0)
    succeed(breakers, 1, 6.0)
    fail(breakers, 5, 6.0)
    assert breakers.due(8.0) == [MAIN]


def test_failures_from_before_the_closing_do_not_open_it_again() -> None:
    breakers = following(MAIN)
    late = [admitted(breakers, 0.0) for _ in range(10)]
    fail(breakers, 5, 0.0)
    breakers.record_probe(MAIN, 200, 2.0)
    for admission in late:
        breakers.record_failure(admission, "first byte too late", 2.0)
        breakers.record_not_reached(admission, "connection refused", 2.0)
        breakers.record_status(admission, 401, None, 2.0)
    assert breakers.usable(MAIN, SMALL, 2.0)
    fail(breakers, 4, 2.0)
    assert breakers.usable(MAIN, SMALL, 2.0)


def test_the_end_of_an_old_call_does_not_close_a_channel() -> None:
    breakers = following(MAIN)
    late = admitted(breakers, 0.0)
    fail(breakers, 5, 0.0)
    breakers.record_success(late, 1.0)
    breakers.record_status(late, 400, None, 1.0)
    assert not breakers.usable(MAIN, SMALL, 1.0)


# The catalog.


def test_only_channels_of_the_catalog_are_remembered() -> None:
    breakers = opened()
    breakers.follow(Catalog(channels={SMALL.name: (OTHER,)}))
    assert breakers.due(1e6) == []
    assert len(breakers._healths) == 1
    breakers.follow(Catalog(channels={SMALL.name: (MAIN, OTHER)}))
    assert breakers.usable(MAIN, SMALL, 0.0)


@pytest.mark.parametrize("changed", [{"credential": "sk-new"}, {"base_url": "http://b.example/v1"}])
def test_a_new_credential_or_address_begins_anew(changed: dict[str, str]) -> None:
    breakers = following(MAIN)
    late = [admitted(breakers, 0.0) for _ in range(5)]
    fail(breakers, 5, 0.0)
    fresh = channel(1, **changed)
    breakers.follow(Catalog(channels={SMALL.name: (fresh,)}))
    for admission in late:
        breakers.record_status(admission, 401, None, 1.0)
    assert breakers.usable(fresh, SMALL, 1.0)
    breakers.record_probe(MAIN, 401, 1.0)  # of the address that was
    assert breakers.due(1e6) == []


def test_what_calls_with_the_old_credential_bring_home_troubles_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    breakers = following(MAIN)
    late = admitted(breakers, 0.0)
    breakers.follow(Catalog(channels={SMALL.name: (channel(1, credential="sk-new"),)}))
    breakers.record_status(late, 401, None, 1.0)
    assert caplog.records == []


def test_other_changes_of_a_row_keep_its_health() -> None:
    breakers = opened()
    changed = channel(1, priority=9, weight=0)
    breakers.follow(Catalog(channels={SMALL.name: (changed,)}))
    assert not breakers.usable(changed, SMALL, 0.0)
    assert breakers.due(2.0)[0].priority == 9


def test_a_channel_that_left_the_catalog_in_mid_call_may_be_tried_and_is_not_judged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    breakers = following(OTHER)
    admission = admitted(breakers, 0.0)
    breakers.record_status(admission, 401, None, 0.0)
    breakers.record_success(admission, 0.0)
    assert breakers.usable(MAIN, SMALL, 0.0)
    assert caplog.records == []


def test_changes_are_in_the_log_with_their_reason(caplog: pytest.LogCaptureFixture) -> None:
    breakers = opened()
    breakers.record_probe(MAIN, 200, 2.0)
    opening, closing = (row.getMessage() for row in caplog.records)
    assert (
        opening == "channel openai:c1 opened for 2 s: 5 of 5 calls failed, the last with status 500"
    )
    assert closing == "channel openai:c1 closed: a probe was answered with 200"
