"""Calls that began at a given moment, and many of them at once."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.db import connection

from accounts.ids import first_id_at
from accounts.models import APIKey
from gateway.models import CallRecord

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def dated(key: APIKey, at: datetime, **fields: Any) -> CallRecord:
    """A call of that key, not saved; completed unless told otherwise."""
    return CallRecord(
        id=UUID(int=first_id_at(at).int | uuid4().int & (2**62 - 1)),
        organization_id=key.group.organization_id,
        group=key.group,
        api_key=key,
        created_at=at,
        **{"endpoint": "chat/completions", "model": "openai/gpt-5.5", "status": "completed"}
        | fields,
    )


def record_at(key: APIKey, at: datetime, **fields: Any) -> CallRecord:
    """The same, saved."""
    call = dated(key, at, **fields)
    call.save(force_insert=True)
    return call


def record_many(
    key: APIKey, count: int, fields: Callable[[int], dict[str, Any]] = lambda number: {}
) -> list[CallRecord]:
    """So many calls a second apart, the newest (number 0) at NOW; the planner's figures are brought up to date."""
    calls = [dated(key, NOW - timedelta(seconds=n), **fields(n)) for n in range(count)]
    CallRecord.objects.bulk_create(calls)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE gateway_callrecord")
    return calls
