"""Limits of groups and keys by the management API."""

from datetime import date, timedelta

import pytest
from django.utils import timezone

from accounts.models import Change
from billing.models import Limit
from tests.billing.api.asking import USD, error_of
from tests.billing.api.conftest import Askers
from tests.people import People

NOTHING = {
    "requests_per_minute": None,
    "tokens_per_minute": None,
    "concurrent_calls": None,
    "day_usd": None,
    "month_usd": None,
    "lifetime_usd": None,
}


def test_limits_of_a_group_are_set_and_taken_away(people: People, askers: Askers) -> None:
    path = f"groups/{people.group.pk}/limits"
    unset = askers.alice.get(path)
    assert unset == NOTHING | {
        "object": "limits",
        "used": dict.fromkeys(
            ("day_usd", "month_usd", "lifetime_usd", "concurrent_calls", "held_usd")
        ),
    }
    given = {"day_usd": "1.5", "month_usd": "30", "concurrent_calls": 4}
    changed = askers.alice.patch(path, given)
    assert (changed["day_usd"], changed["month_usd"]) == ("1.50", "30.00")
    assert changed["used"]["month_usd"] == "0.00"
    assert Limit.objects.get(group=people.group).day_nanos == 15 * USD // 10
    rest = askers.alice.patch(path, {"day_usd": None, "month_usd": None})
    assert {name: rest[name] for name in NOTHING} == NOTHING | {"concurrent_calls": 4}
    change = Change.objects.filter(verb="group.limits_changed").first()
    assert change
    assert change.actor == people.alice


def test_what_is_used_counts_from_the_day_and_the_month_that_run(
    people: People, askers: Askers
) -> None:
    path = f"groups/{people.group.pk}/limits"
    askers.alice.patch(path, {"day_usd": "5"})
    today = timezone.now().date()
    rows = Limit.objects.filter(group=people.group)
    spent = {"day_spent_nanos": USD, "month_spent_nanos": 2 * USD, "lifetime_spent_nanos": 3 * USD}
    rows.update(day=today, month=today.replace(day=1), **spent)
    used = askers.alice.get(path)["used"]
    assert [used[f"{name}_usd"] for name in ("day", "month", "lifetime")] == [
        "1.00",
        "2.00",
        "3.00",
    ]
    rows.update(day=today - timedelta(days=1), month=date(2026, 1, 1))
    used = askers.alice.get(path)["used"]
    assert [used[f"{name}_usd"] for name in ("day", "month", "lifetime")] == [
        "0.00",
        "0.00",
        "3.00",
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("day_usd", 1),
        ("day_usd", "0"),
        ("month_usd", "1e400"),
        ("requests_per_minute", "60"),
        ("requests_per_minute", True),
        ("tokens_per_minute", 2**62),
        ("concurrent_calls", 0),
        ("year_usd", "1"),
    ],
)
def test_a_bad_limit_is_named(people: People, askers: Askers, name: str, value: object) -> None:
    path = f"groups/{people.group.pk}/limits"
    assert error_of(askers.alice.patch(path, {name: value}, 400))[1] == name
    assert not Limit.objects.exists()


def test_limits_of_a_group_are_for_its_managers(people: People, askers: Askers) -> None:
    path = f"groups/{people.group.pk}/limits"
    for asker, status in ((askers.charlie, 404), (askers.bob, 403)):
        asker.get(path, status)
        asker.patch(path, {"day_usd": "1"}, status)
    assert not Limit.objects.exists()


def test_limits_of_a_key(people: People, askers: Askers) -> None:
    key = askers.bob.post(f"groups/{people.group.pk}/keys", {"name": "ci"})
    path = f"groups/{people.group.pk}/keys/{key['id']}/limits"
    assert askers.bob.patch(path, {"lifetime_usd": "7"})["lifetime_usd"] == "7.00"
    assert askers.alice.get(path)["lifetime_usd"] == "7.00"
    askers.charlie.get(path, 404)
