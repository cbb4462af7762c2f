"""The history of calls: what the pages read from CallRecord.

Ids of calls are version 7 UUIDs, made when the call began. Lists are ordered and cut by id, and a span of time is
also a range of ids, so that every read walks the index of its group and stops when its page is full.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple, TypeVar
from uuid import UUID

from django.db.models import Count, OuterRef, Q, Subquery, Sum
from django.db.models.functions import TruncDate

from accounts.ids import first_id_at
from accounts.models import APIKey, Group
from billing.presentation import Page, month_start, page_by_id
from gateway.models import CallRecord, CallRecordQuerySet

PAGE_ROWS = 50
# The choice of models comes from so many of the newest calls: a DISTINCT over all of them would read them all.
RECENT_CALLS = 5000
# How far the clock that made an id may be from the one that wrote `created_at`.
CLOCK_SKEW = timedelta(minutes=10)

T = TypeVar("T", str, UUID)

Status = CallRecord.Status
CHARGEABLE = (Status.COMPLETED, Status.CLIENT_GONE)


@dataclass(frozen=True)
class CallFilter:
    """Which calls to list; an empty value does not restrict. `since` is inclusive, `until` is not."""

    source: str = ""
    key_id: UUID | None = None
    model: str = ""
    status: str = ""
    since: datetime | None = None
    until: datetime | None = None

    @property
    def is_restricting(self) -> bool:
        return self != CallFilter()


def find_calls(group: Group, wanted: CallFilter) -> CallRecordQuerySet:
    """The group's calls that the filter lets through, newest first."""
    calls = CallRecord.objects.of_group(group)
    if wanted.source:
        calls = calls.filter(source=wanted.source)
    if wanted.key_id:
        calls = calls.filter(api_key=wanted.key_id)
    if wanted.model:
        calls = calls.filter(model=wanted.model)
    if wanted.status:
        calls = calls.filter(status=wanted.status)
    return within(calls, wanted.since, wanted.until)


def within(
    calls: CallRecordQuerySet, since: datetime | None, until: datetime | None
) -> CallRecordQuerySet:
    """Calls that began from `since` up to, not including, `until`."""
    if since is not None:
        calls = calls.filter(created_at__gte=since, id__gte=first_id_at(since - CLOCK_SKEW))
    if until is not None:
        calls = calls.filter(created_at__lt=until, id__lt=first_id_at(until + CLOCK_SKEW))
    return calls


def read_page(
    calls: CallRecordQuerySet, *, before: UUID | None = None, after: UUID | None = None
) -> Page[CallRecord]:
    """A page of calls, as of `page_by_id`."""
    return page_by_id(calls, PAGE_ROWS, before=before, after=after)


def fingerprint(rows: Sequence[CallRecord]) -> str:
    """Changes when the page does. The ids alone tell, since a record is written once; the newest id alone would not:
    a call that ran long takes its place below calls that began after it."""
    return hashlib.sha256(b"".join(row.id.bytes for row in rows)).hexdigest()[:16]


def key_names(rows: Sequence[CallRecord]) -> dict[UUID, str]:
    """Names of the keys that made the calls."""
    ids = {row.api_key_id for row in rows}
    return dict(APIKey.objects.filter(pk__in=ids).values_list("pk", "name"))


def recent_models(group: Group) -> list[str]:
    """Models that the group's newest calls named, by name."""
    newest = CallRecord.objects.of_group(group).values_list("model", flat=True)
    return sorted(set(newest[:RECENT_CALLS]) - {""})


def has_calls(group: Group) -> bool:
    """Whether the group ever called anything."""
    return CallRecord.objects.of_group(group).order_by().exists()


class KeyActivity(NamedTuple):
    """What a key did: calls and charge since the month began, and when it was last used at all."""

    calls: int
    spent_nanos: int
    last_used_at: datetime | None


def key_activity(group: Group) -> dict[UUID, KeyActivity]:
    """Activity of each of the group's keys."""
    calls = within(CallRecord.objects.of_group(group), month_start(), None).order_by()
    month = {
        row["api_key"]: row
        for row in calls.values("api_key").annotate(calls=Count("id"), spent=Sum("amount_nanos"))
    }
    # One look into the index per key: a grouped maximum would read every call the group ever made.
    newest = (
        CallRecord.objects.filter(api_key=OuterRef("pk")).order_by("-id").values("created_at")[:1]
    )
    used = APIKey.objects.filter(group=group).values_list("pk", Subquery(newest))
    idle = {"calls": 0, "spent": 0}
    return {
        key_id: KeyActivity(
            month.get(key_id, idle)["calls"], month.get(key_id, idle)["spent"], used_at
        )
        for key_id, used_at in used
    }


class Totals(NamedTuple):
    """Sums over calls. Buckets are disjoint: cached input is not inside input."""

    calls: int = 0
    errors: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    images: int = 0
    list_nanos: int = 0
    amount_nanos: int = 0

    @property
    def tokens_in(self) -> int:
        """Everything on the input side."""
        return self.input_tokens + self.cached_tokens

    @property
    def tokens(self) -> int:
        return self.tokens_in + self.output_tokens

    @property
    def error_percent(self) -> str:
        """The share of failed calls, to a tenth of a percent."""
        tenths = round(self.errors * 1000 / self.calls) if self.calls else 0
        return f"{tenths // 10}.{tenths % 10}%"

    def plus(self, other: "Totals") -> "Totals":
        return Totals(*(mine + its for mine, its in zip(self, other, strict=True)))


class Usage(NamedTuple):
    """A month of a group: totals, then by model and by key (dearest first), and the charge per day and model."""

    total: Totals
    models: list[tuple[str, Totals]]
    keys: list[tuple[UUID, Totals]]
    days: dict[int, dict[str, int]]


def read_usage(group: Group, first: datetime, last: datetime) -> Usage:
    """What the group's calls from `first` up to, not including, `last` used; days are those of `first`'s zone.

    One pass over the month's part of the index; the folding by model, key and day is over at most a few thousand sums.
    """
    calls = within(CallRecord.objects.of_group(group), first, last).order_by()
    sums = calls.values(
        "model", "api_key", day=TruncDate("created_at", tzinfo=first.tzinfo)
    ).annotate(
        calls=Count("id"),
        errors=Count("id", filter=~Q(status__in=CHARGEABLE)),
        input=Sum("input_tokens")
        + Sum("audio_input_tokens")
        + Sum("cache_write_tokens")
        + Sum("cache_write_1h_tokens"),
        cached=Sum("cached_input_tokens"),
        output=Sum("output_tokens") + Sum("audio_output_tokens"),
        pictures=Sum("images"),
        list=Sum("list_nanos"),
        amount=Sum("amount_nanos"),
    )
    total = Totals()
    models: dict[str, Totals] = {}
    keys: dict[UUID, Totals] = {}
    days: dict[int, dict[str, int]] = {}
    for row in sums:
        part = Totals(
            row["calls"],
            row["errors"],
            row["input"],
            row["cached"],
            row["output"],
            row["pictures"],
            row["list"],
            row["amount"],
        )
        total = total.plus(part)
        models[row["model"]] = models.get(row["model"], Totals()).plus(part)
        keys[row["api_key"]] = keys.get(row["api_key"], Totals()).plus(part)
        by_model = days.setdefault(row["day"].day, {})
        by_model[row["model"]] = by_model.get(row["model"], 0) + part.amount_nanos
    return Usage(total, _dearest_first(models), _dearest_first(keys), days)


def _dearest_first(sums: dict[T, Totals]) -> list[tuple[T, Totals]]:
    return sorted(
        sums.items(), key=lambda item: (-item[1].amount_nanos, -item[1].calls, str(item[0]))
    )
