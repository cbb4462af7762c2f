"""Whether what is sent to a webhook arrives. One at which nothing has arrived for days, or whose receiver answers 410
Gone, is switched off, and who manages its group gets a mail.
"""

import logging
from datetime import timedelta
from smtplib import SMTPDataError, SMTPRecipientsRefused
from uuid import UUID

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.db import transaction
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone, translation

from accounts import trail
from accounts.models import User
from billing.alerts import can_receive
from gateway.models import Delivery, WebhookEndpoint

logger = logging.getLogger(__name__)

FAILING_MAX = timedelta(days=3)
"""A message is tried for a day: by then at least two came to nothing, or one long after the other."""
MAILS_AT_ONCE = 20


def note_arrival(endpoint_id: UUID) -> None:
    """A message has arrived."""
    failing = WebhookEndpoint.objects.filter(pk=endpoint_id, failing_since__isnull=False)
    failing.update(failing_since=None)


def note_failure(endpoint_id: UUID, *, is_over: bool, is_gone: bool) -> None:
    """A try has failed. `is_over`: it was the message's last one. In the caller's transaction."""
    endpoint = WebhookEndpoint.objects.select_for_update().filter(pk=endpoint_id).first()
    if endpoint is None or not endpoint.is_enabled:
        return
    now = timezone.now()
    if endpoint.failing_since is None:
        endpoint.failing_since = now
        endpoint.save(update_fields=["failing_since"])
    if is_gone:
        _stop(endpoint, WebhookEndpoint.Stopped.GONE)
    elif is_over and now - endpoint.failing_since >= FAILING_MAX:
        _stop(endpoint, WebhookEndpoint.Stopped.FAILING)


def let_waiting_end(endpoint: WebhookEndpoint) -> None:
    """What waits for a webhook that is off is due now, so that it ends now: it is not sent."""
    waiting = Delivery.objects.filter(endpoint=endpoint, state=Delivery.State.WAITING)
    waiting.filter(lease_until=None).update(next_at=timezone.now())


def send_mail() -> int:
    """Tell who manages their groups of webhooks that were switched off. Answers how many webhooks."""
    told = 0
    while told < MAILS_AT_ONCE and _tell_next():
        told += 1
    return told


def _stop(endpoint: WebhookEndpoint, why: WebhookEndpoint.Stopped) -> None:
    endpoint.is_enabled, endpoint.stopped_why, endpoint.mail_due = False, why.value, True
    endpoint.save(update_fields=["is_enabled", "stopped_why", "mail_due"])
    trail.record(
        None,
        "webhook.stopped",
        endpoint,
        before={"is_enabled": True},
        after={"is_enabled": False, "stopped_why": why.value},
        within=endpoint.group,
    )
    let_waiting_end(endpoint)


@transaction.atomic
def _tell_next() -> bool:
    """False: nobody is to be told, or the mail does not go out just now. Whoever dies here has told nobody or some, and
    another one tells all: at least once."""
    due = WebhookEndpoint.objects.select_for_update(of=("self",), skip_locked=True)
    endpoint = (
        due.filter(mail_due=True).select_related("group__organization").order_by("pk").first()
    )
    if endpoint is None:
        return False
    try:
        for user in can_receive(endpoint.group):
            _send(endpoint, user)
    except OSError as error:  # which is what smtplib raises too
        logger.warning("the mail about webhook %s did not go out: %s", endpoint.pk, error)
        return False
    endpoint.mail_due = False
    endpoint.save(update_fields=["mail_due"])
    return True


def _send(endpoint: WebhookEndpoint, user: User) -> None:
    """Raises OSError where mail goes out to nobody just now. An address that is refused stops no others."""
    try:
        compose_mail(endpoint, user).send()
    except (SMTPRecipientsRefused, SMTPDataError) as error:
        logger.warning("%s was not told of webhook %s: %s", user.pk, endpoint.pk, error)


def compose_mail(endpoint: WebhookEndpoint, user: User) -> EmailMultiAlternatives:
    """The mail, in the language of its reader: plain text, and the same as simple HTML."""
    base = settings.PUBLIC_URL or endpoint.base_url
    context = {
        "endpoint": endpoint,
        "address": endpoint.url.partition("?")[0],
        "group": endpoint.group,
        "organization": endpoint.group.organization,
        "link": f"{base}{reverse('webhook', args=[endpoint.group_id, endpoint.pk])}",
        "site_name": settings.SITE_NAME,
    }
    with translation.override(user.language or settings.LANGUAGE_CODE):
        subject = render_to_string("gateway/mail/webhook_stopped_subject.txt", context)
        mail = EmailMultiAlternatives(
            " ".join(subject.split()),
            render_to_string("gateway/mail/webhook_stopped.txt", context),
            to=[user.email],
            headers={"Auto-Submitted": "auto-generated"},
        )
        html = render_to_string("gateway/mail/webhook_stopped.html", context)
    mail.attach_alternative(html, "text/html")
    return mail
