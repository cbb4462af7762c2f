"""Which calls an open channel gets all the same: where nothing else is left, and where it cannot be probed."""

import pytest

from gateway.breaker import Admission, Breakers
from tests.gateway.breaking import LARGE, MAIN, SMALL, admitted, fail, following, opened

# What is tried where nothing is left.


def test_a_channel_that_fails_is_tried_where_nothing_else_is_left() -> None:
    breakers = opened(0.0)
    assert breakers.admit(MAIN, SMALL, 0.5) is None
    admission = breakers.admit(MAIN, SMALL, 0.5, last_resort=True)
    assert admission is not None
    breakers.record_success(admission, 0.6)
    assert breakers.usable(MAIN, SMALL, 0.6)


def test_a_channel_that_cannot_be_reached_is_no_last_resort() -> None:
    breakers = following(MAIN)
    for _ in range(3):
        breakers.record_not_reached(admitted(breakers, 0.0), "refused", 0.0)
    assert breakers.admit(MAIN, SMALL, 0.5, last_resort=True) is None


def test_a_failing_channel_that_can_no_longer_be_reached_is_no_last_resort_any_more() -> None:
    breakers = opened(0.0)
    for _ in range(3):
        admission = breakers.admit(MAIN, SMALL, 0.5, last_resort=True)
        assert admission is not None
        breakers.record_not_reached(admission, "refused", 0.5)
    assert breakers.admit(MAIN, SMALL, 0.6, last_resort=True) is None
    breakers.record_probe(MAIN, 200, 2.0)
    assert breakers.usable(MAIN, SMALL, 2.0)


def test_a_refused_account_is_no_last_resort() -> None:
    breakers = following(MAIN)
    breakers.record_status(admitted(breakers, 0.0), 401, None, 0.0)
    assert breakers.admit(MAIN, SMALL, 0.5, last_resort=True) is None


def test_retry_after_is_honoured_where_nothing_else_is_left() -> None:
    breakers = following(MAIN)
    breakers.record_status(admitted(breakers, 0.0), 503, 5, 0.0)
    fail_late = Admission(breakers._healths[MAIN.id], "small", breakers._healths[MAIN.id].epoch)
    for _ in range(5):
        breakers.record_failure(fail_late, "status 500", 0.1)
    assert breakers.admit(MAIN, SMALL, 0.5, last_resort=True) is None
    assert breakers.admit(MAIN, LARGE, 0.5, last_resort=True) is not None


# Without a probe, one live call tells.


def tried(now: float = 2.0) -> tuple[Breakers, Admission]:
    """An open channel that cannot be probed, and its one live call."""
    breakers = opened(0.0)
    breakers.let_one_try(MAIN)
    assert breakers.due(now) == []
    return breakers, admitted(breakers, now)


def test_one_live_call_is_let_through_where_no_probe_is_possible() -> None:
    breakers, _ = tried()
    assert not breakers.usable(MAIN, SMALL, 2.0)
    assert breakers.admit(MAIN, LARGE, 31.9) is None
    assert breakers.admit(MAIN, SMALL, 32.0) is not None  # nothing was heard of the first


def test_its_success_closes_the_channel() -> None:
    breakers, admission = tried()
    breakers.record_success(admission, 3.0)
    assert breakers.usable(MAIN, SMALL, 3.0)
    fail(breakers, 5, 3.0)
    assert breakers.due(5.0) == [MAIN]


@pytest.mark.parametrize("status", [400, 404, 429])
def test_a_refusal_of_its_request_closes_it_too(status: int) -> None:
    breakers, admission = tried()
    breakers.record_status(admission, status, None, 3.0)
    assert breakers.usable(MAIN, LARGE, 3.0)


@pytest.mark.parametrize("how", ["failure", "not reached", "401", "503"])
def test_its_failure_keeps_the_channel_open_for_twice_as_long(how: str) -> None:
    breakers, admission = tried()
    if how == "failure":
        breakers.record_failure(admission, "an answer that is none", 3.0)
    elif how == "not reached":
        breakers.record_not_reached(admission, "connection refused", 3.0)
    else:
        breakers.record_status(admission, int(how), None, 3.0)
    assert not breakers.usable(MAIN, SMALL, 3.0)
    assert breakers.due(6.9) == []
    assert breakers.due(7.0) == [MAIN]
