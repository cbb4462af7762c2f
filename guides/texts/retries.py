"""What clients do about a failure: requests that were counted for one turn of a user, between the unmodified client and
a server that failed in this way. Where nothing was counted, what the client's documentation or source says."""

from typing import NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


class Counted(NamedTuple):
    """A text with numbers of its own, which is the same sentence for many clients."""

    text: str | Promise
    requests: int = 0
    seconds: int = 0


Told = str | Promise | Counted


class Retries(NamedTuple):
    """What a client does on 402, on 429, on 503, and when a stream breaks off; None: nobody has looked."""

    payment: Told | None
    limit: Told | None
    outage: Told | None
    cut: Told | None


def shown_at_once() -> Counted:
    """No second request."""
    return Counted(_("One request; the error is shown at once."))


def requests_made(count: int) -> Counted:
    """So many, with short pauses."""
    return Counted(_("%(count)s requests with short pauses, then the error."), count)


def requests_within(count: int, seconds: int) -> Counted:
    """So many within so many seconds."""
    return Counted(
        _("%(count)s requests within %(seconds)s seconds, then the error."), count, seconds
    )


AGENT_TEN_TIMES = Counted(
    _("Up to ten more requests with growing pauses; `CLAUDE_CODE_MAX_RETRIES` sets the number.")
)
AGENT_PAUSES = Counted(_("Further requests with growing pauses, for about a minute in all."))
_ASKED_FOR = Counted(_("One request. `--retry 3` repeats it, and waits as `retry-after` says."))
CURL_ONCE = Retries(
    payment=shown_at_once(),
    limit=_ASKED_FOR,
    outage=_ASKED_FOR,
    cut=Counted(_("One request; what has come stands on the screen.")),
)
