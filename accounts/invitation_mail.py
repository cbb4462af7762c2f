"""The mail of invitations: what is due, and what it says."""

import logging
from datetime import timedelta

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.db import transaction
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone, translation

from accounts.invitation_models import Invitation
from accounts.invitations import normalize, renew_token

logger = logging.getLogger(__name__)

# After that many failures in a row somebody has to press "send again".
FAILURES_MAX = 8
FIRST_RETRY = timedelta(minutes=1)


def send_due(most: int = 100) -> int:
    """Send what is due. Answers how many went out.

    Each row is locked while its mail is handed over, so that two workers never send the same one.
    """
    sent = 0
    for _ in range(most):
        done = _send_next()
        if done is None:
            break
        sent += done
    return sent


def _send_next() -> bool | None:
    """Whether the next mail went out; None where none is due."""
    with transaction.atomic():
        invitation = (
            Invitation.objects.select_for_update(of=("self",), skip_locked=True)
            .select_related("organization", "invited_by", "joined_by")
            .filter(mail_due_at__lte=timezone.now(), withdrawn_at=None)
            .order_by("mail_due_at")
            .first()
        )
        if invitation is None:
            return None
        try:
            with transaction.atomic():
                compose(invitation).send()
        except OSError as error:  # which is what smtplib raises too
            logger.warning("the mail of invitation %s did not go out: %s", invitation.pk, error)
            _put_off(invitation)
            return False
        invitation.mail_due_at, invitation.mail_failures = None, 0
        invitation.mailed_at = timezone.now()
        invitation.save(update_fields=["mail_due_at", "mail_failures", "mailed_at"])
        return True


def _put_off(invitation: Invitation) -> None:
    invitation.mail_failures += 1
    again = timezone.now() + FIRST_RETRY * 2**invitation.mail_failures
    invitation.mail_due_at = again if invitation.mail_failures < FAILURES_MAX else None
    invitation.save(update_fields=["mail_due_at", "mail_failures"])


def compose(invitation: Invitation) -> EmailMultiAlternatives:
    """The mail to whoever was invited: with a new link where he is waited for, else that he is in."""
    kind = "joined" if invitation.joined_at else "invitation"
    places = invitation.places.select_related("group").filter(group__archived_at=None)
    context = {
        "invitation": invitation,
        "organization": invitation.organization,
        "inviter": invitation.invited_by,
        "groups": [place.group for place in places.order_by("group__name")],
        "link": _link(invitation),
        "site_name": settings.SITE_NAME,
    }
    with translation.override(_language(invitation)):
        subject = render_to_string(f"accounts/mail/{kind}_subject.txt", context)
        body = render_to_string(f"accounts/mail/{kind}.txt", context)
        html = render_to_string(f"accounts/mail/{kind}.html", context)
    mail = EmailMultiAlternatives(" ".join(subject.split()), body, to=[invitation.email])
    mail.attach_alternative(html, "text/html")
    return mail


def _language(invitation: Invitation) -> str:
    recipient = invitation.joined_by
    if recipient is not None and normalize(recipient.email) == invitation.email:
        return recipient.language or settings.LANGUAGE_CODE
    return invitation.language or settings.LANGUAGE_CODE


def _link(invitation: Invitation) -> str:
    path = (
        reverse("home")
        if invitation.joined_at
        else reverse("invitation", args=[renew_token(invitation)])
    )
    return f"{(settings.PUBLIC_URL or invitation.site_url).rstrip('/')}{path}"
