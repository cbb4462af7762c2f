"""What signs a key's callbacks: made at first need, shown to who manages the key, and changed at will.

The scheme is Standard Webhooks 1.0 (github.com/standard-webhooks/standard-webhooks): symmetric, `v1`.
"""

import os
from base64 import b64encode
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from standardwebhooks import Webhook

from accounts.models import APIKey
from gateway.credentials import BadCredential, seal, unseal
from gateway.models import CallbackSecret

PREFIX = "whsec_"
OWNER_PREFIX = "callback:"
SECRET_BYTES = 32
OVERLAP = timedelta(hours=24)


def callback_secret(key: APIKey) -> str:
    """The key's secret, `whsec_` and base64; the first call makes it. Raises BadCredential where it does not open."""
    return _unseal(_find_or_make(key).sealed, key.pk)


@transaction.atomic
def rotate_secret(key: APIKey) -> str:
    """Another secret. The one before signs too for OVERLAP; one that was before that stops now."""
    _find_or_make(key)
    row = CallbackSecret.objects.select_for_update().get(pk=key.pk)
    made, now = _make_secret(), timezone.now()
    row.previous, row.previous_until = row.sealed, now + OVERLAP
    row.sealed, row.rotated_at = _seal(made, key.pk), now
    row.save()
    return made


def signing_secrets(key: APIKey) -> list[str]:
    """The secrets that sign now, the current one first. Raises BadCredential where the current one does not open."""
    row = _find_or_make(key)
    secrets = [_unseal(row.sealed, key.pk)]
    if row.previous is not None and row.previous_until and row.previous_until > timezone.now():
        with suppress(BadCredential):  # receivers that have changed over do not need it
            secrets.append(_unseal(row.previous, key.pk))
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


def secret_owner(key_id: UUID) -> str:
    """What a sealed secret is bound to."""
    return f"{OWNER_PREFIX}{key_id}"


def _find_or_make(key: APIKey) -> CallbackSecret:
    row = CallbackSecret.objects.filter(pk=key.pk).first()
    if row is not None:
        return row
    made = CallbackSecret(api_key=key, sealed=_seal(_make_secret(), key.pk))
    # Of several at once one makes it, and all answer that one.
    CallbackSecret.objects.bulk_create([made], ignore_conflicts=True)
    return CallbackSecret.objects.get(pk=key.pk)


def _make_secret() -> str:
    return PREFIX + b64encode(os.urandom(SECRET_BYTES)).decode()


def _seal(secret: str, key_id: UUID) -> bytes:
    return seal(secret, settings.CREDENTIAL_KEY, secret_owner(key_id))


def _unseal(sealed: bytes | memoryview, key_id: UUID) -> str:
    return unseal(bytes(sealed), settings.CREDENTIAL_KEYS, secret_owner(key_id))
