"""When channels are left alone, and when they are called again."""

import logging
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.breaker import Admission, Breakers, read_retry_after
from gateway.catalog import Catalog, Channel, Model
from tests.gateway import pricing_samples

SMALL = pricing_samples.model("openai/small")
LARGE = pricing_samples.model("openai/large")
SECRET = "sk-provider-secret"


def channel(number: int = 1, **changed: object) -> Channel:
    made = msgspec.structs.replace(pricing_samples.channel(SECRET), id=number, name=f"c{number}")
    return msgspec.structs.replace(made, **changed)


MAIN, OTHER = channel(1), channel(2)


def following(*channels: Channel) -> Breakers:
    made = Breakers()
    made.follow(Catalog(channels={SMALL.name: channels, LARGE.name: channels}))
    return made


def admitted(breakers: Breakers, now: float, model: Model = SMALL) -> Admission:
    admission = breakers.admit(MAIN, model, now)
    assert admission is not None
    return admission


def fail(breakers: Breakers, times: int, now: float) -> None:
    for _ in range(times):
        breakers.record_failure(admitted(breakers, now), "status 500", now)


def succeed(breakers: Breakers, times: int, now: float) -> None:
    for _ in range(times):
        breakers.record_success(admitted(breakers, now), now)


def opened(now: float = 0.0) -> Breakers:
    """Breakers whose MAIN opened at that moment for its first two seconds."""
    breakers = following(MAIN, OTHER)
    fail(breakers, 5, now)
    assert not breakers.usable(MAIN, SMALL, now)
    return breakers


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
    told = [row.getMessage() for row in caplog.records if row.levelno == logging.ERROR]
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
    assert len([row for row in caplog.records if row.levelno == logging.ERROR]) == 2


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
    assert len([row for row in caplog.records if row.levelno == logging.ERROR]) == 1


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
    assert len([row for row in caplog.records if row.levelno == logging.ERROR]) == 1


def test_each_failed_probe_doubles_the_rest_up_to_a_quarter_of_a_minute() -> None:
    breakers, now, rests = opened(0.0), 2.0, []
    for _ in range(5):
        breakers.record_probe_failure(MAIN, "not reached", now)
        rest = 0.0
        while not breakers.due(now + rest):
            rest += 1.0
        rests.append(rest)
        now += rest
    assert rests == [4, 8, 15, 15, 15]


def test_a_refused_account_rests_up_to_a_minute() -> None:
    breakers, now, rests = following(MAIN), 2.0, []
    breakers.record_status(admitted(breakers, 0.0), 401, None, 0.0)
    for _ in range(6):
        breakers.record_probe(MAIN, 401, now)
        rest = 0.0
        while not breakers.due(now + rest):
            rest += 1.0
        rests.append(rest)
        now += rest
    assert rests == [4, 8, 16, 32, 60, 60]


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
