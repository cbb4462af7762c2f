"""What the pages read from the records of calls."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.ids import first_id_at
from accounts.models import APIKey, Group
from accounts.services import issue_key
from gateway.models import CallRecord
from gateway.pages import history
from gateway.pages.history import CallFilter, find_calls, read_page, read_usage
from tests.people import People

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def record(key: APIKey, at: datetime, **fields: Any) -> CallRecord:
    """A call of that key; completed unless told otherwise."""
    group: Group = key.group
    return CallRecord.objects.create(
        id=UUID(int=first_id_at(at).int | uuid4().int & (2**62 - 1)),
        organization_id=group.organization_id,
        group=group,
        api_key=key,
        created_at=at,
        **{"endpoint": "chat/completions", "model": "openai/gpt-5.5", "status": "completed"}
        | fields,
    )


def test_calls_are_newest_first_and_of_one_group_only(people: People, key: APIKey) -> None:
    older, newer = record(key, NOW - timedelta(hours=1)), record(key, NOW)
    foreign = issue_key(people.foreign_group, people.charlie, "his")[0]
    record(foreign, NOW)
    assert list(find_calls(people.group, CallFilter())) == [newer, older]


def test_filters_combine(people: People, key: APIKey) -> None:
    other = issue_key(people.group, people.bob, "laptop")[0]
    wanted = record(key, NOW, source="task", model="a/b", status="timed_out")
    record(key, NOW, source="task", model="a/b")
    record(key, NOW, source="task", status="timed_out")
    record(key, NOW, model="a/b", status="timed_out")
    record(other, NOW, source="task", model="a/b", status="timed_out")
    found = find_calls(
        people.group, CallFilter(source="task", key_id=key.pk, model="a/b", status="timed_out")
    )
    assert list(found) == [wanted]


def test_a_span_of_time_begins_inclusively_and_ends_exclusively(
    people: People, key: APIKey
) -> None:
    hour = timedelta(hours=1)
    calls = [record(key, NOW + index * hour) for index in range(4)]
    found = find_calls(people.group, CallFilter(since=NOW + hour, until=NOW + 3 * hour))
    assert list(found) == [calls[2], calls[1]]


def test_a_clock_that_is_minutes_off_hides_no_call(people: People, key: APIKey) -> None:
    call = record(key, NOW)
    CallRecord.objects.filter(pk=call.pk).update(created_at=NOW + timedelta(minutes=8))
    later = NOW + timedelta(minutes=5)
    assert list(find_calls(people.group, CallFilter(since=later))) == [call]
    assert not find_calls(people.group, CallFilter(until=later)).exists()


def test_paging_meets_every_call_once_in_both_directions(
    people: People, key: APIKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "PAGE_ROWS", 4)
    everything = [record(key, NOW + timedelta(seconds=index)) for index in range(11)][::-1]
    calls = find_calls(people.group, CallFilter())
    pages = [read_page(calls)]
    while pages[-1].older:
        pages.append(read_page(calls, before=pages[-1].older))
    assert [row for page in pages for row in page.rows] == everything
    assert [len(page.rows) for page in pages] == [4, 4, 3]
    assert pages[0].newer is None
    assert read_page(calls, after=pages[2].newer).rows == pages[1].rows
    assert read_page(calls, after=pages[1].newer).rows == pages[0].rows


def test_a_call_that_ran_long_changes_the_fingerprint_though_it_is_not_the_newest(
    people: People, key: APIKey
) -> None:
    record(key, NOW)
    calls = find_calls(people.group, CallFilter())
    before = history.fingerprint(read_page(calls).rows)
    assert before == history.fingerprint(read_page(calls).rows)
    record(key, NOW - timedelta(minutes=9))
    assert history.fingerprint(read_page(calls).rows) != before


def test_the_page_is_read_from_the_index_of_the_group(people: People, key: APIKey) -> None:
    CallRecord.objects.bulk_create(
        CallRecord(
            id=UUID(int=first_id_at(NOW).int + index),
            organization_id=people.organization.pk,
            group=people.group if index % 50 == 0 else people.foreign_group,
            api_key=key,
            created_at=NOW,
            status="completed",
        )
        for index in range(4000)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE gateway_callrecord")
    plan = find_calls(people.group, CallFilter(since=NOW - timedelta(days=1)))[:51].explain()
    assert "gateway_callrecord_of_group" in plan
    assert "Sort" not in plan


def test_models_to_choose_from_are_those_called_lately(people: People, key: APIKey) -> None:
    for model in ("b/two", "a/one", "b/two", ""):
        record(key, NOW, model=model)
    assert history.recent_models(people.group) == ["a/one", "b/two"]
    assert history.recent_models(people.foreign_group) == []


def test_a_key_shows_its_month_and_its_last_use(people: People, key: APIKey) -> None:
    idle = issue_key(people.group, people.bob, "idle")[0]
    now = timezone.now()
    last = record(key, now, amount_nanos=5)
    record(key, now, amount_nanos=7, status="client_gone")
    record(key, now - timedelta(days=40), amount_nanos=1000)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        activity = history.key_activity(people.group)
    assert (activity[key.pk].calls, activity[key.pk].spent_nanos) == (2, 12)
    assert activity[key.pk].last_used_at == last.created_at
    assert activity[idle.pk] == (0, 0, None)
    assert len(queries) == 2, "not one query for each key"


def test_usage_adds_up_by_model_key_and_the_viewers_day(people: People, key: APIKey) -> None:
    other = issue_key(people.group, people.bob, "laptop")[0]
    with timezone.override("Asia/Seoul"):
        first = timezone.make_aware(datetime(2026, 11, 1))  # noqa: DTZ001
        last = timezone.make_aware(datetime(2026, 12, 1))  # noqa: DTZ001
        late = datetime(2026, 11, 1, 15, 30, tzinfo=UTC)  # already the 2nd in Seoul
        tokens = {
            "input_tokens": 10,
            "cached_input_tokens": 4,
            "cache_write_tokens": 3,
            "output_tokens": 5,
        }
        record(key, late, amount_nanos=100, list_nanos=200, basis="reported", **tokens)
        record(other, late, amount_nanos=1, list_nanos=2, model="a/b", images=2)
        record(key, late + timedelta(days=2), status="upstream_failed", error_code="x")
        record(key, datetime(2026, 10, 31, 14, 59, 59, tzinfo=UTC), amount_nanos=9999)
        record(key, datetime(2026, 11, 30, 15, 0, tzinfo=UTC), amount_nanos=9999)
        usage = read_usage(people.group, first, last)
    assert usage.total == (3, 1, 13, 4, 5, 2, 202, 101)
    assert [name for name, _sums in usage.models] == ["openai/gpt-5.5", "a/b"]
    assert [key_id for key_id, _sums in usage.keys] == [key.pk, other.pk]
    assert usage.days == {2: {"openai/gpt-5.5": 100, "a/b": 1}, 4: {"openai/gpt-5.5": 0}}
    assert (usage.total.tokens, usage.total.error_percent) == (22, "33.3%")
