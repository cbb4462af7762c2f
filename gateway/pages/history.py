"""The history of calls: what the pages read from CallRecord.

Ids of calls are version 7 UUIDs, made when the call began. Lists are ordered and cut by id, and a span of time is
also a range of ids, so that every read walks an index and stops when its page is full (`walks`).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection

from accounts.ids import EPOCH
from accounts.models import Group
from gateway.models import CallRecord

# So many names a filter offers to choose from.
CHOICES_MAX = 200
# How many calls beside one its page shows, on either side.
NEIGHBOURS = 3

CHARGEABLE = (CallRecord.Status.COMPLETED, CallRecord.Status.CLIENT_GONE)

# Jumps from one value of the column to the next along an index: a DISTINCT would read every call of the group.
DISTINCT_MODELS = """
WITH RECURSIVE found AS (
    SELECT (SELECT min(model) FROM gateway_callrecord WHERE group_id = %(group)s AND model > '') AS name
    UNION ALL
    SELECT (SELECT min(model) FROM gateway_callrecord WHERE group_id = %(group)s AND model > found.name)
    FROM found WHERE found.name IS NOT NULL
)
SELECT name FROM found WHERE name IS NOT NULL LIMIT %(most)s
"""
DISTINCT_ERRORS = """
WITH RECURSIVE found AS (
    SELECT (SELECT min(error_code) FROM gateway_callrecord WHERE group_id = %(group)s AND error_code > '') AS name
    UNION ALL
    SELECT (SELECT min(error_code) FROM gateway_callrecord
            WHERE group_id = %(group)s AND error_code > '' AND error_code > found.name)
    FROM found WHERE found.name IS NOT NULL
)
SELECT name FROM found WHERE name IS NOT NULL LIMIT %(most)s
"""


@dataclass(frozen=True)
class CallFilter:
    """Which calls to list; an empty value does not restrict.

    `since` is inclusive, `until` is not. `key_ids` are keys of the group; empty, not None, lets nothing through.
    `id_digits`: hexadecimal digits with which the id begins.
    """

    source: str = ""
    key_ids: tuple[UUID, ...] | None = None
    model: str = ""
    statuses: tuple[str, ...] = ()
    endpoint: str = ""
    stream: bool | None = None
    error_code: str = ""
    charge_min_nanos: int | None = None
    duration_min_ms: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    id_digits: str = ""


def fingerprint(rows: Sequence[CallRecord]) -> str:
    """Changes when the page does. The ids alone tell, since a record is written once; the newest id alone would not:
    a call that ran long takes its place below calls that began after it."""
    return hashlib.sha256(b"".join(row.id.bytes for row in rows)).hexdigest()[:16]


def called_models(group: Group) -> list[str]:
    """Models that the group ever called, by name."""
    return _distinct(DISTINCT_MODELS, group)


def error_codes(group: Group) -> list[str]:
    """Error codes with which calls of the group ended, by name."""
    return _distinct(DISTINCT_ERRORS, group)


def _distinct(statement: str, group: Group) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(statement, {"group": group.pk, "most": CHOICES_MAX})
        return sorted(name for (name,) in cursor.fetchall())


def has_calls(group: Group) -> bool:
    """Whether the group ever called anything."""
    return CallRecord.objects.of_group(group).order_by().exists()


def moment_of(call_id: UUID) -> datetime:
    """When the id of a call was made."""
    return EPOCH + timedelta(milliseconds=call_id.int >> 80)


def neighbours(call: CallRecord, group: Group) -> list[CallRecord]:
    """The calls of the group that began just before and after this one, with it among them, newest first."""
    calls = CallRecord.objects.of_group(group)
    newer = calls.filter(id__gt=call.pk).order_by("id")[:NEIGHBOURS]
    return [*reversed(newer), call, *calls.filter(id__lt=call.pk)[:NEIGHBOURS]]
