"""How long a wallet lasts at the rate of the last days. Integers only: a forecast stands next to money."""

from datetime import datetime, timedelta
from typing import NamedTuple

from accounts.ids import CLOCK_SKEW, LONGEST_CALL, first_id_at
from billing.closings import Spent, spent_between
from billing.models import Account, Transfer

WINDOW = timedelta(days=7)
# A rate needs so much of a past.
HISTORY_LEAST = timedelta(days=1)


class Runway(NamedTuple):
    """`left_s`: seconds until nothing is available at the rate of the last `history`; None where nothing was spent,
    or where there is too little history to tell."""

    spent: Spent
    history: timedelta
    left_s: int | None = None

    @property
    def hours(self) -> int | None:
        return None if self.left_s is None else self.left_s // 3600

    @property
    def days(self) -> int | None:
        return None if self.left_s is None else self.left_s // 86_400

    @property
    def day_nanos(self) -> int:
        """What a day cost on average."""
        return self.spent.nanos * 86_400 // max(int(self.history.total_seconds()), 1)


def read_runway(wallet: Account, now: datetime) -> Runway:
    """The forecast from what calls took in the last seven days, or since the first of them."""
    since = now - WINDOW
    spent = spent_between(wallet, since, now + CLOCK_SKEW)
    first = (
        Transfer.objects.filter(debit_account=wallet, kind=Transfer.Kind.CAPTURE)
        .filter(id__lt=first_id_at(since))
        .order_by("-id")
        .first()
    ) or (
        Transfer.objects.filter(debit_account=wallet, kind=Transfer.Kind.CAPTURE)
        .filter(id__gte=first_id_at(since - LONGEST_CALL))
        .order_by("id")
        .first()
    )
    history = min(now - first.created_at, WINDOW) if first else timedelta()
    if not spent.nanos or history < HISTORY_LEAST:
        return Runway(spent, history)
    available = max(wallet.available_nanos, 0)
    return Runway(spent, history, available * int(history.total_seconds()) // spent.nanos)
