"""`manage.py audit`: clean books are called clean, and each broken invariant is named, that one alone."""

import threading
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from accounts.ids import uuid7
from billing.audit import INVARIANTS as LEDGER_INVARIANTS
from billing.audit import Invariant, count_violations
from gateway.audit import INVARIANTS
from tests.billing.audit_plants import PLANTS, Plant, write_past_every_guard
from tests.billing.bank import (
    WAIT_S,
    Hold,
    Settle,
    apply,
    connect,
    figures,
    in_parallel,
    new_owner,
    open_tenancy,
    orm_on,
    wait_until,
)
from tests.billing.books import make_books
from tests.world import World, run_command

NAMES = [invariant.name for invariant in INVARIANTS]


@pytest.fixture
def books(db: None) -> dict[str, Any]:
    return make_books()


def audit() -> tuple[int, list[str]]:
    """Exit code and printed lines of `manage.py audit`."""
    printed = StringIO()
    try:
        call_command("audit", stdout=printed)
    except SystemExit as done:
        return int(done.code or 0), printed.getvalue().splitlines()
    return 0, printed.getvalue().splitlines()


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.fault)
def test_the_audit_names_the_invariant_that_is_broken_and_no_other(
    books: dict[str, Any], plant: Plant
) -> None:
    clean = dict.fromkeys(NAMES, 0)
    assert count_violations(INVARIANTS) == clean
    write_past_every_guard(plant, books)
    assert count_violations(INVARIANTS) == {**clean, **plant.broken}


def test_every_invariant_has_its_plant() -> None:
    assert {name for plant in PLANTS for name in plant.broken} == set(NAMES)
    assert len(set(NAMES)) == len(NAMES)


def test_the_ledgers_invariants_can_be_counted_without_the_gateways(books: dict[str, Any]) -> None:
    counts = count_violations(LEDGER_INVARIANTS)
    assert counts == dict.fromkeys((rule.name for rule in LEDGER_INVARIANTS), 0)
    assert counts.keys() < set(NAMES)


def test_an_installation_without_a_row_is_clean(db: None) -> None:
    assert audit()[0] == 0


def test_clean_books_print_one_line_for_each_invariant_and_exit_0(books: dict[str, Any]) -> None:
    code, lines = audit()
    assert code == 0
    assert lines == [
        *(f"ok          0  {rule.name}: {rule.rule}" for rule in INVARIANTS),
        f"{len(INVARIANTS)} invariants, 0 violations",
    ]
    assert "ok          0  held: what an account holds is the sum of its open holds" in lines


def test_broken_books_say_how_often_and_exit_1(books: dict[str, Any]) -> None:
    write_past_every_guard(PLANTS[0], books)
    code, lines = audit()
    assert code == 1
    broken = [line for line in lines if not line.startswith("ok ")]
    assert broken == [
        "FAIL        2  balances: each account's balance is the sum of its transfers",
        f"{len(INVARIANTS)} invariants, 2 violations",
    ]
    assert len(lines) == len(INVARIANTS) + 1


def test_the_command_exits_1_as_soon_as_one_nano_is_missing(fresh_world: World) -> None:
    with connect(fresh_world.database) as connection:
        tenancy = open_tenancy(connection, 1_000)
        fresh_world.audit()
        connection.execute(
            "UPDATE billing_account SET balance_nanos = 999 WHERE id = %s", tenancy.wallets
        )
    done = run_command(fresh_world.database.url, "audit")
    assert done.returncode == 1, done.stderr
    assert "FAIL        1  balances: " in done.stdout
    assert "FAIL        1  zero_sum: " in done.stdout
    assert done.stdout.endswith(f"{len(INVARIANTS)} invariants, 2 violations\n")
    assert "Traceback" not in done.stderr


def test_all_invariants_are_counted_in_one_snapshot(
    fresh_world: World, django_db_blocker: Any
) -> None:
    """A transfer that commits between the first query and the last is seen by neither."""
    transfers = "SELECT count(*) FROM billing_transfer"
    turnstile = "SELECT count(*) FROM (SELECT pg_advisory_xact_lock_shared(1)) waited"
    rules = [Invariant(name, "", transfers) for name in ("first", "last")]
    rules.insert(1, Invariant("turnstile", "", turnstile))
    locked = threading.Event()

    def count() -> dict[str, int]:
        assert locked.wait(WAIT_S)
        return count_violations(tuple(rules))

    def commit_meanwhile() -> dict[str, int]:
        with connect(fresh_world.database) as holding, connect(fresh_world.database) as writing:
            holding.execute("SELECT pg_advisory_lock(1)")
            locked.set()
            waits = (
                "SELECT count(*) > 0 AS waits FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event = 'advisory'"
            )
            wait_until(holding, waits)
            open_tenancy(writing, 1_000)
        return {}

    with orm_on(fresh_world.database, django_db_blocker):
        counted, _ = in_parallel(count, commit_meanwhile)
    assert counted == {"first": 0, "turnstile": 1, "last": 0}


def test_the_audit_stays_clean_while_calls_are_being_settled(
    fresh_world: World, django_db_blocker: Any
) -> None:
    with connect(fresh_world.database) as connection:
        wallet = open_tenancy(connection, 1_000_000).wallets[0]
    audited = threading.Event()

    def settle() -> int:
        batches = 0
        with connect(fresh_world.database) as connection:
            owner = new_owner(connection)
            while not audited.is_set():
                holds = [Hold(uuid7(), wallet, 10) for _ in range(5)]
                apply(connection, owner, holds=holds)
                apply(connection, owner, [Settle(hold.id, wallet, 1) for hold in holds])
                batches += 1
        return batches

    def audit_often() -> list[dict[str, int]]:
        try:
            return [count_violations(LEDGER_INVARIANTS) for _ in range(20)]
        finally:
            audited.set()

    with orm_on(fresh_world.database, django_db_blocker):
        counts, *batches = in_parallel(audit_often, settle, settle)
    assert counts == [dict.fromkeys((rule.name for rule in LEDGER_INVARIANTS), 0)] * 20
    made = sum(batch for batch in batches if isinstance(batch, int))
    assert made > 2, batches
    with connect(fresh_world.database) as connection:
        assert figures(connection, wallet) == (1_000_000 - 5 * made, 0)
