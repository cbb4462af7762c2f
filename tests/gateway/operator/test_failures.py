"""Failing calls put together by what they have in common."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from accounts.ids import uuid7
from accounts.key_services import issue_key
from accounts.models import APIKey
from gateway.models import CallRecord
from gateway.operator import failures
from gateway.operator.failures import read_failures
from tests.gateway.operator.shop import add_channel, tried
from tests.people import People

DAY = timedelta(days=1)
FAILED: dict[str, Any] = {
    "status": "upstream_failed",
    "error_code": "upstream_error",
    "attempt": {"status": 500},
}
SCRIPT = "<script>alert(1)</script>"


def test_calls_that_failed_in_the_same_way_stand_together(key: APIKey, people: People) -> None:
    other = issue_key(people.foreign_group, people.charlie, "x")[0]
    oldest = tried(key, seconds_ago=7200, **FAILED)
    tried(other, seconds_ago=3600, **FAILED)
    newest = tried(key, seconds_ago=60, error_message="the newest", **FAILED)
    tried(key, channel="openai:spare", **FAILED)
    tried(key, model="openai/else", **FAILED)
    tried(key, **FAILED | {"error_code": "other"})
    tried(key, **FAILED | {"attempt": {"status": 503}})
    tried(key, status="refused", error_code="insufficient_credits", attempts=[])
    tried(key)
    found = read_failures(DAY, {})
    assert (found.calls, len(found.rows), found.is_cut) == (8, 6, False)
    row = found.rows[0]
    assert (row.channel, row.model, row.http_status, row.calls, row.organizations) == (
        "openai:main", "openai/gpt-5.5", 500, 3, 2,
    )  # fmt: skip
    assert (row.first_at, row.last_at, row.message) == (
        oldest.created_at,
        newest.created_at,
        "the newest",
    )
    assert row.examples[0].pk == newest.pk
    assert (sum(1 for bar in row.bars if bar), row.bars[-1]) == (3, 100)


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        ({"status": "refused"}, 1),
        ({"status": "lost"}, 0),
        ({"channel": "openai:main"}, 1),
        ({"model": "GPT-5"}, 2),
        ({"model": "nothing"}, 0),
        ({"organization": "arden"}, 2),
        ({"organization": "crane"}, 0),
    ],
)
def test_filters_let_through_what_they_name(
    key: APIKey, wanted: dict[str, str], count: int
) -> None:
    tried(key, **FAILED)
    tried(key, status="refused", attempts=[])
    assert read_failures(DAY, wanted).calls == count


def test_older_calls_are_not_looked_at(key: APIKey) -> None:
    tried(key, seconds_ago=7200, **FAILED)
    assert read_failures(timedelta(hours=1), {}).calls == 0


def test_beyond_the_limit_only_the_newest_are_read(
    key: APIKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failures, "READ_MAX", 2)
    for seconds in (10, 20, 30):
        tried(key, seconds_ago=seconds, **FAILED)
    found = read_failures(DAY, {})
    assert (found.calls, found.is_cut) == (2, True)


def test_the_index_of_failing_calls_serves_the_page(key: APIKey) -> None:
    fine = tried(key)
    same = {name: getattr(fine, name) for name in ("organization_id", "group_id", "created_at")}
    CallRecord.objects.bulk_create(
        CallRecord(id=uuid7(), api_key_id=key.pk, endpoint="x", status="completed", **same)
        for _ in range(3000)
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "ANALYZE gateway_callrecord"
        )  # or the plan follows what other tests left behind
        cursor.execute(
            "EXPLAIN SELECT id FROM gateway_callrecord"
            " WHERE status IN ('upstream_failed', 'timed_out', 'lost', 'refused')"
            " AND id >= '019a0000-0000-7000-8000-000000000000' ORDER BY id DESC LIMIT 20001"
        )
        plan = " ".join(row[0] for row in cursor.fetchall())
    assert "gateway_callrecord_failing" in plan


def test_the_page_links_channels_and_examples_and_escapes(olga: Client, key: APIKey) -> None:
    channel = add_channel()
    call = tried(key, **FAILED | {"error_message": SCRIPT, "model": SCRIPT})
    html = olga.get("/operator/failures/").content.decode()
    assert f"/operator/channels/{channel.pk}/" in html
    assert f"/calls/{call.public_id}/" in html
    assert SCRIPT not in html
    assert "No failing call matches" in olga.get("/operator/failures/?model=zzz").content.decode()
    assert olga.get("/operator/failures/?channel=gone:main").context["found"].calls == 0
