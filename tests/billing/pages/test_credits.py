"""The credits page: figures, filters in the address, the balance of any time, and the CSV."""

import csv
import io
import re
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from billing import ledger
from billing.models import Account, Transfer
from billing.transfers import PAGE_ROWS
from tests.billing.past import USD, capture, move
from tests.people import People, make_people

NOON = datetime(2026, 10, 15, 12, tzinfo=UTC)


@pytest.fixture
def people(db: None) -> People:
    """A wallet of 45 dollars: 50 came in October, one went back, four were spent."""
    made = make_people()
    move(made, "deposit", 100 * USD, NOON)
    move(made, "grant", 50 * USD, NOON + timedelta(hours=1), "Budget for <October>")
    wallet = Account.objects.wallet_of(made.group)
    for minutes in range(4):
        capture(wallet, USD, NOON + timedelta(days=1, minutes=minutes))
    move(made, "reclaim", USD, NOON + timedelta(days=2), "=cmd|' /C calc'!A1")
    return made


def page_of(client: Client, people: People, query: str = "") -> str:
    url = reverse("group_credits", args=[people.group.pk])
    response = client.get(f"{url}?{query}")
    assert response.status_code == 200
    return response.content.decode()


def kinds_of(client: Client, people: People, query: str) -> list[str]:
    url = reverse("group_credits", args=[people.group.pk])
    rows = client.get(f"{url}?{query}").context["page"].rows
    return [row.transfer.kind if hasattr(row, "transfer") else "day" for row in rows]


def test_members_see_the_credits_and_outsiders_do_not(client: Client, people: People) -> None:
    for user, status in ((people.bob, 200), (people.charlie, 404), (people.olga, 200)):
        client.force_login(user)
        for name in ("group_credits", "transfers_csv"):
            response = client.get(reverse(name, args=[people.group.pk]))
            assert response.status_code == status
    for user, status in ((people.alice, 200), (people.bob, 404), (people.charlie, 404)):
        client.force_login(user)
        url = reverse("pool_balance", args=[people.organization.pk])
        assert client.get(url).status_code == status


def test_the_page_shows_what_there_is_and_how_long_it_lasts(client: Client, people: People) -> None:
    client.force_login(people.bob)
    html = page_of(client, people)
    assert "No call was charged in the last 7 days." in html
    assert "Grant" not in html.split("<main")[1].split("transfers-head")[0]
    wallet = Account.objects.wallet_of(people.group)
    capture(wallet, 5 * USD, timezone.now() - timedelta(days=5))
    html = page_of(client, people)
    assert "about 56 days" in html
    assert re.search(r"At <span [^>]*>\$0\.71</span> a day", html)
    assert "1 charged call." in html


@pytest.mark.parametrize(
    ("query", "kinds"),
    [
        ("", ["reclaim", *["capture"] * 4, "grant"]),
        ("kind=grant", ["grant"]),
        ("direction=in", ["grant"]),
        ("direction=out&least=1&kind=reclaim", ["reclaim"]),
        ("least=%2450", ["grant"]),
        ("search=october", ["grant"]),
        ("view=days", ["reclaim", "day", "grant"]),
        ("view=days&direction=in", ["grant"]),
        ("period=7d", []),
        ("period=custom&since=2026-10-16T00:00&until=2026-10-17T00:00", ["capture"] * 4),
        ("period=custom&since=2026-10-16T12:02", ["reclaim", *["capture"] * 2]),
        ("search=nothing+like+it", []),
        ("before=zz&after=zz", ["reclaim", *["capture"] * 4, "grant"]),
    ],
)
def test_filters_stand_in_the_address(
    client: Client, people: People, query: str, kinds: list[str]
) -> None:
    client.force_login(people.bob)
    assert kinds_of(client, people, query) == kinds


@pytest.mark.parametrize(
    "query",
    [
        "kind=theft",
        "least=-5",
        "person=0",
        "direction=up",
        "period=custom&since=2026-10-17T00:00&until=2026-10-16T00:00",
    ],
)
def test_filters_that_make_no_sense_say_so(client: Client, people: People, query: str) -> None:
    client.force_login(people.bob)
    html = page_of(client, people, query)
    assert 'class="notice bad"' in html
    assert 'id="transfer-' not in html


def test_times_are_those_of_the_reader(client: Client, people: People) -> None:
    client.force_login(people.bob)
    client.cookies["timezone"] = "Asia/Seoul"
    query = "period=custom&since=2026-10-16T21:02&until=2026-10-16T21:03"
    assert kinds_of(client, people, query) == ["capture"]
    html = page_of(client, people, "at=2026-10-16T21:02")
    assert "<strong>$48.00</strong>" in html


@pytest.mark.parametrize(
    ("at", "shown"),
    [
        ("2026-10-15T13:00", "$0.00"),
        ("2026-10-15T13:01", "$50.00"),
        ("2026-10-16T12:02", "$48.00"),
        ("2026-10-17T12:01", "$45.00"),
        ("2999-01-01T00:00", "$45.00"),
        ("1950-01-01T00:00", "$0.00"),
    ],
)
def test_the_balance_of_any_time(client: Client, people: People, at: str, shown: str) -> None:
    client.force_login(people.bob)
    assert f"<strong>{shown}</strong>" in page_of(client, people, f"at={at}")
    url = reverse("group_credits", args=[people.group.pk])
    headers = {"HX-Request": "true", "HX-Target": "balance-at"}
    part = client.get(f"{url}?at={at}", headers=headers).content.decode()
    assert part.strip().startswith("<section")
    assert f"<strong>{shown}</strong>" in part


@pytest.mark.parametrize("at", ["", "yesterday", "2026-13-01T00:00", "9999999-01-01"])
def test_a_moment_that_is_none_is_refused_in_words(client: Client, people: People, at: str) -> None:
    client.force_login(people.bob)
    assert 'id="balance_at_error"' in page_of(client, people, f"at={at}")


def test_the_pool_has_a_balance_of_any_time_too(client: Client, people: People) -> None:
    client.force_login(people.alice)
    url = reverse("pool_balance", args=[people.organization.pk])
    assert "<strong>$100.00</strong>" in client.get(f"{url}?at=2026-10-15T13:00").content.decode()
    assert "<strong>$51.00</strong>" in client.get(f"{url}?at=2026-10-17T12:01").content.decode()


def test_a_link_to_a_transfer_lands_on_its_page_and_points_it_out(
    client: Client, people: People
) -> None:
    wallet = Account.objects.wallet_of(people.group)
    for minutes in range(PAGE_ROWS + 5):
        capture(wallet, 1, NOON + timedelta(days=3, minutes=minutes))
    client.force_login(people.bob)
    old = Transfer.objects.filter(kind="capture").earliest("created_at")
    assert f'id="transfer-{old.pk.hex}"' not in page_of(client, people)
    html = page_of(client, people, f"transfer={old.pk}&kind=grant&view=days")
    assert f'id="transfer-{old.pk.hex}" class="is-found" aria-current="true"' in html
    assert "transfer=" not in html.split('class="pager"')[1]
    for missing in (uuid4(), Transfer.objects.get(kind="deposit").pk, "nonsense"):
        assert "This group has no such transfer." in page_of(client, people, f"transfer={missing}")


def test_the_csv_has_every_row_that_the_filters_let_through(client: Client, people: People) -> None:
    client.force_login(people.bob)
    url = reverse("transfers_csv", args=[people.group.pk])

    def rows_of(query: str) -> list[dict[str, str]]:
        body = b"".join(client.get(f"{url}?{query}").streaming_content).decode()  # type: ignore[attr-defined]
        return list(csv.DictReader(io.StringIO(body)))

    rows = rows_of("")
    assert sum(int(row["change_nanos"]) for row in rows) == 45 * USD
    assert [row["change_usd"] for row in rows] == ["-1.00"] * 5 + ["50.00"]
    assert rows[0]["reason"].startswith("'="), "no program takes it for a formula"
    assert [row["calls"] for row in rows_of("view=days")] == ["", "4", ""]
    assert [row["kind"] for row in rows_of("kind=grant")] == ["grant"]


def test_a_hostile_reason_is_text(client: Client, people: People) -> None:
    ledger.grant(
        people.group,
        1,
        operation_id=uuid4(),
        actor=people.alice,
        reason="<script>alert(1)</script>",
    )
    client.force_login(people.bob)
    assert "<script>alert(1)" not in page_of(client, people)
