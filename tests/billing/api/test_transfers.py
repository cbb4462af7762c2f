"""Transfers by the management API: pages and filters."""

from typing import Any

import pytest

from tests.billing.api.asking import Asker, error_of
from tests.billing.api.conftest import Askers
from tests.people import People


@pytest.fixture
def path(people: People, askers: Askers) -> str:
    """Alice's group, after five grants and two reclaims."""
    group = f"groups/{people.group.pk}"
    for number in range(1, 6):
        askers.alice.move(f"{group}/grants", {"amount": str(number), "reason": f"Grant {number}"})
    for number in (1, 2):
        askers.olga.move(f"{group}/reclaims", {"amount": str(number), "reason": "Too much"})
    return f"{group}/transfers"


def walk(asker: Asker, path: str, **query: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    page = asker.get(path, **query)
    while True:
        rows += page["data"]
        if page["next"] is None:
            return rows
        assert len(page["data"]) == int(query["limit"])
        page = asker.get(path, **query, after=page["next"])


def test_pages_show_each_transfer_once(askers: Askers, path: str) -> None:
    changes = [row["change"] for row in walk(askers.bob, path, limit="3")]
    assert changes == ["-2.00", "-1.00", "5.00", "4.00", "3.00", "2.00", "1.00", "10.00"]


def test_filters_combine(people: People, askers: Askers, path: str) -> None:
    def found(**query: str) -> list[str]:
        return [row["change"] for row in walk(askers.bob, path, limit="50", **query)]

    assert found(kind="reclaim") == ["-2.00", "-1.00"]
    assert found(direction="in", amount="3.000000001") == ["5.00", "4.00", "10.00"]
    assert found(actor=str(people.olga.pk)) == ["-2.00", "-1.00"]
    assert found(reason="grant 3") == ["3.00"]
    rows = walk(askers.bob, path, limit="50")
    third, fifth = rows[2]["created_at"], rows[4]["created_at"]
    assert found(since=fifth, until=third) == ["4.00", "3.00"]
    assert found(call=rows[3]["id"]) == ["4.00"]
    assert found(kind="capture") == []


def test_a_transfer_names_both_sides(people: People, askers: Askers, path: str) -> None:
    [row] = askers.bob.get(path, reason="Grant 3")["data"]
    group = {"id": str(people.group.pk), "name": "Research"}
    assert row["from"] == {"kind": "pool", "group": None}
    assert row["to"] == {"kind": "wallet", "group": group}
    assert row["actor"] == {"id": people.alice.pk, "name": "Alice Arden"}
    assert (row["call"], row["amount"], row["object"]) == (None, "3.00", "transfer")
    pool = f"organizations/{people.organization.pk}/transfers"
    [same] = askers.alice.get(pool, reason="Grant 3")["data"]
    assert (same["id"], same["change"]) == (row["id"], "-3.00")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kind", "gift"),
        ("direction", "up"),
        ("actor", "Alice"),
        ("actor", "0"),
        ("actor", str(2**63)),
        ("since", "yesterday"),
        ("until", "2026-01-01T00:00:00"),
        ("amount", "-1"),
        ("amount", "1e400"),
        ("call", "call_x"),
        ("reason", "a\x00b"),
        ("limit", "1e3"),
        ("after", "x"),
        ("after", "é"),
        ("person", "1"),
    ],
)
def test_a_bad_filter_is_named(askers: Askers, path: str, name: str, value: str) -> None:
    assert error_of(askers.bob.get(path, 400, **{name: value}))[1] == name


def test_an_end_before_its_beginning_is_named(askers: Askers, path: str) -> None:
    moment = "2026-01-01T00:00:00Z"
    assert error_of(askers.bob.get(path, 400, since=moment, until=moment))[1] == "until"


def test_any_cursor_answers_a_page(askers: Askers, path: str) -> None:
    for cursor in ("0" * 32, "f" * 32, "00000000-0000-7000-8000-000000000000"):
        assert askers.bob.get(path, after=cursor)["object"] == "list"


def test_who_sees_transfers(people: People, askers: Askers, path: str) -> None:
    askers.charlie.get(path, 404)
    pool = f"organizations/{people.organization.pk}/transfers"
    askers.charlie.get(pool, 404)
    askers.bob.get(pool, 403)
    theirs = askers.charlie.get(f"groups/{people.foreign_group.pk}/transfers")
    assert theirs["data"] == []
