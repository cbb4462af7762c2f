"""Balances of the past, and what calls took in a span of time: exact, from one closing a day and what came after it.

The sums are functions of PostgreSQL (migrations/0005_notices.sql); each answer is of one snapshot.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.utils import timezone

from accounts.ids import CLOCK_SKEW
from billing.models import Account
from billing.notice_models import Closing


class Spent(NamedTuple):
    """What calls took from a wallet, and how many of them were charged."""

    nanos: int = 0
    calls: int = 0


class DaySpent(NamedTuple):
    """The same of one day (UTC)."""

    day: date
    spent: Spent


def balance_at(account: Account, moment: datetime) -> int:
    """The balance of a pool or wallet just before that moment."""
    return balances_at([account], moment)[account.pk]


def balances_at(accounts: Sequence[Account], moment: datetime) -> dict[int, int]:
    """The same of several, by the id of the account."""
    sql = "SELECT id, billing_balance_at(id, %s) FROM unnest(%s::bigint[]) AS id"
    return dict(_rows(sql, moment, [account.pk for account in accounts]))


def spent_between(account: Account, since: datetime, until: datetime) -> Spent:
    """What calls took from `since` up to, not including, `until`."""
    return spent_by([account], since, until)[account.pk]


def spent_by(accounts: Sequence[Account], since: datetime, until: datetime) -> dict[int, Spent]:
    """The same of several, by the id of the account. Whole days (UTC) are read from closings."""
    ids = [account.pk for account in accounts]
    first = _day_of(since + timedelta(days=1, microseconds=-1))
    last = _day_of(until)
    if last < first:
        sql = (
            "SELECT id, s.* FROM unnest(%s::bigint[]) AS id, LATERAL billing_captured(id, %s, %s) s"
        )
        return _spent(sql, ids, since, until)
    sql = """
        SELECT id, (a.nanos + d.nanos + b.nanos)::bigint, a.calls + d.calls + b.calls
        FROM unnest(%s::bigint[]) AS id, LATERAL billing_captured(id, %s, %s) a,
            LATERAL billing_captured_days(id, %s, %s) d, LATERAL billing_captured(id, %s, %s) b
    """
    return _spent(sql, ids, since, day_start(first), first, last, day_start(last), until)


def spent_on_days(accounts: Sequence[Account], first: date, last: date) -> dict[int, Spent]:
    """What calls took from each account from the day `first` up to, not including, the day `last` (UTC)."""
    sql = "SELECT id, s.* FROM unnest(%s::bigint[]) AS id, LATERAL billing_captured_days(id, %s, %s) s"
    return _spent(sql, [account.pk for account in accounts], first, last)


def unclosed_days(account: Account) -> list[DaySpent]:
    """Days on which calls were charged and that have no closing yet, newest first: today, as a rule."""
    sql = """
        SELECT (created_at AT TIME ZONE 'UTC')::date AS day, sum(amount_nanos)::bigint, count(*)
        FROM billing_transfer
        WHERE debit_account_id = %s AND kind = 'capture' AND id >= billing_first_id_at(%s) AND created_at >= %s
        GROUP BY 1 ORDER BY 1 DESC
    """
    closed = Closing.objects.filter(account=account).order_by("-day").first()
    since = day_start(closed.day + timedelta(days=1) if closed else date(1971, 1, 2))
    rows = _rows(sql, account.pk, since - timedelta(days=1), since)
    return [DaySpent(day, Spent(nanos, calls)) for day, nanos, calls in rows]


def close_days(now: datetime | None = None) -> int:
    """Close every day that is over, of every pool and wallet. Answers how many closings were made.

    Each account is locked for a moment first: who moves money locks it before he takes the time of the move, so that
    afterwards everything that belongs to the days before is there to be seen.
    """
    today = _day_of((now or timezone.now()) - CLOCK_SKEW)
    kept = (Account.Kind.POOL, Account.Kind.WALLET)
    made = 0
    for account_id in Account.objects.filter(kind__in=kept).values_list("pk", flat=True):
        with transaction.atomic():
            Account.objects.select_for_update(no_key=True).get(pk=account_id)
        made += int(_rows("SELECT billing_close_days(%s, %s)", account_id, today)[0][0])
    return made


@contextmanager
def snapshot() -> Iterator[None]:
    """Reads inside agree with each other, whatever is written meanwhile; they may not write."""
    with transaction.atomic():
        if not connection.savepoint_ids:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def day_start(day: date) -> datetime:
    """00:00 UTC of the day."""
    return datetime.combine(day, time(), UTC)


def _day_of(moment: datetime) -> date:
    return moment.astimezone(UTC).date()


def _spent(sql: str, *parameters: Any) -> dict[int, Spent]:
    return {pk: Spent(nanos, calls) for pk, nanos, calls in _rows(sql, *parameters)}


def _rows(sql: str, *parameters: Any) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        rows: list[Any] = cursor.fetchall()
    return rows
