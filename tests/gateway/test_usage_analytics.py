"""Spans, steps and lists of what was used."""

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from django.db import connection

from accounts.key_services import issue_key
from accounts.models import APIKey
from gateway import usage_analytics
from gateway.rollups import TIERS, roll_up
from gateway.usage_analytics import (
    EPOCH,
    Scope,
    Span,
    Totals,
    one_snapshot,
    read_latencies,
    read_series,
    read_steps,
    read_top,
    read_totals,
)
from tests.gateway.call_rows import record
from tests.people import People

ZONES = (
    "UTC",
    "Asia/Seoul",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Pacific/Chatham",
    "America/St_Johns",
    "America/New_York",
    "America/Havana",
    "Australia/Lord_Howe",
)


@pytest.fixture
def key(people: People) -> APIKey:
    return issue_key(people.group, people.alice, "ci")[0]


def at(text: str, zone: str = "UTC") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


# Spans and steps


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("step", ["hour", "day", "month"])
def test_parts_cover_every_step_once(zone: str, step: usage_analytics.Step) -> None:
    span = Span.of_days(date(2026, 2, 20), date(2026, 4, 12), ZoneInfo(zone))
    edges = usage_analytics._edges(span, step)
    assert edges[0] == span.since
    assert edges[-1] == span.until
    for since, until in pairwise(edges):
        parts = usage_analytics._cover(0, since, until)
        assert parts[0].since == since
        assert parts[-1].until == until
        for left, right in pairwise(parts):
            assert left.until == right.since
        for part in parts:
            assert part.minutes in TIERS
            width = timedelta(minutes=part.minutes)
            assert (part.since - EPOCH) % width == (part.until - EPOCH) % width == timedelta(0)


@pytest.mark.parametrize("zone", ZONES)
def test_days_begin_at_the_viewers_midnight(zone: str) -> None:
    span = Span.of_days(date(2026, 2, 20), date(2026, 4, 12), ZoneInfo(zone))
    starts = usage_analytics._starts(usage_analytics._edges(span, "day"), span.zone)
    days = [start.date() for start in starts]
    assert days == [date(2026, 2, 20) + timedelta(days=number) for number in range(52)]
    # Havana's clock jumps from 0:00 to 1:00 on 8 March.
    assert all(start.hour == 0 or (zone, start.month, start.day) == ("America/Havana", 3, 8)
               for start in starts)  # fmt: skip


def test_days_across_a_change_of_the_clock_have_their_own_length() -> None:
    span = Span.of_days(date(2026, 3, 7), date(2026, 3, 9), ZoneInfo("America/New_York"))
    edges = usage_analytics._edges(span, "day")
    assert [(b - a) // timedelta(hours=1) for a, b in pairwise(edges)] == [24, 23, 24]
    assert len(usage_analytics._edges(span, "hour")) == 71 + 1


def test_a_span_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(ValueError, match="ends after it begins"):
        read_totals(Scope.everything(), Span(at("2026-11-02"), at("2026-11-01"), UTC))


def test_too_many_steps_are_refused() -> None:
    span = Span.of_days(date(2020, 1, 1), date(2026, 1, 1), UTC)
    with pytest.raises(ValueError, match="more than 10000 steps"):
        read_series(Scope.everything(), span, step="hour")


def test_the_days_before_are_as_many() -> None:
    zone = ZoneInfo("America/New_York")
    span = Span.of_days(date(2026, 10, 20), date(2026, 11, 9), zone)
    before = span.before(at("2027-01-01"))
    assert before.since.astimezone(zone).isoformat() == "2026-09-29T00:00:00-04:00"
    assert before.until.astimezone(zone).isoformat() == "2026-10-20T00:00:00-04:00"


def test_days_that_still_run_are_compared_with_as_much_of_those_before() -> None:
    zone = ZoneInfo("Asia/Seoul")
    span = Span.of_days(date(2026, 11, 20), date(2026, 11, 21), zone)
    before = span.before(at("2026-11-21T14:07", "Asia/Seoul"))
    assert before.since.astimezone(zone).isoformat() == "2026-11-18T00:00:00+09:00"
    assert before.until.astimezone(zone).isoformat() == "2026-11-19T14:07:00+09:00"


# What is read


@pytest.fixture(params=["rolled up", "waiting"])
def settle(request: pytest.FixtureRequest) -> Callable[[], None]:
    """Once with the calls in the sums, once with all of them in the tail: answers must be the same."""

    def run() -> None:
        while request.param == "rolled up" and roll_up():
            pass

    return run


def put(key: APIKey, moment: datetime, **fields: object) -> None:
    record(key, (datetime.now(UTC) - moment).total_seconds(), **fields)


@pytest.mark.parametrize(
    "zone", ["Asia/Kathmandu", "Asia/Kolkata", "America/St_Johns", "Asia/Seoul"]
)
def test_calls_around_midnight_fall_on_the_viewers_days(
    key: APIKey, settle: Callable[[], None], zone: str
) -> None:
    midnight = at("2026-11-10T00:00", zone)
    minute = timedelta(minutes=1)
    for offset, amount in ((-minute, 1), (minute, 10), (14 * minute, 100), (16 * minute, 1000)):
        put(key, midnight + offset, amount_nanos=amount)
    settle()
    span = Span.of_days(date(2026, 11, 9), date(2026, 11, 11), ZoneInfo(zone))
    series = read_series(Scope.of_key(key), span)
    assert series.rows == [("", [1, 1110, 0])]
    assert [start.isoformat()[:16] for start in series.starts] == [
        "2026-11-09T00:00",
        "2026-11-10T00:00",
        "2026-11-11T00:00",
    ]
    hours = read_series(Scope.of_key(key), span, step="hour", measure="calls")
    assert hours.rows[0][1][23:26] == [1, 3, 0]


def test_lists_and_series_tell_keys_members_groups_and_sources_apart(
    people: People, key: APIKey, settle: Callable[[], None]
) -> None:
    other = issue_key(people.group, people.bob, "laptop")[0]
    foreign = issue_key(people.foreign_group, people.charlie, "crane")[0]
    moment = at("2026-11-10T12:00")
    put(key, moment, amount_nanos=5, model="a/small", input_tokens=7)
    put(key, moment, amount_nanos=50, model="b/large", source="task", images=2)
    put(other, moment, amount_nanos=500, model="a/small")
    put(other, moment, status="timed_out", model="")
    put(foreign, moment, amount_nanos=9999)
    settle()
    span = Span.of_days(date(2026, 11, 1), date(2026, 11, 30), UTC)
    group = Scope.of_group(people.group)

    def spent(
        by: usage_analytics.By, scope: Scope = group
    ) -> list[tuple[usage_analytics.Key, int]]:
        found = [(name, totals.amount_nanos) for name, totals in read_top(scope, span, by)]
        series = read_series(scope, span, by=by, step="month")
        assert [(name, sum(values)) for name, values in series.rows] == [
            (name, nanos) for name, nanos in found if nanos
        ]
        return found

    assert spent("model") == [("a/small", 505), ("b/large", 50), ("", 0)]
    assert spent("key") == [(other.pk, 500), (key.pk, 55)]
    assert spent("member") == [(people.bob.pk, 500), (people.alice.pk, 55)]
    assert spent("source") == [("api", 505), ("task", 50)]
    assert spent("channel") == [(None, 555)]
    assert spent("none") == [("", 555)]
    assert spent("group", Scope.of_organization(people.organization)) == [(people.group.pk, 555)]
    assert spent("organization", Scope.everything()) == [
        (people.foreign_organization.pk, 9999),
        (people.organization.pk, 555),
    ]
    assert read_totals(Scope.of_key(key), span).amount_nanos == 55
    assert read_totals(group.only("task"), span) == Totals(
        completed=1, amount_nanos=50, images=2, latencies=1
    )


def test_steps_and_latencies(key: APIKey, settle: Callable[[], None]) -> None:
    moment = at("2026-11-10T12:00")
    for milliseconds in (100, 200, 300):
        put(key, moment, duration_ms=milliseconds, first_token_ms=milliseconds // 10)
    put(key, moment, status="upstream_failed", duration_ms=600_000)
    put(key, moment + timedelta(days=1), duration_ms=5000)
    settle()
    span = Span.of_days(date(2026, 11, 9), date(2026, 11, 11), UTC)
    starts, steps = read_steps(Scope.of_key(key), span)
    assert [(totals.calls, totals.errors, totals.duration_ms) for totals in steps] == [
        (0, 0, 0),
        (4, 1, 600),
        (1, 0, 5000),
    ]
    assert steps[1].first_tokens == 3
    [(_key, timed)] = read_top(Scope.of_key(key), span, "model")
    [(_key, untimed)] = read_top(Scope.of_key(key), span, "model", with_times=False)
    assert timed.latencies > 0
    assert untimed == replace(timed, latencies=0, first_token_latencies=0)
    same_starts, latencies = read_latencies(Scope.of_key(key), span)
    assert same_starts == starts
    assert [totals.latency_ms(50) for totals in latencies] == [
        totals.latency_ms(50) for totals in steps
    ]
    assert latencies[0].latency_ms(95) is None
    assert 180 <= (latencies[1].latency_ms(50) or 0) <= 220
    assert 18 <= (latencies[1].time_to_first_token_ms(50) or 0) <= 22
    assert latencies[2].time_to_first_token_ms(50) is None


def test_totals_derive_what_pages_show() -> None:
    totals = Totals(
        completed=6,
        refused=1,
        lost=1,
        input_tokens=60,
        cached_input_tokens=30,
        cache_write_tokens=10,
        output_tokens=5,
        audio_output_tokens=2,
        reasoning_tokens=4,
        list_nanos=100,
        amount_nanos=45,
        written_off_nanos=5,
    )
    assert (totals.calls, totals.errors) == (8, 2)
    assert (totals.tokens_in, totals.tokens_out, totals.tokens) == (100, 7, 107)
    assert totals.saved_nanos == 50
    assert (totals.error_permille, totals.cached_permille) == (250, 300)
    assert Totals().error_permille is Totals().cached_permille is None
    assert totals + Totals(completed=1, lost=2) == Totals(
        **{**vars(totals), "completed": 7, "lost": 3}
    )


@pytest.mark.parametrize("seed", range(3))
def test_any_mixture_of_sums_and_tail_reads_the_same(key: APIKey, seed: int) -> None:
    chance = random.Random(seed)
    began = at("2026-11-01T00:00")
    for _ in range(60):
        moment = began + timedelta(seconds=chance.randrange(9 * 86400))
        put(key, moment, amount_nanos=chance.randrange(10**9), duration_ms=chance.randrange(10**5))
    zone = ZoneInfo(chance.choice(ZONES))
    spans = [
        Span(began + timedelta(minutes=15 * a), began + timedelta(minutes=15 * b), zone)
        for a, b in (sorted(chance.sample(range(9 * 96), 2)) for _ in range(4))
    ]
    scope = Scope.of_key(key)

    def read() -> list[object]:
        return [
            (
                read_totals(scope, span),
                read_series(scope, span),
                read_steps(scope, span, step="hour"),
            )
            for span in spans
        ]

    before = read()
    while roll_up(7):
        assert read() == before


def test_a_snapshot_within_a_transaction_is_that_of_the_transaction(people: People) -> None:
    span = Span.of_days(date(2026, 11, 1), date(2026, 11, 1), UTC)
    with one_snapshot(), connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert read_totals(Scope.of_group(people.group), span) == Totals()
