"""The queue of image tasks: rows of gateway_task, claimed with a lease, ended once.

A run writes only while it owns its task: every statement names the number of claims that it knows of (the fence) and
the status `processing`, so a run that was taken for dead changes nothing any more. Time is the database's.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, cast
from uuid import UUID

import msgspec
from django.conf import settings
from django.db import connection, transaction

from accounts.ids import uuid7
from billing.models import Price
from billing.picture_pricing import charge_pictures, settle_delivery
from gateway.call import Attempt, Record, clean, encode_records
from gateway.images.request import ImageRequest
from gateway.images.retention import PICTURE_DAYS
from gateway.images.vendors.base import Job
from gateway.models import Picture

logger = logging.getLogger(__name__)

EXPIRED = "The task was not done before its deadline."
EXPIRED_AT_ONCE = 200
# A nudged worker nudges the next one itself, so that few are enough; they must not pile up behind a full queue.
NUDGES_AT_ONCE = 8
NUDGE_AGAIN_S = 5
WAITED = "waited"

# How a call ended whose task ended with the code; everything else is a refusal.
_STATUSES = {
    "upstream_error": "upstream_failed",
    "storage_unavailable": "upstream_failed",
    "no_channel_available": "upstream_failed",
    "upstream_timeout": "timed_out",
    "expired": "timed_out",
    "cancelled": "client_gone",
}

_COLUMNS = """
    t.id, t.attempts AS fence, t.organization_id::text, t.group_id::text, t.api_key_id::text, t.endpoint,
    t.requested_model, t.model, t.request AS asked, t.count, t.callback_url, t.price_id, t.price_key, t.hold_nanos,
    t.job, t.trials, t.events, t.progress, extract(epoch FROM t.created_at)::float8 AS created_at,
    extract(epoch FROM clock_timestamp())::float8 AS now,
    extract(epoch FROM t.deadline_at - clock_timestamp())::float8 AS left_s
"""
# statement_timestamp() where an index is to be used: PostgreSQL compares it with many rows, clock_timestamp() with one.
_DUE = """
    t.status IN ('pending', 'processing') AND t.next_at <= statement_timestamp()
    AND (t.lease_until IS NULL OR t.lease_until <= statement_timestamp()) AND t.deadline_at > statement_timestamp()
"""
# What runs, over all workers. The provider is the part of the model's name before the slash.
_RUNNING = """
    running AS MATERIALIZED (
        SELECT r.group_id, split_part(r.model, '/', 1) AS provider FROM gateway_task r
        WHERE r.status IN ('pending', 'processing') AND r.lease_until > statement_timestamp()
    ),
    busy AS (SELECT group_id, count(*) AS tasks FROM running GROUP BY group_id),
    full_providers AS (SELECT provider FROM running GROUP BY provider HAVING count(*) >= %(per_provider)s)
"""
# Due, and neither its group nor its provider has as many running tasks as it may have.
_CLAIMABLE = f"""
    gateway_task t LEFT JOIN busy ON busy.group_id = t.group_id
    WHERE {_DUE} AND coalesce(busy.tasks, 0) < %(per_group)s
        AND split_part(t.model, '/', 1) NOT IN (SELECT provider FROM full_providers)
"""  # noqa: S608 - constants
# Claims at the same moment do not see each other: together they may exceed a limit by as many as they are, less one.
_CLAIM = f"""
    WITH {_RUNNING}
    UPDATE gateway_task t
    SET status = 'processing', attempts = t.attempts + 1, updated_at = clock_timestamp(),
        started_at = coalesce(t.started_at, clock_timestamp()),
        lease_until = clock_timestamp() + make_interval(secs => %(lease_s)s),
        events = t.events || gateway_event('started', '')
    WHERE t.id = (
        SELECT t.id FROM {_CLAIMABLE}
        ORDER BY coalesce(busy.tasks, 0), t.id LIMIT 1 FOR UPDATE OF t SKIP LOCKED
    )
    RETURNING {_COLUMNS}
"""  # noqa: S608 - constants
_COUNT = f"""
    WITH {_RUNNING}
    SELECT t.id FROM {_CLAIMABLE} LIMIT %(least)s
"""  # noqa: S608 - constants
_OVERDUE = f"""
    SELECT {_COLUMNS} FROM gateway_task t
    WHERE t.status IN ('pending', 'processing') AND t.deadline_at <= statement_timestamp()
    ORDER BY t.deadline_at LIMIT %s
"""  # noqa: S608 - constants
# A row waits for a nudge where it got none since it became due, or the last one was long ago: nudges do get lost.
_NUDGE = f"""
    WITH {_RUNNING}
    UPDATE gateway_task SET nudged_at = clock_timestamp() WHERE id IN (
        SELECT t.id FROM {_CLAIMABLE} AND t.nudged_at < greatest(
            t.next_at, t.lease_until, statement_timestamp() - make_interval(secs => %(again_s)s))
        ORDER BY t.nudged_at LIMIT %(most)s FOR UPDATE OF t SKIP LOCKED)
"""  # noqa: S608 - constants
_OURS = "id = %s AND attempts = %s AND status = 'processing'"


class Trial(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One request for pictures. `id` is what the provider was told; without `status` and `error` its end is not known.

    `used`: the pictures of this one were delivered and charged. `is_final`: the same channel would fail again.
    """

    id: str
    channel: str
    at: float
    status: int | None = None
    error: str | None = None
    ms: int = 0
    upstream_id: str = ""
    used: bool = False
    is_final: bool = False


class KeptJob(msgspec.Struct, frozen=True):
    """A provider's job, and the channel and trial that it belongs to."""

    channel: str
    id: str
    poll_url: str = ""
    trial: str = ""

    @property
    def known(self) -> Job:
        """As the driver takes it."""
        return Job(self.id, self.poll_url)


class Event(msgspec.Struct, frozen=True):
    """One entry of the timeline."""

    at: float
    what: str
    detail: str = ""


class Claim(msgspec.Struct, kw_only=True):
    """A task in one run's hands. `fence`: how many claims there were, this one included; `now` and `left_s` (to
    the deadline) are as of its reading. The run keeps `trials`, `job` and `progress` as the row has them."""

    id: UUID
    fence: int
    organization_id: str
    group_id: str
    api_key_id: str
    endpoint: str
    requested_model: str
    model: str
    asked: dict[str, Any]
    count: int
    callback_url: str
    price_id: int
    price_key: str
    hold_nanos: int
    job: KeptJob | None
    trials: list[Trial]
    events: tuple[Event, ...]
    progress: int
    created_at: float
    now: float
    left_s: float

    @property
    def public_id(self) -> str:
        """The task's id as callers see it."""
        return f"tsk_{self.id.hex}"

    @property
    def request(self) -> ImageRequest:
        """What is asked for. Read only here, so that a task can be ended whose request cannot be read."""
        return msgspec.convert(self.asked, ImageRequest)

    @property
    def broken_runs(self) -> int:
        """Earlier claims that did not end with the lease given back: their worker died, or met a bug."""
        what = Counter(event.what for event in self.events)
        return self.fence - 1 - what[WAITED]


class StoredPicture(NamedTuple):
    """A picture in storage: two names there, and what the picture is."""

    name: str
    thumbnail: str
    content_type: str
    extension: str
    width: int
    height: int
    size_bytes: int


def claim_task() -> Claim | None:
    """The next task that is due, now ours for a lease: of the group with the fewest running ones, the oldest. None of a
    group or a provider that has as many running ones as it may have."""
    rows = _query(_CLAIM, _limits() | {"lease_s": settings.TASK_LEASE_S})
    return _claim(rows[0]) if rows else None


def has_due_tasks(least: int) -> bool:
    """Whether there are at least so many to claim, each for itself."""
    return len(_query(_COUNT, _limits() | {"least": least})) >= least


def renew_lease(claim: Claim) -> bool:
    """Keep the task for another lease, and write its progress. False: it is in other hands, or has ended."""
    return _write(
        claim,
        "lease_until = clock_timestamp() + make_interval(secs => %s), progress = greatest(progress, %s)",
        (settings.TASK_LEASE_S, claim.progress),
    )


def note_trials(claim: Claim) -> bool:
    """Write the trials as the run knows them: before a request goes out, and again when its outcome is known. False as
    of `renew_lease`: then nothing may go out."""
    return _write(claim, "trials = %s::jsonb", (_json(claim.trials),))


def note_job(claim: Claim, what: str, detail: str = "") -> bool:
    """Write the provider's job, None once it is lost, with the trials and an event of the timeline."""
    return _write(
        claim,
        "job = %s::jsonb, trials = %s::jsonb, events = events || gateway_event(%s, %s)",
        (None if claim.job is None else _json(claim.job), _json(claim.trials), what, clean(detail)),
    )


def postpone(claim: Claim, seconds: float, why: str, *, is_clean: bool = True) -> bool:
    """Give the lease back, to be claimed again after so many seconds. `is_clean`: nothing went wrong in this run, so it
    does not count as broken."""
    return _write(
        claim,
        "lease_until = NULL, next_at = clock_timestamp() + make_interval(secs => %s),"
        " events = events || gateway_event(%s, %s)",
        (seconds, WAITED if is_clean else "interrupted", clean(why)),
    )


def finish_task(claim: Claim, pictures: Sequence[StoredPicture]) -> bool:
    """Complete the task, charge what was delivered, and let go of the lease, all or nothing. False, and nothing is
    written, where it is past its deadline, in other hands, or has ended: what was stored is to be deleted."""
    price = Price.objects.prefetch_related("rates").get(pk=claim.price_id).frozen()
    charged = settle_delivery(price, claim.price_key, claim.count, len(pictures))
    charge = charge_pictures(price, charged.images, charged.price_key)
    with transaction.atomic():
        # The deadline is looked at with the row locked: whoever ends overdue tasks waits, or was here before.
        rows = _query(
            "UPDATE gateway_task SET trials = %s::jsonb, job = NULL"  # noqa: S608 - names are ours
            f" WHERE {_OURS} AND deadline_at > clock_timestamp() RETURNING clock_timestamp() AS now",
            (_json(claim.trials), claim.id, claim.fence),
        )
        if not rows:
            return False
        now: datetime = rows[0]["now"]
        Picture.objects.bulk_create(
            Picture(
                task_id=claim.id,
                position=position,
                expires_at=now + timedelta(days=PICTURE_DAYS),
                **picture._asdict(),
            )
            for position, picture in enumerate(pictures)
        )
        record = _record(claim, "completed", now)
        record.images, record.price_key = charged.images, charged.price_key
        record.basis, record.list_nanos = "reported", charge.list_nanos
        record.upstream_id = next((clean(t.upstream_id)[:128] for t in claim.trials if t.used), "")
        if not _end(claim, record, "completed", charge.amount_nanos):
            raise RuntimeError(f"{claim.public_id} changed while its row was locked")
    return True


def fail_task(claim: Claim, code: str, message: str) -> bool:
    """End the task without pictures, its hold released. False as of `finish_task`; the deadline does not matter."""
    with transaction.atomic():
        now: datetime = _query("SELECT clock_timestamp() AS now", ())[0]["now"]
        record = _record(claim, _STATUSES.get(code, "refused"), now)
        record.error_code, record.error_message = code[:64], clean(message)[:500]
        return _end(claim, record, "failed", 0)


def expire_tasks() -> int:
    """Fail every unfinished task past its deadline, whoever has its lease. Answers how many were ended here."""
    ended = 0
    for row in _query(_OVERDUE, (EXPIRED_AT_ONCE,)):
        try:
            ended += fail_task(_claim(row), "expired", EXPIRED)
        except Exception:  # the others shall not wait for this one
            logger.exception("task %s could not be ended", row["id"])
    return ended


def take_nudges() -> int:
    """How many nudges to send for tasks whose nudge or worker was lost, or whose time has come; they count as sent."""
    with connection.cursor() as cursor:
        cursor.execute(_NUDGE, _limits() | {"again_s": NUDGE_AGAIN_S, "most": NUDGES_AT_ONCE})
        return cast(int, cursor.rowcount)


def _limits() -> dict[str, Any]:
    return {
        "per_group": settings.TASKS_PER_GROUP_MAX,
        "per_provider": settings.TASKS_PER_PROVIDER_MAX,
    }


def _end(claim: Claim, record: Record, status: str, amount_nanos: int) -> bool:
    rows = _query(
        "SELECT gateway_end_task(%s, %s, %s, %s, %s, %s, %s::jsonb, %s) AS ended",
        (
            claim.id,
            claim.fence,
            status,
            record.error_code,
            record.error_message,
            amount_nanos,
            encode_records([record]).decode(),
            uuid7(),
        ),
    )
    return bool(rows[0]["ended"])


def _record(claim: Claim, status: str, now: datetime) -> Record:
    return Record(
        id=claim.id,
        organization_id=claim.organization_id,
        group_id=claim.group_id,
        api_key_id=claim.api_key_id,
        source="task",
        endpoint=claim.endpoint,
        model=claim.model,
        status=status,
        created_at=claim.created_at,
        duration_ms=int((now.timestamp() - claim.created_at) * 1000),
        price_id=claim.price_id,
        hold_nanos=claim.hold_nanos,
        attempts=[Attempt(t.channel, t.status, t.error, t.ms) for t in claim.trials],
    )


def _write(claim: Claim, assignments: str, parameters: tuple[Any, ...]) -> bool:
    sql = f"UPDATE gateway_task SET {assignments}, updated_at = clock_timestamp() WHERE {_OURS}"  # noqa: S608 - ours
    with connection.cursor() as cursor:
        cursor.execute(sql, (*parameters, claim.id, claim.fence))
        return bool(cursor.rowcount)


def _query(sql: str, parameters: Sequence[Any] | Mapping[str, Any]) -> list[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _claim(row: dict[str, Any]) -> Claim:
    # Django leaves JSON as text where no model reads it.
    for name in ("asked", "job", "trials", "events"):
        row[name] = msgspec.json.decode(row[name]) if row[name] is not None else None
    return msgspec.convert(row, Claim)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
