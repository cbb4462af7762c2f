"""billing_apply on several connections at once: nothing waits for ever, is taken twice or overspent."""

import random
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from django.db import connections

from accounts.ids import uuid7
from accounts.models import Group, User
from billing import ledger
from gateway.store import MONEY_SETTINGS
from tests.billing.bank import (
    Applied,
    Connection,
    Hold,
    Settle,
    Tenancy,
    apply,
    connect,
    figures,
    in_parallel,
    new_owner,
    open_tenancy,
    orm_on,
    row_of,
    violations,
)
from tests.world import Database, World

BALANCE = 4_000
ROUNDS = 100


class Spent(NamedTuple):
    """What one connection was told: the charges it asked for and that were settled, and what was taken by wallet."""

    charged: int
    taken: dict[int, int]
    swept: int


@pytest.fixture
def database(fresh_world: World) -> Iterator[Database]:
    yield fresh_world.database
    with connect(fresh_world.database) as connection:
        assert violations(connection) == {}


@pytest.fixture
def tenancies(database: Database) -> tuple[Tenancy, Tenancy]:
    """Two organizations with three wallets each, too poor for what is asked of them."""
    with connect(database) as connection:
        return (
            open_tenancy(connection, *[BALANCE] * 3),
            open_tenancy(connection, *[BALANCE] * 3),
        )


def spend(database: Database, wallets: tuple[int, ...], seed: int, owner: int) -> Spent:
    """100 random batches, then everything that is still open."""
    chance = random.Random(seed)
    opened: dict[UUID, tuple[int, int]] = {}
    taken = dict.fromkeys(wallets, 0)
    charged = swept = 0

    def batch(connection: Connection, settles: list[Settle], holds: list[Hold]) -> None:
        nonlocal charged, swept
        applied = apply(connection, owner, settles, holds)
        for settle, got, written_off in zip(
            settles, applied.taken, applied.written_off, strict=True
        ):
            if got < 0:
                swept += 1
                continue
            assert got + written_off == settle.amount
            taken[settle.account] += got
            charged += settle.amount
        assert min(applied.available, default=0) >= 0
        for hold, granted in zip(holds, applied.granted, strict=True):
            if granted:
                opened[hold.id] = (hold.account, granted)

    def ends(count: int) -> list[Settle]:
        """A third released, a third within the hold, a third above it."""
        chosen = chance.sample(list(opened), min(count, len(opened)))
        settles = []
        for hold_id in chosen:
            account, held = opened.pop(hold_id)
            amount = chance.choice([0, chance.randint(1, held), held + chance.randint(1, 90)])
            settles.append(Settle(hold_id, account, amount))
        return settles

    with connect(database) as connection:
        # Under another plan a batch can be right that is wrong under this one.
        for setting in MONEY_SETTINGS:
            connection.execute(setting)
        for _ in range(ROUNDS):
            order = chance.sample(wallets, len(wallets))
            holds = [Hold(uuid7(), account, chance.randint(1, 90)) for account in order]
            batch(connection, ends(chance.randint(0, 8)), holds)
        while opened:
            batch(connection, ends(20), [])
    return Spent(charged, taken, swept)


def check_books(database: Database, tenancies: tuple[Tenancy, ...], answers: list[Any]) -> None:
    """The balances are what the connections were told, and no hold is left."""
    assert all(isinstance(answer, Spent) for answer in answers), answers
    with connect(database) as connection:
        for tenancy in tenancies:
            for wallet in tenancy.wallets:
                taken = sum(answer.taken[wallet] for answer in answers)
                assert figures(connection, wallet) == (BALANCE - taken, 0)
        revenue = [figures(connection, tenancy.platform["revenue"])[0] for tenancy in tenancies]
    assert sum(revenue) == sum(answer.charged for answer in answers)


def test_four_connections_with_shuffled_wallets_do_not_deadlock_and_every_nano_is_found(
    database: Database, tenancies: tuple[Tenancy, Tenancy]
) -> None:
    wallets = tenancies[0].wallets + tenancies[1].wallets
    with connect(database) as connection:
        owners = [new_owner(connection) for _ in range(4)]
    works = [partial(spend, database, wallets, seed, owner) for seed, owner in enumerate(owners)]
    answers = in_parallel(*works)
    check_books(database, tenancies, answers)
    assert sum(answer.swept for answer in answers if isinstance(answer, Spent)) == 0
    with connect(database) as connection:
        written_off = figures(connection, tenancies[0].platform["writeoffs"])[0]
    assert written_off < 0, "the wallets should have run dry"


def test_a_sweep_of_holds_that_are_still_being_settled_loses_and_doubles_nothing(
    database: Database, tenancies: tuple[Tenancy, Tenancy]
) -> None:
    """The worst case of a process taken for dead: it goes on while others release its holds."""
    wallets = tenancies[0].wallets + tenancies[1].wallets

    ends = [threading.Event(), threading.Event()]

    def spend_then_say(seed: int) -> Spent:
        try:
            return spend(database, wallets, seed, owners[seed])
        finally:
            ends[seed].set()

    def sweep() -> int:
        swept = 0
        with connect(database) as connection:
            while not all(end.is_set() for end in ends):
                # The processes come back and are taken for dead again, over and over.
                for owner in owners:
                    connection.execute(
                        "UPDATE billing_holdowner SET closed_at = NULL WHERE id = %s", (owner,)
                    )
                rows = connection.execute("SELECT * FROM billing_release_lost('1 ms', 20)")
                swept += len(rows.fetchall())
        return swept

    with connect(database) as connection:
        owners = [new_owner(connection, seen_s_ago=3600) for _ in ends]
    answers = in_parallel(partial(spend_then_say, 0), partial(spend_then_say, 1), sweep, sweep)
    check_books(database, tenancies, answers[:2])
    lost = sum(answer.swept for answer in answers if isinstance(answer, Spent))
    assert lost == sum(swept for swept in answers if isinstance(swept, int)) > 0, answers


def test_one_settlement_on_four_connections_is_taken_once(
    database: Database, tenancies: tuple[Tenancy, Tenancy]
) -> None:
    wallet = tenancies[0].wallets[0]
    with connect(database) as connection:
        owner = new_owner(connection)
        holds = [Hold(uuid7(), wallet, 10) for _ in range(50)]
        apply(connection, owner, holds=holds)

    def settle() -> list[Applied]:
        with connect(database) as connection:
            return [apply(connection, owner, [Settle(hold.id, wallet, 10)]) for hold in holds]

    answers = [found for found in in_parallel(*[settle] * 4) if isinstance(found, list)]
    assert len(answers) == 4
    for each in zip(*answers, strict=True):
        assert sorted(applied.taken[0] for applied in each) == [-1, -1, -1, 10]
    with connect(database) as connection:
        assert figures(connection, wallet) == (BALANCE - 500, 0)


def test_parallel_holds_of_a_wallet_for_five_are_granted_five_times(
    database: Database, tenancies: tuple[Tenancy, Tenancy]
) -> None:
    wallet = tenancies[0].wallets[0]
    with connect(database) as connection:
        owner = new_owner(connection)

    def hold() -> int:
        amount = BALANCE // 5
        with connect(database) as connection:
            (granted,) = apply(
                connection, owner, holds=[Hold(uuid7(), wallet, amount, amount)]
            ).granted
        return granted

    granted = in_parallel(*[hold] * 12)
    assert sorted(granted, key=str) == [0] * 7 + [BALANCE // 5] * 5


def test_refunds_and_adjustments_beside_settlements_of_the_same_wallet_do_not_deadlock(
    database: Database, tenancies: tuple[Tenancy, Tenancy], django_db_blocker: Any
) -> None:
    tenancy = tenancies[0]

    def correct() -> int:
        actor = User.objects.create_user(f"{uuid7()}@example.com")
        group = Group.objects.get(pk=tenancy.group_ids[0])
        for _ in range(40):
            for verb in (ledger.refund, ledger.adjust):
                verb(group, 5, operation_id=uuid7(), actor=actor, reason="Outage")
        connections.close_all()
        return 40

    def settle() -> int:
        wallet = tenancy.wallets[0]
        with connect(database) as connection:
            owner = new_owner(connection)
            for _ in range(40):
                hold = Hold(uuid7(), wallet, 10)
                apply(connection, owner, holds=[hold])
                apply(connection, owner, [Settle(hold.id, wallet, 2_000)])
        return 40

    # Something to be refunded.
    with connect(database) as connection:
        owner, hold = new_owner(connection), Hold(uuid7(), tenancy.wallets[0], BALANCE)
        apply(connection, owner, holds=[hold])
        apply(connection, owner, [Settle(hold.id, hold.account, BALANCE)])
    with orm_on(database, django_db_blocker):
        assert in_parallel(correct, settle, correct, settle) == [40] * 4
    with connect(database) as connection:
        row = row_of(
            connection,
            "SELECT count(*) AS refunds FROM billing_transfer WHERE kind = 'refund'",
        )
    assert row["refunds"] == 80
