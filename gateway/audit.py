"""What must hold between the records of calls and the ledger; and the whole list of invariants."""

from billing.audit import INVARIANTS as LEDGER_INVARIANTS
from billing.audit import Invariant
from gateway.rollups import days_that_differ_sql

RECORD_INVARIANTS = (
    Invariant(
        "settled_calls",
        "each charged call has its capture of the same amount from its group's wallet",
        """
        SELECT count(*) FROM gateway_callrecord r
        LEFT JOIN billing_transfer t ON t.id = r.id AND t.kind = 'capture'
        LEFT JOIN billing_account a ON a.id = t.debit_account_id
        WHERE r.amount_nanos > 0
          AND (t.id IS NULL OR t.amount_nanos <> r.amount_nanos OR a.group_id IS DISTINCT FROM r.group_id)
        """,
    ),
    Invariant(
        "captures_recorded",
        "each capture has the record of its call",
        """
        SELECT count(*) FROM billing_transfer t LEFT JOIN gateway_callrecord r ON r.id = t.id
        WHERE t.kind = 'capture' AND (r.id IS NULL OR r.amount_nanos <> t.amount_nanos)
        """,
    ),
    Invariant(
        "holds_recorded",
        "each hold that a call had has the call's record once it is ended",
        """
        SELECT count(*) FROM billing_hold h LEFT JOIN gateway_callrecord r ON r.id = h.id
        WHERE h.state <> 'open' AND h.memo <> 'never placed' AND r.id IS NULL
        """,
    ),
    Invariant(
        "failures_are_free",
        "nothing is charged for a call that failed on our side or upstream",
        """
        SELECT count(*) FROM gateway_callrecord
        WHERE amount_nanos > 0 AND status NOT IN ('completed', 'client_gone')
        """,
    ),
    Invariant(
        "writeoffs_recorded",
        "what was written off is booked with the call that caused it",
        """
        SELECT count(*) FROM (SELECT * FROM gateway_callrecord WHERE written_off_nanos > 0) r
        FULL JOIN (
            SELECT t.* FROM billing_transfer t JOIN billing_account d ON d.id = t.debit_account_id
            WHERE t.kind = 'adjust' AND t.call_id IS NOT NULL AND d.kind = 'writeoffs'
        ) t ON t.call_id = r.id
        WHERE r.id IS NULL OR t.id IS NULL OR t.amount_nanos <> r.written_off_nanos
        """,
    ),
)

TASK_INVARIANTS = (
    Invariant(
        "tasks_hold",
        "each unfinished task has its open hold, and each open hold without a process its unfinished task",
        """
        SELECT count(*) FROM (SELECT * FROM gateway_task WHERE status IN ('pending', 'processing')) t
        FULL JOIN (SELECT * FROM billing_hold WHERE state = 'open' AND owner_id = 0) h ON h.id = t.id
        WHERE t.id IS NULL OR h.id IS NULL OR h.amount_nanos <> t.hold_nanos OR h.account_id <> t.account_id
        """,
    ),
    Invariant(
        "tasks_settled",
        "each ended task is charged once or released once, and its record says the same",
        """
        SELECT count(*) FROM gateway_task t
        LEFT JOIN billing_hold h ON h.id = t.id
        LEFT JOIN billing_transfer c ON c.id = t.id AND c.kind = 'capture'
        LEFT JOIN gateway_callrecord r ON r.id = t.id AND r.source = 'task'
        WHERE t.status IN ('completed', 'failed')
          AND (h.id IS NULL OR r.id IS NULL OR r.group_id <> t.group_id
               OR h.state <> CASE WHEN t.amount_nanos > 0 THEN 'captured' ELSE 'released' END
               OR coalesce(c.amount_nanos, 0) <> t.amount_nanos OR r.amount_nanos <> t.amount_nanos
               OR (r.status = 'completed') <> (t.status = 'completed'))
        """,
    ),
    Invariant(
        "tasks_deliver",
        "each completed task has its pictures, and a failed one none",
        """
        SELECT count(*) FROM gateway_task t
        LEFT JOIN (SELECT task_id, count(*) AS pictures FROM gateway_picture GROUP BY task_id) p ON p.task_id = t.id
        WHERE (t.status = 'completed') <> (coalesce(p.pictures, 0) > 0)
        """,
    ),
    Invariant(
        "tasks_on_time",
        "no task is unfinished over five minutes past its deadline",
        """
        SELECT count(*) FROM gateway_task
        WHERE status IN ('pending', 'processing') AND deadline_at < now() - interval '5 minutes'
        """,
    ),
)

USAGE_INVARIANTS = (
    Invariant(
        "usage_sums",
        "each day's sums of usage, by quarter, hour and day, are those of its calls but for the calls that are not"
        " counted yet",
        days_that_differ_sql(),
    ),
)

INVARIANTS: tuple[Invariant, ...] = (
    LEDGER_INVARIANTS + RECORD_INVARIANTS + TASK_INVARIANTS + USAGE_INVARIANTS
)
