"""Refusals of the ledger.

LedgerError
├── InsufficientCredit   the account does not have the amount
├── OperationConflict    the operation id was used before, for another move
├── NotRefundable        the call was charged less, or was refunded before
└── InvalidAmount        zero, negative or beyond what the ledger can hold
"""


class LedgerError(Exception):
    """A money move that was refused; nothing changed."""


class InsufficientCredit(LedgerError):
    """`available_nanos` is what could be moved."""

    def __init__(self, available_nanos: int, amount_nanos: int) -> None:
        super().__init__(f"available {available_nanos}, asked {amount_nanos}")
        self.available_nanos = available_nanos
        self.amount_nanos = amount_nanos


class OperationConflict(LedgerError):
    """The same operation id with other contents."""


class NotRefundable(LedgerError):
    """The call was charged less to this wallet, or was refunded before. `refundable_nanos` is what could be."""

    def __init__(self, refundable_nanos: int, amount_nanos: int) -> None:
        super().__init__(f"refundable {refundable_nanos}, asked {amount_nanos}")
        self.refundable_nanos = refundable_nanos
        self.amount_nanos = amount_nanos


class InvalidAmount(LedgerError):
    """Amounts are positive integers of nano-dollars below 2**62."""
