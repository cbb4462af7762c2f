"""`Idempotency-Key` on moves of money and on what is shown once."""

from uuid import UUID

from django.conf import settings
from rest_framework.request import Request

from accounts import keys
from accounts.api.errors import Problem

HEADER = "Idempotency-Key"
LENGTH_MAX = 512


def operation_id_of(request: Request) -> UUID:
    """The operation that the request's key stands for, the same whenever this person sends it again.

    The path takes no part in it: one key for two different moves is a conflict, which the ledger finds. Nobody else can
    work it out, or he could use up the number of a move that is to come. Raises Problem 400
    without a key of 1 to LENGTH_MAX printable ASCII characters.
    """
    text = request.headers.get(HEADER, "")
    if not (1 <= len(text) <= LENGTH_MAX and text.isascii() and text.isprintable()):
        message = f"The header {HEADER} is needed: 1 to {LENGTH_MAX} printable ASCII characters."
        raise Problem(400, "invalid_request_error", message, HEADER)
    digest = keys.digest(f"idempotency\n{request.user.pk}\n{text}", settings.KEY_PEPPER)
    return UUID(bytes=digest[:16], version=5)


def optional_operation_id_of(request: Request) -> UUID | None:
    """The same where the key may be left out."""
    return operation_id_of(request) if HEADER in request.headers else None
