"""billing_apply: holds, settlements and releases of one batch, one by one."""

from collections.abc import Iterator
from typing import NamedTuple
from uuid import UUID

import psycopg
import pytest

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
        assert self.place(Hold(hold_id, self.wallet, amount)).granted == (amount,)
        return hold_id

    def place(self, *holds: Hold) -> Applied:
        return apply(self.connection, self.owner, holds=holds)

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
    applied = bank.place(Hold(uuid7(), bank.wallet, 300))
    assert applied == ((), (), (300,), (1_000,))
    assert figures(bank.connection, bank.wallet) == (1_000, 300)


def test_a_hold_keeps_its_memo_and_its_owner_while_it_is_open(bank: Bank) -> None:
    hold_id, memo = uuid7(), '{"model": "openai/gpt-5.5"}'
    bank.place(Hold(hold_id, bank.wallet, 300, memo=memo))
    row = hold_of(bank.connection, hold_id)
    assert (row["state"], row["memo"], row["owner_id"]) == ("open", memo, bank.owner)
    bank.settle(Settle(hold_id, bank.wallet, 10))
    row = hold_of(bank.connection, hold_id)
    assert (row["state"], row["memo"]) == ("captured", "")


@pytest.mark.parametrize(("floor", "granted"), [(1_000, 1_000), (1_001, 0), (0, 1_000)])
def test_a_hold_gets_what_there_is_down_to_its_floor(bank: Bank, floor: int, granted: int) -> None:
    hold = Hold(uuid7(), bank.wallet, 5_000, floor)
    assert bank.place(hold) == ((), (), (granted,), (1_000,))
    assert figures(bank.connection, bank.wallet) == (1_000, granted)


def test_holds_are_admitted_in_order_each_only_if_it_fits(bank: Bank) -> None:
    wallet = bank.wallet
    asked = [(600, 600), (500, 500), (400, 400), (1, 1)]
    holds = [Hold(uuid7(), wallet, amount, floor) for amount, floor in asked]
    applied = bank.place(*holds)
    assert applied.granted == (600, 0, 400, 0)
    assert applied.available == (1_000, 400, 400, 0)


def test_an_empty_wallet_grants_nothing_however_low_the_floor(bank: Bank) -> None:
    bank.hold(1_000)
    applied = bank.place(Hold(uuid7(), bank.wallet, 5, -5))
    assert (applied.granted, applied.available) == ((0,), (0,))


def test_a_credit_line_can_be_held_and_charged_but_not_a_nano_more(bank: Bank) -> None:
    bank.connection.execute(
        "UPDATE billing_account SET credit_line_nanos = 200 WHERE id = %s", (bank.wallet,)
    )
    hold = Hold(uuid7(), bank.wallet, 5_000)
    applied = bank.place(hold)
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
    applied = bank.place(*holds)
    assert (applied.granted, applied.available) == ((0, 10), (0, 1_000))


def test_a_hold_that_was_placed_before_fails_with_its_whole_batch(bank: Bank) -> None:
    first, bystander = bank.hold(300), uuid7()
    again = [Hold(bystander, bank.wallet, 100), Hold(first, bank.wallet, 300)]
    with pytest.raises(psycopg.errors.UniqueViolation):
        bank.place(*again)
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
