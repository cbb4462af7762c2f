"""Figures of keys: of this month, and how much of each limit is used."""

from datetime import timedelta

from django.utils import timezone

from accounts.key_services import issue_key
from accounts.models import APIKey
from billing.models import Limit
from gateway.pages.key_figures import (
    Meter,
    budget_meters,
    find_limit,
    last_minute_calls,
    rate_meters,
    read_figures,
)
from tests.gateway.call_rows import record
from tests.people import People

DAY_S = 86_400


def test_figures_are_those_of_this_month_and_of_each_key(people: People, key: APIKey) -> None:
    other = issue_key(people.group, people.bob, "other")[0]
    idle = issue_key(people.group, people.bob, "idle")[0]
    record(key, seconds_ago=40 * DAY_S, amount_nanos=500)
    record(other, seconds_ago=40 * DAY_S, amount_nanos=700)
    latest = record(key, amount_nanos=30)
    record(key, amount_nanos=4)
    figures = read_figures(people.group, [key, other, idle])
    assert (figures[key.pk].calls, figures[key.pk].spent_nanos) == (2, 34)
    used_at = figures[key.pk].last_used_at
    assert used_at is not None
    assert used_at >= latest.created_at
    assert (figures[other.pk].calls, figures[other.pk].spent_nanos) == (0, 0)
    assert figures[other.pk].last_used_at is not None
    assert figures[idle.pk] == (0, 0, None, None)
    assert read_figures(people.group, [key])[key.pk] == figures[key.pk]
    assert read_figures(people.group, []) == {}


def test_a_counter_of_a_day_a_month_or_a_minute_that_is_over_counts_nothing(key: APIKey) -> None:
    now = timezone.now()
    limit = Limit(api_key=key, day_nanos=9, month_nanos=9, lifetime_nanos=9, requests_per_minute=9)
    for used in ("day_spent_nanos", "month_spent_nanos", "lifetime_spent_nanos", "window_requests"):
        setattr(limit, used, 5)
    limit.day = limit.month = (now - timedelta(days=40)).date()
    limit.window_started_at = now - timedelta(seconds=61)
    assert [(one.name, one.used) for one in budget_meters(limit)] == [
        ("day", 0),
        ("month", 0),
        ("lifetime", 5),
    ]
    assert [one.used for one in rate_meters(limit)] == [0]
    limit.day, limit.month = now.date(), now.date().replace(day=1)
    limit.window_started_at = now
    assert [one.used for one in budget_meters(limit)] == [5, 5, 5]
    assert [one.used for one in rate_meters(limit)] == [5]


def test_without_limits_there_are_no_meters(people: People, key: APIKey) -> None:
    assert find_limit(key) is None
    assert (budget_meters(None), rate_meters(None)) == ([], [])
    of_group = Limit.objects.create(group=people.group, concurrent_calls=3)
    assert (find_limit(key), find_limit(people.group)) == (None, of_group)


def test_a_meter_warns_near_its_limit_and_never_overflows() -> None:
    def meter(used: int) -> Meter:
        return Meter("month", "This month", used, 100, "")

    assert [meter(used).level for used in (0, 79, 80, 99, 100, 250)] == [
        "good",
        "good",
        "warn",
        "warn",
        "bad",
        "bad",
    ]
    assert [meter(used).percent for used in (0, 99, 100, 250)] == [0, 99, 100, 100]


def test_the_last_minute_is_of_this_key_alone(people: People, key: APIKey) -> None:
    other = issue_key(people.group, people.bob, "other")[0]
    for one, age in ((key, 1), (key, 50), (key, 70), (other, 1)):
        record(one, seconds_ago=age)
    assert last_minute_calls(key) == 2
