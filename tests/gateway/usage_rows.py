"""Calls for the tests of sums, written by any connection, and what they add up to when one just counts them."""

import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from accounts.ids import first_id_at
from gateway import latencies
from gateway.usage_analytics import COLUMNS, Totals
from tests.world import Tenant

Row = dict[str, Any]
NOW = datetime(2026, 11, 21, 16, 7, 31, 250_000, tzinfo=UTC)
MODELS = ("openai/gpt-5.5", "anthropic/claude-sonnet-4-6", "")
STATUSES = (
    "completed",
    "completed",
    "client_gone",
    "upstream_failed",
    "timed_out",
    "lost",
    "refused",
)
COUNTS = (
    "input_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "reasoning_tokens",
    "audio_input_tokens",
    "audio_output_tokens",
    "images",
)


def make_call(tenant: Tenant, chance: random.Random, **fields: Any) -> Row:
    """A call of the last three days."""
    at = NOW - timedelta(milliseconds=chance.randrange(3 * 86_400_000))
    status = chance.choice(STATUSES)
    served = status in ("completed", "client_gone")
    row: Row = {
        "id": UUID(int=first_id_at(at).int | chance.getrandbits(62)),
        "organization_id": tenant.organization_id,
        "group_id": tenant.group_id,
        "api_key_id": tenant.key_id,
        "source": chance.choice(("api", "api", "task")),
        "endpoint": "chat/completions",
        "model": chance.choice(MODELS),
        "status": status,
        "stream": True,
        "service_tier": "standard",
        "created_at": at,
        "duration_ms": int(chance.lognormvariate(7, 2)),
        "first_token_ms": chance.choice((None, chance.randrange(5000))),
        "basis": "",
        "hold_nanos": 0,
        "list_nanos": chance.randrange(10**10) if served else 0,
        "amount_nanos": chance.randrange(10**10) if served else 0,
        "written_off_nanos": chance.choice((0, 0, 7)),
        "error_code": "",
        "error_message": "",
        "attempts": Jsonb(
            [
                {"channel": name}
                for name in chance.choice(((), ("gone",), ("gone", "openai:simulator")))
            ]
        ),
        **{name: chance.randrange(1000) for name in COUNTS},
    }
    return row | fields


def insert_calls(connection: psycopg.Connection[Any], calls: Iterable[Row]) -> None:
    """As one statement, in the connection's transaction."""
    rows = list(calls)
    names = ", ".join(rows[0])
    places = ", ".join(["(" + ", ".join(["%s"] * len(rows[0])) + ")"] * len(rows))
    connection.execute(
        f"INSERT INTO gateway_callrecord ({names}) VALUES {places}",
        [value for row in rows for value in row.values()],
    )


def add_up(calls: Iterable[Row]) -> Totals:
    """What they sum up to, without any SQL."""
    sums = dict.fromkeys(COLUMNS, 0)
    for call in calls:
        sums[call["status"]] += 1
        for name in (*COUNTS, "list_nanos", "amount_nanos", "written_off_nanos"):
            sums[name] += call[name]
        if call["status"] != "completed":
            continue
        sums["duration_ms"] += call["duration_ms"]
        sums["latencies"] += weight(call["duration_ms"])
        if call["first_token_ms"] is not None:
            sums["first_tokens"] += 1
            sums["first_token_ms"] += call["first_token_ms"]
            sums["first_token_latencies"] += weight(call["first_token_ms"])
    return Totals(**sums)


def weight(milliseconds: int) -> int:
    """The histogram of one value."""
    bucket = sum(1 for border in latencies.BORDERS_MS if border <= milliseconds)
    return 10 ** (latencies.DIGITS * bucket)


def settle_batch(connection: psycopg.Connection[Any], tenant: Tenant, calls: list[Row]) -> None:
    """As a gateway process records calls that were refused: by gateway_apply, in one batch."""
    records = [
        {
            **{
                name: value
                for name, value in call.items()
                if name not in ("created_at", "attempts")
            },
            "id": str(call["id"]),
            **{name: str(call[name]) for name in ("organization_id", "group_id", "api_key_id")},
            "created_at": call["created_at"].timestamp(),
            "status": "refused",
            "attempts": [],
        }
        for call in calls
    ]
    connection.execute(
        "SELECT * FROM gateway_apply(%s, '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', %s)",
        [0, Jsonb(records)],
    )
