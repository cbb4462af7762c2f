"""What the data plane reads and writes of image tasks and uploads. Its SQL for them stands here."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec

from accounts.ids import uuid7
from gateway.batch import HoldResult
from gateway.call import Caller
from gateway.limits import Rate, RateState
from gateway.rows import Pool, fetch_rows

CREATE = """
    SELECT * FROM gateway_create_task(%s::jsonb, %s, %s)
"""
COLUMNS = """
    t.id, t.requested_model, t.action, t.status, t.progress, t.created_at, t.updated_at, t.hold_nanos, t.amount_nanos,
    t.error_code, t.error_message
"""
FIND = f"SELECT {COLUMNS} FROM gateway_task t WHERE t.id = %s AND t.group_id = %s"  # noqa: S608 - constants
LIST = f"""
    SELECT {COLUMNS} FROM gateway_task t
    WHERE t.group_id = %(group_id)s AND (%(after)s::uuid IS NULL OR t.id < %(after)s)
      AND (%(status)s::text IS NULL OR t.status = %(status)s)
    ORDER BY t.id DESC LIMIT %(limit)s
"""  # noqa: S608 - constants
PICTURES = """
    SELECT p.task_id, p.position, p.name, p.content_type, p.extension, p.width, p.height, p.expires_at
    FROM gateway_picture p WHERE p.task_id = ANY(%s) ORDER BY p.task_id, p.position
"""
HAS_KEY = """
    SELECT 1 FROM gateway_task
    WHERE api_key_id = %s AND idempotency_key = %s AND idempotency_key > ''
"""
CANCEL = """
    SELECT gateway_cancel_task(%s, %s, %s) AS cancelled
"""
UPLOADED = """
    SELECT coalesce(sum(size_bytes), 0)::bigint AS size FROM gateway_upload
    WHERE group_id = %(group_id)s AND deleted_at IS NULL
"""
# The next statement's sum is of what was committed before it: two uploads of one group wait for each other.
LOCK_GROUP = "SELECT 1 FROM accounts_group WHERE id = %(group_id)s FOR NO KEY UPDATE"
ADD_UPLOAD = f"""
    INSERT INTO gateway_upload (id, group_id, api_key_id, name, filename, purpose, content_type, width, height,
                                size_bytes, expires_at)
    SELECT %(id)s, %(group_id)s, %(api_key_id)s, %(name)s, %(filename)s, %(purpose)s, %(content_type)s, %(width)s,
           %(height)s, %(size_bytes)s, clock_timestamp() + make_interval(secs => %(lifetime_s)s)
    WHERE ({UPLOADED}) + %(size_bytes)s <= %(group_bytes_max)s
    RETURNING created_at, expires_at
"""
UPLOAD = """
    SELECT id, name, filename, purpose, content_type, size_bytes, created_at, expires_at
    FROM gateway_upload
    WHERE id = ANY(%s) AND group_id = %s AND deleted_at IS NULL AND expires_at > clock_timestamp()
"""
DELETE_UPLOAD = """
    UPDATE gateway_upload SET expires_at = least(expires_at, clock_timestamp())
    WHERE id = %s AND group_id = %s AND deleted_at IS NULL AND expires_at > clock_timestamp() RETURNING id
"""


class TaskRow(msgspec.Struct, frozen=True, kw_only=True):
    """A task to be made, as `gateway_create_task` takes it. `request` is an ImageRequest."""

    id: UUID
    organization_id: str
    group_id: str
    api_key_id: str
    account_id: int
    action: str
    endpoint: str
    requested_model: str
    model: str
    request: msgspec.Struct
    count: int
    price_id: int
    price_key: str
    hold_nanos: int
    base_url: str
    callback_url: str
    idempotency_key: str
    request_digest: str
    timeout_s: float


class Created(msgspec.Struct, frozen=True):
    """`outcome`: created, replayed, conflict or refused; `task_id` of the task that there is; `hold` says why and what
    remains of the limits."""

    outcome: str
    task_id: UUID | None
    hold: HoldResult


class TaskStore:
    """Tasks and uploads of one group at a time: no query without its group."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def create(self, row: TaskRow, caller: Caller) -> Created:
        """The task and its hold in one transaction."""
        parameters = (
            msgspec.json.encode(row).decode(),
            caller.key_limit_id,
            caller.group_limit_id,
        )
        found = (await self._query(CREATE, parameters))[0]
        requests = _rate(found, "request_limit", "requests_left", "requests_reset_s")
        tokens = _rate(found, "token_limit", "tokens_left", "tokens_reset_s")
        hold = HoldResult(
            granted_nanos=row.hold_nanos if found["outcome"] == "created" else 0,
            available_nanos=found["available_nanos"] or 0,
            refusal=found["refusal"] or "",
            retry_after_s=found["retry_after_s"] or 0,
            left_nanos=found["left_nanos"] or 0,
            rate=RateState(requests, tokens) if requests or tokens else None,
        )
        return Created(found["outcome"], found["task_id"], hold)

    async def exists(self, row: TaskRow) -> bool:
        """Whether a task exists whose creation got no answer; if not, from now on it never will."""
        rows = await self._query(
            "SELECT gateway_forget_task(%s, %s) AS known", (row.id, row.account_id)
        )
        return bool(rows[0]["known"])

    async def has_key(self, caller: Caller, idempotency_key: str) -> bool:
        """Whether a task was made with that key of idempotency."""
        return bool(idempotency_key) and bool(
            await self._query(HAS_KEY, (caller.key_id, idempotency_key))
        )

    async def find(self, group_id: str, task_id: UUID) -> dict[str, Any] | None:
        """One task of the group."""
        rows = await self._query(FIND, (task_id, group_id))
        return rows[0] if rows else None

    async def latest(
        self, group_id: str, after: UUID | None, status: str | None, limit: int
    ) -> list[dict[str, Any]]:
        """Tasks of the group, newest first, those that are older than `after`."""
        parameters = {"group_id": group_id, "after": after, "status": status, "limit": limit}
        return await self._query(LIST, parameters)

    async def pictures(self, task_ids: Sequence[UUID]) -> list[dict[str, Any]]:
        """The pictures of tasks, in their order."""
        return await self._query(PICTURES, (list(task_ids),)) if task_ids else []

    async def cancel(self, group_id: str, task_id: UUID) -> bool:
        """End a task that no worker has begun, releasing its hold. False: one has, or it has ended."""
        return bool((await self._query(CANCEL, (task_id, group_id, uuid7())))[0]["cancelled"])

    async def add_upload(
        self, upload: dict[str, Any], group_bytes_max: int
    ) -> dict[str, Any] | None:
        """The row of a stored upload; answers its times. None, and no row, where the group would have more than that
        many bytes stored."""
        parameters = {**upload, "group_bytes_max": group_bytes_max}
        async with self._pool.connection() as connection, connection.transaction():
            await connection.execute(LOCK_GROUP, parameters)
            cursor = await connection.execute(ADD_UPLOAD, parameters)
            times: dict[str, Any] | None = await cursor.fetchone()
            return times

    async def uploads(self, group_id: str, ids: Sequence[UUID]) -> list[dict[str, Any]]:
        """Those of the ids that are uploads of the group and have not expired."""
        return await self._query(UPLOAD, (list(ids), group_id)) if ids else []

    async def uploaded_bytes(self, group_id: str) -> int:
        """What the group's uploads take."""
        return int((await self._query(UPLOADED, {"group_id": group_id}))[0]["size"])

    async def expire_upload(self, group_id: str, upload_id: UUID) -> bool:
        """End an upload; its file goes with the next cleanup, since a task may be about to read it."""
        return bool(await self._query(DELETE_UPLOAD, (upload_id, group_id)))

    async def _query(
        self, query: str, parameters: Sequence[Any] | dict[str, Any]
    ) -> list[dict[str, Any]]:
        return await fetch_rows(self._pool, query, parameters)


def _rate(row: dict[str, Any], limit: str, left: str, reset_s: str) -> Rate | None:
    if row[limit] is None:
        return None
    return Rate(row[limit], row[left] or 0, row[reset_s] or 0)
