"""Faults in the books, written past every guard, and what the audit has to count for each."""

from typing import Any, NamedTuple

from django.db import connection

from accounts.ids import uuid7


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
        "DELETE FROM billing_transfer WHERE kind = 'refund' AND call_id = '{charged}'",
    ),
    Plant(
        "a transfer that was changed",
        {"balances": 2},
        "UPDATE billing_transfer SET amount_nanos = amount_nanos + 1 WHERE kind = 'refund' AND call_id = '{charged}'",
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
        {"captured_once": 1, "usage_sums": 4},
        HOLD.replace("{state}", "captured").replace("{resolved}", "now()").replace("{amount}", "9")
        + RECORD % '"amount_nanos": 0',
    ),
    Plant(
        "a capture without its hold",
        {"captured_once": 1, "usage_sums": 4},
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
        {"settled_calls": 1, "usage_sums": 4},
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
    Plant(
        "an unfinished task whose hold was released",
        {"tasks_hold": 1, "usage_sums": 4},
        "UPDATE billing_hold SET state = 'released', resolved_at = now() WHERE id = '{waiting}';"
        "UPDATE billing_account SET held_nanos = held_nanos - 50 WHERE id = {second_wallet};"
        + RECORD.replace("{new}", "{waiting}")
        % '"amount_nanos": 0',
    ),
    Plant(
        "a hold without a process and without a task",
        {"tasks_hold": 1},
        OVERDRAW.replace("{amount}", "5")
        .replace("{owner}", "0")
        .replace("{wallet}", "{second_wallet}"),
    ),
    Plant(
        "a completed task that was not charged",
        {"tasks_settled": 1},
        "UPDATE gateway_task SET amount_nanos = 0 WHERE id = '{drawn}'",
    ),
    Plant(
        "a failed task that the history calls completed",
        {"tasks_settled": 1},
        "UPDATE gateway_callrecord SET status = 'completed' WHERE id = '{refused}'",
    ),
    Plant(
        "a completed task without a picture",
        {"tasks_deliver": 1},
        "DELETE FROM gateway_picture WHERE task_id = '{drawn}'",
    ),
    Plant(
        "a task that nobody ended at its deadline",
        {"tasks_on_time": 1},
        "UPDATE gateway_task SET deadline_at = now() - interval '6 minutes' WHERE id = '{waiting}'",
    ),
    Plant(
        "a closing of a day on which nothing moved",
        {"closings": 1},
        "INSERT INTO billing_closing (account_id, day, balance_nanos, captured_nanos, captures)"
        " VALUES ({pool}, '2020-01-01', 5, 0, 0)",
    ),
    Plant(
        "a promotion that nobody granted",
        {"promotions_given": 1},
        "INSERT INTO billing_promotion (id, wallet_id, amount_nanos, remaining_nanos, spent_nanos, returned_nanos,"
        " reason, started_at, expires_at)"
        " VALUES ('{new}', {promoted_wallet}, 5, 5, 0, 0, 'Gift', now(), now() + interval '1 day')",
    ),
    Plant(
        "a grant from promotions that is no promotion",
        {"promotions_given": 1},
        moving("{promotions}", "{wallet}", 5, "grant"),
    ),
    Plant(
        "a promotion of more than was granted",
        {"promotions_given": 1},
        "UPDATE billing_promotion SET amount_nanos = amount_nanos + 1, remaining_nanos = remaining_nanos + 1"
        " WHERE id = '{promotion}'",
    ),
    Plant(
        "a promotion that does not add up",
        {"promotions_add_up": 1},
        "UPDATE billing_promotion SET remaining_nanos = remaining_nanos - 1 WHERE id = '{promotion}'",
        "billing_promotion billing_promotion_adds_up",
    ),
    Plant(
        "a promotion that paid what no call was charged",
        {"promotions_add_up": 1},
        "UPDATE billing_promotion SET remaining_nanos = remaining_nanos - 1, spent_nanos = spent_nanos + 1"
        " WHERE id = '{promotion}'",
    ),
    Plant(
        "a use of a promotion that vanished",
        {"promotions_add_up": 1},
        "DELETE FROM billing_promotionuse WHERE promotion_id = '{promotion}' AND amount_nanos < 0",
    ),
    Plant(
        "promotional credits that went back without a promotion",
        {"promotions_returned": 1},
        moving("{second_wallet}", "{promotions}", 5, "reclaim"),
    ),
    Plant(
        "a promotion that says it went back and did not",
        {"promotions_returned": 1},
        "UPDATE billing_promotion SET remaining_nanos = remaining_nanos - 1, returned_nanos = returned_nanos + 1"
        " WHERE id = '{promotion}'",
    ),
    Plant(
        "a checkpoint that has less than is left of promotions",
        {"promotions_covered": 1, "promotions_counted": 1},
        "UPDATE billing_promotioncheckpoint SET balance_nanos = 3 WHERE wallet_id = {promoted_wallet}",
    ),
    Plant(
        "promotions of a wallet that nobody counts",
        {"promotions_covered": 1},
        "DELETE FROM billing_promotioncheckpoint WHERE wallet_id = {promoted_wallet}",
    ),
    Plant(
        "a move of a wallet past its checkpoint",
        {"promotions_counted": 1},
        moving("{pool}", "{promoted_wallet}", 5, "grant"),
    ),
    Plant(
        "a checkpoint that forgot a charge",
        {"promotions_counted": 1},
        "UPDATE billing_promotioncheckpoint SET captured_nanos = captured_nanos - 1"
        " WHERE wallet_id = {promoted_wallet}",
    ),
    Plant(
        "a code that was redeemed more often than it counts",
        {"codes_counted": 1},
        "UPDATE billing_code SET uses = 0 WHERE id = {code}",
    ),
    Plant(
        "a code that was used more often than it may be",
        {"codes_counted": 1},
        "UPDATE billing_code SET uses_max = 0 WHERE id = {code}",
        "billing_code billing_code_uses",
    ),
    Plant(
        "a redemption that brought nothing",
        {"codes_paid": 1},
        "UPDATE billing_redemption SET id = '{new}' WHERE id = '{redemption}'",
    ),
    Plant(
        "a redemption that brought more than its code promised",
        {"codes_paid": 1},
        "UPDATE billing_codebatch SET amount_nanos = amount_nanos - 1",
    ),
    Plant(
        "a redemption of one organization that another was paid for",
        {"codes_paid": 1},
        "UPDATE billing_redemption SET organization_id = '{foreign}' WHERE id = '{redemption}'",
    ),
]


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
