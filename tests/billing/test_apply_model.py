"""billing_apply against a model of the ledger: whatever happens, the database holds what plain Python works out."""

from functools import partial
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from accounts.ids import uuid7
from tests.billing.bank import (
    Connection,
    Hold,
    Settle,
    Tenancy,
    apply,
    connect,
    move,
    new_owner,
    open_tenancy,
    violations,
)
from tests.world import World


class Wallet:
    def __init__(self, tenancy: Tenancy, balance: int) -> None:
        self.revenue = tenancy.platform["revenue"]
        self.writeoffs = tenancy.platform["writeoffs"]
        self.balance = balance
        self.line = 0
        self.held = 0

    @property
    def available(self) -> int:
        return self.balance - self.held + self.line


class Ledger:
    """What the database should hold, in plain Python."""

    def __init__(self) -> None:
        self.wallets: dict[int, Wallet] = {}
        self.holds: dict[UUID, tuple[int, int, str]] = {}  # account, amount, state
        self.platform: dict[int, int] = {}
        self.transfers: list[tuple[str, int, int, int, UUID]] = []

    def settle(self, settle: Settle) -> tuple[int, int]:
        """Taken and written off."""
        if settle.id not in self.holds:
            self.holds[settle.id] = (settle.account, 1, "released")
            return -1, 0
        account, held, state = self.holds[settle.id]
        if state != "open" or account != settle.account:
            return -1, 0
        wallet = self.wallets[account]
        wallet.held -= held
        taken = min(settle.amount, wallet.available)
        written_off = settle.amount - taken
        wallet.balance -= taken
        self.platform[wallet.revenue] += settle.amount
        self.platform[wallet.writeoffs] -= written_off
        moves = (
            ("capture", account, wallet.revenue, taken, settle.id),
            ("adjust", wallet.writeoffs, wallet.revenue, written_off, settle.id),
        )
        self.transfers += [move for move in moves if move[3]]
        self.holds[settle.id] = (account, held, "captured" if settle.amount else "released")
        return taken, written_off

    def hold(self, hold: Hold) -> tuple[int, int]:
        """Granted and available before."""
        wallet = self.wallets.get(hold.account)
        if wallet is None:
            return 0, 0
        available = wallet.available
        granted = min(hold.amount, available)
        if granted < max(hold.floor, 1):
            return 0, available
        assert hold.id not in self.holds
        wallet.held += granted
        self.holds[hold.id] = (hold.account, granted, "open")
        return granted, available


AMOUNT = st.integers(0, 60)
PICK = st.integers(0, 40)
SETTLE = st.tuples(
    st.sampled_from(
        ["below", "equal", "above", "far above", "release", "again", "unknown", "stray"]
    ),
    PICK,
    AMOUNT,
)
HOLD = st.tuples(st.just("hold"), PICK, st.integers(1, 60))
BATCH = st.lists(st.one_of(HOLD, SETTLE), min_size=1, max_size=10)


class Books(RuleBasedStateMachine):
    """Batches over two wallets in each of two organizations."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self.connection = connection
        self.ledger = Ledger()
        self.tenancies: dict[int, Tenancy] = {}
        self.last: list[Settle] = []

    @initialize(balances=st.lists(st.integers(0, 300), min_size=4, max_size=4))
    def begin(self, balances: list[int]) -> None:
        self.owner = new_owner(self.connection)
        for pair in (balances[:2], balances[2:]):
            tenancy = open_tenancy(self.connection, *pair)
            platform = tenancy.platform
            # There is something in the pool, and still it grants no hold.
            move(self.connection, "deposit", platform["deposits"], platform["pool"], 50)
            for account, balance in zip(tenancy.wallets, pair, strict=True):
                self.ledger.wallets[account] = Wallet(tenancy, balance)
                self.tenancies[account] = tenancy
            self.ledger.platform |= {platform["revenue"]: 0, platform["writeoffs"]: 0}
        self.accounts = list(self.ledger.wallets)

    @rule(operations=BATCH)
    def batch(self, operations: list[tuple[str, int, int]]) -> None:
        """Any mixture; a hold of an account that is no wallet is refused by itself."""
        settles: list[Settle] = []
        holds: list[Hold] = []
        for kind, pick, amount in operations:
            if kind == "hold":
                pool = self.tenancies[self.accounts[0]].platform["pool"]
                account = [*self.accounts, pool][pick % 5]
                floor = amount * (pick % 6) // 4  # from 0 to a little above the amount
                holds.append(Hold(uuid7(), account, amount, floor))
            else:
                settles += self._settlement(kind, pick, amount, settles)
        self._apply(settles, holds)

    def _settlement(self, kind: str, pick: int, amount: int, before: list[Settle]) -> list[Settle]:
        """A settlement of that kind, of a hold that the batch has not settled; `again` repeats one."""
        if kind == "again" and before:
            # Beside the first and equal to it, since nothing says which of the two counts.
            return [before[-1]]
        taken = {settle.id for settle in before}
        known = [hold_id for hold_id in self.ledger.holds if hold_id not in taken]
        opened = [hold_id for hold_id in known if self.ledger.holds[hold_id][2] == "open"]
        candidates = known if kind == "again" else opened
        if kind == "unknown":
            return [Settle(uuid7(), self.accounts[pick % 4], amount)]
        if not candidates:
            return []
        hold_id = candidates[pick % len(candidates)]
        account, held, _ = self.ledger.holds[hold_id]
        if kind == "stray":
            account = self.accounts[(self.accounts.index(account) + 1 + pick % 3) % 4]
        charge = {
            "below": min(amount, held - 1),
            "equal": held,
            "above": held + amount,
            "far above": held + 100 * amount,
            "release": 0,
        }.get(kind, amount)
        return [Settle(hold_id, account, charge)]

    def _apply(self, settles: list[Settle], holds: list[Hold]) -> None:
        applied = apply(self.connection, self.owner, settles, holds)
        found = zip(applied.taken, applied.written_off, strict=True)
        results = sorted(zip((settle.id for settle in settles), found, strict=True))
        assert results == sorted((settle.id, self.ledger.settle(settle)) for settle in settles)
        granted = list(zip(applied.granted, applied.available, strict=True))
        assert granted == [self.ledger.hold(hold) for hold in holds]
        self.last = settles or self.last

    @precondition(lambda self: self.last)
    @rule()
    def the_last_settlements_arrive_again(self) -> None:
        again = apply(self.connection, self.owner, self.last)
        assert again.taken == (-1,) * len(self.last)

    @precondition(lambda self: self.ledger.holds)
    @rule(pick=PICK, operations=st.lists(SETTLE, max_size=3))
    def a_hold_that_exists_is_placed_again(
        self, pick: int, operations: list[tuple[str, int, int]]
    ) -> None:
        """It fails as a whole: what else was in the batch did not happen (the invariant looks)."""
        rich = [account for account in self.accounts if self.ledger.wallets[account].available > 0]
        if not rich:
            return
        settles: list[Settle] = []
        for kind, other, amount in operations:
            # Only what cannot take the nano that the hold asks for, or the hold would be refused by itself.
            if kind in {"below", "equal", "release"}:
                settles += self._settlement(kind, other, amount, settles)
        settles = [settle for settle in settles if settle.id in self.ledger.holds]
        hold_id = list(self.ledger.holds)[pick % len(self.ledger.holds)]
        with pytest.raises(psycopg.errors.UniqueViolation):
            apply(self.connection, self.owner, settles, [Hold(hold_id, rich[pick % len(rich)], 1)])

    @rule(pick=PICK, amount=st.integers(1, 60))
    def grant(self, pick: int, amount: int) -> None:
        account = self.accounts[pick % 4]
        platform = self.tenancies[account].platform
        move(self.connection, "deposit", platform["deposits"], platform["pool"], amount)
        move(self.connection, "grant", platform["pool"], account, amount)
        self.ledger.wallets[account].balance += amount

    @rule(pick=PICK, line=AMOUNT)
    def change_the_credit_line(self, pick: int, line: int) -> None:
        account = self.accounts[pick % 4]
        wallet = self.ledger.wallets[account]
        sql = "UPDATE billing_account SET credit_line_nanos = %s WHERE id = %s"
        if wallet.available - wallet.line + line < 0:
            with pytest.raises(psycopg.errors.CheckViolation):
                self.connection.execute(sql, (line, account))
        else:
            self.connection.execute(sql, (line, account))
            wallet.line = line

    @invariant()
    def the_database_says_the_same(self) -> None:
        ledger = self.ledger
        found = self._rows(
            "SELECT id, balance_nanos, held_nanos, credit_line_nanos FROM billing_account"
            " WHERE id = ANY(%s)",
            self.accounts + list(ledger.platform),
        )
        expected: set[Any] = {(a, w.balance, w.held, w.line) for a, w in ledger.wallets.items()}
        assert found == expected | {(a, balance, 0, 0) for a, balance in ledger.platform.items()}
        assert min(wallet.available for wallet in ledger.wallets.values()) >= 0
        holds = "SELECT id, account_id, amount_nanos, state FROM billing_hold WHERE account_id = ANY(%s)"
        expected = {(hold_id, *hold) for hold_id, hold in ledger.holds.items()}
        assert self._rows(holds, self.accounts) == expected
        moves = (
            "SELECT kind, debit_account_id, credit_account_id, amount_nanos, call_id"
            " FROM billing_transfer WHERE call_id IS NOT NULL AND credit_account_id = ANY(%s)"
        )
        assert self._rows(moves, list(ledger.platform)) == set(ledger.transfers)

    def _rows(self, sql: str, accounts: list[int]) -> set[tuple[Any, ...]]:
        rows = [tuple(row.values()) for row in self.connection.execute(sql, (accounts,))]
        assert len(set(rows)) == len(rows)
        return set(rows)

    def teardown(self) -> None:
        assert violations(self.connection) == {}


def test_any_sequence_of_batches_leaves_what_a_model_of_the_ledger_says(world: World) -> None:
    with connect(world.database) as connection:
        connection.execute("SET synchronous_commit = off")
        machine: Any = partial(Books, connection)
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=100,
                stateful_step_count=25,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
