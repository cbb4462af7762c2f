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
        "closings",
        "each closing has the sum of the transfers up to the end of its day and the captures of that day, and no day"
        " before the last one of an account lacks its closing",
        """
        WITH moved AS (
            SELECT account_id, (created_at AT TIME ZONE 'UTC')::date AS day, sum(amount) AS total,
                   coalesce(sum(captured), 0) AS captured, count(captured) AS captures
            FROM (
                SELECT credit_account_id AS account_id, created_at, amount_nanos AS amount, NULL::bigint AS captured
                FROM billing_transfer
                UNION ALL
                SELECT debit_account_id, created_at, -amount_nanos, CASE kind WHEN 'capture' THEN amount_nanos END
                FROM billing_transfer
            ) t GROUP BY 1, 2
        ), days AS (
            SELECT m.account_id, m.day, m.captured, m.captures,
                   sum(m.total) OVER (PARTITION BY m.account_id ORDER BY m.day) AS balance
            FROM moved m
        ), closed AS (
            SELECT account_id, max(day) AS until FROM billing_closing GROUP BY account_id
        )
        SELECT count(*) FROM (
            SELECT d.* FROM days d JOIN closed u ON u.account_id = d.account_id AND d.day <= u.until
        ) d
        FULL JOIN billing_closing c ON c.account_id = d.account_id AND c.day = d.day
        WHERE c.id IS NULL OR d.day IS NULL OR c.balance_nanos <> d.balance
           OR c.captured_nanos <> d.captured OR c.captures <> d.captures
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
    Invariant(
        "promotions_given",
        "each promotion is a grant of its amount from promotions to its wallet, and each such grant is a promotion",
        """
        SELECT count(*) FROM (
            SELECT t.* FROM billing_transfer t JOIN billing_account d ON d.id = t.debit_account_id
            WHERE t.kind = 'grant' AND d.kind = 'promotions'
        ) t
        FULL JOIN billing_promotion p ON p.id = t.id
        WHERE p.id IS NULL OR t.id IS NULL OR t.credit_account_id <> p.wallet_id OR t.amount_nanos <> p.amount_nanos
        """,
    ),
    Invariant(
        "promotions_add_up",
        "what a promotion gave is what is left, what it paid and what went back; what it paid is the sum of its uses",
        """
        SELECT count(*) FROM billing_promotion p
        LEFT JOIN (
            SELECT promotion_id, sum(amount_nanos) AS total FROM billing_promotionuse GROUP BY promotion_id
        ) u ON u.promotion_id = p.id
        WHERE p.amount_nanos <> p.remaining_nanos + p.spent_nanos + p.returned_nanos
           OR p.spent_nanos <> coalesce(u.total, 0)
           OR least(p.remaining_nanos, p.spent_nanos, p.returned_nanos) < 0
        """,
    ),
    Invariant(
        "promotions_returned",
        "what a wallet's promotions gave back is what went from it to promotions",
        """
        SELECT count(*) FROM (
            SELECT wallet_id, sum(returned_nanos) AS total FROM billing_promotion GROUP BY wallet_id
        ) p
        FULL JOIN (
            SELECT t.debit_account_id AS wallet_id, sum(t.amount_nanos) AS total
            FROM billing_transfer t JOIN billing_account c ON c.id = t.credit_account_id
            WHERE t.kind = 'reclaim' AND c.kind = 'promotions' GROUP BY t.debit_account_id
        ) t ON t.wallet_id = p.wallet_id
        WHERE coalesce(p.total, 0) <> coalesce(t.total, 0)
        """,
    ),
    Invariant(
        "promotions_covered",
        "what is left of a wallet's promotions is in the wallet",
        """
        SELECT count(*) FROM (
            SELECT wallet_id, sum(remaining_nanos) AS total FROM billing_promotion GROUP BY wallet_id
        ) p
        LEFT JOIN billing_promotioncheckpoint c ON c.wallet_id = p.wallet_id
        WHERE c.wallet_id IS NULL OR p.total > greatest(c.balance_nanos, 0)
        """,
    ),
    Invariant(
        "promotions_counted",
        "a wallet's checkpoint has seen each of its moves but captures: they are its balance then and what was captured"
        " before",
        """
        SELECT count(*) FROM billing_promotioncheckpoint c
        JOIN billing_account a ON a.id = c.wallet_id
        CROSS JOIN LATERAL (
            SELECT coalesce(sum(CASE WHEN t.credit_account_id = a.id THEN t.amount_nanos ELSE -t.amount_nanos END), 0)
                AS total
            FROM billing_transfer t
            WHERE t.kind <> 'capture' AND (t.credit_account_id = a.id OR t.debit_account_id = a.id
                AND t.credit_account_id IN (SELECT o.id FROM billing_account o
                    WHERE o.organization_id = a.organization_id AND o.kind <> 'revenue'))
        ) t
        WHERE c.balance_nanos + c.captured_nanos <> t.total OR c.balance_nanos < a.balance_nanos
        """,
    ),
    Invariant(
        "codes_counted",
        "a code counts its redemptions, and has no more than it may",
        """
        SELECT count(*) FROM billing_code c
        LEFT JOIN (SELECT code_id, count(*) AS uses FROM billing_redemption GROUP BY code_id) r ON r.code_id = c.id
        WHERE c.uses <> coalesce(r.uses, 0) OR c.uses > c.uses_max
        """,
    ),
    Invariant(
        "codes_paid",
        "each redemption brought what its code promised, to the organization that redeemed it",
        """
        SELECT count(*) FROM billing_redemption r
        JOIN billing_code c ON c.id = r.code_id
        JOIN billing_codebatch b ON b.id = c.batch_id
        LEFT JOIN billing_transfer t ON t.id = r.id
        LEFT JOIN billing_account a ON a.id = t.credit_account_id
        WHERE t.id IS NULL OR t.amount_nanos <> b.amount_nanos OR a.organization_id IS DISTINCT FROM r.organization_id
           OR t.kind <> CASE b.kind WHEN 'promotion' THEN 'grant' ELSE 'deposit' END
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
