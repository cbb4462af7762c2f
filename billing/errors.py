"""Refusals of the ledger.

LedgerError
├── InsufficientCredit   the account does not have the amount
├── OperationConflict    the operation id was used before, for another move
├── NotRefundable        the call was charged less, or was refunded before
├── InvalidAmount        zero, negative or beyond what the ledger can hold
├── AccountFull          the account cannot hold that much more
├── OwnerArchived        the group or organization that would get it was deleted
├── AlreadyExpired       a promotion whose end is not in the future
├── CodeRefused          no such code, or it is disabled, expired or used up
├── CodeRedeemedBefore   the organization has used the code
└── TooManyGuesses       too many wrong codes of one person
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


class AccountFull(LedgerError):
    """One of the two accounts would not fit 64 bits."""


class OwnerArchived(LedgerError):
    """The group or organization that would get the credits was deleted: nobody could reach them there."""


class AlreadyExpired(LedgerError):
    """A promotion ends in the future."""


class CodeRefused(LedgerError):
    """The code cannot be redeemed. Why is not told: it would tell apart codes that exist."""


class CodeRedeemedBefore(LedgerError):
    """Somebody of the organization redeemed the code."""


class TooManyGuesses(LedgerError):
    """Somebody tried too many wrong codes; for a while none of his is looked at."""
