"""Alerts to a group's webhook: signed by the group's own secret and posted under the rules of every outgoing request.

The scheme is Standard Webhooks 1.0, `v1`, as for callbacks. The secret is shown once, when it is made.
"""

import logging
import os
import time
from base64 import b64encode
from contextlib import suppress
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts import trail
from accounts.models import Group, User
from billing.notice_models import AlertSettings, Notice
from billing.notices import Try, send_due
from gateway.addresses import UnsafeAddress
from gateway.callback_secrets import OVERLAP, PREFIX, SECRET_BYTES, signed_headers
from gateway.callbacks import GONE, POST_TIMEOUT_S, address_policy
from gateway.credentials import BadCredential, seal, unseal
from gateway.outbound import FetchFailed, post

logger = logging.getLogger(__name__)

OWNER_PREFIX = "alerts:"
SEND_S = 30.0


def send_alerts() -> int:
    """Post the alerts that are due. Answers how many were tried."""
    return send_due(False, _send, SEND_S)


@transaction.atomic
def rotate_secret(group: Group, actor: User) -> str:
    """Another secret, `whsec_` and base64: show it once. The one before signs too for OVERLAP."""
    AlertSettings.objects.get_or_create(pk=group.pk)
    row = AlertSettings.objects.select_for_update().get(pk=group.pk)
    now, made = timezone.now(), PREFIX + b64encode(os.urandom(SECRET_BYTES)).decode()
    if row.sealed is not None:
        row.previous, row.previous_until = row.sealed, now + OVERLAP
    row.sealed = seal(made, settings.CREDENTIAL_KEY, secret_owner(group.pk))
    row.rotated_at = now
    row.save(update_fields=["sealed", "previous", "previous_until", "rotated_at"])
    trail.record(actor, "alerts.secret_rotated", group, within=group)
    return made


def signing_secrets(row: AlertSettings) -> list[str]:
    """The secrets that sign now, the current one first. Raises BadCredential where the current one does not open."""
    if row.sealed is None:
        raise BadCredential(f"{row} have no secret")
    owner = secret_owner(row.pk)
    secrets = [unseal(bytes(row.sealed), settings.CREDENTIAL_KEYS, owner)]
    if row.previous is not None and row.previous_until and row.previous_until > timezone.now():
        with suppress(BadCredential):  # receivers that have changed over do not need it
            secrets.append(unseal(bytes(row.previous), settings.CREDENTIAL_KEYS, owner))
    return secrets


def secret_owner(group_id: UUID) -> str:
    """What a sealed secret is bound to."""
    return f"{OWNER_PREFIX}{group_id}"


def _send(notice: Notice) -> Try:
    row = AlertSettings.objects.filter(pk=notice.group_id).first()
    if row is None or row.webhook_url != notice.url:
        return Try("the address was changed", is_final=True)
    try:
        secrets = signing_secrets(row)
    except BadCredential:
        logger.error("the secret of %s opens under no key", row)
        return Try("the secret that signs cannot be read: rotate it")
    headers = signed_headers(secrets, str(notice), notice.payload)
    return _post(notice.url, notice.payload.encode(), headers)


def _post(url: str, body: bytes, headers: dict[str, str]) -> Try:
    begun = time.monotonic()
    try:
        answer = post(url, body, headers, address_policy(), POST_TIMEOUT_S)
    except UnsafeAddress as error:
        return Try(str(error), is_final=True)
    except FetchFailed as error:
        return Try(error.reason, ms=round((time.monotonic() - begun) * 1000))
    if 200 <= answer.status < 300:
        return Try(status=answer.status, ms=answer.ms)
    if 300 <= answer.status < 400:
        return Try("redirects are not followed", answer.status, answer.ms)
    why = answer.excerpt.strip() or f"answered {answer.status}"
    return Try(why, answer.status, answer.ms, is_final=answer.status == GONE)
