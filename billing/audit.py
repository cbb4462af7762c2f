"""The invariants of the ledger, each as a query that counts its violations. `manage.py audit` prints them.

The queries read one snapshot, so that they can run while calls are being settled.
"""

from typing import NamedTuple

from django.db import connection, transaction


class Invariant(NamedTuple):
    """`sql` gives one number: how many rows break the rule. 0 is clean."""

    name: str
    rule: str
    sql: str


INVARIANTS = (
    Invariant(
        "balances",
        "each account's balance is the sum of its transfers",
        """
        SELECT count(*) FROM billing_account a
        LEFT JOIN (
            SELECT account_id, sum(amount) AS total FROM (
                SELECT credit_account_id AS account_id, amount_nanos AS amount FROM billing_transfer
                UNION ALL
                SELECT debit_account_id, -amount_nanos FROM billing_transfer
            ) moves GROUP BY account_id
        ) t ON t.account_id = a.id
        WHERE a.balance_nanos <> coalesce(t.total, 0)
        """,
    ),
    Invariant(
        "held",
        "what an account holds is the sum of its open holds",
        """
        SELECT count(*) FROM billing_account a
        LEFT JOIN (
            SELECT account_id, sum(amount_nanos) AS total FROM billing_hold WHERE state = 'open' GROUP BY account_id
        ) h ON h.account_id = a.id
        WHERE a.held_nanos <> coalesce(h.total, 0)
        """,
    ),
    Invariant(
        "never_overspent",
        "no pool or wallet has less than it holds, beyond its credit line",
        """
        SELECT count(*) FROM billing_account
        WHERE kind IN ('pool', 'wallet') AND balance_nanos - held_nanos + credit_line_nanos < 0
        """,
    ),
    Invariant(
        "zero_sum",
        "the balances of all accounts add up to zero",
        "SELECT (coalesce(sum(balance_nanos), 0) <> 0)::int FROM billing_account",
    ),
    Invariant(
        "positive",
        "transfers are positive and between two accounts that exist",
        """
        SELECT count(*) FROM billing_transfer t
        LEFT JOIN billing_account d ON d.id = t.debit_account_id
        LEFT JOIN billing_account c ON c.id = t.credit_account_id
        WHERE t.amount_nanos <= 0 OR d.id IS NULL OR c.id IS NULL OR d.id = c.id
        """,
    ),
    Invariant(
        "one_tenant",
        "no transfer leaves its organization",
        """
        SELECT count(*) FROM billing_transfer t
        JOIN billing_account d ON d.id = t.debit_account_id
        JOIN billing_account c ON c.id = t.credit_account_id
        WHERE d.organization_id <> c.organization_id
        """,
    ),
    Invariant(
        "captured_once",
        "each captured hold has its capture from the same wallet, and each capture its captured hold",
        """
        SELECT count(*) FROM (SELECT * FROM billing_hold WHERE state = 'captured') h
        FULL JOIN (SELECT * FROM billing_transfer WHERE kind = 'capture') t ON t.id = h.id
        WHERE h.id IS NULL OR t.id IS NULL OR t.debit_account_id <> h.account_id
        """,
    ),
    Invariant(
        "accounts_exist",
        "every organization and every group has its accounts",
        """
        SELECT (SELECT count(*) FROM accounts_organization o WHERE (
                   SELECT count(*) FROM billing_account a WHERE a.organization_id = o.id AND a.kind <> 'wallet') <> 5)
             + (SELECT count(*) FROM accounts_group g WHERE NOT EXISTS (
                   SELECT 1 FROM billing_account a WHERE a.group_id = g.id AND a.kind = 'wallet'))
        """,
    ),
    Invariant(
        "limits_hold",
        "what each limit counts as running and held are its open holds",
        """
        SELECT count(*) FROM billing_limit l
        LEFT JOIN (
            SELECT limit_id, count(*) AS calls, sum(amount_nanos) AS total FROM (
                SELECT key_limit_id AS limit_id, amount_nanos FROM billing_hold WHERE state = 'open'
                UNION ALL
                SELECT group_limit_id, amount_nanos FROM billing_hold WHERE state = 'open'
            ) counted GROUP BY limit_id
        ) h ON h.limit_id = l.id
        WHERE l.running_calls <> coalesce(h.calls, 0) OR l.held_nanos <> coalesce(h.total, 0)
        """,
    ),
    Invariant(
        "limits_spent",
        "what each limit counts as spent is what it started with and the captures of its holds",
        """
        SELECT count(*) FROM billing_limit l
        LEFT JOIN (
            SELECT limit_id, sum(amount_nanos) AS total FROM (
                SELECT h.key_limit_id AS limit_id, t.amount_nanos
                FROM billing_hold h JOIN billing_transfer t ON t.id = h.id AND t.kind = 'capture'
                WHERE h.key_limit_id IS NOT NULL
                UNION ALL
                SELECT h.group_limit_id, t.amount_nanos
                FROM billing_hold h JOIN billing_transfer t ON t.id = h.id AND t.kind = 'capture'
                WHERE h.group_limit_id IS NOT NULL
            ) captured GROUP BY limit_id
        ) c ON c.limit_id = l.id
        WHERE l.lifetime_spent_nanos <> l.seeded_nanos + coalesce(c.total, 0)
           OR l.day_spent_nanos > l.lifetime_spent_nanos OR l.month_spent_nanos > l.lifetime_spent_nanos
        """,
    ),
    Invariant(
        "no_stale_hold",
        "no hold is open whose gateway process was last seen over five minutes ago (owner 0 is no process: its holds"
        " are accounted for by whoever places them)",
        """
        SELECT count(*) FROM billing_hold h LEFT JOIN billing_holdowner o ON o.id = h.owner_id
        WHERE h.state = 'open' AND h.owner_id <> 0 AND coalesce(o.seen_at, '-infinity') < now() - interval '5 minutes'
        """,
    ),
)


def count_violations(invariants: tuple[Invariant, ...]) -> dict[str, int]:
    """Violations by invariant name, all counted in one snapshot of the database."""
    counts: dict[str, int] = {}
    with transaction.atomic(), connection.cursor() as cursor:
        if not connection.in_atomic_block or not connection.savepoint_ids:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        for invariant in invariants:
            cursor.execute(invariant.sql)
            row = cursor.fetchone()
            counts[invariant.name] = int(row[0]) if row else 0
    return counts
