"""What must hold between the records of calls and the ledger; and the whole list of invariants."""

from billing.audit import INVARIANTS as LEDGER_INVARIANTS
from billing.audit import Invariant

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

INVARIANTS: tuple[Invariant, ...] = LEDGER_INVARIANTS + RECORD_INVARIANTS
