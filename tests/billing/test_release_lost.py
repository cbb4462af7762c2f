"""billing_release_lost: the holds of gateway processes that are gone, and of no others."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

import pytest

from accounts.ids import uuid7
from tests.billing.bank import (
    WAIT_S,
    Connection,
    Hold,
    Settle,
    apply,
    connect,
    figures,
    hold_of,
    in_parallel,
    new_owner,
    open_tenancy,
    owner_lives,
    row_of,
    transfers_of,
    violations,
    wait_until,
)
from tests.world import Database, World

GRACE = timedelta(seconds=1)
LONG_AGO_S = 100.0


class Bank(NamedTuple):
    """A database without any other open hold, and a wallet of 1,000 nanos."""

    database: Database
    connection: Connection
    wallet: int

    def hold(self, owner: int, amount: int = 100, memo: str = "{}") -> UUID:
        hold_id = uuid7()
        apply(self.connection, owner, holds=[Hold(hold_id, self.wallet, amount, amount, memo)])
        return hold_id

    def closed_at(self, owner: int) -> datetime | None:
        sql = "SELECT closed_at FROM billing_holdowner WHERE id = %s"
        found: datetime | None = row_of(self.connection, sql, owner)["closed_at"]
        return found

    def state(self, hold_id: UUID) -> str:
        return str(hold_of(self.connection, hold_id)["state"])


def id_at(moment: datetime) -> UUID:
    """The id of a call that began then, with none of its random bits."""
    return UUID(int=round(moment.timestamp() * 1000) << 80)


def sweep(
    connection: Connection, grace: timedelta = GRACE, limit: int = 500
) -> list[dict[str, Any]]:
    rows = connection.execute("SELECT * FROM billing_release_lost(%s, %s)", (grace, limit))
    return rows.fetchall()


def swept_ids(*arguments: Any) -> set[UUID]:
    return {row["id"] for row in sweep(*arguments)}


@pytest.fixture
def bank(world: World) -> Iterator[Bank]:
    with connect(world.database) as connection:
        up = row_of(connection, "SELECT clock_timestamp() - pg_postmaster_start_time() AS up")
        assert up["up"] > GRACE, "the server has to run for longer than the grace"
        bank = Bank(world.database, connection, open_tenancy(connection, 1_000).wallets[0])
        yield bank
        # What a test left open would be found by the next one's sweep.
        sql = "SELECT id, account_id FROM billing_hold WHERE state = 'open'"
        left = [Settle(row["id"], row["account_id"], 0) for row in connection.execute(sql)]
        apply(connection, 0, left)
        assert violations(connection) == {}


def test_a_process_without_its_lock_that_was_not_seen_for_the_grace_loses_its_holds(
    bank: Bank,
) -> None:
    owner = new_owner(bank.connection, LONG_AGO_S)
    first, second = bank.hold(owner, memo='{"model": "a"}'), bank.hold(owner, 50)
    created = hold_of(bank.connection, first)["created_at"]
    rows = {row["id"]: row for row in sweep(bank.connection)}
    assert rows.keys() == {first, second}
    assert rows[first] == {
        "id": first,
        "account_id": bank.wallet,
        "amount_nanos": 100,
        "memo": '{"model": "a"}',
        "created_at": created,
    }
    assert figures(bank.connection, bank.wallet) == (1_000, 0)
    row = hold_of(bank.connection, first)
    assert (row["state"], row["memo"], row["resolved_at"] is None) == ("released", "", False)
    assert sweep(bank.connection) == []


def test_a_process_that_keeps_its_lock_keeps_its_holds_however_long_it_was_not_seen(
    bank: Bank,
) -> None:
    owner = new_owner(bank.connection, LONG_AGO_S)
    hold_id = bank.hold(owner)
    with owner_lives(bank.database, owner):
        assert sweep(bank.connection) == []
        assert bank.state(hold_id) == "open"
        assert figures(bank.connection, bank.wallet) == (1_000, 100)
    # The lock goes with its session, which ends a moment after its client.
    sql = (
        "SELECT count(*) = 0 AS free FROM pg_locks WHERE locktype = 'advisory' AND objid = %s"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    wait_until(bank.connection, sql, owner)
    assert swept_ids(bank.connection) == {hold_id}


def test_an_old_session_that_lingers_beside_the_new_one_keeps_neither_from_the_lock(
    bank: Bank,
) -> None:
    owner = new_owner(bank.connection, LONG_AGO_S)
    bank.hold(owner)
    with owner_lives(bank.database, owner) as lingering, owner_lives(bank.database, owner):
        lingering.execute("SELECT pg_advisory_unlock_all()")
        assert sweep(bank.connection) == []


def test_a_process_without_its_lock_keeps_its_holds_for_the_grace(bank: Bank) -> None:
    owner = new_owner(bank.connection)
    hold_id = bank.hold(owner)
    assert sweep(bank.connection) == []
    bank.connection.execute(
        "UPDATE billing_holdowner SET seen_at = clock_timestamp() - %s WHERE id = %s",
        (GRACE * 1.1, owner),
    )
    assert swept_ids(bank.connection) == {hold_id}


def test_for_the_grace_after_a_start_of_the_database_nobody_counts_as_gone(bank: Bank) -> None:
    owner = new_owner(bank.connection, 10**9)
    hold_id = bank.hold(owner)
    up = row_of(bank.connection, "SELECT clock_timestamp() - pg_postmaster_start_time() AS up")[
        "up"
    ]
    assert sweep(bank.connection, up + timedelta(minutes=1)) == []
    assert swept_ids(bank.connection, up - GRACE / 2) == {hold_id}


def test_only_the_processes_that_are_gone_lose_their_holds(bank: Bank) -> None:
    gone, fresh, alive = (new_owner(bank.connection, ago) for ago in (LONG_AGO_S, 0, LONG_AGO_S))
    lost, kept, held = bank.hold(gone), bank.hold(fresh), bank.hold(alive)
    with owner_lives(bank.database, alive):
        assert swept_ids(bank.connection) == {lost}
    assert [bank.state(hold_id) for hold_id in (kept, held)] == ["open", "open"]
    assert figures(bank.connection, bank.wallet) == (1_000, 200)


def test_a_settlement_after_the_sweep_changes_nothing(bank: Bank) -> None:
    owner = new_owner(bank.connection, LONG_AGO_S)
    hold_id = bank.hold(owner)
    assert swept_ids(bank.connection) == {hold_id}
    applied = apply(bank.connection, owner, [Settle(hold_id, bank.wallet, 80)])
    assert applied == ((-1,), (0,), (), ())
    assert figures(bank.connection, bank.wallet) == (1_000, 0)
    assert transfers_of(bank.connection, hold_id) == []
    assert bank.state(hold_id) == "released"


def test_what_was_settled_before_the_sweep_stays_settled(bank: Bank) -> None:
    owner = new_owner(bank.connection, LONG_AGO_S)
    hold_id = bank.hold(owner)
    apply(bank.connection, owner, [Settle(hold_id, bank.wallet, 80)])
    assert sweep(bank.connection) == []
    assert figures(bank.connection, bank.wallet) == (920, 0)
    assert bank.state(hold_id) == "captured"


def test_a_settlement_that_commits_while_the_sweep_waits_for_the_wallet_wins(bank: Bank) -> None:
    owner = new_owner(bank.connection, LONG_AGO_S)
    settled, lost = bank.hold(owner), bank.hold(owner)

    settled_not_committed = threading.Event()

    def settle_while_the_sweep_waits() -> tuple[int, ...]:
        with connect(bank.database) as connection, connection.transaction():
            taken = apply(connection, owner, [Settle(settled, bank.wallet, 80)]).taken
            settled_not_committed.set()
            wait_until(
                bank.connection,
                "SELECT count(*) > 0 AS waits FROM pg_stat_activity WHERE datname = current_database()"
                " AND query LIKE '%%billing_release_lost%%' AND wait_event_type = 'Lock'",
            )
            return taken

    def sweep_then() -> set[UUID]:
        assert settled_not_committed.wait(WAIT_S)
        with connect(bank.database) as connection:
            return swept_ids(connection)

    assert in_parallel(settle_while_the_sweep_waits, sweep_then) == [(80,), {lost}]
    assert figures(bank.connection, bank.wallet) == (920, 0)
    assert (bank.state(settled), bank.state(lost)) == ("captured", "released")


def test_a_sweep_takes_no_more_than_its_limit_and_the_next_one_goes_on(bank: Bank) -> None:
    owner = new_owner(bank.connection, LONG_AGO_S)
    holds = {bank.hold(owner) for _ in range(5)}
    first = swept_ids(bank.connection, GRACE, 3)
    assert len(first) == 3
    assert figures(bank.connection, bank.wallet) == (1_000, 200)
    assert first | swept_ids(bank.connection, GRACE, 3) == holds
    assert figures(bank.connection, bank.wallet) == (1_000, 0)


@pytest.mark.parametrize("pulsed", [True, False], ids=["since its last pulse", "since its start"])
def test_holds_are_found_as_far_back_as_the_processs_oldest_call(bank: Bank, pulsed: bool) -> None:
    """Where clocks differ by less than an hour."""
    began = datetime.now(UTC) - timedelta(days=3)
    owner = new_owner(bank.connection, timedelta(days=90 if pulsed else 3).total_seconds())
    if pulsed:
        sql = "UPDATE billing_holdowner SET busy_since = %s, seen_at = now() - %s WHERE id = %s"
        bank.connection.execute(sql, (began, GRACE * 2, owner))
    ids = [id_at(began - timedelta(minutes=59)), id_at(began), uuid7()]
    holds = [Hold(hold_id, bank.wallet, 10) for hold_id in ids]
    apply(bank.connection, owner, holds=holds)
    assert swept_ids(bank.connection) == set(ids)


def test_the_first_id_of_a_moment_is_not_above_any_call_that_begins_then(bank: Bank) -> None:
    for moment in (datetime(1970, 1, 1, tzinfo=UTC), datetime(2026, 2, 3, 4, 5, 6, 7000, UTC)):
        row = row_of(bank.connection, "SELECT billing_first_id_at(%s) AS id", moment)
        assert row["id"] == id_at(moment)
    before = row_of(bank.connection, "SELECT billing_first_id_at(now() - interval '1 s') AS id")
    after = row_of(bank.connection, "SELECT billing_first_id_at(now() + interval '1 s') AS id")
    assert before["id"] < uuid7() < after["id"]


def test_a_process_that_is_gone_is_closed_once_nothing_of_it_is_open(bank: Bank) -> None:
    gone, fresh, alive = (new_owner(bank.connection, ago) for ago in (LONG_AGO_S, 0, LONG_AGO_S))
    hold_id = bank.hold(gone)
    with owner_lives(bank.database, alive):
        assert swept_ids(bank.connection) == {hold_id}
        assert sweep(bank.connection) == []
    closed_at = bank.closed_at(gone)
    assert closed_at is not None
    assert (bank.closed_at(fresh), bank.closed_at(alive)) == (None, None)
    sweep(bank.connection)
    assert bank.closed_at(gone) == closed_at, "a closed process is not looked at again"


def test_a_closed_process_that_comes_back_and_goes_again_loses_its_new_holds(bank: Bank) -> None:
    owner = new_owner(bank.connection, LONG_AGO_S)
    sweep(bank.connection)
    assert bank.closed_at(owner) is not None
    hold_id = bank.hold(owner)
    # What a gateway does once it has its lock back; then it goes without a word.
    sql = "UPDATE billing_holdowner SET seen_at = clock_timestamp() - %s, closed_at = NULL WHERE id = %s"
    bank.connection.execute(sql, (GRACE * 2, owner))
    assert swept_ids(bank.connection) == {hold_id}


def test_sweeps_at_the_same_time_release_each_hold_once(bank: Bank) -> None:
    owners = [new_owner(bank.connection, LONG_AGO_S) for _ in range(4)]
    holds = [bank.hold(owner, 20) for owner in owners for _ in range(5)]

    def sweep_often() -> list[UUID]:
        with connect(bank.database) as connection:
            return [row["id"] for _ in range(10) for row in sweep(connection, GRACE, 3)]

    answers = in_parallel(*[partial(sweep_often)] * 3)
    found = [hold_id for answer in answers if isinstance(answer, list) for hold_id in answer]
    assert sorted(found) == sorted(holds), answers
    assert figures(bank.connection, bank.wallet) == (1_000, 0)


def test_a_sweep_frees_every_wallet_that_a_process_held(bank: Bank) -> None:
    other = open_tenancy(bank.connection, 500, 500)
    owner = new_owner(bank.connection, LONG_AGO_S)
    holds = [Hold(uuid7(), account, 30) for account in (*other.wallets, bank.wallet) for _ in "ab"]
    apply(bank.connection, owner, holds=holds)
    assert swept_ids(bank.connection) == {hold.id for hold in holds}
    found = [figures(bank.connection, account) for account in (*other.wallets, bank.wallet)]
    assert found == [(500, 0), (500, 0), (1_000, 0)]
