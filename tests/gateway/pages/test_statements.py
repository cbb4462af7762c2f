"""Statements of groups and organizations: what they say, to whom, and that every list adds up."""

import csv
import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.key_services import issue_key
from accounts.models import APIKey
from billing.closings import close_days
from billing.models import Account
from gateway.models import CallRecord
from gateway.rollups import roll_up
from tests.billing.past import USD, capture, move
from tests.people import People

FIRST, LAST = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def keys(people: People) -> tuple[APIKey, APIKey]:
    """Two keys of one name, which called two models around both ends of October."""
    move(people, "deposit", 200 * USD, FIRST - timedelta(days=20), "Invoice 1")
    move(people, "grant", 100 * USD, FIRST - timedelta(days=19))
    move(people, "deposit", 30 * USD, FIRST + timedelta(days=4), "<b>Invoice 2</b>")
    move(people, "grant", 20 * USD, FIRST + timedelta(days=5), "October")
    first, second = (issue_key(people.group, people.alice, "ci")[0] for _ in range(2))
    called(people, first, "openai/gpt-5.5", 1000, FIRST - 3 * HOUR)
    called(people, first, "openai/gpt-5.5", 200, FIRST - HOUR, charged=FIRST + HOUR)
    called(people, second, "openai/gpt-5.5", 30, FIRST + timedelta(days=9))
    called(people, second, "gemini/<i>x</i>", 4, FIRST + timedelta(days=9))
    called(people, first, "gemini/<i>x</i>", 50_000, LAST - HOUR, charged=LAST + HOUR)
    return first, second


def called(
    people: People,
    key: APIKey,
    model: str,
    nanos: int,
    began: datetime,
    charged: datetime | None = None,
) -> CallRecord:
    wallet = Account.objects.wallet_of(people.group)
    taken = capture(wallet, nanos, charged or began, began=began)
    return CallRecord.objects.create(
        id=taken.pk,
        organization_id=people.organization.pk,
        group=people.group,
        api_key=key,
        created_at=began,
        endpoint="chat/completions",
        model=model,
        status="completed",
        basis="reported",
        amount_nanos=nanos,
    )


@pytest.fixture(params=["live", "rolled up and closed"])
def _progress(request: Any, keys: Any) -> None:
    """Whatever the clock's jobs have done so far, a statement says the same."""
    if request.param != "live":
        close_days(NOW)
        roll_up()


def statement(client: Client, people: People, month: str = "2026-10") -> dict[str, Any]:
    response = client.get(reverse("group_statement", args=[people.group.pk, month]))
    assert response.status_code == 200
    found = {name: response.context[name] for name in ("total", "spending", "month")}
    return found | {"html": response.content.decode()}


@pytest.mark.usefixtures("_progress")
def test_spending_adds_up_though_calls_run_over_midnight(
    client: Client, people: People, keys: tuple[APIKey, APIKey]
) -> None:
    client.force_login(people.bob)
    found = statement(client, people)
    assert found["total"].spent == (234, 3)
    assert found["total"].agrees
    assert [tuple(part) for part in found["spending"].models] == [
        ("openai/gpt-5.5", 230),
        ("gemini/<i>x</i>", 4),
    ]
    first, second = keys
    assert [tuple(part) for part in found["spending"].keys] == [
        (f"ci ({first.public_id})", 200),
        (f"ci ({second.public_id})", 34),
    ]
    november = statement(client, people, "2026-11")
    assert november["total"].spent == (50_000, 1)
    assert [part.nanos for part in november["spending"].models] == [50_000]
    assert "so far" in november["html"]
    assert "so far" not in found["html"]


def test_what_no_record_tells_has_a_line_of_its_own(
    client: Client, people: People, keys: Any
) -> None:
    capture(Account.objects.wallet_of(people.group), 7, FIRST + timedelta(days=3))
    client.force_login(people.bob)
    found = statement(client, people)
    assert found["spending"].models[-1] == ("", 7)
    assert "Not in the call history" in found["html"]


def test_names_and_reasons_are_text(client: Client, people: People, keys: Any) -> None:
    client.force_login(people.alice)
    url = reverse("organization_statement", args=[people.organization.pk, "2026-10"])
    for html in (statement(client, people)["html"], client.get(url).content.decode()):
        assert "<i>x</i>" not in html
        assert "&lt;i&gt;x&lt;/i&gt;" in html
    assert "&lt;b&gt;Invoice 2&lt;/b&gt;" in html
    assert "<b>" not in html


def test_a_statement_does_not_depend_on_its_reader(
    client: Client, people: People, keys: Any
) -> None:
    client.force_login(people.bob)
    before = statement(client, people)
    client.cookies["timezone"] = "Pacific/Kiritimati"
    after = statement(client, people)
    for name in ("total", "spending", "month"):
        assert after[name] == before[name]
    assert "2026-10-06 00:00:00" in after["html"], "times are those of UTC"


def test_the_organizations_statement_has_pool_and_groups(
    client: Client, people: People, keys: Any
) -> None:
    client.force_login(people.alice)
    url = reverse("organization_statement", args=[people.organization.pk, "2026-10"])
    context = client.get(url).context
    names = [name for name, _one in context["accounts"]]
    assert names == ["Unassigned pool", "Research"]
    total = context["total"]
    assert (total.opening_nanos, total.closing_nanos) == (200 * USD - 1000, 230 * USD - 1234)
    assert [(line.kind, line.change_nanos) for line in total.lines] == [("deposit", 30 * USD)]
    assert total.agrees
    assert total.opening_nanos == sum(one.opening_nanos for _name, one in context["accounts"])


def test_the_csv_says_the_same(client: Client, people: People, keys: Any) -> None:
    client.force_login(people.alice)
    url = reverse("organization_statement_csv", args=[people.organization.pk, "2026-10"])
    body = b"".join(client.get(url).streaming_content).decode()  # type: ignore[attr-defined]
    rows = list(csv.DictReader(io.StringIO(body)))
    summary = [int(row["amount_nanos"]) for row in rows if row["section"] == "summary"]
    assert sum(summary[:-1]) == summary[-1] == 230 * USD - 1234
    for section in ("models", "keys"):
        assert sum(int(row["amount_nanos"]) for row in rows if row["section"] == section) == 234
    for row in rows:
        assert Decimal(row["amount_usd"]) * USD == int(row["amount_nanos"])
    url = reverse("group_statement_csv", args=[people.group.pk, "2026-10"])
    body = b"".join(client.get(url).streaming_content).decode()  # type: ignore[attr-defined]
    moves = [row for row in csv.DictReader(io.StringIO(body)) if row["section"] == "moves"]
    assert [(row["name"], row["reason"]) for row in moves] == [("grant", "October")]


def test_the_list_has_every_month_since_the_first_transfer(
    client: Client, people: People, keys: Any
) -> None:
    client.force_login(people.alice)
    for url in (
        reverse("group_statements", args=[people.group.pk]),
        reverse("organization_statements", args=[people.organization.pk]),
    ):
        rows = client.get(url).context["rows"]
        assert [month.text for month, _one in rows][-3:] == ["2026-11", "2026-10", "2026-09"]
        for (_later, newer), (_earlier, older) in pairwise(rows):
            assert newer.opening_nanos == older.closing_nanos
        assert all(one.agrees for _month, one in rows)


@pytest.mark.parametrize("month", ["2026-08", "2999-01", "2026-13", "october", "2026-1"])
def test_months_without_a_statement_are_not_found(
    client: Client, people: People, keys: Any, month: str
) -> None:
    client.force_login(people.alice)
    for name, pk in (
        ("group_statement", people.group.pk),
        ("group_statement_csv", people.group.pk),
        ("organization_statement", people.organization.pk),
        ("organization_statement_csv", people.organization.pk),
    ):
        assert client.get(reverse(name, args=[pk, month])).status_code == 404


def test_who_may_read_which_statement(client: Client, people: People, keys: Any) -> None:
    places = {"group": people.group.pk, "organization": people.organization.pk}
    for user, group, organization in (
        (people.alice, 200, 200),
        (people.bob, 200, 404),
        (people.charlie, 404, 404),
        (people.olga, 200, 200),
    ):
        client.force_login(user)
        for place, expected in (("group", group), ("organization", organization)):
            for name, arguments in (
                (f"{place}_statements", [places[place]]),
                (f"{place}_statement", [places[place], "2026-10"]),
                (f"{place}_statement_csv", [places[place], "2026-10"]),
            ):
                assert client.get(reverse(name, args=arguments)).status_code == expected, name
