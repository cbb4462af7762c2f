"""What webhooks are told of: once for each cause, in the transaction of what happened, however many look."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from accounts import membership_services, services
from accounts.key_services import issue_key, playground_key, revoke_key, rotate_key
from accounts.models import APIKey, Group
from billing.alerts import AlertPlan, check_balances, save_plan
from billing.archiving import archive_group
from billing.limits import set_limits
from billing.models import Account, Limit
from gateway.models import Delivery, Task, WebhookEvent
from gateway.task_services import cancel_task
from gateway.webhooks.payloads import settled_payload
from tests.billing.bank import in_parallel
from tests.billing.past import capture
from tests.gateway.webhook_rows import (
    end_task,
    events_of,
    limit_key,
    order_task,
    refuse,
    repeat,
    subscribe,
    tell,
)
from tests.people import People

USD = 10**9
HOOK = "https://hooks.example/tollgate?token=abc"


@pytest.fixture
def wanted(shared: People) -> People:
    """With a webhook that wants everything."""
    subscribe(shared.group, shared.alice, HOOK)
    return shared


def body_of(group: Group) -> Any:
    """The latest event's body."""
    event = WebhookEvent.objects.filter(group=group).latest("id")
    body = json.loads(settled_payload(event))
    assert body["type"] == event.type
    assert body["version"] == 1
    assert body["timestamp"] == event.created_at.isoformat()
    return body["data"]


def spend(people: People, nanos: int) -> None:
    capture(Account.objects.wallet_of(people.group), nanos, timezone.now())


# Who is told.


def test_only_webhooks_of_the_group_that_are_on_and_want_it_are_told(people: People) -> None:
    wanting, _ = subscribe(people.group, people.alice, HOOK, "key.revoked")
    subscribe(people.group, people.alice, "https://off.example/", is_enabled=False)
    subscribe(people.group, people.alice, "https://other.example/", "task.ended")
    subscribe(people.foreign_group, people.charlie, "https://charlie.example/")
    assert tell(people.group) is not None
    assert [one.endpoint_id for one in Delivery.objects.all()] == [wanting.pk]


def test_where_nobody_wants_it_nothing_is_written(people: People) -> None:
    subscribe(people.foreign_group, people.charlie, "https://charlie.example/")
    assert tell(people.group) is None
    assert not WebhookEvent.objects.exists()
    assert not Delivery.objects.exists()


def test_what_is_rolled_back_was_never_told(people: People, key: APIKey) -> None:
    subscribe(people.group, people.alice, HOOK)
    with transaction.atomic():
        revoke_key(key, people.alice)
        connection.check_constraints()  # the moment before a commit
        assert events_of(people.group) == ["key.revoked"]
        transaction.set_rollback(True)
    assert events_of(people.group) == []


# Tasks.


@pytest.mark.parametrize(("status", "amount"), [("completed", 40), ("failed", 0)])
def test_the_end_of_a_task_is_told_once_however_many_end_it(
    wanted: People, status: str, amount: int
) -> None:
    key = issue_key(wanted.group, wanted.alice, "ci")[0]
    task_id = order_task(key, 40)
    ended = in_parallel(*repeat(lambda: end_task(task_id, status, amount)))
    assert sorted(map(bool, ended)) == [False] * 7 + [True]
    assert events_of(wanted.group) == ["task.ended"]
    data = body_of(wanted.group)
    assert (data["id"], data["object"], data["status"]) == (f"tsk_{task_id.hex}", "task", status)
    assert data["billing"]["reserved"] == "0.00000004"


def test_a_task_that_is_cancelled_is_told(people: People, key: APIKey) -> None:
    Account.objects.filter(group=people.group).update(balance_nanos=USD)
    subscribe(people.group, people.alice, HOOK, "task.ended")
    task = Task.objects.get(pk=order_task(key))
    cancel_task(task)
    assert body_of(people.group)["error"]["code"] == "cancelled"
    assert events_of(people.group) == ["task.ended"]


# Balances.


def test_a_balance_below_its_threshold_is_told_once_however_many_look(wanted: People) -> None:
    plan = AlertPlan((50 * USD, 20 * USD), ())
    save_plan(wanted.group, plan, base_url="", actor=wanted.alice)
    spend(wanted, 85 * USD)
    in_parallel(*repeat(check_balances))
    assert events_of(wanted.group) == ["balance.low"]
    assert body_of(wanted.group) == {
        "group_id": str(wanted.group.pk),
        "group": "Research",
        "organization_id": str(wanted.organization.pk),
        "currency": "usd",
        "threshold": "20.00",
        "balance": "15.00",
        "available": "15.00",
    }


def test_every_crossing_is_told(people: People) -> None:
    Account.objects.filter(group=people.group).update(balance_nanos=30 * USD)
    subscribe(people.group, people.alice, HOOK)
    save_plan(people.group, AlertPlan((50 * USD,), ()), base_url="", actor=people.alice)
    told = []
    for balance in (30, 60, 40, 60, 45):  # at first it is below already, which is no crossing
        Account.objects.filter(group=people.group).update(balance_nanos=balance * USD)
        check_balances()
        told.append(len(events_of(people.group)))
    assert told == [0, 0, 1, 1, 2]


# Limits.


def test_a_budget_that_refuses_is_told_once_however_many_calls_it_refuses(wanted: People) -> None:
    key = issue_key(wanted.group, wanted.alice, "ci")[0]
    limit = limit_key(key, month_nanos=10 * USD, month_spent_nanos=0)
    Limit.objects.filter(pk=limit.pk).update(
        month=timezone.now().date().replace(day=1), day=timezone.now().date(),
        month_spent_nanos=9 * USD,
    )  # fmt: skip
    assert refuse(key, USD, key_limit=limit.pk) == ""
    refusals = in_parallel(*repeat(lambda: refuse(key, 2 * USD, key_limit=limit.pk), 16))
    assert refusals == ["key_month"] * 16
    assert events_of(wanted.group) == ["limit.reached"]
    data = body_of(wanted.group)
    assert (data["limit"], data["amount"], data["spent"], data["reserved"]) == (
        "month", "10.00", "9.00", "1.00",
    )  # fmt: skip
    assert data["key"] == {
        "id": str(key.pk), "name": "ci", "prefix": f"{key.prefix}-v1-{key.public_id}",
    }  # fmt: skip
    first = timezone.now().date().replace(day=1)
    following = (first + timedelta(days=32)).replace(day=1)
    assert data["resets_at"] == f"{following}T00:00:00+00:00"


def test_a_new_day_and_another_amount_are_told_anew(people: People, key: APIKey) -> None:
    Account.objects.filter(group=people.group).update(balance_nanos=100 * USD)
    subscribe(people.group, people.alice, HOOK)
    limit = limit_key(key, day_nanos=USD)
    for _ in range(3):
        assert refuse(key, 2 * USD, key_limit=limit.pk) == "key_day"
    assert len(events_of(people.group)) == 1
    set_limits(key, day_nanos=USD + 1)
    refuse(key, 2 * USD, key_limit=limit.pk)
    refuse(key, 2 * USD, key_limit=limit.pk)
    assert len(events_of(people.group)) == 2
    # The day after: what was told is of the day before.
    for event in WebhookEvent.objects.all():
        day = str(timezone.now().date())
        WebhookEvent.objects.filter(pk=event.pk).update(
            cause=event.cause.replace(day, "2020-01-01")
        )
    refuse(key, 2 * USD, key_limit=limit.pk)
    assert len(events_of(people.group)) == 3
    assert body_of(people.group)["resets_at"].endswith("T00:00:00+00:00")


def test_a_group_s_budget_names_no_key_and_one_in_all_never_resets(
    people: People, key: APIKey
) -> None:
    Account.objects.filter(group=people.group).update(balance_nanos=100 * USD)
    subscribe(people.group, people.alice, HOOK)
    limit = Limit.objects.create(group=people.group, lifetime_nanos=USD)
    assert refuse(key, 2 * USD, group_limit=limit.pk) == "group_lifetime"
    data = body_of(people.group)
    assert (data["limit"], data["key"], data["resets_at"]) == ("lifetime", None, None)


def test_a_budget_that_refuses_a_task_is_told(people: People, key: APIKey) -> None:
    Account.objects.filter(group=people.group).update(balance_nanos=100 * USD)
    subscribe(people.group, people.alice, HOOK)
    limit = limit_key(key, lifetime_nanos=USD)
    order_task(key, 2 * USD, key_limit=limit.pk)
    assert not Task.objects.exists()
    assert events_of(people.group) == ["limit.reached"]


@pytest.mark.parametrize("limits", [{"concurrent_calls": 1}, {"requests_per_minute": 1}, {}])
def test_rates_and_an_empty_wallet_are_no_budgets(
    people: People, key: APIKey, limits: dict[str, int]
) -> None:
    Account.objects.filter(group=people.group).update(balance_nanos=USD)
    subscribe(people.group, people.alice, HOOK)
    limit = limit_key(key, month_nanos=100 * USD, **limits)
    if limits:
        assert refuse(key, 1, key_limit=limit.pk) == ""
    assert refuse(key, 2 * USD, key_limit=limit.pk) != ""
    assert events_of(people.group) == []


# Keys.


def test_a_key_that_is_revoked_is_told_once_and_by_whom(wanted: People) -> None:
    key = issue_key(wanted.group, wanted.bob, "ci")[0]
    in_parallel(*repeat(lambda: revoke_key(key, wanted.alice)))
    assert events_of(wanted.group) == ["key.revoked"]
    data = body_of(wanted.group)
    assert (data["key"]["id"], data["key"]["name"]) == (str(key.pk), "ci")
    assert (data["revoked_by"], data["reason"]) == ("Alice Arden", "by_hand")
    key.refresh_from_db()
    assert key.revoked_at is not None
    assert data["revoked_at"] == key.revoked_at.isoformat()
    assert "digest" not in json.dumps(data)


def test_why_a_key_was_revoked_is_said(wanted: People) -> None:
    key = issue_key(wanted.group, wanted.bob, "left")[0]
    membership_services.remove_from_group(wanted.group, wanted.bob, actor=wanted.alice)
    assert body_of(wanted.group)["reason"] == "member_left"
    services.add_member(wanted.group, wanted.bob)
    issue_key(wanted.group, wanted.bob, "locked")
    membership_services.deactivate_user(wanted.bob, actor=wanted.olga)
    data = body_of(wanted.group)
    assert (data["revoked_by"], data["reason"]) == ("Olga Orlov", "account_deactivated")
    issue_key(wanted.group, wanted.alice, "archived")
    archive_group(wanted.group, actor=wanted.alice)
    assert body_of(wanted.group)["reason"] == "group_archived"
    assert events_of(wanted.group) == ["key.revoked"] * 3
    assert key.pk


def test_a_key_that_the_database_revokes_is_told_as_tollgate_s_doing(wanted: People) -> None:
    issue_key(wanted.group, wanted.bob, "ci")
    wanted.bob.is_active = False
    wanted.bob.save()
    data = body_of(wanted.group)
    assert (data["revoked_by"], data["reason"]) == ("Tollgate", "account_deactivated")


def test_rotations_and_keys_of_the_playground_are_not_told(wanted: People) -> None:
    key = issue_key(wanted.group, wanted.bob, "ci")[0]
    rotate_key(key, wanted.bob, timedelta())
    playground_key(wanted.group, wanted.bob)
    key.refresh_from_db()
    revoke_key(key, wanted.bob)
    membership_services.remove_from_group(wanted.group, wanted.bob, actor=wanted.alice)
    assert events_of(wanted.group) == ["key.revoked"]
