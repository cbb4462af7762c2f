"""Filters as they stand in the URL."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from accounts.services import issue_key
from gateway.pages.forms import CallFilterForm, MonthForm
from gateway.pages.history import CallFilter
from tests.people import People

NOW = datetime(2026, 11, 21, 20, 30, tzinfo=UTC)


def wanted(people: People, **query: str) -> CallFilter:
    form = CallFilterForm(query, people.group)
    assert form.is_valid(), form.errors
    return form.wanted(NOW)


def test_an_empty_query_restricts_nothing(people: People) -> None:
    assert wanted(people) == CallFilter()
    assert CallFilterForm({"source": "", "key": ""}, people.group).query() == {}


@pytest.mark.parametrize(
    ("period", "back"),
    [("24h", timedelta(hours=24)), ("7d", timedelta(days=7)), ("30d", timedelta(days=30))],
)
def test_a_period_counts_back_from_now(people: People, period: str, back: timedelta) -> None:
    assert wanted(people, period=period).since == NOW - back


def test_today_began_at_midnight_of_the_viewer(people: People) -> None:
    with timezone.override("Asia/Seoul"):
        since = wanted(people, period="today").since
    assert since is not None
    assert since.astimezone(UTC) == datetime(2026, 11, 21, 15, 0, tzinfo=UTC)


def test_a_span_of_ones_own_is_in_the_viewers_zone(people: People) -> None:
    with timezone.override("Asia/Seoul"):
        found = wanted(people, period="custom", since="2026-11-01T09:00", until="2026-11-02T09:00")
    assert found.since == datetime(2026, 11, 1, tzinfo=UTC)
    assert found.until == datetime(2026, 11, 2, tzinfo=UTC)


def test_a_span_is_looked_at_only_when_it_was_asked_for(people: People) -> None:
    query = {"since": "2026-11-01T09:00", "period": "7d", "model": "a/b"}
    form = CallFilterForm(query, people.group)
    assert form.query() == {"model": "a/b", "period": "7d"}
    assert wanted(people, **query).since == NOW - timedelta(days=7)


@pytest.mark.parametrize(
    "query",
    [
        {"source": "nonsense"},
        {"status": "nonsense"},
        {"period": "1y"},
        {"key": "nonsense"},
        {"key": str(uuid4())},
        {"period": "custom", "since": "nonsense"},
        {"period": "custom", "since": "2026-11-02T00:00", "until": "2026-11-01T00:00"},
    ],
)
def test_nonsense_is_refused(people: People, query: dict[str, str]) -> None:
    assert not CallFilterForm(query, people.group).is_valid()


def test_only_keys_of_the_group_can_be_chosen(people: People) -> None:
    mine = issue_key(people.group, people.alice, "mine")[0]
    his = issue_key(people.foreign_group, people.charlie, "his")[0]
    assert wanted(people, key=str(mine.pk)).key_id == mine.pk
    assert not CallFilterForm({"key": str(his.pk)}, people.group).is_valid()


def test_an_old_link_may_name_a_model_that_nobody_calls_any_more(people: People) -> None:
    assert wanted(people, model="gone/model").model == "gone/model"


@pytest.mark.parametrize("month", ["", "2026", "2026-13", "1999-12", "9999-12", "2026-1", "x"])
def test_what_is_no_month_is_no_month(month: str) -> None:
    assert MonthForm({"month": month}).first_day() is None


def test_a_month_begins_in_the_viewers_zone() -> None:
    with timezone.override("Asia/Seoul"):
        first = MonthForm({"month": "2026-11"}).first_day()
    assert first is not None
    assert first.astimezone(UTC) == datetime(2026, 10, 31, 15, tzinfo=UTC)
