"""Filters as they stand in the URL."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.http import QueryDict
from django.utils import timezone

from accounts.key_services import issue_key
from gateway.pages.forms import CallFilterForm, encode_query
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


HOSTILE = ["\x00", "x\x00y", "9" * 400, "-1", "a" * 10_000, "nan", "<script>"]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize(
    "name",
    [
        "source",
        "key",
        "member",
        "status",
        "period",
        "endpoint",
        "stream",
        "charge_min",
        "duration_min",
        "find",
        "size",
    ],
)
def test_hostile_values_are_refused_in_words(people: People, name: str, text: str) -> None:
    form = CallFilterForm({name: text}, people.group)
    assert not form.is_valid()
    assert list(form.errors) == [name]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_model_that_cannot_be_a_name_is_refused(people: People, text: str) -> None:
    form = CallFilterForm({"model": text, "error": text}, people.group)
    is_name = len(text) <= 120 and "\x00" not in text
    assert form.is_valid() is is_name, "a name that nobody calls finds nothing, and is no fault"


@pytest.mark.parametrize("moment", ["0001-01-01T00:00", "9999-12-31T23:59", "1999-12-31T23:59"])
def test_a_date_that_has_no_surroundings_is_refused(people: People, moment: str) -> None:
    with timezone.override("Asia/Seoul"):
        for name in ("since", "until"):
            form = CallFilterForm({"period": "custom", name: moment}, people.group)
            assert not form.is_valid()
            assert list(form.errors) == [name]


def test_amounts_and_durations_are_exact(people: People) -> None:
    found = wanted(people, charge_min="$1,000.000000001", duration_min="2.5")
    assert (found.charge_min_nanos, found.duration_min_ms) == (1_000_000_000_001, 2500)


def test_several_statuses_live_in_the_query(people: People) -> None:
    form = CallFilterForm(QueryDict("status=lost&status=refused&size=50"), people.group)
    assert form.is_valid()
    assert form.wanted(NOW).statuses == ("lost", "refused")
    assert form.query() == {"status": ["lost", "refused"]}
    assert encode_query(form.query()) == "status=lost&status=refused"


def test_a_member_means_the_keys_that_he_made(people: People) -> None:
    mine = issue_key(people.group, people.alice, "mine")[0]
    others = [issue_key(people.group, people.bob, name)[0] for name in ("one", "two")]
    found = wanted(people, member=str(people.bob.pk)).key_ids
    assert found is not None
    assert set(found) == {key.pk for key in others}
    assert wanted(people, member=str(people.bob.pk), key=str(mine.pk)).key_ids == ()
    assert not CallFilterForm({"member": str(people.charlie.pk)}, people.group).is_valid()


@pytest.mark.parametrize(("size", "rows"), [("", 50), ("25", 25), ("50", 50), ("100", 100)])
def test_a_page_has_one_of_three_sizes(people: People, size: str, rows: int) -> None:
    form = CallFilterForm({"size": size}, people.group)
    assert form.is_valid()
    assert form.cleaned_data["size"] == rows


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
    assert wanted(people, key=str(mine.pk)).key_ids == (mine.pk,)
    assert not CallFilterForm({"key": str(his.pk)}, people.group).is_valid()


def test_an_old_link_may_name_a_model_that_nobody_calls_any_more(people: People) -> None:
    assert wanted(people, model="gone/model").model == "gone/model"
