"""`manage.py audit`: clean books are called clean, and each broken invariant is named, that one alone."""

import json
import threading
from io import StringIO
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from django.core.management import call_command
from django.db import connection

from accounts import services
from accounts.ids import uuid7
from accounts.models import Group, User
from billing import ledger
from billing.audit import INVARIANTS as LEDGER_INVARIANTS
from billing.audit import Invariant, count_violations
from billing.models import Account, HoldOwner, Limit
from gateway.audit import INVARIANTS
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
from tests.world import World, run_command

NAMES = [invariant.name for invariant in INVARIANTS]


class Plant(NamedTuple):
    """A fault, written past every guard: what the audit has to count, the statements, a CHECK that is in the way."""

    fault: str
    broken: dict[str, int]
    sql: str
    guard: str = ""


MOVE = (
    "INSERT INTO billing_transfer (id, kind, debit_account_id, credit_account_id, amount_nanos, call_id, reason)"
    " VALUES ('{id}', '{kind}', {debit}, {credit}, {amount}, {call}, '');"
    " UPDATE billing_account SET balance_nanos = balance_nanos - {amount} WHERE id = {debit};"
    " UPDATE billing_account SET balance_nanos = balance_nanos + {amount} WHERE id = {credit};"
)


def moving(debit: str, credit: str, amount: int, kind: str = "adjust", **more: str) -> str:
    """A transfer with its balances."""
    fields = {"id": "{new}", "call": "NULL", "kind": kind, **more}
    return MOVE.format(debit=debit, credit=credit, amount=amount, **fields)


HOLD = (
    "INSERT INTO billing_hold (id, account_id, owner_id, amount_nanos, state, memo, resolved_at)"
    " VALUES ('{new}', {wallet}, {owner}, {amount}, '{state}', '', {resolved});"
)
OPEN_HOLD = HOLD.replace("{state}", "open").replace("{resolved}", "NULL")
OVERDRAW = (
    OPEN_HOLD + "UPDATE billing_account SET held_nanos = held_nanos + {amount} WHERE id = {wallet};"
)
RECORD = (
    "INSERT INTO gateway_callrecord SELECT (r).* FROM ("
    ' SELECT jsonb_populate_record(c, \'{{"id": "{new}", %s}}\') AS r'
    " FROM gateway_callrecord c WHERE c.id = '{charged}') planted;"
)

PLANTS = [
    Plant(
        "credits moved without a transfer",
        {"balances": 2},
        "UPDATE billing_account SET balance_nanos = balance_nanos + CASE id WHEN {wallet} THEN 5 ELSE -5 END"
        " WHERE id IN ({wallet}, {pool})",
    ),
    Plant(
        "a transfer that vanished",
        {"balances": 2},
        "DELETE FROM billing_transfer WHERE kind = 'refund'",
    ),
    Plant(
        "a transfer that was changed",
        {"balances": 2},
        "UPDATE billing_transfer SET amount_nanos = amount_nanos + 1 WHERE kind = 'refund'",
    ),
    Plant(
        "credits out of nothing",
        {"balances": 1, "zero_sum": 1},
        "UPDATE billing_account SET balance_nanos = balance_nanos + 5 WHERE id = {wallet}",
    ),
    Plant(
        "more held than there are holds",
        {"held": 1},
        "UPDATE billing_account SET held_nanos = held_nanos + 5 WHERE id = {wallet}",
    ),
    Plant(
        "an open hold that vanished",
        {"held": 1, "limits_hold": 2},
        "DELETE FROM billing_hold WHERE id = '{opened}'",
    ),
    Plant(
        "a wallet that holds more than it has",
        {"never_overspent": 1},
        OVERDRAW.replace("{amount}", "100000"),
        "billing_account billing_account_never_overspent",
    ),
    Plant(
        "a pool below zero",
        {"never_overspent": 1},
        moving("{pool}", "{wallet}", 100_000),
        "billing_account billing_account_never_overspent",
    ),
    Plant(
        "a transfer to an account that is not there",
        {"positive": 1, "zero_sum": 1},
        moving("{pool}", "987654321", 5),
    ),
    Plant(
        "a transfer of a negative amount",
        {"positive": 1},
        moving("{pool}", "{wallet}", -5),
        "billing_transfer billing_transfer_positive",
    ),
    Plant(
        "a transfer from an account to itself",
        {"positive": 1},
        moving("{pool}", "{pool}", 5),
        "billing_transfer billing_transfer_moves",
    ),
    Plant(
        "credits of one organization in another's pool",
        {"one_tenant": 1},
        moving("{pool}", "{foreign_pool}", 5),
    ),
    Plant(
        "a captured hold without its capture",
        {"captured_once": 1},
        HOLD.replace("{state}", "captured").replace("{resolved}", "now()").replace("{amount}", "9")
        + RECORD % '"amount_nanos": 0',
    ),
    Plant(
        "a capture without its hold",
        {"captured_once": 1},
        moving("{wallet}", "{revenue}", 5, "capture", call="'{new}'")
        + RECORD % '"amount_nanos": 5',
    ),
    Plant(
        "a capture of a hold that was released",
        {"captured_once": 1},
        "UPDATE billing_hold SET state = 'released' WHERE id = '{charged}'",
    ),
    Plant(
        "a capture from another wallet than the one that held",
        {"captured_once": 1},
        "UPDATE billing_hold SET account_id = {second_wallet} WHERE id = '{charged}'",
    ),
    Plant(
        "an organization without accounts",
        {"accounts_exist": 1},
        "INSERT INTO accounts_organization (id, name, created_at) VALUES ('{new}', 'Bare', now())",
    ),
    Plant(
        "an organization without one of its accounts",
        {"accounts_exist": 1},
        "DELETE FROM billing_account WHERE kind = 'promotions' AND organization_id = '{foreign}'",
    ),
    Plant(
        "a group without a wallet",
        {"accounts_exist": 1},
        "INSERT INTO accounts_group (id, organization_id, name, created_at)"
        " VALUES ('{new}', '{organization}', 'Bare', now())",
    ),
    Plant(
        "a limit that counts a call more than runs",
        {"limits_hold": 1},
        "UPDATE billing_limit SET running_calls = running_calls + 1 WHERE id = {key_limit}",
    ),
    Plant(
        "a limit that forgot what is held",
        {"limits_hold": 1},
        "UPDATE billing_limit SET held_nanos = 0 WHERE id = {group_limit}",
    ),
    Plant(
        "an open hold that left its limit",
        {"limits_hold": 1},
        "UPDATE billing_hold SET key_limit_id = NULL WHERE id = '{opened}'",
    ),
    Plant(
        "a limit that forgot what was spent",
        {"limits_spent": 1},
        "UPDATE billing_limit SET lifetime_spent_nanos = lifetime_spent_nanos - 1 WHERE id = {group_limit}",
    ),
    Plant(
        "a limit that started with something else",
        {"limits_spent": 1},
        "UPDATE billing_limit SET seeded_nanos = seeded_nanos + 1 WHERE id = {key_limit}",
    ),
    Plant(
        "a limit whose day spent more than it ever did",
        {"limits_spent": 1},
        "UPDATE billing_limit SET day_spent_nanos = lifetime_spent_nanos + 1 WHERE id = {key_limit}",
    ),
    Plant(
        "a hold of a process that was not seen for six minutes",
        {"no_stale_hold": 1},
        "UPDATE billing_holdowner SET seen_at = now() - interval '6 minutes'",
    ),
    Plant(
        "a hold of a process that nobody knows",
        {"no_stale_hold": 1},
        "DELETE FROM billing_holdowner",
    ),
    Plant(
        "a charge in the history that was never taken",
        {"settled_calls": 1},
        RECORD % '"amount_nanos": 30',
    ),
    Plant(
        "a charge in another group's history",
        {"settled_calls": 1},
        "UPDATE gateway_callrecord SET group_id = '{second_group}' WHERE id = '{charged}'",
    ),
    Plant(
        "a charge that was taken from a pool",
        {"settled_calls": 1},
        "UPDATE billing_hold SET account_id = {pool} WHERE id = '{charged}';"
        "UPDATE billing_transfer SET debit_account_id = {pool} WHERE id = '{charged}';"
        "UPDATE billing_account SET balance_nanos = balance_nanos + CASE id WHEN {pool} THEN -30 ELSE 30 END"
        " WHERE id IN ({pool}, {wallet})",
    ),
    Plant(
        "a charge in the history that is not what was taken",
        {"settled_calls": 1, "captures_recorded": 1},
        "UPDATE gateway_callrecord SET amount_nanos = amount_nanos + 1 WHERE id = '{charged}'",
    ),
    Plant(
        "a capture that the history calls free",
        {"captures_recorded": 1},
        "UPDATE gateway_callrecord SET amount_nanos = 0 WHERE id = '{charged}'",
    ),
    Plant(
        "a charged call that the history lacks",
        {"captures_recorded": 1, "holds_recorded": 1},
        "DELETE FROM gateway_callrecord WHERE id = '{charged}'",
    ),
    Plant(
        "a released call that the history lacks",
        {"holds_recorded": 1},
        "DELETE FROM gateway_callrecord WHERE id = '{released}'",
    ),
    Plant(
        "a charge for a call that failed",
        {"failures_are_free": 1},
        "UPDATE gateway_callrecord SET status = 'upstream_failed' WHERE id = '{charged}'",
        "gateway_callrecord gateway_callrecord_failures_are_free",
    ),
    Plant(
        "a write-off in the history that was not booked",
        {"writeoffs_recorded": 1},
        "UPDATE gateway_callrecord SET written_off_nanos = 5 WHERE id = '{charged}'",
    ),
    Plant(
        "a write-off that the history lacks",
        {"writeoffs_recorded": 1},
        "UPDATE gateway_callrecord SET written_off_nanos = 0 WHERE id = '{overrun}'",
    ),
    Plant(
        "a write-off of another amount than the history says",
        {"writeoffs_recorded": 1},
        "UPDATE gateway_callrecord SET written_off_nanos = 41 WHERE id = '{overrun}'",
    ),
]


def record(group: Group, call_id: UUID, status: str = "completed") -> dict[str, Any]:
    """A call's record as the gateway sends it; what was taken is the database's to say."""
    counts = (
        "duration_ms first_token_ms input_tokens cached_input_tokens cache_write_tokens cache_write_1h_tokens"
        " output_tokens reasoning_tokens audio_input_tokens audio_output_tokens images price_id hold_nanos list_nanos"
    )
    texts = "service_tier basis error_code error_message"
    return {
        **dict.fromkeys(counts.split(), 1),
        **dict.fromkeys(texts.split(), ""),
        "id": str(call_id),
        "organization_id": str(group.organization_id),
        "group_id": str(group.pk),
        "api_key_id": str(uuid7()),
        "source": "api",
        "endpoint": "chat/completions",
        "model": "openai/gpt-5.5",
        "status": status,
        "stream": False,
        "created_at": 1_800_000_000.5,
        "attempts": [],
    }


def gateway_apply(group: Group, owner: HoldOwner, holds: dict[UUID, int], **ends: Any) -> None:
    """Holds on the group's wallet, counted by `key_limit` and `group_limit`, or the ends of them: `settles` by call id,
    with their `records`."""
    wallet, settles = Account.objects.wallet_of(group).pk, ends.get("settles", {})
    records = ends.get("records")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT h_granted FROM gateway_apply(%s, %s::uuid[], %s::bigint[], %s::bigint[],"
            " %s::uuid[], %s::bigint[], %s::bigint[], %s::bigint[], %s::text[], %s::jsonb,"
            " NULL, %s::bigint[], %s::bigint[])",
            (
                owner.pk,
                *(list(settles), [wallet] * len(settles), list(settles.values())),
                *(list(holds), [wallet] * len(holds), list(holds.values()), [1] * len(holds)),
                ["{}"] * len(holds),
                json.dumps(records) if records else None,
                *(
                    [ends[name]] * len(holds) if name in ends else None
                    for name in ("key_limit", "group_limit")
                ),
            ),
        )
        assert cursor.fetchone() == (list(holds.values()) or None,)


def make_books() -> dict[str, Any]:
    """Two organizations, and one call of each ending: charged 30 and refunded 10, overrun (460 of 500 taken),
    released, still open with 20. Answers the names that the plants use."""
    alice = User.objects.create_user("alice@example.com")
    organization = services.create_organization(alice, "Arden Labs")
    group = services.create_group(organization, "Research", alice)
    second = services.create_group(organization, "Support", alice)
    foreign = services.create_organization(alice, "Crane & Sons")
    ledger.deposit(organization, 1_000, operation_id=uuid7(), actor=alice)
    ledger.grant(group, 500, operation_id=uuid7(), actor=alice)
    ledger.adjust(group, 10, operation_id=uuid7(), actor=alice, reason="Welcome")
    owner = HoldOwner.objects.create()
    charged, overrun, released, opened = (uuid7() for _ in range(4))
    key, _ = services.issue_key(group, alice, "CI")
    limits = {
        "key_limit": Limit.objects.create(api_key=key, concurrent_calls=9).pk,
        "group_limit": Limit.objects.create(group=group, lifetime_nanos=900).pk,
    }
    gateway_apply(group, owner, {charged: 40, overrun: 50, released: 60, opened: 20}, **limits)
    ends = {charged: 30, overrun: 500, released: 0}
    statuses = {charged: "completed", overrun: "client_gone", released: "upstream_failed"}
    records = [record(group, call_id, status) for call_id, status in statuses.items()]
    gateway_apply(group, owner, {}, settles={released: 0}, records=records[2:])
    del ends[released]
    gateway_apply(group, owner, {}, settles=ends, records=records[:2])
    ledger.refund(group, 10, operation_id=uuid7(), actor=alice, reason="Slow", call_id=charged)
    assert Account.objects.wallet_of(group).available_nanos == 10
    return {
        "organization": organization.pk,
        "foreign": foreign.pk,
        "second_group": second.pk,
        "pool": Account.objects.pool_of(organization).pk,
        "revenue": Account.objects.get(organization=organization, kind="revenue").pk,
        "wallet": Account.objects.wallet_of(group).pk,
        "second_wallet": Account.objects.wallet_of(second).pk,
        "foreign_pool": Account.objects.pool_of(foreign).pk,
        "owner": owner.pk,
        "charged": charged,
        "overrun": overrun,
        "released": released,
        "opened": opened,
        **limits,
    }


@pytest.fixture
def books(db: None) -> dict[str, Any]:
    return make_books()


def write_past_every_guard(plant: Plant, books: dict[str, Any]) -> None:
    """Without triggers, foreign keys and the plant's CHECK; the test's transaction takes it back."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        if plant.guard:
            table, constraint = plant.guard.split()
            cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {constraint}")
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(plant.sql.format(**books, new=uuid7()))
        assert cursor.rowcount
        cursor.execute("SET LOCAL session_replication_role = origin")


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
