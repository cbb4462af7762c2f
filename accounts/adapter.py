"""How django-allauth is bent to Tollgate's users."""

import logging
import time
from smtplib import SMTPException
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.core.internal import ratelimit
from django.http import HttpRequest

from accounts.invitation_links import has_proved, take_up
from accounts.reauthentication import SIGNED_IN_AT

logger = logging.getLogger(__name__)


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Users have no user name; the e-mail address stands in for it."""

    def populate_username(self, request: HttpRequest, user: object) -> None:
        """Nothing to fill in."""

    def login(self, request: HttpRequest, user: Any) -> None:
        """Signs in, and notes when: from then on count the session's lifetime and the proof of who it is."""
        super().login(request, user)
        request.session[SIGNED_IN_AT] = time.time()

    def is_email_verified(self, request: HttpRequest, email: str) -> bool:
        """An address is confirmed from the start where its owner signs up through the link of an invitation."""
        return has_proved(request, email) or bool(super().is_email_verified(request, email))

    def post_login(self, request: HttpRequest, user: Any, **details: Any) -> Any:
        """Invitations that wait for the user are taken up."""
        take_up(request, user)
        return super().post_login(request, user, **details)

    def confirm_email(self, request: HttpRequest, email_address: Any) -> bool:
        """The same when an address turns out to be his."""
        confirmed = bool(super().confirm_email(request, email_address))
        if confirmed:
            take_up(request, email_address.user)
        return confirmed

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Counts the attempt; allauth takes it back where the password was right. Answers 429 beyond the limits.

        A few attempts for one address of the account from one place; then many from all places together (NIST SP
        800-63B, 5.2.2), so that a stranger who types wrong passwords does not lock the owner out.
        """
        login = str(credentials.get("email", "")).lower()
        usage = ratelimit.RateLimitUsage(usage=[])
        for action, key in (
            ("login_failed", self._get_login_attempts_cache_key(request, **credentials)),
            ("login_failed_anywhere", login),
        ):
            used = ratelimit.consume(request, app="allauth.account", action=action, key=key)
            if used is None:
                raise ImmediateHttpResponse(ratelimit.respond_429(request))
            usage.usage.extend(used.usage)
        self._login_failed_rl_usage = usage

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        login = str(credentials.get("email", "")).lower()
        return f"{ratelimit.get_ip(request)}:{login}"

    def send_notification_mail(self, *args: Any, **kwargs: Any) -> None:
        """The mail that tells of a change of the account. What was changed stays changed where no mail goes out."""
        try:
            super().send_notification_mail(*args, **kwargs)
        except (OSError, SMTPException):
            logger.exception("A notification of an account was not sent")
