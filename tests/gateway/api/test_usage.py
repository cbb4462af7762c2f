"""Usage by program: sums that are those of the records and of the pages."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from gateway.models import CallRecord
from gateway.usage_analytics import Scope, Span, read_totals
from tests.gateway.api.conftest import Keys
from tests.gateway.call_rows import record
from tests.management import ManagementClient
from tests.people import People


def usage(client: ManagementClient, people: People, query: str = "") -> Any:
    return client.get(f"groups/{people.group.pk}/usage{query}")


def test_totals_are_those_of_the_records(
    people: People, calls: Keys, alice: ManagementClient
) -> None:
    body = usage(alice, people, "?period=12m&by=key").body
    totals = body["totals"]
    records = CallRecord.objects.filter(group=people.group)
    assert totals["calls"] == records.count() == 6
    assert totals["errors"] == 2
    assert totals["charge"] == "1.005"
    assert totals["list_price"] == "2.01"
    assert {row["name"]: row["totals"]["calls"] for row in body["rows"]} == {
        "Bob's key": 4,
        "Alice's key": 2,
    }
    assert body["rows"][0]["id"] == str(calls.bob.pk), "the dearest comes first"
    assert body["rest"] is None


def test_steps_add_up_to_the_totals(people: People, calls: Keys, alice: ManagementClient) -> None:
    body = usage(alice, people, "?period=30d&interval=day&by=model").body
    assert len(body["steps"]) == 30
    for name in ("calls", "tokens", "images", "errors"):
        assert sum(step["totals"][name] for step in body["steps"]) == body["totals"][name]
    for row in body["rows"]:
        assert len(row["charges"]) == len(row["calls"]) == len(row["tokens"]) == 30
        assert sum(row["calls"]) == row["totals"]["calls"]


def test_days_begin_in_the_time_zone(people: People, keys: Keys, alice: ManagementClient) -> None:
    at = datetime(2026, 3, 1, 16, 0, tzinfo=UTC)
    record(keys.alice, (timezone.now() - at).total_seconds())
    day = "?since=2026-03-01&until=2026-03-01&interval=day"
    assert usage(alice, people, day).body["totals"]["calls"] == 1
    seoul = usage(alice, people, f"{day}&timezone=Asia/Seoul").body
    assert (seoul["totals"]["calls"], seoul["timezone"]) == (0, "Asia/Seoul")
    assert seoul["steps"][0]["start"] == "2026-03-01T00:00:00+09:00"


def test_a_key_and_a_source_restrict(people: People, calls: Keys, alice: ManagementClient) -> None:
    assert usage(alice, people, f"?key={calls.alice.pk}").body["totals"]["calls"] == 2
    assert usage(alice, people, "?source=task").body["totals"]["calls"] == 1
    refused = usage(alice, people, f"?key={calls.charlie.pk}")
    assert (refused.status, refused.param) == (400, "key")


def test_who_used_what_is_for_managers(
    people: People, calls: Keys, alice: ManagementClient, bob: ManagementClient
) -> None:
    assert usage(bob, people, "?by=member").status == 403
    assert usage(bob, people, "?by=key").status == 200
    rows = usage(alice, people, "?by=member").body["rows"]
    assert {row["name"] for row in rows} == {"Alice Arden", "Bob Brook"}


def test_an_organization_has_the_sum_of_its_groups(
    people: People, calls: Keys, alice: ManagementClient, charlie: ManagementClient
) -> None:
    path = f"organizations/{people.organization.pk}/usage?by=group"
    body = alice.get(path).body
    assert body["totals"]["calls"] == 6
    assert [row["name"] for row in body["rows"]] == ["Research"]
    span = Span.of_days(timezone.localdate(), timezone.localdate(), UTC)
    assert read_totals(Scope.everything(), span).calls > 0
    assert charlie.get(path).status == 404


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("period=1y", "period"),
        ("period=7d&since=2026-01-01", "period"),
        ("month=2026-13", "month"),
        ("month=2026-01&since=2026-01-01", "month"),
        ("since=2026-02-30", "since"),
        ("since=2026-02-02&until=2026-02-01", "since"),
        ("until=2026-02-01", "until"),
        ("since=2001-01-01", "since"),
        ("since=%00", "since"),
        ("timezone=../../etc/passwd", "timezone"),
        ("timezone=Mars/Base", "timezone"),
        ("timezone=%00", "timezone"),
        ("timezone=", "timezone"),
        (f"timezone={'x' * 300}", "timezone"),
        ("interval=minute", "interval"),
        ("period=12m&interval=hour", "interval"),
        ("by=group", "by"),
        ("by=model&by=key", "by"),
        ("source=web", "source"),
        ("key=1", "key"),
        ("limit=1", "limit"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_its_name(
    people: People, alice: ManagementClient, query: str, param: str
) -> None:
    answer = usage(alice, people, f"?{query}")
    assert (answer.status, answer.param) == (400, param)


def test_questions_do_not_grow_with_the_calls(
    people: People, calls: Keys, alice: ManagementClient
) -> None:
    def questions() -> int:
        with CaptureQueriesContext(connection) as asked:
            assert usage(alice, people, "?by=key").status == 200
        return len(asked)

    questions()  # the first of a minute is counted in another way
    few = questions()
    for ago in range(20):
        record(calls.alice, ago, model=f"openai/model-{ago}")
    assert questions() == few
