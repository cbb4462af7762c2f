"""Secrets that sign messages, and the signed headers: Standard Webhooks 1.0, symmetric, `v1`
(github.com/standard-webhooks/standard-webhooks).
"""

import os
from base64 import b64encode
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.utils import timezone
from standardwebhooks import Webhook

from gateway.credentials import BadCredential, seal, unseal
from gateway.webhooks.models import SigningSecret

PREFIX = "whsec_"
SECRET_BYTES = 32
OVERLAP = timedelta(hours=24)


def put_first_secret(row: SigningSecret) -> str:
    """A secret for a row that has none yet, `whsec_` and base64. The caller saves the row."""
    made = PREFIX + b64encode(os.urandom(SECRET_BYTES)).decode()
    row.sealed = seal(made, settings.CREDENTIAL_KEY, row.secret_owner)
    return made


def replace_secret(row: SigningSecret) -> str:
    """Another secret for a row that the caller has locked. The one before signs too for OVERLAP; one that was before
    that stops now."""
    now = timezone.now()
    row.previous, row.previous_until = row.sealed, now + OVERLAP
    made = put_first_secret(row)
    row.rotated_at = now
    row.save(update_fields=["sealed", "previous", "previous_until", "rotated_at"])
    return made


def current_secret(row: SigningSecret) -> str:
    """The secret in the clear. Raises BadCredential where it does not open."""
    return _open(row, row.sealed)


def signing_secrets(row: SigningSecret) -> list[str]:
    """The secrets that sign now, the current one first. Raises BadCredential where the current one does not open."""
    secrets = [current_secret(row)]
    if row.previous is not None and row.previous_until and row.previous_until > timezone.now():
        with suppress(BadCredential):  # receivers that have changed over do not need it
            secrets.append(_open(row, row.previous))
    return secrets


def sign(secrets: Sequence[str], message_id: str, moment: datetime, payload: str) -> str:
    """The header `webhook-signature`: one `v1,<base64>` for each secret, separated by spaces."""
    moment = moment.astimezone(UTC)
    return " ".join(Webhook(secret).sign(message_id, moment, payload) for secret in secrets)


def signed_headers(secrets: Sequence[str], message_id: str, payload: str) -> dict[str, str]:
    """The headers of a message of JSON that is sent now."""
    now = timezone.now()
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": sign(secrets, message_id, now, payload),
    }


def _open(row: SigningSecret, sealed: bytes | memoryview) -> str:
    return unseal(bytes(sealed), settings.CREDENTIAL_KEYS, row.secret_owner)
