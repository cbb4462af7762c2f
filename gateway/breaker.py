"""Which channels may be called now, judged by what became of earlier calls and probes. Pure: every `now` is passed in,
in seconds of a monotonic clock.

A channel is closed (calls pass) or open (they do not). What opens it:

    5 failures in its last 20 outcomes of 30 s, if they are at least half
    3 tries in a row that did not reach it
    401, 402 or 407: it is our account that is refused, and only an operator can mend that

An open channel rests 2 s, and twice as long after each failed probe, up to 15 s (60 s for a refused account). Then
gateway/probe.py asks it, and an answer closes it; where its dialect knows no probe, one live call is let through
instead. Opening anew without a live success in between counts like a failed probe: a vendor that lists its models but
serves none is left in peace too.

429 and 503 with `retry-after` cool one model of the channel, not the channel. A 429 without it says nothing of when to
come back: the next calls of a second prefer other channels.

Where nothing but channels with failures is left, they are tried all the same (`is_last_resort`): some of their calls
may succeed, and none would if all were refused. A channel that cannot be reached or that refuses our account is not.

The health of channels is one process's own knowledge: it is in memory, and its changes are in the log.
"""

import logging
import math
from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from gateway.catalog import Catalog, Channel, Model

logger = logging.getLogger(__name__)

OUTCOMES_MAX = 20
OUTCOMES_S = 30.0
FAILURES_MIN = 5
UNREACHED_MAX = 3
COOLDOWN_S = 2.0
COOLDOWN_MAX_S = 15.0
REFUSED_COOLDOWN_MAX_S = 60.0
LIMITED_S = 1.0
LIMITED_MAX_S = 60.0
TRIAL_S = 30.0
ACCOUNT_STATUSES = frozenset({401, 402, 403, 407})


class Health:
    """What is known of one channel. Only Breakers changes it."""

    __slots__ = (
        "channel", "cooldown_s", "cooled", "epoch", "has_answers", "is_open", "limited", "may_try", "outcomes",
        "refused_with", "trial_until", "unreached", "until",
    )  # fmt: skip

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.outcomes: deque[tuple[float, bool]] = deque(maxlen=OUTCOMES_MAX)
        self.unreached = 0
        self.is_open = False
        self.has_answers = True  # open or not, it is reached and takes our account
        self.epoch = 0
        self.cooldown_s = 0.0
        self.until = 0.0
        self.may_try = False
        self.trial_until = 0.0
        self.refused_with: int | None = None
        self.cooled: dict[str, float] = {}
        self.limited: dict[str, float] = {}


class Admission(NamedTuple):
    """The leave to make one try. Its outcome counts unless the channel has opened since (`epoch` counts that): what a
    call of an earlier outage brings home says nothing about now."""

    health: Health
    upstream_name: str
    epoch: int


class Breakers:
    """The health of the catalog's channels. A channel whose address or credential changed begins anew."""

    def __init__(self) -> None:
        self._healths: dict[int, Health] = {}

    def follow(self, catalog: Catalog) -> None:
        """Keep the health of this catalog's channels, and of no others."""
        healths: dict[int, Health] = {}
        for channels in catalog.channels.values():
            for channel in channels:
                if channel.id not in healths:
                    healths[channel.id] = self._find(channel) or Health(channel)
                    healths[channel.id].channel = channel
        for health in self._healths.values():
            if healths.get(health.channel.id) is not health:
                health.epoch += 1  # what its running calls bring home counts for nobody
        self._healths = healths

    def usable(self, channel: Channel, model: Model, now: float) -> bool:
        """Whether a call of the model may be tried there."""
        health = self._find(channel)
        return health is None or _free_at(health, channel.upstream_name(model), now) <= now

    def is_limited(self, channel: Channel, model: Model, now: float) -> bool:
        """Whether the provider said a moment ago that it has too many calls of the model, but not for how long."""
        health = self._find(channel)
        return health is not None and health.limited.get(channel.upstream_name(model), now) > now

    def is_last_resort(self, channel: Channel, model: Model, now: float) -> bool:
        """Whether the channel is open for its failures alone, so that a call may be tried if there is no other."""
        health = self._find(channel)
        if health is None or not health.is_open:
            return False
        cooled = health.cooled.get(channel.upstream_name(model), now) > now
        return health.has_answers and not cooled

    def admit(
        self, channel: Channel, model: Model, now: float, *, last_resort: bool = False
    ) -> Admission | None:
        """The leave for one try, to be asked for right before it; None: not usable (any more). The channel's one
        live trial is given away here, and again where its outcome is not recorded within 30 s."""
        if not self.usable(channel, model, now) and not (
            last_resort and self.is_last_resort(channel, model, now)
        ):
            return None
        health = self._find(channel)
        if health is None:  # the catalog was replaced a moment ago
            return Admission(Health(channel), channel.upstream_name(model), -1)
        if health.is_open and health.may_try:
            health.trial_until = now + TRIAL_S
        return Admission(health, channel.upstream_name(model), health.epoch)

    def retry_after_s(self, channels: Iterable[Channel], model: Model, now: float) -> int:
        """Whole seconds until the first of the channels may be usable again; at least 1."""
        waits = [
            _free_at(health, channel.upstream_name(model), now) - now
            for channel in channels
            if (health := self._find(channel)) is not None
        ]
        return max(math.ceil(min(waits, default=1.0)), 1)

    def record_success(self, admission: Admission, now: float) -> None:
        """The try brought an answer."""
        health = admission.health
        if admission.epoch != health.epoch:
            return
        if health.is_open:
            _close(health, "a live call was answered")
        health.outcomes.append((now, True))
        health.unreached = 0
        health.cooldown_s = 0.0
        health.refused_with = None

    def record_status(
        self, admission: Admission, status: int, retry_after_s: int | None, now: float
    ) -> None:
        """The try brought a head with this status, which is not 200."""
        if status in (429, 503) and retry_after_s is not None:
            _cool(admission, retry_after_s, now)
        elif status == 429:
            admission.health.limited[admission.upstream_name] = now + LIMITED_S
        if status in ACCOUNT_STATUSES:
            _record_refused(admission, status, now)
        elif 400 <= status < 500:
            _record_reached(admission)
        else:
            self.record_failure(admission, f"status {status}", now)

    def record_failure(self, admission: Admission, reason: str, now: float) -> None:
        """The try failed by the provider's fault after it was reached: a broken connection or a deadline before the
        head, or a 200 that is no answer."""
        if admission.epoch == admission.health.epoch:
            admission.health.unreached = 0
            _count_failure(admission.health, reason, now)

    def record_not_reached(self, admission: Admission, reason: str, now: float) -> None:
        """No connection was made."""
        health = admission.health
        if admission.epoch != health.epoch:
            return
        health.unreached += 1
        if health.unreached >= UNREACHED_MAX:
            health.has_answers = False
        if health.unreached >= UNREACHED_MAX and not health.is_open:
            _open(health, f"not reached {health.unreached} times in a row: {reason}", now)
        else:
            _count_failure(health, f"not reached: {reason}", now)

    def open_channels(self) -> list[Channel]:
        """Those that calls leave alone."""
        return [health.channel for health in self._healths.values() if health.is_open]

    def due(self, now: float) -> list[Channel]:
        """The open channels that have rested: each wants a probe."""
        return [
            health.channel
            for health in self._healths.values()
            if health.is_open and not health.may_try and health.until <= now
        ]

    def record_probe(self, channel: Channel, status: int, now: float) -> None:
        """A probe was answered. 404 and 405 come from an address that answers and has no such page."""
        health = self._find(channel)
        if health is None or not health.is_open:
            return
        if 200 <= status < 300 or status in (404, 405):
            _close(health, f"a probe was answered with {status}")
        elif status in ACCOUNT_STATUSES:
            _refuse(health, status)
            _rest_longer(health, f"status {status}", now)
        else:
            _rest_longer(health, f"status {status}", now)

    def record_probe_failure(self, channel: Channel, reason: str, now: float) -> None:
        """A probe got no answer."""
        health = self._find(channel)
        if health is not None and health.is_open:
            _rest_longer(health, reason, now)

    def let_one_try(self, channel: Channel) -> None:
        """The channel cannot be probed: one live call shall tell."""
        health = self._find(channel)
        if health is not None and health.is_open:
            health.may_try = True

    def _find(self, channel: Channel) -> Health | None:
        health = self._healths.get(channel.id)
        if health is None or health.channel is channel:
            return health
        known = health.channel
        same = (known.base_url, known.credential) == (channel.base_url, channel.credential)
        return health if same else None


def read_retry_after(text: str | None, moment: datetime) -> int | None:
    """Seconds from `moment` (UTC) until the time that a `retry-after` header names; None: it names none.

    RFC 9110, 10.2.3: a number of whole seconds, or an HTTP date. A date that has passed is 0.
    """
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit():
        return int(text[:9])
    try:
        until = parsedate_to_datetime(text)
        if until.tzinfo is None:
            until = until.replace(tzinfo=UTC)
        return max(math.ceil((until - moment).total_seconds()), 0)
    except (ValueError, TypeError, OverflowError):
        return None


def _free_at(health: Health, upstream_name: str, now: float) -> float:
    """The moment from which on a call may be tried, as far as it is known: not before now."""
    free_at = max(health.cooled.get(upstream_name, now), now)
    if not health.is_open:
        return free_at
    if health.may_try:
        return max(free_at, health.trial_until)
    # Whether the probe will pass is unknown; it is never now.
    return max(free_at, health.until, now + 1.0)


def _record_refused(admission: Admission, status: int, now: float) -> None:
    health = admission.health
    if admission.epoch != health.epoch:
        return
    if status == 403:
        # Vendors say so of a model that the account may not use, and of one caller's content or fields (xAI, "Content
        # violates usage guidelines"; OpenAI, `access_programs`): were the channel opened, or the model rested, that
        # caller would take it from everybody. Others go before it for a while.
        if health.limited.get(admission.upstream_name, now) <= now:
            logger.error(
                "channel %s refuses a call of %s with status 403: check what its credential may use",
                health.channel.label,
                admission.upstream_name,
            )
        health.limited[admission.upstream_name] = now + LIMITED_MAX_S
        _record_reached(admission)
        return
    _refuse(health, status)
    health.has_answers = False
    reason = f"our account is refused with {status}"
    (_rest_longer if health.is_open else _open)(health, reason, now)


def _record_reached(admission: Admission) -> None:
    # A refusal of the caller's own request, or of its haste, proves that the channel lives. It neither counts as
    # a success, else a flood of bad requests would hide failures.
    health = admission.health
    if admission.epoch != health.epoch:
        return
    health.unreached = 0
    if health.is_open:
        _close(health, "a live call was answered")


def _count_failure(health: Health, reason: str, now: float) -> None:
    if health.is_open:
        _rest_longer(health, reason, now)
        return
    health.outcomes.append((now, False))
    recent = [good for moment, good in health.outcomes if now - moment <= OUTCOMES_S]
    failures = recent.count(False)
    if failures >= FAILURES_MIN and failures * 2 >= len(recent):
        _open(health, f"{failures} of {len(recent)} calls failed, the last with {reason}", now)


def _cool(admission: Admission, retry_after_s: int, now: float) -> None:
    cooled = admission.health.cooled
    for name in [name for name, until in cooled.items() if until <= now]:
        del cooled[name]
    seconds = min(retry_after_s, LIMITED_MAX_S)
    # Of several refusals that arrive together the latest end holds.
    cooled[admission.upstream_name] = max(cooled.get(admission.upstream_name, now), now + seconds)


def _refuse(health: Health, status: int) -> None:
    if health.refused_with != status:
        health.refused_with = status
        logger.error(
            "channel %s refuses our account with status %d: check its credential and its balance",
            health.channel.label,
            status,
        )


def _open(health: Health, reason: str, now: float) -> None:
    health.is_open = True
    health.epoch += 1
    health.outcomes.clear()
    health.unreached = 0
    _rest(health, now)
    logger.warning(
        "channel %s opened for %g s: %s", health.channel.label, health.cooldown_s, reason
    )


def _rest(health: Health, now: float) -> None:
    most_s = COOLDOWN_MAX_S if health.refused_with is None else REFUSED_COOLDOWN_MAX_S
    health.cooldown_s = min(max(health.cooldown_s * 2, COOLDOWN_S), most_s)
    health.until = now + health.cooldown_s
    health.may_try = False
    health.trial_until = 0.0


def _rest_longer(health: Health, reason: str, now: float) -> None:
    _rest(health, now)
    logger.info(
        "channel %s stays open for %g s: %s", health.channel.label, health.cooldown_s, reason
    )


def _close(health: Health, reason: str) -> None:
    health.is_open = False
    health.has_answers = True
    health.may_try = False
    health.trial_until = 0.0
    logger.warning("channel %s closed: %s", health.channel.label, reason)
