"""What the ledger refuses, as the management API says it."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.http import Http404

from accounts.api.errors import Problem
from billing.codes import GUESSING
from billing.errors import (
    AccountFull,
    AlreadyExpired,
    CodeRedeemedBefore,
    CodeRefused,
    InsufficientCredit,
    InvalidAmount,
    NotRefundable,
    OperationConflict,
    OwnerArchived,
    TooManyGuesses,
)
from billing.money import format_usd

CONFLICT = "This Idempotency-Key was used before, for something else. Nothing was done now."
INVALID = "invalid_request_error"


class TooManyTries(Problem):
    """429; `wait` is what Retry-After says, in seconds."""

    wait = GUESSING.total_seconds()


@contextmanager
def refusals_of_ledger() -> Iterator[None]:
    """Refusals inside become Problems: 402 where credits lack, 409 for an Idempotency-Key of something else, 404 for
    what was deleted meanwhile, 429 for too many guesses, else 400."""
    try:
        yield
    except InsufficientCredit as error:
        wanted, there = format_usd(error.amount_nanos), format_usd(error.available_nanos)
        message = f"${wanted} is more than can be moved: ${there}."
        raise Problem(402, "insufficient_credits", message, "amount") from None
    except OperationConflict:
        raise Problem(409, "idempotency_conflict", CONFLICT, "Idempotency-Key") from None
    except NotRefundable as error:
        message = f"Of this call ${format_usd(error.refundable_nanos)} can be refunded."
        raise Problem(400, INVALID, message, "amount") from None
    except InvalidAmount:
        raise Problem(400, INVALID, "No account can hold this amount.", "amount") from None
    except AccountFull:
        message = "The account cannot hold that much more."
        raise Problem(400, INVALID, message, "amount") from None
    except AlreadyExpired:
        raise Problem(400, INVALID, "This moment is over.", "expires_at") from None
    except OwnerArchived:
        raise Http404 from None
    except CodeRefused:
        raise Problem(400, "code_refused", "This code cannot be redeemed.", "code") from None
    except CodeRedeemedBefore:
        message = "Your organization has redeemed this code already."
        raise Problem(409, "code_redeemed", message, "code") from None
    except TooManyGuesses:
        message = "Too many codes that cannot be redeemed. Try again in an hour."
        raise TooManyTries(429, "rate_limited", message, "code") from None
