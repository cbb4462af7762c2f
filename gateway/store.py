"""The data plane's connections to PostgreSQL, and what it reads there. All SQL of the data plane
stands here and in batch.py.

Three kinds of connection: one for money (batch.py), one that listens (watch.py), and a small pool for reads.
"""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import psycopg
from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from accounts.ids import first_id_at
from billing import pricing
from gateway.batch import APPLY
from gateway.call import Caller, Memo, Record, encode_records
from gateway.catalog import Catalog, Channel, Model, channels_by_model
from gateway.configuration import Configuration
from gateway.credentials import BadCredential, unseal
from gateway.limits import describe_limits
from gateway.money_line import MoneyLine
from gateway.rows import fetch_rows

logger = logging.getLogger(__name__)

OWNER_LOCK_CLASS = 7301
SWEEP_LOCK_CLASS = 7302
SWEEP_LIMIT = 500
DISCONNECTED = (psycopg.OperationalError, psycopg.InterfaceError, OSError, TimeoutError)
"""What a query raises when the database is away (a pool's own timeout is an OperationalError)."""

MONEY_SETTINGS = (
    "SET synchronous_commit = on",
    "SET statement_timeout = '10s'",
    # A custom plan for each batch would cost more than the batch: the arrays' contents do not change the plan.
    "SET plan_cache_mode = force_generic_plan",
    # The plan may be made while the tables are empty and is kept while they grow: rows are few and found by their
    # keys, so a plan that reads a whole table is never the right one.
    *(
        f"SET {choice} = off"
        for choice in ("enable_seqscan", "enable_hashjoin", "enable_mergejoin", "jit")
    ),
)
"""How the money line plans. Tests of billing_apply use the same: it must be right under these plans."""

FIND_CALLER = """
    SELECT k.id::text AS key_id, k.name AS key_name, %(id)s AS public_id, k.prefix,
           CASE WHEN k.public_id = %(id)s THEN k.digest ELSE k.previous_digest END AS digest,
           extract(epoch FROM least(
               k.expires_at, g.expires_at, CASE WHEN k.public_id <> %(id)s THEN k.previous_until END
           ))::float8 AS expires_at,
           g.id::text AS group_id, g.name AS group_name,
           o.id::text AS organization_id, o.name AS organization_name, w.id AS wallet_id,
           CASE WHEN k.purpose = 'manage' THEN 'manage' ELSE 'call' END AS scope,
           kl.id AS key_limit_id, gl.id AS group_limit_id,
           ARRAY[k.allowed_models, g.allowed_models] AS allowed_models,
           ARRAY[k.allowed_networks, g.allowed_networks] AS allowed_networks
    FROM accounts_apikey k
    JOIN accounts_group g ON g.id = k.group_id
    JOIN accounts_organization o ON o.id = g.organization_id
    JOIN billing_account w ON w.group_id = g.id AND w.kind = 'wallet'
    LEFT JOIN billing_limit kl ON kl.api_key_id = k.id
    LEFT JOIN billing_limit gl ON gl.group_id = g.id
    WHERE (k.public_id = %(id)s OR k.previous_public_id = %(id)s) AND k.revoked_at IS NULL
"""
MODELS = """
    SELECT m.name, m.provider_id AS provider, m.upstream_name, m.mode, m.aliases, m.context_length,
           m.max_completion_tokens
    FROM gateway_model m WHERE m.is_enabled
"""
PRICES = """
    SELECT p.id, p.model, p.group_id::text AS group_id, p.effective_from, p.sell_bps,
           json_agg(json_build_array(r.tier, r.above_input_tokens, r.bucket, r.list_nanos, r.per, r.sell_bps)) AS rates
    FROM billing_price p JOIN billing_pricerate r ON r.price_id = p.id
    GROUP BY p.id ORDER BY p.model, p.effective_from DESC, p.id DESC
"""
CHANNELS = """
    SELECT c.id, c.provider_id AS provider, p.dialect, c.name, c.base_url, c.credential, c.priority, c.weight,
           c.model_map
    FROM gateway_channel c JOIN gateway_provider p ON p.slug = c.provider_id
    WHERE c.is_enabled ORDER BY c.priority, c.id
"""
BALANCE = """
    SELECT a.balance_nanos, a.held_nanos, a.balance_nanos - a.held_nanos + a.credit_line_nanos AS available_nanos,
           (SELECT coalesce(sum(amount_nanos), 0)::bigint FROM gateway_callrecord r
            WHERE r.group_id = a.group_id AND r.id >= %(month)s) AS month_nanos,
           (SELECT coalesce(sum(amount_nanos), 0)::bigint FROM gateway_callrecord r
            WHERE r.group_id = a.group_id AND r.id >= %(day)s) AS day_nanos
    FROM billing_account a WHERE a.id = %(wallet)s
"""
LIMITS = """
    SELECT * FROM billing_limit WHERE id = ANY(%s)
"""
KEY_SPENT = """
    SELECT coalesce(sum(amount_nanos), 0)::bigint AS spent FROM gateway_callrecord
    WHERE api_key_id = %s AND id >= %s
"""
RESPONSE = """
    SELECT r.attempts -> -1 ->> 'channel' AS channel_name,
           r.input_tokens + r.cached_input_tokens + r.cache_write_tokens + r.cache_write_1h_tokens
           + r.audio_input_tokens + r.output_tokens + r.audio_output_tokens AS tokens
    FROM gateway_callrecord r
    WHERE r.upstream_id = %s AND r.upstream_id > '' AND r.group_id = %s AND r.status = 'completed'
    ORDER BY r.id DESC LIMIT 1
"""
RECORD_COLUMNS = """
    r.id, r.source, r.model, r.status, r.stream, r.service_tier, r.created_at, r.duration_ms, r.first_token_ms,
    r.input_tokens, r.cached_input_tokens, r.cache_write_tokens, r.cache_write_1h_tokens, r.output_tokens,
    r.reasoning_tokens, r.audio_input_tokens, r.audio_output_tokens, r.images, r.price_key, r.basis, r.price_id,
    r.hold_nanos,
    r.list_nanos, r.amount_nanos, r.error_code, r.error_message, r.endpoint
"""


class KeptResponse(NamedTuple):
    """An answer that a later call may continue: the channel that keeps it, and its whole context in tokens."""

    channel_name: str
    tokens: int


def month_start(moment: datetime) -> datetime:
    """The first instant of the month, UTC."""
    return moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


class Store:
    """Opens connections and answers questions. Writes of money are the batcher's."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self.pool = AsyncConnectionPool(
            configuration.database_url,
            min_size=1,
            max_size=6,
            open=False,
            timeout=configuration.money_timeout_s,
            max_waiting=256,
            reconnect_timeout=2,
            kwargs={
                "autocommit": True,
                "row_factory": dict_row,
                "options": "-c statement_timeout=10000",
            },
        )
        self.owner_id = 0

    async def open(self) -> None:
        """Open the pool and register this process as an owner of holds."""
        await self.pool.open()
        rows = await self._query("INSERT INTO billing_holdowner DEFAULT VALUES RETURNING id", ())
        self.owner_id = int(rows[0]["id"])

    async def close(self) -> None:
        await self.pool.close()

    async def connect_money(self) -> MoneyLine:
        """The batcher's line, holding the lock by which others see that this process lives.

        The lock is shared, since after a broken connection its old session may linger beside the new one.
        """
        connection = await self.connect()
        for setting in MONEY_SETTINGS:
            await connection.execute(setting)
        lock = (OWNER_LOCK_CLASS, self.owner_id)
        await connection.execute("SELECT pg_advisory_lock_shared(%s, %s)", lock)
        # A process that was away for long may have been taken for gone: it is an owner again.
        await connection.execute(
            "UPDATE billing_holdowner SET seen_at = clock_timestamp(), closed_at = NULL WHERE id = %s",
            lock[1:],
        )
        line = MoneyLine(connection, APPLY, self.owner_id)
        await line.prepare()
        return line

    async def connect(self) -> AsyncConnection:
        """A connection outside the pool."""
        return await AsyncConnection.connect(self._configuration.database_url, autocommit=True)

    async def find_caller(self, public_id: str) -> Caller | None:
        """The key of that public id unless it is revoked. By the id it had before its rotation it is found too, with
        the end of the grace period as its expiry."""
        rows = await self._query(FIND_CALLER, {"id": public_id})
        return _caller(rows[0]) if rows else None

    async def load_catalog(self) -> Catalog:
        """The snapshot of models, prices and channels."""
        models: dict[str, Model] = {}
        for row in await self._query(MODELS, ()):
            model = Model(**{**row, "aliases": tuple(row["aliases"])})
            models[model.name] = model
            for alias in model.aliases:
                models.setdefault(alias, model)
        prices: dict[tuple[str, str | None], tuple[pricing.Price, ...]] = {}
        for row in await self._query(PRICES, ()):
            owner = (row["model"], row["group_id"])
            prices[owner] = (*prices.get(owner, ()), _price(row))
        rows = await self._query(CHANNELS, ())
        opened = [channel for row in rows if (channel := self._channel(row)) is not None]
        channels = channels_by_model(models.values(), opened)
        return Catalog(models=models, prices=prices, channels=channels)

    def _channel(self, row: dict[str, Any]) -> Channel | None:
        owner = f"{row['provider']}:{row['name']}"
        try:
            credential = unseal(
                bytes(row["credential"]), self._configuration.credential_keys, owner
            )
            model_map = msgspec.convert(row["model_map"], dict[str, str])
        except BadCredential:
            logger.error("the credential of channel %s does not open: it is left out", owner)
            return None
        except msgspec.ValidationError as error:
            logger.error(
                "the models of channel %s cannot be read: it is left out: %s", owner, error
            )
            return None
        return Channel(**{**row, "credential": credential, "model_map": model_map})

    async def balance(self, caller: Caller, now: datetime) -> dict[str, int]:
        """The wallet's figures in nano-dollars, and what its group spent this day and month (UTC)."""
        day = now.replace(hour=0, minute=0, second=0, microsecond=0)
        parameters = {
            "wallet": caller.wallet_id,
            "day": first_id_at(day),
            "month": first_id_at(month_start(now)),
        }
        return (await self._query(BALANCE, parameters))[0]

    async def limits(self, caller: Caller, now: datetime) -> dict[str, Any]:
        """The limits of the key and of its group that are set, and what is used of each, ready for JSON."""
        ids = [caller.key_limit_id, caller.group_limit_id]
        if not any(ids):
            return {}
        rows = {row["id"]: row for row in await self._query(LIMITS, (ids,))}
        owners = {"key": caller.key_limit_id, "group": caller.group_limit_id}
        shown = {
            owner: describe_limits(rows[limit_id], now)
            for owner, limit_id in owners.items()
            if limit_id in rows
        }
        return {owner: limits for owner, limits in shown.items() if limits}

    async def spent_by_key(self, key_id: str, since: datetime) -> int:
        """Nano-dollars charged to calls of the key that began at `since` or later."""
        rows = await self._query(KEY_SPENT, (key_id, first_id_at(since)))
        return int(rows[0]["spent"])

    async def calls(self, key_id: str, filters: dict[str, Any], limit: int) -> list[dict[str, Any]]:
        """Records of the key, newest first. Filters: source, model, status, since_id, before_id."""
        conditions = ["r.api_key_id = %(key_id)s"]
        for name in ("source", "model", "status"):
            if name in filters:
                conditions.append(f"r.{name} = %({name})s")
        if "since_id" in filters:
            conditions.append("r.id >= %(since_id)s")
        if "before_id" in filters:
            conditions.append("r.id < %(before_id)s")
        where = " AND ".join(conditions)
        query = f"SELECT {RECORD_COLUMNS} FROM gateway_callrecord r WHERE {where} ORDER BY r.id DESC LIMIT %(limit)s"  # noqa: S608 - names are ours, values are parameters
        return await self._query(query, {**filters, "key_id": key_id, "limit": limit})

    async def call(self, key_id: str, call_id: UUID) -> dict[str, Any] | None:
        """One record of the key."""
        query = f"SELECT {RECORD_COLUMNS} FROM gateway_callrecord r WHERE r.api_key_id = %s AND r.id = %s"  # noqa: S608
        rows = await self._query(query, (key_id, call_id))
        return rows[0] if rows else None

    async def find_response(self, group_id: str, upstream_id: str) -> KeptResponse | None:
        """The group's answer of that provider's id."""
        rows = await self._query(RESPONSE, (upstream_id[:128], group_id))
        return KeptResponse(**rows[0]) if rows else None

    async def release_lost(self, grace_s: float) -> int:
        """Release the holds of gateway processes that are gone, and record their calls as lost. Answers how many.

        One process at a time does it; the lock ends with the transaction.
        """
        async with self.pool.connection() as connection, connection.transaction():
            cursor = await connection.execute(
                "SELECT pg_try_advisory_xact_lock(%s, 0) AS mine", (SWEEP_LOCK_CLASS,)
            )
            row = await cursor.fetchone()
            if row is None or not row["mine"]:  # type: ignore[call-overload]
                return 0
            cursor = await connection.execute(
                "SELECT * FROM billing_release_lost(make_interval(secs => %s), %s)",
                (grace_s, SWEEP_LIMIT),
            )
            lost: list[Any] = await cursor.fetchall()
            records = [_lost(row) for row in lost]
            if records:
                await connection.execute(
                    "SELECT gateway_apply(0, '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', %s::jsonb)",
                    (encode_records(records).decode(),),
                )
            return len(records)

    async def ping(self) -> None:
        """Raises where the database does not answer or its schema is not ours."""
        await self._query("SELECT 'gateway_apply'::regproc", ())

    async def _query(
        self, query: str, parameters: Sequence[Any] | dict[str, Any]
    ) -> list[dict[str, Any]]:
        return await fetch_rows(self.pool, query, parameters)


def _caller(row: dict[str, Any]) -> Caller:
    for name in ("allowed_models", "allowed_networks"):
        row[name] = tuple(tuple(allowed) for allowed in row[name] if allowed)
    return Caller(**row)


def _price(row: dict[str, Any]) -> pricing.Price:
    tables: dict[tuple[Any, int], dict[str, pricing.Rate]] = {}
    for tier, above, bucket, list_nanos, per, sell_bps in row["rates"]:
        bps = row["sell_bps"] if sell_bps is None else sell_bps
        tables.setdefault((tier, above), {})[bucket] = pricing.Rate(list_nanos, per, bps)
    return pricing.Price(
        id=row["id"],
        model=row["model"],
        group_id=row["group_id"],
        effective_from=row["effective_from"],
        tables=tuple(
            pricing.RateTable(tier, above, rates) for (tier, above), rates in sorted(tables.items())
        ),
    )


def _lost(row: dict[str, Any]) -> Record:
    memo = msgspec.json.decode(row["memo"], type=Memo)
    created_at = row["created_at"].timestamp()
    return memo.lost_record(
        row["id"], row["amount_nanos"], created_at, datetime.now(UTC).timestamp()
    )
