"""Webhooks and what happens in their groups, as tests want it."""

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db import connection
from django.utils import timezone

from accounts.ids import uuid7
from accounts.models import APIKey, Group, User
from billing.models import Account, HoldOwner, Limit
from gateway.models import Delivery, WebhookEndpoint, WebhookEvent
from gateway.webhooks.models import SUBSCRIBABLE
from gateway.webhooks.payloads import settled_payload
from gateway.webhooks.services import EndpointPlan, create_endpoint


def subscribe(
    group: Group, actor: User, url: str, *events: str, **fields: Any
) -> tuple[WebhookEndpoint, str]:
    """A webhook of the group that wants these events, or all, and its secret."""
    return create_endpoint(group, actor, EndpointPlan(url, events or SUBSCRIBABLE, **fields))


def tell(group: Group, kind: str = "key.revoked", **facts: Any) -> WebhookEvent | None:
    """Something that happened once, told as the database's own functions do."""
    cause = f"{kind}:{uuid7()}"
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT gateway_tell(%s, %s, %s, %s::jsonb)", [group.pk, kind, cause, json.dumps(facts)]
        )
    return WebhookEvent.objects.filter(cause=cause).first()


def tell_low_balance(group: Group) -> WebhookEvent:
    """With the figures of a balance."""
    told = tell(
        group, "balance.low", threshold_nanos=10**9, balance_nanos=5 * 10**8, available_nanos=1
    )
    assert told is not None
    return told


def events_of(group: Group) -> list[str]:
    """The types of what was told in the group, oldest first."""
    return list(
        WebhookEvent.objects.filter(group=group).order_by("id").values_list("type", flat=True)
    )


def open_deliveries(endpoint: WebhookEndpoint) -> int:
    return Delivery.objects.of_endpoint(endpoint).filter(state="waiting").count()


def limit_key(key: APIKey, **limits: Any) -> Limit:
    """A limit row of the key, as if nothing had been spent yet."""
    made: Limit = Limit.objects.create(api_key=key, **limits)
    return made


def refuse(
    key: APIKey, amount_nanos: int, *, key_limit: int | None = None, group_limit: int | None = None
) -> str:
    """Ask for a hold of just that much, as a call does. Answers why it was refused, or nothing."""
    wallet = Account.objects.wallet_of(key.group).pk
    owner = HoldOwner.objects.create()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT h_refusals[1] FROM gateway_apply(%s, '{}', '{}', '{}', ARRAY[%s]::uuid[],"
            " ARRAY[%s]::bigint[], ARRAY[%s]::bigint[], ARRAY[%s]::bigint[], ARRAY['{}'], NULL, NULL,"
            " ARRAY[%s]::bigint[], ARRAY[%s]::bigint[], ARRAY[0]::bigint[])",
            [owner.pk, uuid7(), wallet, amount_nanos, amount_nanos, key_limit, group_limit],
        )
        refusal: str = cursor.fetchone()[0]
    return refusal


def order_task(key: APIKey, amount_nanos: int = 100, key_limit: int | None = None) -> UUID:
    """A task that waits, with its hold."""
    task_id = uuid7()
    task = {
        **dict.fromkeys(("base_url", "callback_url", "idempotency_key", "price_key"), ""),
        "id": str(task_id),
        "organization_id": str(key.group.organization_id),
        "group_id": str(key.group_id),
        "api_key_id": str(key.pk),
        "account_id": Account.objects.wallet_of(key.group).pk,
        "request": {},
        "count": 1,
        "hold_nanos": amount_nanos,
        "price_id": 1,
        "action": "text_to_image",
        "endpoint": "text_to_image",
        "timeout_s": 900,
        "requested_model": "gpt-image-2",
        "model": "openai/gpt-image-2",
        "request_digest": "",
    }
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT outcome FROM gateway_create_task(%s::jsonb, %s, NULL)",
            [json.dumps(task), key_limit],
        )
        cursor.fetchone()
    return task_id


def end_task(task_id: UUID, status: str = "completed", amount_nanos: int = 0) -> bool:
    """End it as a worker does, without a record."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT gateway_end_task(%s, 0, %s, '', '', %s, NULL, %s)",
            [task_id, status, amount_nanos, uuid7()],
        )
        ended: bool = cursor.fetchone()[0]
    return ended


def make_all_due() -> None:
    """Let the time of every next try come, and the lease of every sender end."""
    Delivery.objects.filter(state="waiting").update(next_at=timezone.now(), lease_until=None)


def repeat(work: Callable[[], Any], times: int = 8) -> list[Callable[[], Any]]:
    return [work] * times


def furnish(group: Group, actor: User) -> None:
    """Two webhooks with a log, for looking at: what arrived, what was given up, and one that was switched off."""
    bot, _ = subscribe(
        group, actor, "https://hooks.example.com/tollgate?token=abc", description="Deploy bot"
    )
    stopped, _ = subscribe(group, actor, f"https://{'a' * 60}.example.com/{'hook/' * 12}")
    good = {
        "at": timezone.now().timestamp(),
        "status": 200,
        "ms": 84,
        "error": "",
        "response": "ok",
    }
    bad = good | {"status": 503, "ms": 1204, "error": "busy", "response": "busy"}
    for log in ([good], [bad, good], [bad]):
        event = tell_low_balance(group)
        settled_payload(event)
        for endpoint, tries in ((bot, log), (stopped, [bad, bad])):
            state = "delivered" if tries[-1]["status"] == 200 else "failed"
            event.deliveries.filter(endpoint=endpoint).update(
                log=tries, state=state, attempts=len(tries), ended_at=timezone.now()
            )
    WebhookEndpoint.objects.filter(pk=stopped.pk).update(
        is_enabled=False, stopped_why="failing", failing_since=timezone.now()
    )
