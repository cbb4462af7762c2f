"""The history of calls by program."""

from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.models import APIKey
from gateway.models import CallRecord
from tests.gateway.api.conftest import Keys
from tests.gateway.call_rows import record, rows_of
from tests.management import ManagementClient
from tests.people import People


def path_of(people: People, **query: Any) -> str:
    return f"groups/{people.group.pk}/calls?{urlencode(query, doseq=True)}"


# As the API names a filter, and as the page of the history does.
FILTERS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"source": "task"}, {"source": "task"}),
    ({"source": "api"}, {"source": "api"}),
    ({"model": "openai/gpt-5.5"}, {"model": "openai/gpt-5.5"}),
    ({"status": ["upstream_failed", "refused"]}, {"status": ["upstream_failed", "refused"]}),
    ({"status": "completed", "stream": "true"}, {"status": "completed", "stream": "yes"}),
    ({"stream": "false"}, {"stream": "no"}),
    ({"endpoint": "messages"}, {"endpoint": "messages"}),
    ({"error_code": "upstream_error"}, {"error": "upstream_error"}),
    ({"charge_min": "0.005"}, {"charge_min": "0.005"}),
    ({"charge_min": "0.0051"}, {"charge_min": "0.0051"}),
    ({"duration_min_ms": 9000}, {"duration_min": "9"}),
    ({"key": "bob"}, {"key": "bob"}),
    ({"member": "alice"}, {"member": "alice"}),
    ({"member": "alice", "key": "bob"}, {"member": "alice", "key": "bob"}),
]


@pytest.mark.parametrize(
    ("api", "page"), FILTERS, ids=[urlencode(one[0], doseq=True) for one in FILTERS]
)
def test_a_filter_finds_what_the_page_finds(
    people: People, calls: Keys, alice: ManagementClient, api: dict[str, Any], page: dict[str, Any]
) -> None:
    named = {"key": {"bob": calls.bob.pk}, "member": {"alice": people.alice.pk}}
    for query in (api, page):
        query |= {
            name: named[name].get(value, value) for name, value in query.items() if name in named
        }
    client = Client()
    client.force_login(people.alice)
    address = reverse("group_calls", args=[people.group.pk])
    shown = rows_of(client.get(f"{address}?{urlencode(page, doseq=True)}").content.decode())
    answer = alice.get(path_of(people, **api))
    assert answer.status == 200
    assert answer.ids == shown
    assert shown or ("member" in api and "key" in api)


def test_a_span_of_time_begins_with_its_first_moment_and_ends_before_its_last(
    people: People, keys: Keys, alice: ManagementClient
) -> None:
    older, newer = record(keys.alice, 60), record(keys.alice, 30)
    between = {"since": older.created_at.isoformat(), "until": newer.created_at.isoformat()}
    assert alice.get(path_of(people, **between)).ids == [older.public_id]
    assert alice.get(path_of(people, since=newer.created_at.isoformat())).ids == [newer.public_id]


def test_pages_are_complete_while_calls_come_in(
    people: People, keys: Keys, alice: ManagementClient
) -> None:
    expected = [record(keys.alice, ago).public_id for ago in range(10, 60)]
    seen: list[str] = []
    after: dict[str, str] = {}
    for _page in range(20):
        answer = alice.get(path_of(people, limit=7, **after)).body
        seen += [row["id"] for row in answer["data"]]
        record(keys.alice, 0)
        record(keys.charlie, 30)
        if not answer["has_more"]:
            break
        after = {"after": answer["next"]}
    assert answer["next"] is None
    assert seen == expected


def test_a_page_whose_time_was_over_says_where_to_go_on(
    people: People, keys: Keys, alice: ManagementClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = record(keys.alice, 100, stream=True).public_id
    for ago in range(60):
        record(keys.alice, ago)
    monkeypatch.setattr("gateway.pages.walks.FURTHER_S", 0)
    monkeypatch.setattr("gateway.pages.walks.FIRST_SLICE", 2)
    monkeypatch.setattr("gateway.pages.walks.LARGEST_SLICE", 2)
    query: dict[str, Any] = {"stream": "true", "limit": 1}
    first = alice.get(path_of(people, **query)).body
    assert (first["data"], first["has_more"]) == ([], True)
    found: list[str] = []
    answer = first
    while answer["has_more"] and not found:
        answer = alice.get(path_of(people, **query, after=answer["next"])).body
        found = [row["id"] for row in answer["data"]]
    assert found == [wanted]


def test_a_call_is_answered_as_its_own_key_gets_it(
    people: People, calls: Keys, alice: ManagementClient
) -> None:
    [row] = alice.get(path_of(people, charge_min="0.5")).body["data"]
    assert row["key"] == {"id": str(calls.bob.pk), "name": "Bob's key"}
    assert (row["charge"], row["list_price"], row["currency"]) == ("1.00", "2.00", "USD")
    assert row["usage"]["basis"] == "reported"
    assert (row["object"], row["task_id"], row["error"]) == ("call", None, None)


def test_attempts_are_for_operators(
    people: People, keys: Keys, bob: ManagementClient, olga: ManagementClient
) -> None:
    attempt = {"channel": "openai:main", "status": 500, "error": None, "ms": 7}
    call = record(keys.alice, attempts=[attempt])
    path = f"groups/{people.group.pk}/calls/{call.public_id}"
    told = bob.get(path)
    assert told.status == 200
    assert "attempts" not in told.body
    assert "openai:main" not in str(told.body)
    assert olga.get(path).body["attempts"] == [attempt]


def test_the_lines_of_a_call_add_up_to_its_charge(
    people: People, keys: Keys, alice: ManagementClient, price_book: None
) -> None:
    from billing.models import Price

    price = Price.objects.filter(model="openai/gpt-5.5", group=None).in_force(timezone.now())[0]
    call = record(
        keys.alice, price_id=price.pk, input_tokens=1000, output_tokens=500, hold_nanos=10**9
    )
    answer = alice.get(f"groups/{people.group.pk}/calls/{call.public_id}").body
    assert [line["bucket"] for line in answer["lines"]] == ["input", "output"]
    assert answer["price_id"] == price.pk
    assert answer["hold"] == "1.00"


def test_nobody_else_sees_the_calls(people: People, calls: Keys, charlie: ManagementClient) -> None:
    call = CallRecord.objects.filter(group=people.group)[0]
    assert charlie.get(path_of(people)).status == 404
    assert charlie.get(f"groups/{people.group.pk}/calls/{call.public_id}").status == 404
    own = f"groups/{people.foreign_group.pk}/calls"
    assert charlie.get(f"{own}/{call.public_id}").status == 404
    assert charlie.get(f"{own}?key={calls.alice.pk}").ids == []
    assert charlie.get(f"{own}?member={people.alice.pk}").ids == []
    assert len(charlie.get(own).ids) == 1


HOSTILE = [
    ("source", "web"), ("status", "done"), ("status", ""), ("key", "1"), ("key", "\x00"), ("member", "0"),
    ("member", "9" * 30), ("member", "1e3"), ("model", "\x00"), ("model", "x" * 121), ("endpoint", "files"),
    ("stream", "yes"), ("error_code", "\x00"), ("charge_min", "-1"), ("charge_min", "0"), ("charge_min", "1e30"),
    ("charge_min", "NaN"), ("charge_min", "٣"), ("duration_min_ms", "-1"), ("duration_min_ms", "99999999999"),
    ("since", "yesterday"), ("since", "0001-01-01T00:00:00+14:00"), ("since", "2026-11-21"),
    ("until", "9999-12-31T23:59:59Z"),
    ("since", "9" * 400), ("limit", "0"), ("limit", "101"), ("limit", "x"), ("limit", "１"),
    ("after", "call_1"), ("after", "\x00"),
    ("unknown", "1"), ("__proto__", "1"), ("format", "csv"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), HOSTILE)
def test_a_value_that_makes_no_sense_is_refused_by_its_name(
    people: People, alice: ManagementClient, name: str, value: str
) -> None:
    answer = alice.get(f"groups/{people.group.pk}/calls?{name}={quote(value)}")
    assert (answer.status, answer.code) == (400, "invalid_request_error")
    assert answer.param.partition(".")[0] == name


def test_a_parameter_that_stands_twice_is_refused(people: People, alice: ManagementClient) -> None:
    answer = alice.get(path_of(people, model=["a", "b"]))
    assert (answer.status, answer.param) == (400, "model")


def test_bytes_that_are_no_text_break_nothing(people: People, alice: ManagementClient) -> None:
    for raw in ("%ED%A0%80", "%FF%FE", "%00", "%"):
        for name in ("model", "key", "after", "since", raw):
            answer = alice.get(f"groups/{people.group.pk}/calls?{name}={raw}")
            assert answer.status in (200, 400)
        for place in (f"groups/{people.group.pk}/calls/{raw}", f"groups/{raw}/calls"):
            assert alice.get(place).status == 404


def test_questions_do_not_grow_with_the_calls(
    people: People, keys: Keys, alice: ManagementClient
) -> None:
    def questions() -> int:
        with CaptureQueriesContext(
            connection,
        ) as asked:
            assert alice.get(path_of(people)).status == 200
        return len(asked)

    record(keys.alice, 1)
    alice.get("groups")
    few = questions()
    for ago in range(2, 20):
        record(keys.bob if ago % 2 else keys.alice, ago)
    assert questions() == few


@pytest.mark.parametrize("format_name", ["csv", "ndjson", "json"])
def test_the_file_is_that_of_the_page(people: People, calls: Keys, format_name: str) -> None:
    client = Client()
    client.force_login(people.alice)
    place = reverse("export_calls", args=[people.group.pk])
    page = client.get(f"{place}?format={format_name}&source=api")
    file = client.get(
        f"/api/v1/groups/{people.group.pk}/calls/export?format={format_name}&source=api",
        headers={"Accept": "text/csv"},
    )
    assert file.headers["Content-Type"] == page.headers["Content-Type"]
    assert b"".join(file.streaming_content) == b"".join(page.streaming_content)  # type: ignore[attr-defined]


def test_a_key_of_the_group_that_is_gone_is_nameless(
    people: People, keys: Keys, alice: ManagementClient
) -> None:
    call = record(keys.bob)
    CallRecord.objects.filter(pk=call.pk).update(created_at=timezone.now() - timedelta(seconds=1))
    APIKey.objects.filter(pk=keys.bob.pk).delete()
    [row] = alice.get(path_of(people)).body["data"]
    assert row["key"] == {"id": str(keys.bob.pk), "name": ""}
