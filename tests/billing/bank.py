"""The ledger's SQL as tests call it: organizations with wallets, batches, locks; and the ORM on a cloned database.

Amounts are nano-dollars. Connections are psycopg's; what they commit is theirs to say.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar
from uuid import UUID, uuid4

import psycopg
import pytest
from django.db import connections
from psycopg.rows import dict_row

from accounts.ids import uuid7
from billing.audit import INVARIANTS
from tests.world import Database

Connection = psycopg.Connection[dict[str, Any]]
Answer = TypeVar("Answer")
WAIT_S = 10
THREADS_TIMEOUT_S = 30
OWNER_LOCK_CLASS = 7301
APPLY = (
    "SELECT * FROM billing_apply(%s, %s::uuid[], %s::bigint[], %s::bigint[],"
    " %s::uuid[], %s::bigint[], %s::bigint[], %s::bigint[], %s::text[])"
)
MOVE = """
    WITH moved AS (
        INSERT INTO billing_transfer (id, kind, debit_account_id, credit_account_id, amount_nanos, reason)
        VALUES (%(id)s, %(kind)s, %(debit)s, %(credit)s, %(amount)s, '') RETURNING *
    )
    UPDATE billing_account a SET balance_nanos = a.balance_nanos
        + CASE WHEN a.id = m.credit_account_id THEN m.amount_nanos ELSE -m.amount_nanos END
    FROM moved m WHERE a.id IN (m.debit_account_id, m.credit_account_id)
"""


class Tenancy(NamedTuple):
    """One organization's accounts: `platform` by kind (the pool too), and the wallets of its groups."""

    organization_id: UUID
    platform: dict[str, int]
    group_ids: tuple[UUID, ...]
    wallets: tuple[int, ...]


class Settle(NamedTuple):
    """The end of a hold; 0 releases."""

    id: UUID
    account: int
    amount: int


class Hold(NamedTuple):
    """A hold up to `amount`, not below `floor`."""

    id: UUID
    account: int
    amount: int
    floor: int = 0
    memo: str = "{}"


class Applied(NamedTuple):
    """What a batch answers: for each settlement what was taken and written off, for each hold what was granted and
    what there was just before."""

    taken: tuple[int, ...]
    written_off: tuple[int, ...]
    granted: tuple[int, ...]
    available: tuple[int, ...]


def connect(database: Database) -> Connection:
    """A connection of its own, each statement committed."""
    return psycopg.connect(database.url, autocommit=True, row_factory=dict_row)


def row_of(connection: Connection, sql: str, *parameters: Any) -> dict[str, Any]:
    row = connection.execute(sql, parameters).fetchone()
    assert row is not None
    return row


def wait_until(connection: Connection, sql: str, *parameters: Any) -> None:
    """Until the query's one value is true."""
    deadline = time.monotonic() + WAIT_S
    while not next(iter(row_of(connection, sql, *parameters).values())):
        assert time.monotonic() < deadline, sql
        time.sleep(0.005)


def open_tenancy(connection: Connection, *balances: int) -> Tenancy:
    """A new organization with one group for each balance, which is deposited and granted."""
    organization_id = uuid7()
    connection.execute(
        "INSERT INTO accounts_organization (id, name, created_at) VALUES (%s, 'Arden Labs', now())",
        (organization_id,),
    )
    platform = {
        row["kind"]: row["id"]
        for row in connection.execute(
            "SELECT kind, id FROM billing_account WHERE organization_id = %s", (organization_id,)
        )
    }
    group_ids = tuple(uuid7() for _ in balances)
    wallets: list[int] = []
    for number, (group_id, balance) in enumerate(zip(group_ids, balances, strict=True)):
        connection.execute(
            "INSERT INTO accounts_group (id, organization_id, name, created_at) VALUES (%s, %s, %s, now())",
            (group_id, organization_id, f"Group {number}"),
        )
        row = row_of(connection, "SELECT id FROM billing_account WHERE group_id = %s", group_id)
        wallets.append(row["id"])
        if balance:
            move(connection, "deposit", platform["deposits"], platform["pool"], balance)
            move(connection, "grant", platform["pool"], wallets[-1], balance)
    return Tenancy(organization_id, platform, group_ids, tuple(wallets))


def move(connection: Connection, kind: str, debit: int, credit: int, amount: int) -> None:
    """A transfer with both balances, by hand."""
    connection.execute(
        MOVE,
        {"id": uuid4(), "kind": kind, "debit": debit, "credit": credit, "amount": amount},
    )


def apply_arguments(
    owner: int, settles: Sequence[Settle], holds: Sequence[Hold]
) -> tuple[int | list[Any], ...]:
    """What stands for the placeholders of APPLY."""
    return (
        owner,
        [settle.id for settle in settles],
        [settle.account for settle in settles],
        [settle.amount for settle in settles],
        [hold.id for hold in holds],
        [hold.account for hold in holds],
        [hold.amount for hold in holds],
        [hold.floor for hold in holds],
        [hold.memo for hold in holds],
    )


def apply(
    connection: Connection, owner: int, settles: Sequence[Settle] = (), holds: Sequence[Hold] = ()
) -> Applied:
    """One batch."""
    row = row_of(connection, APPLY, *apply_arguments(owner, settles, holds))
    columns = ("s_taken", "s_written_off", "h_granted", "h_available")
    return Applied(*(tuple(row[column] or ()) for column in columns))


def account_of(connection: Connection, account: int) -> dict[str, Any]:
    return row_of(connection, "SELECT * FROM billing_account WHERE id = %s", account)


def figures(connection: Connection, account: int) -> tuple[int, int]:
    """Balance and held."""
    row = account_of(connection, account)
    return row["balance_nanos"], row["held_nanos"]


def hold_of(connection: Connection, hold_id: UUID) -> dict[str, Any]:
    return row_of(connection, "SELECT * FROM billing_hold WHERE id = %s", hold_id)


def transfers_of(connection: Connection, call_id: UUID) -> list[tuple[str, int, int, int]]:
    """Kind, debit, credit and amount of what a call moved, captures first."""
    rows = connection.execute(
        "SELECT * FROM billing_transfer WHERE call_id = %s ORDER BY kind = 'capture' DESC, id",
        (call_id,),
    )
    return [
        (row["kind"], row["debit_account_id"], row["credit_account_id"], row["amount_nanos"])
        for row in rows
    ]


def violations(connection: Connection) -> dict[str, int]:
    """The ledger's invariants that are broken."""
    counts = {rule.name: row_of(connection, rule.sql) for rule in INVARIANTS}
    return {name: found for name, row in counts.items() if (found := next(iter(row.values())))}


def new_owner(connection: Connection, seen_s_ago: float = 0) -> int:
    """A gateway process that started and was last seen so long ago; it has no lock."""
    row = row_of(
        connection,
        "INSERT INTO billing_holdowner (started_at, seen_at)"
        " SELECT moment, moment FROM (SELECT clock_timestamp() - make_interval(secs => %s) AS moment) m"
        " RETURNING id",
        seen_s_ago,
    )
    return int(row["id"])


@contextmanager
def owner_lives(database: Database, owner: int) -> Iterator[Connection]:
    """The connection on which the process keeps the lock that says that it lives."""
    with connect(database) as connection:
        connection.execute("SELECT pg_advisory_lock_shared(%s, %s)", (OWNER_LOCK_CLASS, owner))
        yield connection


def in_parallel(*works: Callable[[], Answer]) -> list[Answer | Exception]:
    """Each work in a thread of its own, all let go at once; answers in order, an error as it is."""
    gate = threading.Barrier(len(works))

    def run(work: Callable[[], Answer]) -> Answer | Exception:
        gate.wait(THREADS_TIMEOUT_S)
        try:
            return work()
        except Exception as error:
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(run, works, timeout=THREADS_TIMEOUT_S))


@contextmanager
def orm_on(database: Database, blocker: Any) -> Iterator[None]:
    """Threads begun inside have Django's default connection on that database, each one of its own."""
    settings = connections.settings["default"]
    options = {name: value for name, value in settings["OPTIONS"].items() if name != "pool"}
    with pytest.MonkeyPatch.context() as patch, blocker.unblock():
        patch.setitem(settings, "NAME", database.name)
        patch.setitem(settings, "OPTIONS", options)
        yield
