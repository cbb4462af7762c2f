"""The queue of mail about low balances: taken one after another, each by one sender at a time.

A sender keeps the row locked while it sends, so two never send the same message; if it dies, the lock goes with it and
somebody else sends again: at least once.
"""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import NamedTuple

from django.db import transaction
from django.utils import timezone

from billing.notice_models import Notice

BACKOFF_S = (10, 60, 300, 1_800, 3_600, 7_200, 14_400)
"""Between tries; the last for all that follow."""
GIVE_UP = timedelta(hours=24)
LOG_MAX = 20
ERROR_CHARS_MAX = 200


class Try(NamedTuple):
    """What became of one try. `error` is empty where the mail went out. `is_final`: no other try can end better."""

    error: str = ""
    is_final: bool = False


def send_due(send: Callable[[Notice], Try], seconds: float) -> int:
    """Send what is due for about so many seconds. Answers how many were tried."""
    until, tried = time.monotonic() + seconds, 0
    while time.monotonic() < until and _send_next(send):
        tried += 1
    return tried


@transaction.atomic
def _send_next(send: Callable[[Notice], Try]) -> bool:
    """False: nothing is due that nobody else is sending."""
    notice = (
        Notice.objects.select_for_update(of=("self",), skip_locked=True)
        .filter(state=Notice.State.WAITING, next_at__lte=timezone.now())
        .select_related("group__organization", "user")
        .order_by("next_at")
        .first()
    )
    if notice is None:
        return False
    _conclude(notice, send(notice))
    return True


def _conclude(notice: Notice, outcome: Try) -> None:
    """Write what became of the try, and when the next one is due. A test is tried once."""
    now = timezone.now()
    entry = {"at": round(time.time(), 3), "error": outcome.error[:ERROR_CHARS_MAX]}
    tries = len(notice.log)
    notice.log = [*notice.log, entry][-LOG_MAX:]
    is_last = outcome.is_final or notice.is_test or now - notice.created_at >= GIVE_UP
    if not outcome.error or is_last:
        notice.state = Notice.State.FAILED if outcome.error else Notice.State.DELIVERED
        notice.ended_at = now
    else:
        notice.next_at = now + timedelta(seconds=BACKOFF_S[min(tries, len(BACKOFF_S) - 1)])
    notice.save(update_fields=["log", "state", "ended_at", "next_at"])
