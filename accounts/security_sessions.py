"""How long a session lasts, and what its owner sees of it.

A session ends when it was idle for `SESSION_COOKIE_AGE`, when it is older than `SESSION_LIFETIME_S`, when its owner
ends it, and when the password changes (Django's hash of it in the session no longer fits).
"""

import time
from collections.abc import Callable
from typing import NamedTuple

from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse

from accounts.anonymous import is_marked
from accounts.models import User
from accounts.reauthentication import SIGNED_IN_AT

# When the session was last written because somebody used it, in seconds since the epoch.
SEEN_AT = "seen_at"
# Written that rarely: the live pages ask every few seconds.
NOTE_EVERY_S = 300

# In this order: Chromium names Safari, Edge names both.
BROWSERS = (
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("CriOS/", "Chrome"),
    ("FxiOS/", "Firefox"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
)
SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)


class SessionLifetimeMiddleware:
    """Signs out whose session is too old; otherwise lets the idle time begin anew, and notes where it was used."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: object, args: object, kwargs: object
    ) -> None:
        """Before the view, once it is known which it is."""
        if not is_marked(view) and request.user.is_authenticated:
            now = time.time()
            if now - request.session.get(SIGNED_IN_AT, 0) >= settings.SESSION_LIFETIME_S:
                logout(request)
            elif now - request.session.get(SEEN_AT, 0) >= NOTE_EVERY_S:
                request.session[SEEN_AT] = now
                UserSession.objects.create_from_request(request)


class SessionLine(NamedTuple):
    """A session as its owner sees it. `browser` and `system` are "" where the browser does not say."""

    session: UserSession
    browser: str
    system: str
    is_current: bool


def list_sessions(user: User) -> list[SessionLine]:
    """The user's sessions that still hold: the present one first, then the last seen ones."""
    lines = [
        SessionLine(session, *describe(session.user_agent), session.is_current())
        for session in UserSession.objects.purge_and_list(user)
    ]
    return sorted(
        lines, key=lambda line: (not line.is_current, -line.session.last_seen_at.timestamp())
    )


def describe(user_agent: str) -> tuple[str, str]:
    """Browser and system that a User-Agent header names."""
    browser = next((name for mark, name in BROWSERS if mark in user_agent), "")
    system = next((name for mark, name in SYSTEMS if mark in user_agent), "")
    return browser, system


def end_session(user: User, session_id: int) -> None:
    """Signs one session of the user out. Raises UserSession.DoesNotExist for one that is not his."""
    UserSession.objects.get(pk=session_id, user=user).end()
