"""A key with all that it may do: written as one, told in the audit trail."""

from typing import Any, cast
from uuid import uuid4

import pytest
from django.core.exceptions import ValidationError

from accounts.key_services import IssuedBefore, Restrictions
from accounts.models import APIKey, Change
from billing import key_settings
from billing.key_settings import KeySettings
from billing.limits import Limits, change_limits
from billing.models import Limit
from tests.people import People

USD = 1_000_000_000


def settings_of(name: str = "CI", **limits: Any) -> KeySettings:
    return KeySettings(name, Restrictions(allowed_models=["gpt-5.5"]), cast("Limits", limits))


def told(verb: str) -> tuple[dict[str, Any], dict[str, Any]]:
    change = Change.objects.get(verb=verb)
    return change.before, change.after


def test_a_key_has_its_limits_from_the_start(people: People) -> None:
    wanted = settings_of(month_nanos=5 * USD, requests_per_minute=60)
    key, text = key_settings.issue(people.group, people.bob, wanted, uuid4())
    assert text.startswith(f"{key.prefix}-v1-{key.public_id}-")
    limit = Limit.objects.get(api_key=key)
    assert (limit.month_nanos, limit.requests_per_minute) == (5 * USD, 60)
    assert APIKey.objects.get().allowed_models == ["gpt-5.5"]
    assert told("key.limits_changed") == (
        {"month_nanos": None, "requests_per_minute": None},
        {"month_nanos": 5 * USD, "requests_per_minute": 60},
    )


def test_a_limit_that_cannot_be_issues_no_key(people: People) -> None:
    with pytest.raises(ValidationError):
        key_settings.issue(people.group, people.bob, settings_of(day_nanos=-1), uuid4())
    assert not APIKey.objects.exists()
    assert not Change.objects.filter(verb__startswith="key.").exists()


def test_an_operation_that_issued_changes_no_limits_when_it_comes_again(people: People) -> None:
    operation = uuid4()
    key_settings.issue(people.group, people.bob, settings_of(day_nanos=USD), operation)
    with pytest.raises(IssuedBefore):
        key_settings.issue(people.group, people.bob, settings_of(day_nanos=9 * USD), operation)
    assert Limit.objects.get().day_nanos == USD


def test_a_change_that_cannot_be_changes_nothing(people: People) -> None:
    key, _ = key_settings.issue(people.group, people.bob, settings_of(day_nanos=USD), uuid4())
    wrong = KeySettings("Other", Restrictions(allowed_models=[]), Limits(day_nanos=0))
    with pytest.raises(ValidationError):
        key_settings.change(key, people.bob, wrong)
    row = APIKey.objects.get()
    assert (row.name, row.allowed_models) == ("CI", ["gpt-5.5"])
    assert Limit.objects.get().day_nanos == USD


def test_a_limit_that_is_taken_away_is_told_with_what_it_was(people: People) -> None:
    change_limits(people.group, people.alice, day_nanos=USD, concurrent_calls=3)
    change_limits(people.group, people.alice, day_nanos=None, concurrent_calls=3)
    latest = Change.objects.filter(verb="group.limits_changed").first()
    assert latest is not None
    assert (latest.before, latest.after) == ({"day_nanos": USD}, {"day_nanos": None})
    assert (latest.actor, latest.group) == (people.alice, people.group)


def test_the_same_limits_again_leave_no_line(people: People) -> None:
    for _ in "ab":
        change_limits(people.group, people.alice, day_nanos=USD)
    assert Change.objects.filter(verb="group.limits_changed").count() == 1


def test_a_group_is_restricted_and_limited_in_one(people: People) -> None:
    with pytest.raises(ValidationError):
        key_settings.change_group(
            people.group,
            people.alice,
            Restrictions(allowed_networks=["10.0.0.0/8"]),
            Limits(tokens_per_minute=0),
        )
    people.group.refresh_from_db()
    assert people.group.allowed_networks == []
    key_settings.change_group(
        people.group,
        people.alice,
        Restrictions(allowed_networks=["10.0.0.0/8"]),
        Limits(tokens_per_minute=9),
    )
    people.group.refresh_from_db()
    assert people.group.allowed_networks == ["10.0.0.0/8"]
    assert Limit.objects.get(group=people.group).tokens_per_minute == 9
