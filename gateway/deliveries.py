"""Messages to addresses that people gave, callbacks and webhooks: claimed, signed, posted, tried again for a day.

A delivery that waits is its own queue entry. A sender takes it by compare-and-set: `attempts` is the number that it
got, and whatever it writes afterwards names that number, so that a sender that was taken for dead writes nothing any
more. What a dead one may have sent is sent again, with the same id and the same bytes: at least once.
"""

import logging
import random
import time
from datetime import timedelta
from typing import NamedTuple

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from accounts.ids import first_id_at
from gateway.addresses import Policy, UnsafeAddress
from gateway.breaker import read_retry_after
from gateway.credentials import BadCredential
from gateway.messages import Message, Unsendable, compose
from gateway.models import Delivery
from gateway.outbound import FetchFailed, post
from gateway.signing import signed_headers, signing_secrets
from gateway.webhooks import health

logger = logging.getLogger(__name__)

POST_TIMEOUT_S = 10.0
LEASE_S = 30.0
"""How long a sender has before its delivery is taken for abandoned: well above POST_TIMEOUT_S."""
BACKOFF_S = (5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 28_800)
"""Between tries; the last for all that follow. Up to a fifth is taken off at random."""
GIVE_UP_S = 24 * 3600.0
CLAIMS_MAX = 40
"""More than a day of tries has: a delivery that kills whoever sends it must end too."""
IN_FLIGHT_MAX = 3
"""Of one group at a time, so that a group whose receivers hang does not keep every sender busy."""
ORGANIZATION_IN_FLIGHT_MAX = 5
"""The same of all groups of one organization, which may make as many as it likes."""
LOG_MAX = 20
ERROR_CHARS_MAX = 200
RESPONSE_CHARS_MAX = 1_000
GONE = 410
RENUDGE_S = 10.0
NUDGES_MAX = 200
TESTS_MAX, TESTS_PERIOD = 10, timedelta(minutes=1)

# Claims come one after the other, so that the count of what is in flight is exact. Any number that no other lock has.
_CLAIM_LOCK = 0x746F6C6C_00000007

# A delivery that is being sent is due again when its lease ends: one index on `next_at` finds both kinds. Among the
# oldest that are due, one of the organization with the fewest in flight, and there of such a group.
_CLAIM = """
WITH in_flight AS MATERIALIZED (
    SELECT d.group_id, g.organization_id FROM gateway_delivery d LEFT JOIN accounts_group g ON g.id = d.group_id
    WHERE d.state = 'waiting' AND d.lease_until > statement_timestamp() AND d.next_at > statement_timestamp()
      AND d.next_at <= statement_timestamp() + make_interval(secs => %(lease_s)s)
), of_group AS (
    SELECT group_id, count(*) AS sending FROM in_flight GROUP BY group_id
), of_organization AS (
    SELECT organization_id, count(*) AS sending FROM in_flight GROUP BY organization_id
), due AS (
    SELECT d.id, d.next_at, coalesce(o.sending, 0) AS organization_sending, coalesce(f.sending, 0) AS group_sending
    FROM gateway_delivery d LEFT JOIN accounts_group g ON g.id = d.group_id
        LEFT JOIN of_organization o ON o.organization_id = g.organization_id
        LEFT JOIN of_group f ON f.group_id = d.group_id
    WHERE d.state = 'waiting' AND d.next_at <= statement_timestamp() AND coalesce(f.sending, 0) < %(group_max)s
      AND coalesce(o.sending, 0) < %(organization_max)s
    ORDER BY d.next_at LIMIT 1000
)
UPDATE gateway_delivery
SET attempts = attempts + 1, nudged_at = statement_timestamp(),
    lease_until = statement_timestamp() + make_interval(secs => %(lease_s)s),
    next_at = statement_timestamp() + make_interval(secs => %(lease_s)s)
WHERE id = (SELECT id FROM due ORDER BY organization_sending, group_sending, next_at LIMIT 1)
  AND state = 'waiting' AND next_at <= statement_timestamp()
RETURNING *
"""

_SWEEP = """
UPDATE gateway_delivery SET nudged_at = statement_timestamp()
WHERE id IN (
    SELECT id FROM gateway_delivery
    WHERE state = 'waiting' AND next_at <= statement_timestamp()
      AND (nudged_at < next_at OR nudged_at < statement_timestamp() - make_interval(secs => %s))
    ORDER BY next_at LIMIT %s FOR UPDATE SKIP LOCKED)
"""


class TooManyTests(Exception):
    """More than TESTS_MAX tests of one key or webhook within TESTS_PERIOD."""


class Try(NamedTuple):
    """What became of one POST. `status` 0: no answer came. `is_final`: no other try can end better. `retry_after_s`:
    the wait that the receiver asked for; `response`: what of its answer is printable, cut."""

    status: int = 0
    ms: int = 0
    error: str = ""
    is_final: bool = False
    retry_after_s: int = 0
    response: str = ""


def send_next_delivery() -> bool:
    """Send one delivery that is due. False: there was none that may be sent now."""
    delivery = claim_delivery()
    if delivery is None:
        return False
    try:
        outcome = _send(delivery)
    except Exception:
        logger.exception("message %s was not sent", delivery)
        outcome = Try(error="an error on our side")
    if outcome is not None:
        _conclude(delivery, outcome)
    return True


def claim_delivery() -> Delivery | None:
    """Take a delivery that is due for LEASE_S, of the groups that have fewer than IN_FLIGHT_MAX under way, in
    organizations that have fewer than ORGANIZATION_IN_FLIGHT_MAX."""
    parameters = {
        "lease_s": LEASE_S,
        "group_max": IN_FLIGHT_MAX,
        "organization_max": ORGANIZATION_IN_FLIGHT_MAX,
    }
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_CLAIM_LOCK])
        return next(iter(Delivery.objects.raw(_CLAIM, parameters)), None)


def sweep_deliveries() -> int:
    """How many senders to wake: for deliveries whose time has come, and for those whose sender was never woken."""
    with connection.cursor() as cursor:
        cursor.execute(_SWEEP, [RENUDGE_S, NUDGES_MAX])
        return int(cursor.rowcount)


def check_test_rate(tests: QuerySet[Delivery]) -> None:
    """Raises TooManyTests where there are TESTS_MAX of these within TESTS_PERIOD already."""
    since = first_id_at(timezone.now() - TESTS_PERIOD)
    if tests.filter(pk__gte=since).count() >= TESTS_MAX:
        raise TooManyTests


def hurry_waiting(same: QuerySet[Delivery]) -> Delivery | None:
    """Of deliveries of the same message the one that waits: it is tried now. None: all have ended."""
    waiting = same.filter(state=Delivery.State.WAITING).first()
    if waiting is not None:
        resting = Q(lease_until=None) | Q(lease_until__lte=Now())
        same.filter(resting, pk=waiting.pk, state=Delivery.State.WAITING).update(next_at=Now())
    return waiting


def address_policy() -> Policy:
    """Which receivers are called."""
    return Policy(allow_loopback=settings.ALLOW_LOOPBACK_URLS)


def _send(delivery: Delivery) -> Try | None:
    """One POST. None: the delivery is in other hands, and nothing was sent."""
    if delivery.attempts > CLAIMS_MAX:
        return Try(error=f"given up after {CLAIMS_MAX} attempts", is_final=True)
    try:
        message = compose(delivery)
        secrets = signing_secrets(message.secret)
    except Unsendable as error:
        return Try(error=str(error), is_final=True)
    except BadCredential:
        logger.error("the secret that signs %s opens under no key", delivery)
        return Try(error="the secret that signs cannot be read: rotate it")
    if not _keep(delivery, message):
        return None
    headers = signed_headers(secrets, message.id, message.body)
    return _post(message.url, message.body.encode(), headers)


def _post(url: str, body: bytes, headers: dict[str, str]) -> Try:
    begun = time.monotonic()
    try:
        answer = post(url, body, headers, address_policy(), POST_TIMEOUT_S)
    except UnsafeAddress as error:
        return Try(error=str(error)[:ERROR_CHARS_MAX], is_final=True)
    except FetchFailed as error:
        return Try(
            ms=round((time.monotonic() - begun) * 1000), error=error.reason[:ERROR_CHARS_MAX]
        )
    if 200 <= answer.status < 300:
        return Try(answer.status, answer.ms, response=answer.excerpt.strip())
    why = "redirects are not followed" if 300 <= answer.status < 400 else answer.excerpt
    return Try(
        answer.status,
        answer.ms,
        why.strip()[:ERROR_CHARS_MAX],
        is_final=answer.status == GONE,
        retry_after_s=read_retry_after(answer.retry_after, timezone.now()) or 0,
        response=answer.excerpt.strip(),
    )


def _conclude(delivery: Delivery, outcome: Try) -> None:
    """Write what became of the try, and when the next one is due."""
    entry = {
        "at": round(time.time(), 3),
        "status": outcome.status,
        "ms": outcome.ms,
        "error": outcome.error,
        "response": outcome.response[:RESPONSE_CHARS_MAX],
    }
    log = [*delivery.log, entry][-LOG_MAX:]
    is_delivered = 200 <= outcome.status < 300
    age_s = _age_s(delivery)
    is_last = outcome.is_final or delivery.is_test or age_s >= GIVE_UP_S
    with transaction.atomic():
        if is_delivered or is_last:
            state = Delivery.State.DELIVERED if is_delivered else Delivery.State.FAILED
            ends = {"state": state, "ended_at": Now()}
        else:
            ends = {
                "next_at": Now() + timedelta(seconds=_next_wait_s(len(log) - 1, age_s, outcome))
            }
        if not _mine(delivery).update(log=log, lease_until=None, **ends):
            return
        if delivery.endpoint_id is not None and not delivery.is_test:
            if is_delivered:
                health.note_arrival(delivery.endpoint_id)
            else:
                is_gone = outcome.status == GONE
                health.note_failure(delivery.endpoint_id, is_over=is_last, is_gone=is_gone)


def _mine(delivery: Delivery) -> QuerySet[Delivery]:
    """The row while it is in the hands of who claimed it as `delivery`; nothing afterwards."""
    return Delivery.objects.filter(
        pk=delivery.pk, attempts=delivery.attempts, state=Delivery.State.WAITING
    )


def _keep(delivery: Delivery, message: Message) -> bool:
    """Settle the address and the bytes. False: the delivery is in other hands."""
    if (delivery.url, delivery.payload) == (message.url, message.payload_kept):
        return True
    return _mine(delivery).update(url=message.url, payload=message.payload_kept) == 1


def _age_s(delivery: Delivery) -> float:
    """How old it was when it was claimed, by the database's clock."""
    if delivery.lease_until is None:
        raise ValueError(f"{delivery} is not claimed")
    return (delivery.lease_until - delivery.created_at).total_seconds() - LEASE_S


def _next_wait_s(earlier_tries: int, age_s: float, outcome: Try) -> float:
    """Until the next try, not before the receiver wants it (up to the longest wait of ours); the last one is made when
    the day is over."""
    wait_s = BACKOFF_S[min(earlier_tries, len(BACKOFF_S) - 1)] * random.uniform(0.8, 1)  # noqa: S311
    wait_s = max(wait_s, min(outcome.retry_after_s, BACKOFF_S[-1]))
    return min(wait_s, max(GIVE_UP_S - age_s, 1))
