"""Statements by the management API."""

from datetime import UTC, datetime

import pytest
from django.utils import timezone

from accounts.models import Group, Organization
from tests.billing.api.asking import error_of
from tests.billing.api.conftest import Askers
from tests.people import People


@pytest.fixture
def month() -> str:
    return f"{timezone.now():%Y-%m}"


def test_a_month_of_a_group_adds_up(people: People, askers: Askers, month: str) -> None:
    askers.alice.move(f"groups/{people.group.pk}/grants", {"amount": "1", "reason": "May"})
    askers.alice.move(f"groups/{people.group.pk}/reclaims", {"amount": "4"})
    found = askers.bob.get(f"groups/{people.group.pk}/statements/{month}")
    assert (found["opening"], found["closing"], found["spent"]) == ("0.00", "7.00", "0.00")
    assert found["lines"] == [
        {"kind": "grant", "change": "11.00", "moves": 2},
        {"kind": "reclaim", "change": "-4.00", "moves": 1},
    ]
    assert [row["change"] for row in found["moves"]] == ["10.00", "1.00", "-4.00"]
    assert (found["is_open"], found["moves_cut"]) == (True, False)
    [listed] = askers.bob.get(f"groups/{people.group.pk}/statements")["data"]
    assert listed == {name: found[name] for name in listed}


def test_a_month_of_an_organization_leaves_out_what_moved_inside(
    people: People, askers: Askers, month: str
) -> None:
    found = askers.alice.get(f"organizations/{people.organization.pk}/statements/{month}")
    assert found["lines"] == [{"kind": "deposit", "change": "110.00", "moves": 1}]
    assert found["closing"] == "110.00"
    shown = [(one["group"] and one["group"]["name"], one["closing"]) for one in found["accounts"]]
    assert shown == [(None, "100.00"), ("Research", "10.00")]
    assert askers.alice.get(f"organizations/{people.organization.pk}/statements")["data"]


def test_months_come_page_by_page(people: People, askers: Askers) -> None:
    now = timezone.now()
    begin = datetime(now.year - 1, now.month, 1, tzinfo=UTC)
    Group.objects.filter(pk=people.group.pk).update(created_at=begin)
    Organization.objects.filter(pk=people.organization.pk).update(created_at=begin)
    for path in (f"groups/{people.group.pk}", f"organizations/{people.organization.pk}"):
        months, after = [], {}
        while True:
            page = askers.alice.get(f"{path}/statements", limit="5", **after)
            months += [row["month"] for row in page["data"]]
            if page["next"] is None:
                break
            after = {"after": page["next"]}
        assert len(set(months)) == 13
        assert months == sorted(months, reverse=True)


def test_what_is_no_month_is_not_found(people: People, askers: Askers) -> None:
    for text in ("2026-13", "2999-01", "2001-01", "x", "2026-1"):
        askers.alice.get(f"groups/{people.group.pk}/statements/{text}", 404)
        askers.alice.get(f"organizations/{people.organization.pk}/statements/{text}", 404)
    refused = askers.alice.get(f"groups/{people.group.pk}/statements", 400, after="x")
    assert error_of(refused)[1] == "after"


def test_who_sees_statements(people: People, askers: Askers, month: str) -> None:
    for path, statuses in (
        (f"groups/{people.group.pk}/statements", (404, 200)),
        (f"groups/{people.group.pk}/statements/{month}", (404, 200)),
        (f"organizations/{people.organization.pk}/statements", (404, 403)),
        (f"organizations/{people.organization.pk}/statements/{month}", (404, 403)),
    ):
        for asker, status in zip((askers.charlie, askers.bob), statuses, strict=True):
            asker.get(path, status)
