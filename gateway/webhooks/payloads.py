"""What a webhook says: a type, a time and data, as Standard Webhooks 1.0 advises. docs/api.md, "Webhooks".

`VERSION` counts changes that a receiver could stumble over; fields are only ever added without one.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from django.db import transaction

from accounts.models import APIKey, Group
from billing.money import format_usd
from gateway.callback_payloads import view_task
from gateway.images.shape import task_as_object
from gateway.models import Task, WebhookEvent

VERSION = 1


class NothingToTell(Exception):
    """What the event is about is gone."""


def settled_payload(event: WebhookEvent) -> str:
    """The body of the event's messages: made once, for whoever sends the first one. Raises NothingToTell."""
    if event.payload:
        return event.payload
    payload = _encode(event)
    with transaction.atomic():
        row = WebhookEvent.objects.select_for_update(no_key=True).get(pk=event.pk)
        if not row.payload:
            row.payload = payload
            row.save(update_fields=["payload"])
    event.payload = row.payload
    return row.payload


def example_facts() -> dict[str, Any]:
    """What a test tells."""
    return {"message": "This is a test. Nothing has happened."}


def _encode(event: WebhookEvent) -> str:
    body = {
        "type": event.type,
        "timestamp": event.created_at.astimezone(UTC).isoformat(),
        "version": VERSION,
        "data": _DATA[event.type](event),
    }
    return msgspec.json.encode(body).decode()


def _task_ended(event: WebhookEvent) -> dict[str, Any]:
    """The object that a poll answers, as it stands when the first message is made."""
    task = Task.objects.filter(pk=UUID(event.facts["task_id"])).first()
    if task is None:
        raise NothingToTell
    return task_as_object(view_task(task))


def _balance_low(event: WebhookEvent) -> dict[str, Any]:
    names = ("threshold", "balance", "available")
    return _place(event) | {"currency": "usd"} | _amounts(event, names)


def _limit_reached(event: WebhookEvent) -> dict[str, Any]:
    resets_at = event.facts["resets_at"]
    key_id = event.facts["key_id"]
    return (
        _place(event)
        | {
            "limit": event.facts["budget"],
            "key": _key(key_id) if key_id else None,
            "currency": "usd",
            "resets_at": None if resets_at is None else _moment(resets_at),
        }
        | _amounts(event, ("amount", "spent", "reserved"))
    )


def _key_revoked(event: WebhookEvent) -> dict[str, Any]:
    return _place(event) | {
        "key": _key(event.facts["key_id"]),
        "revoked_at": _moment(event.facts["revoked_at"]),
        "revoked_by": event.facts["by"] or "Tollgate",
        "reason": event.facts["reason"],
    }


def _test(event: WebhookEvent) -> dict[str, Any]:
    return _place(event) | {"message": event.facts["message"]}


def _place(event: WebhookEvent) -> dict[str, Any]:
    group = Group.objects.filter(pk=event.group_id).first()
    if group is None:
        raise NothingToTell
    return {
        "group_id": str(group.pk),
        "group": group.name,
        "organization_id": str(group.organization_id),
    }


def _key(key_id: str) -> dict[str, Any]:
    key = APIKey.objects.filter(pk=UUID(key_id)).first()
    if key is None:
        raise NothingToTell
    return {"id": str(key.pk), "name": key.name, "prefix": f"{key.prefix}-v1-{key.public_id}"}


def _amounts(event: WebhookEvent, names: tuple[str, ...]) -> dict[str, str]:
    return {name: format_usd(event.facts[f"{name}_nanos"]) for name in names}


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


_DATA: dict[str, Callable[[WebhookEvent], dict[str, Any]]] = {
    WebhookEvent.Type.TASK_ENDED: _task_ended,
    WebhookEvent.Type.BALANCE_LOW: _balance_low,
    WebhookEvent.Type.LIMIT_REACHED: _limit_reached,
    WebhookEvent.Type.KEY_REVOKED: _key_revoked,
    WebhookEvent.Type.TEST: _test,
}
