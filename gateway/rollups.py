"""Rolls calls up into sums: each call once, whatever order calls end in.

A trigger notes each new record in `gateway_uncounted`, in the transaction that writes it (migration 0008). A run takes
notes away and adds their records to `gateway_usagesum` in one statement, so in any snapshot a call is either noted or
in the sums, and readers who add up both (gateway/usage_analytics.py) are exact at every moment.

What was tried before and is not done: marking records with their transaction's number, and counting up to a watermark.
The numbers mean nothing after a restore into another server, and one forgotten transaction stops the watermark.
"""

from django.db import connection, transaction

from gateway.call_objects import USAGE_FIELDS
from gateway.latencies import weight_sql

SLICE = 20_000
LOCK_CLASS = 7303
TIERS = (15, 60, 240, 1440)
"""Minutes of a sum, as of UsageSum.Minutes."""

# A call belongs to the channel that was tried last. Times are those of completed calls: a refusal takes no time, and a
# failure as long as somebody's patience.
DIMENSIONS = {
    "organization_id": "r.organization_id",
    "group_id": "r.group_id",
    "api_key_id": "r.api_key_id",
    "member_id": "coalesce(k.created_by_id, 0)",
    "model": "r.model",
    "source": "r.source",
    "channel_id": "coalesce(c.id, 0)",
}
STATUSES = ("completed", "client_gone", "upstream_failed", "timed_out", "lost", "refused")
COPIED = (*USAGE_FIELDS, "list_nanos", "amount_nanos", "written_off_nanos")
_COMPLETED = "r.status = 'completed'"
_STREAMED = f"{_COMPLETED} AND r.first_token_ms IS NOT NULL"
SUMS = {
    **{status: f"(r.status = '{status}')::int" for status in STATUSES},
    **{name: f"r.{name}" for name in COPIED},
    "duration_ms": f"CASE WHEN {_COMPLETED} THEN r.duration_ms ELSE 0 END",
    "first_token_ms": f"CASE WHEN {_STREAMED} THEN r.first_token_ms ELSE 0 END",
    "first_tokens": f"({_STREAMED})::int",
    "latencies": weight_sql(f"CASE WHEN {_COMPLETED} THEN r.duration_ms END"),
    "first_token_latencies": weight_sql(f"CASE WHEN {_STREAMED} THEN r.first_token_ms END"),
}
"""Of each column of sums, what one record `r` adds to it."""

JOINS = """
    LEFT JOIN accounts_apikey k ON k.id = r.api_key_id
    LEFT JOIN gateway_channel c ON c.provider_id || ':' || c.name = r.attempts -> -1 ->> 'channel'
"""
"""What DIMENSIONS needs beside the record."""

_KEY = ("api_key_id", "minutes", "began_at", "model", "source", "channel_id")
_ADD_UP = f"""
    WITH taken AS (
        DELETE FROM gateway_uncounted
        WHERE ctid = ANY(ARRAY(SELECT ctid FROM gateway_uncounted LIMIT %s))
        RETURNING call_id
    ), calls AS MATERIALIZED (
        SELECT r.created_at, {", ".join(f"{sql} AS {name}" for name, sql in (DIMENSIONS | SUMS).items())}
        FROM taken t JOIN gateway_callrecord r ON r.id = t.call_id {JOINS}
    ), added AS (
        INSERT INTO gateway_usagesum AS u (minutes, began_at, {", ".join(DIMENSIONS | SUMS)})
        SELECT m.minutes, date_bin(m.minutes * interval '1 minute', created_at, timestamptz '2000-01-01 00:00+00'),
            {", ".join(DIMENSIONS)}, {", ".join(f"sum({name})" for name in SUMS)}
        FROM calls CROSS JOIN unnest(%s::smallint[]) AS m(minutes)
        GROUP BY 1, 2, {", ".join(DIMENSIONS)}
        ON CONFLICT ({", ".join(_KEY)}) DO UPDATE
        SET {", ".join(f"{name} = u.{name} + excluded.{name}" for name in SUMS)}
    )
    SELECT count(*) FROM taken
"""  # noqa: S608 - made of constants


def roll_up(limit: int = SLICE) -> int:
    """Add up to `limit` calls to the sums, in one transaction. Answers how many; 0 also where another process is at it
    just now."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, 0)", [LOCK_CLASS])
        row = cursor.fetchone()
        if row is None or not row[0]:
            return 0
        cursor.execute(_ADD_UP, [limit, list(TIERS)])
        row = cursor.fetchone()
        return int(row[0]) if row else 0


def forget() -> int:
    """Throw the sums away and note every record as not counted, in one transaction: `roll_up` makes them anew.
    Answers how many records there are.

    For somebody who altered records by hand; nothing else needs it, a restored backup neither."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, 0)", [LOCK_CLASS])
        # No record comes in between: it would be noted twice.
        cursor.execute("LOCK TABLE gateway_callrecord IN SHARE MODE")
        cursor.execute("TRUNCATE gateway_usagesum, gateway_uncounted")
        cursor.execute(
            "INSERT INTO gateway_uncounted SELECT id, organization_id, group_id FROM gateway_callrecord"
        )
        return int(cursor.rowcount)


def days_that_differ_sql() -> str:
    """One number: days (UTC) and tiers whose sums, with what is not counted yet, are not those of the records."""
    compared = [name for name in SUMS if not name.endswith("latencies")]
    records = ", ".join(f"sum({SUMS[name]}) AS {name}" for name in compared)
    tiers = ", ".join(f"({minutes})" for minutes in TIERS)
    return f"""
        WITH records AS (
            SELECT date_trunc('day', r.created_at, 'UTC') AS day, {records}
            FROM gateway_callrecord r WHERE NOT EXISTS (SELECT 1 FROM gateway_uncounted q WHERE q.call_id = r.id)
            GROUP BY 1
        ), sums AS (
            SELECT minutes, date_trunc('day', began_at, 'UTC') AS day,
                {", ".join(f"sum({name}) AS {name}" for name in compared)}
            FROM gateway_usagesum GROUP BY 1, 2
        )
        SELECT count(*)
        FROM (SELECT m.minutes, records.* FROM records CROSS JOIN (VALUES {tiers}) AS m(minutes)) a
        FULL JOIN sums b ON b.day = a.day AND b.minutes = a.minutes
        WHERE ({", ".join(f"a.{name}" for name in compared)})
            IS DISTINCT FROM ({", ".join(f"b.{name}" for name in compared)})
    """  # noqa: S608 - made of constants
