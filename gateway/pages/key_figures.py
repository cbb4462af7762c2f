"""What the pages about keys read: figures of this month, and how much of each limit is used."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import OuterRef, Subquery
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.ids import first_id_at
from accounts.models import APIKey, Group
from billing.models import Limit
from gateway.limits import WINDOW_S
from gateway.models import CallRecord
from gateway.usage_analytics import Key, Measure, Scope, Span, one_snapshot, read_series

NEARLY_PERCENT = 80


class Meter(NamedTuple):
    """How much of a limit is used: nano-dollars, or a number of calls or tokens. `percent` is at most 100."""

    name: str
    label: str
    used: int
    limit: int
    note: str

    @property
    def percent(self) -> int:
        return min(self.used * 100 // self.limit, 100)

    @property
    def level(self) -> str:
        """`good`, `warn` near the limit, `bad` at it."""
        if self.used >= self.limit:
            return "bad"
        return "warn" if self.percent >= NEARLY_PERCENT else "good"


class KeyFigures(NamedTuple):
    """A key's calls and charge since the month began for the viewer, its last call, and its limit of the month."""

    calls: int
    spent_nanos: int
    last_used_at: datetime | None
    month: Meter | None


def read_figures(group: Group, keys: Sequence[APIKey]) -> dict[UUID, KeyFigures]:
    """Figures of these keys of the group, which are those of one page."""
    calls, spent = _month_sums(group, keys)
    newest = CallRecord.objects.filter(api_key=OuterRef("pk")).order_by("-id")
    # One look into the index per key: a grouped maximum would read every call of them all.
    used = dict(
        APIKey.objects.filter(pk__in=[key.pk for key in keys]).values_list(
            "pk", Subquery(newest.values("created_at")[:1])
        )
    )
    limits = {limit.api_key_id: limit for limit in Limit.objects.filter(api_key__in=keys)}
    now = timezone.now()
    return {
        key.pk: KeyFigures(
            calls.get(key.pk, 0),
            spent.get(key.pk, 0),
            used.get(key.pk),
            _budget(limits.get(key.pk), "month", now),
        )
        for key in keys
    }


def _month_sums(group: Group, keys: Sequence[APIKey]) -> tuple[dict[Key, int], dict[Key, int]]:
    """Calls and nano-dollars since the month began for the viewer, by key."""
    if not keys:
        return {}, {}
    scope = Scope.of_key(keys[0]) if len(keys) == 1 else Scope.of_group(group)
    today = timezone.localdate()
    span = Span.of_days(today.replace(day=1), today, timezone.get_current_timezone())
    measures: tuple[Measure, Measure] = ("calls", "spend")
    with one_snapshot():
        calls, spent = (
            read_series(scope, span, step="month", by="key", measure=measure)
            for measure in measures
        )
    return {key: sum(row) for key, row in calls.rows}, {key: sum(row) for key, row in spent.rows}


def find_limit(owner: APIKey | Group) -> Limit | None:
    """The owner's row of limits as it is now."""
    rows = Limit.objects.filter(**_owned_by(owner))
    return rows.first()


def _owned_by(owner: APIKey | Group) -> dict[str, Any]:
    return {"api_key": owner} if isinstance(owner, APIKey) else {"group": owner}


def budget_meters(limit: Limit | None) -> list[Meter]:
    """The budgets that are set."""
    now = timezone.now()
    periods = (_budget(limit, period, now) for period in ("day", "month", "lifetime"))
    return [meter for meter in periods if meter]


def _budget(limit: Limit | None, period: str, now: datetime) -> Meter | None:
    ceiling = getattr(limit, f"{period}_nanos", None)
    if ceiling is None:
        return None
    label = {"day": _("Today"), "month": _("This month"), "lifetime": _("In all")}[period]
    note = {
        "day": _("Starts again at 00:00 UTC."),
        "month": _("Starts again on the first of the month, UTC."),
        "lifetime": _("Does not start again."),
    }[period]
    spent = getattr(limit, f"{period}_spent_nanos")
    begins = _begin(period, now)
    # A counter of a day or a month that is over stands until the next call.
    if begins and (getattr(limit, period) or date.min) < begins:
        spent = 0
    return Meter(period, label, spent, ceiling, note)


def _begin(period: str, now: datetime) -> date | None:
    today = now.astimezone(UTC).date()
    return {"day": today, "month": today.replace(day=1)}.get(period)


def rate_meters(limit: Limit | None) -> list[Meter]:
    """The rates and the number of calls at a time that are set."""
    if limit is None:
        return []
    started = limit.window_started_at
    is_open = started is not None and timezone.now() < started + timedelta(seconds=WINDOW_S)
    rows = (
        (
            "requests_per_minute",
            _("Requests this minute"),
            limit.window_requests if is_open else 0,
        ),
        ("tokens_per_minute", _("Tokens this minute"), limit.window_tokens if is_open else 0),
        ("concurrent_calls", _("Calls running now"), limit.running_calls),
    )
    return [
        Meter(name, label, used, ceiling, "")
        for name, label, used in rows
        if (ceiling := getattr(limit, name)) is not None
    ]


def last_minute_calls(key: APIKey) -> int:
    """Calls of the key that began in the last minute and have ended: what a key without limits can tell of now."""
    since = timezone.now() - timedelta(seconds=WINDOW_S)
    calls = CallRecord.objects.filter(api_key=key, id__gte=first_id_at(since))
    return calls.order_by().count()
