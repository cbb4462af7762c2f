"""Tools for tests of the batcher: a batcher on a real database, orders for it, and what became of them."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import psycopg
from django.conf import settings

from gateway.batch import Batcher, Hold, HoldResult, Settlement, SettleResult
from gateway.call import Memo, Record, new_call_id
from gateway.configuration import Configuration
from gateway.money_line import MoneyLine
from gateway.store import Store
from tests.world import Tenant, World

USD = 10**9
NOT_KNOWN = SettleResult(None)


class Bank:
    """A batcher with its store, and the backends that its connections have had."""

    def __init__(self, store: Store, timeout_s: float) -> None:
        self._store = store
        self.backends: list[int] = []
        self.is_away = False
        self.batcher = Batcher(self._connect, timeout_s)

    async def _connect(self) -> MoneyLine:
        if self.is_away:
            raise psycopg.OperationalError("the database is away")
        line = await self._store.connect_money()
        self.backends.append(line._pgconn.backend_pid)
        return line

    async def until(self, condition: Callable[[], bool], timeout_s: float = 5.0) -> None:
        async with asyncio.timeout(timeout_s):
            while not condition():
                await asyncio.sleep(0.005)


@asynccontextmanager
async def bank(world: World, timeout_s: float = 2.0, url: str = "") -> AsyncIterator[Bank]:
    """A started batcher; stopped and closed at the end."""
    store = Store(
        Configuration(
            database_url=url or world.database.url,
            key_pepper=settings.KEY_PEPPER,
            credential_keys=settings.CREDENTIAL_KEYS,
        )
    )
    await store.open()
    made = Bank(store, timeout_s)
    await made.batcher.start()
    try:
        yield made
    finally:
        await made.batcher.stop()
        await store.close()


def record(tenant: Tenant, call_id: UUID, status: str = "completed", **changes: Any) -> Record:
    fields: dict[str, Any] = {
        "id": call_id,
        "organization_id": str(tenant.organization_id),
        "group_id": str(tenant.group_id),
        "api_key_id": str(tenant.key_id),
        "endpoint": "chat/completions",
        "model": "openai/gpt-5.5",
        "status": status,
        "created_at": time.time(),
    }
    return Record(**{**fields, **changes})


def hold(
    tenant: Tenant,
    amount: int,
    floor: int | None = None,
    call_id: UUID | None = None,
    **limited: int,
) -> Hold:
    """A hold; without a floor it is all or nothing. `limited`: its limits and tokens."""
    made_id = call_id or new_call_id()
    memo = Memo(
        organization_id=str(tenant.organization_id),
        group_id=str(tenant.group_id),
        api_key_id=str(tenant.key_id),
        endpoint="chat/completions",
        model="openai/gpt-5.5",
        stream=False,
        service_tier="standard",
        price_id=1,
    )
    return Hold(
        call_id=made_id,
        account_id=tenant.wallet_id,
        amount_nanos=amount,
        floor_nanos=amount if floor is None else floor,
        memo=str(memo),
        refusal=lambda: record(tenant, made_id, "refused", error_code="temporarily_unavailable"),
        **limited,
    )


def settlement(
    tenant: Tenant, call_id: UUID, amount: int, tokens: int = 0, **changes: Any
) -> Settlement:
    status = "completed" if amount else "upstream_failed"
    return Settlement(
        call_id=call_id,
        account_id=tenant.wallet_id,
        amount_nanos=amount,
        record=record(tenant, call_id, status, **changes),
        tokens=tokens,
    )


def put_limit(
    world: World, *, key: Tenant | None = None, group: Tenant | None = None, **limits: int
) -> int:
    """Limits of the tenant's key, or of his group; the id of their row."""
    names = ", ".join(["api_key_id", "group_id", *limits])
    marks = ", ".join(["%s"] * (2 + len(limits)))
    made = world.database.one(
        f"INSERT INTO billing_limit ({names}) VALUES ({marks}) RETURNING id",
        key and key.key_id,
        group and group.group_id,
        *limits.values(),
    )
    return int(made)


def rows(world: World, call_id: UUID) -> tuple[str | None, int, int]:
    """The state of the call's hold, how many captures it has, and how many records."""
    return (
        world.database.one("SELECT min(state) FROM billing_hold WHERE id = %s", call_id),
        world.database.one("SELECT count(*) FROM billing_transfer WHERE id = %s", call_id),
        world.database.one("SELECT count(*) FROM gateway_callrecord WHERE id = %s", call_id),
    )


def balances(world: World, tenant: Tenant) -> tuple[int, int]:
    wallet = world.wallet(tenant)
    return wallet["balance_nanos"], wallet["held_nanos"]


def amounts(world: World, tenant: Tenant) -> dict[UUID, int]:
    """What the tenant's records say was charged, by call."""
    return {row["id"]: row["amount_nanos"] for row in world.records(tenant)}


def terminate(world: World, backend: int) -> None:
    world.database.query("SELECT pg_terminate_backend(%s)", backend)


async def in_one_batch(
    made: Bank, end: Settlement, order: Hold
) -> tuple["asyncio.Future[SettleResult]", "asyncio.Future[HoldResult]"]:
    """Queue both before the batcher gets its turn."""
    waiting = asyncio.ensure_future(made.batcher.hold(order))
    await asyncio.sleep(0)
    return made.batcher.settle(end), waiting


class Lock:
    """Keeps the tenant's wallet locked from another connection, so that a batch has to wait. A context manager."""

    def __init__(self, world: World, tenant: Tenant) -> None:
        self._connection = psycopg.connect(world.database.url)
        self._connection.execute(
            "SELECT 1 FROM billing_account WHERE id = %s FOR UPDATE", (tenant.wallet_id,)
        )

    def __enter__(self) -> "Lock":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Let the batch go on."""
        self._connection.close()


def waits_for_a_lock(world: World, backend: int) -> bool:
    return bool(
        world.database.one(
            "SELECT count(*) FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Lock'",
            backend,
        )
    )
