"""Mail about a low balance, in the language of whoever gets it."""

import logging

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import translation

from billing.alerts import can_receive
from billing.notice_models import AlertSettings, Notice
from billing.notices import Try, send_due
from billing.unsubscribing import stop_path

logger = logging.getLogger(__name__)

SEND_S = 30.0


def send_mail() -> int:
    """Send the mail that is due. Answers how many were tried."""
    return send_due(_send, SEND_S)


def _send(notice: Notice) -> Try:
    # Between the alert and its mail he may have left; what he may no longer see is not sent.
    if not can_receive(notice.group).filter(pk=notice.user.pk).exists():
        return Try(error="no longer manages the group", is_final=True)
    try:
        compose(notice).send()
    except OSError as error:  # which is what smtplib raises too
        logger.warning("the mail of alert %s did not go out: %s", notice, error)
        return Try(error=str(error) or type(error).__name__)
    return Try()


def compose(notice: Notice) -> EmailMultiAlternatives:
    """The mail: plain text, and the same as simple HTML."""
    context = {
        "notice": notice,
        "group": notice.group,
        "organization": notice.group.organization,
        "credits_link": _link(notice, "group_credits"),
        "settings_link": _link(notice, "group_alerts"),
        "site_name": settings.SITE_NAME,
    }
    stop_link = f"{_base(notice)}{stop_path(notice.group, notice.user)}"
    with translation.override(notice.user.language or settings.LANGUAGE_CODE):
        subject = render_to_string("billing/mail/low_balance_subject.txt", context)
        mail = EmailMultiAlternatives(
            " ".join(subject.split()),
            render_to_string("billing/mail/low_balance.txt", context),
            to=[notice.user.email],
            headers={
                "Auto-Submitted": "auto-generated",
                "List-Unsubscribe": f"<{stop_link}>",
                "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
            },
        )
        html = render_to_string("billing/mail/low_balance.html", context)
    mail.attach_alternative(html, "text/html")
    return mail


def _link(notice: Notice, name: str) -> str:
    return f"{_base(notice)}{reverse(name, args=[notice.group_id])}"


def _base(notice: Notice) -> str:
    """What links begin with: the address that the operator set, else the one at which the alerts were last saved."""
    found = AlertSettings.objects.filter(pk=notice.group_id).first()
    return settings.PUBLIC_URL or (found.base_url if found else "")
