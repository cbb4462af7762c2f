"""Taking away the second factors of a person who lost them all."""

import logging

from allauth.mfa.models import Authenticator
from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.template.loader import render_to_string
from django.utils import translation

from accounts import trail
from accounts.models import User

logger = logging.getLogger(__name__)


@transaction.atomic
def remove_second_factors(user: User, *, actor: User, reason: str) -> int:
    """Delete the user's apps, passkeys and recovery codes, and tell him by mail. Answers how many there were.

    For operators, once they know that it is he who asks: from then on his password alone lets him in.
    """
    found = list(Authenticator.objects.select_for_update().filter(user=user).order_by("pk"))
    if not found:
        return 0
    Authenticator.objects.filter(pk__in=[one.pk for one in found]).delete()
    kinds = sorted({str(one.type) for one in found})
    trail.record(
        actor, "user.second_factor_removed", user, before={"kinds": kinds}, after={"reason": reason}
    )
    transaction.on_commit(lambda: _tell(user))
    return len(found)


def _tell(user: User) -> None:
    context = {"person": user, "site_name": settings.SITE_NAME}
    with translation.override(user.language or settings.LANGUAGE_CODE):
        subject = render_to_string("accounts/mail/second_factor_removed_subject.txt", context)
        text = render_to_string("accounts/mail/second_factor_removed.txt", context)
    headers = {"Auto-Submitted": "auto-generated"}
    try:
        EmailMessage(" ".join(subject.split()), text, to=[user.email], headers=headers).send()
    except OSError as error:  # which is what smtplib raises too
        logger.warning("%s was not told that his second factors are gone: %s", user.pk, error)
