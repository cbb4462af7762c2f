"""billing_apply: holds, settlements and releases of one batch, one by one and against a model of the ledger."""

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple
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
    APPLY,
    Applied,
    Connection,
    Hold,
    Settle,
    Tenancy,
    apply,
    apply_arguments,
    connect,
    figures,
    hold_of,
    move,
    new_owner,
    open_tenancy,
    transfers_of,
    violations,
)
from tests.world import World


class Bank(NamedTuple):
    """One organization with 1,000 nanos in its first wallet and 500 in the second, and a living owner of holds."""

    connection: Connection
    owner: int
    tenancy: Tenancy

    @property
    def wallet(self) -> int:
        return self.tenancy.wallets[0]

    def hold(self, amount: int) -> UUID:
        """A new hold on the first wallet, granted in full."""
        hold_id = uuid7()
        granted = apply(self.connection, self.owner, holds=[Hold(hold_id, self.wallet, amount)])
        assert granted.granted == (amount,)
        return hold_id

    def settle(self, *settles: Settle) -> Applied:
        return apply(self.connection, self.owner, settles)


@pytest.fixture
def bank(world: World) -> Iterator[Bank]:
    with connect(world.database) as connection:
        connection.execute("SET synchronous_commit = off")
        yield Bank(connection, new_owner(connection), open_tenancy(connection, 1_000, 500))
        assert violations(connection) == {}


# Holds


def test_a_hold_takes_from_what_is_available_and_leaves_the_balance(bank: Bank) -> None:
    applied = apply(bank.connection, bank.owner, holds=[Hold(uuid7(), bank.wallet, 300)])
    assert applied == ((), (), (300,), (1_000,))
    assert figures(bank.connection, bank.wallet) == (1_000, 300)


def test_a_hold_keeps_its_memo_and_its_owner_while_it_is_open(bank: Bank) -> None:
    hold_id, memo = uuid7(), '{"model": "openai/gpt-5.5"}'
    apply(bank.connection, bank.owner, holds=[Hold(hold_id, bank.wallet, 300, memo=memo)])
    row = hold_of(bank.connection, hold_id)
    assert (row["state"], row["memo"], row["owner_id"]) == ("open", memo, bank.owner)
    bank.settle(Settle(hold_id, bank.wallet, 10))
    row = hold_of(bank.connection, hold_id)
    assert (row["state"], row["memo"]) == ("captured", "")


@pytest.mark.parametrize(("floor", "granted"), [(1_000, 1_000), (1_001, 0), (0, 1_000)])
def test_a_hold_gets_what_there_is_down_to_its_floor(bank: Bank, floor: int, granted: int) -> None:
    hold = Hold(uuid7(), bank.wallet, 5_000, floor)
    assert apply(bank.connection, bank.owner, holds=[hold]) == ((), (), (granted,), (1_000,))
    assert figures(bank.connection, bank.wallet) == (1_000, granted)


def test_holds_are_admitted_in_order_each_only_if_it_fits(bank: Bank) -> None:
    wallet = bank.wallet
    asked = [(600, 600), (500, 500), (400, 400), (1, 1)]
    holds = [Hold(uuid7(), wallet, amount, floor) for amount, floor in asked]
    applied = apply(bank.connection, bank.owner, holds=holds)
    assert applied.granted == (600, 0, 400, 0)
    assert applied.available == (1_000, 400, 400, 0)


def test_an_empty_wallet_grants_nothing_however_low_the_floor(bank: Bank) -> None:
    bank.hold(1_000)
    applied = apply(bank.connection, bank.owner, holds=[Hold(uuid7(), bank.wallet, 5, -5)])
    assert (applied.granted, applied.available) == ((0,), (0,))


def test_a_credit_line_can_be_held_and_charged_but_not_a_nano_more(bank: Bank) -> None:
    bank.connection.execute(
        "UPDATE billing_account SET credit_line_nanos = 200 WHERE id = %s", (bank.wallet,)
    )
    hold = Hold(uuid7(), bank.wallet, 5_000)
    applied = apply(bank.connection, bank.owner, holds=[hold])
    assert (applied.granted, applied.available) == ((1_200,), (1_200,))
    assert bank.settle(Settle(hold.id, bank.wallet, 1_250))[:2] == ((1_200,), (50,))
    assert figures(bank.connection, bank.wallet) == (-200, 0)


@pytest.mark.parametrize("stranger", ["pool", "nobody"])
def test_only_wallets_grant_holds(bank: Bank, stranger: str) -> None:
    move(
        bank.connection,
        "deposit",
        bank.tenancy.platform["deposits"],
        bank.tenancy.platform["pool"],
        900,
    )
    account = {"pool": bank.tenancy.platform["pool"], "nobody": 2**40}[stranger]
    holds = [Hold(uuid7(), account, 10), Hold(uuid7(), bank.wallet, 10)]
    applied = apply(bank.connection, bank.owner, holds=holds)
    assert (applied.granted, applied.available) == ((0, 10), (0, 1_000))


def test_a_hold_that_was_placed_before_fails_with_its_whole_batch(bank: Bank) -> None:
    first, bystander = bank.hold(300), uuid7()
    again = [Hold(bystander, bank.wallet, 100), Hold(first, bank.wallet, 300)]
    with pytest.raises(psycopg.errors.UniqueViolation):
        apply(bank.connection, bank.owner, holds=again)
    assert figures(bank.connection, bank.wallet) == (1_000, 300)
    found = bank.connection.execute("SELECT 1 FROM billing_hold WHERE id = %s", (bystander,))
    assert found.fetchone() is None


# Settlements


@pytest.mark.parametrize(
    ("charge", "taken", "written_off"),
    [
        (0, 0, 0),
        (1, 1, 0),
        (299, 299, 0),
        (300, 300, 0),
        (301, 301, 0),
        (700, 700, 0),
        (777, 700, 77),
    ],
)
def test_a_settlement_takes_its_charge_from_hold_and_rest_and_writes_off_what_is_missing(
    bank: Bank, charge: int, taken: int, written_off: int
) -> None:
    hold_id, _ = bank.hold(300), bank.hold(300)
    assert bank.settle(Settle(hold_id, bank.wallet, charge)) == ((taken,), (written_off,), (), ())
    assert figures(bank.connection, bank.wallet) == (1_000 - taken, 300)
    platform = bank.tenancy.platform
    assert figures(bank.connection, platform["revenue"]) == (charge, 0)
    assert figures(bank.connection, platform["writeoffs"]) == (-written_off, 0)
    capture = ("capture", bank.wallet, platform["revenue"], taken)
    written = ("adjust", platform["writeoffs"], platform["revenue"], written_off)
    expected = [move for move in (capture, written) if move[-1]]
    assert transfers_of(bank.connection, hold_id) == expected
    row = hold_of(bank.connection, hold_id)
    assert row["state"] == ("captured" if charge else "released")
    assert row["resolved_at"] >= row["created_at"]


def test_what_settlements_free_can_be_held_again_in_the_same_batch(bank: Bank) -> None:
    captured, released = bank.hold(600), bank.hold(400)
    applied = apply(
        bank.connection,
        bank.owner,
        [Settle(captured, bank.wallet, 100), Settle(released, bank.wallet, 0)],
        [Hold(uuid7(), bank.wallet, 900, 900), Hold(uuid7(), bank.wallet, 1, 1)],
    )
    assert applied == ((100, 0), (0, 0), (900, 0), (900, 0))
    assert figures(bank.connection, bank.wallet) == (900, 900)


def test_two_overruns_of_one_wallet_share_what_is_there(bank: Bank) -> None:
    first, second = bank.hold(300), bank.hold(300)
    settles = [Settle(first, bank.wallet, 600), Settle(second, bank.wallet, 600)]
    assert bank.settle(*settles)[:2] == ((600, 400), (0, 200))
    assert figures(bank.connection, bank.wallet) == (0, 0)


def test_a_settlement_sent_again_changes_nothing_whatever_it_says_now(bank: Bank) -> None:
    hold_id = bank.hold(300)
    assert bank.settle(Settle(hold_id, bank.wallet, 100)).taken == (100,)
    moved = transfers_of(bank.connection, hold_id)
    for amount in (100, 0, 250):
        again = bank.settle(Settle(hold_id, bank.wallet, amount))
        assert again[:2] == ((-1,), (0,))
    assert figures(bank.connection, bank.wallet) == (900, 0)
    assert transfers_of(bank.connection, hold_id) == moved
    assert hold_of(bank.connection, hold_id)["state"] == "captured"


def test_a_released_hold_cannot_be_charged_later(bank: Bank) -> None:
    hold_id = bank.hold(300)
    assert bank.settle(Settle(hold_id, bank.wallet, 0)).taken == (0,)
    assert bank.settle(Settle(hold_id, bank.wallet, 300)).taken == (-1,)
    assert figures(bank.connection, bank.wallet) == (1_000, 0)
    assert transfers_of(bank.connection, hold_id) == []


def test_of_two_settlements_of_one_hold_in_one_batch_one_counts(bank: Bank) -> None:
    hold_id, other = bank.hold(300), bank.hold(300)
    settles = [(hold_id, 100), (other, 50), (hold_id, 200)]
    applied = bank.settle(*(Settle(which, bank.wallet, amount) for which, amount in settles))
    assert applied.taken[1] == 50
    assert (applied.taken[0], applied.taken[2]) in {(100, -1), (-1, 200)}
    spent = max(applied.taken[0], applied.taken[2]) + 50
    assert figures(bank.connection, bank.wallet) == (1_000 - spent, 0)


def test_another_wallets_settlement_of_a_hold_changes_nothing(bank: Bank) -> None:
    hold_id, other = bank.hold(300), bank.tenancy.wallets[1]
    assert bank.settle(Settle(hold_id, other, 100)).taken == (-1,)
    assert figures(bank.connection, bank.wallet) == (1_000, 300)
    assert figures(bank.connection, other) == (500, 0)
    assert hold_of(bank.connection, hold_id)["state"] == "open"


@pytest.mark.parametrize("amount", [0, 300])
def test_a_hold_that_arrives_after_its_settlement_fails_with_its_whole_batch(
    bank: Bank, amount: int
) -> None:
    late, other = uuid7(), bank.hold(100)
    assert bank.settle(Settle(late, bank.wallet, amount)) == ((-1,), (0,), (), ())
    row = hold_of(bank.connection, late)
    assert (row["state"], row["memo"]) == ("released", "never placed")
    with pytest.raises(psycopg.errors.UniqueViolation):
        apply(
            bank.connection,
            bank.owner,
            [Settle(other, bank.wallet, 100)],
            [Hold(late, bank.wallet, 300)],
        )
    assert figures(bank.connection, bank.wallet) == (1_000, 100)
    assert hold_of(bank.connection, other)["state"] == "open"


def test_a_batch_of_nothing_changes_nothing(bank: Bank) -> None:
    assert apply(bank.connection, bank.owner) == ((), (), (), ())


@pytest.mark.parametrize("amounts", [[None], [-5], []], ids=["none", "negative", "too few"])
def test_a_settlement_without_an_amount_is_refused(bank: Bank, amounts: list[int | None]) -> None:
    arguments = list(apply_arguments(bank.owner, [Settle(bank.hold(300), bank.wallet, 0)], []))
    arguments[3] = amounts
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        bank.connection.execute(APPLY, arguments)
    assert figures(bank.connection, bank.wallet) == (1_000, 300)


@pytest.mark.parametrize("amounts", [[None], []], ids=["none", "too few"])
def test_a_hold_without_an_amount_is_refused(bank: Bank, amounts: list[int | None]) -> None:
    arguments = list(apply_arguments(bank.owner, [], [Hold(uuid7(), bank.wallet, 1)]))
    arguments[6] = amounts
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        bank.connection.execute(APPLY, arguments)
    assert figures(bank.connection, bank.wallet) == (1_000, 0)


# Against a model


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
