"""Calls that failed, across all tenants, put together by what they have in common."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django import forms
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from django.views.decorators.http import require_safe

from accounts.ids import first_id_at
from accounts.models import Group, Organization
from accounts.views import MemberRequest
from gateway.models import CallRecord, Channel
from gateway.operator.access import operator_only
from gateway.provisioning import channel_label

FRAME = {"operator_page": True, "tab": "failures"}
READ_MAX = 20_000
GROUPS_SHOWN = 200
BARS = 24
EXAMPLES = 3
Status = CallRecord.Status
FAILED = (Status.UPSTREAM_FAILED, Status.TIMED_OUT, Status.LOST, Status.REFUSED)
SPANS = {
    "1h": (timedelta(hours=1), _("Last hour")),
    "6h": (timedelta(hours=6), _("Last 6 hours")),
    "24h": (timedelta(hours=24), _("Last 24 hours")),
    "7d": (timedelta(days=7), _("Last 7 days")),
}
DEFAULT_SPAN = "24h"
COLUMNS = (
    "id", "group_id", "organization_id", "model", "status", "error_code", "error_message", "created_at", "attempts",
)  # fmt: skip


class FailureFilterForm(forms.Form):
    """Which failing calls to look at."""

    span = forms.ChoiceField(
        label=_("Time"),
        required=False,
        choices=[(name, text) for name, (_d, text) in SPANS.items()],
    )
    status = forms.ChoiceField(
        label=_("Status"),
        required=False,
        choices=[("", _("Any failure")), *((s.value, s.label) for s in FAILED)],
    )
    channel = forms.CharField(label=_("Channel"), required=False, max_length=130)
    model = forms.CharField(
        label=pgettext_lazy("of a provider", "Model"),
        required=False,
        max_length=120,
        widget=forms.SearchInput(),
    )
    organization = forms.CharField(
        label=_("Organization"),
        required=False,
        max_length=120,
        widget=forms.SearchInput(),
    )

    def __init__(self, data: Any) -> None:
        super().__init__(data, auto_id="filter_%s")
        labels = [channel_label(c) for c in Channel.objects.order_by("provider", "name")]
        asked = self.data.get("channel", "")
        if asked and asked not in labels:
            labels.append(asked)  # a channel that is gone stands in records still
        choices = [("", _("Any channel")), *((label, label) for label in labels)]
        self.fields["channel"].widget = forms.Select(choices=choices)


class Failing(NamedTuple):
    """Calls that failed in the same way. `bars` are heights in percent of the tallest, oldest first."""

    channel: str
    model: str
    status: str
    status_label: str
    code: str
    http_status: int | None
    message: str
    calls: int
    organizations: int
    first_at: datetime
    last_at: datetime
    bars: list[int]
    examples: list[CallRecord]


class Failures(NamedTuple):
    """All of them, most first. `is_cut`: only the newest READ_MAX were read, since `since`."""

    rows: list[Failing]
    calls: int
    since: datetime
    is_cut: bool


class _Gathered:
    """What is being put together of one kind."""

    def __init__(self) -> None:
        self.records: list[CallRecord] = []
        self.counts = [0] * BARS
        self.organizations: set[UUID] = set()
        self.calls = 0
        self.first_at: datetime | None = None


def read_failures(span: timedelta, wanted: dict[str, str]) -> Failures:
    """Failing calls of the span that the filter lets through.

    They are few among many and have an index of their own (migration 0009); no more than READ_MAX are read.
    """
    now = timezone.now()
    since = now - span
    found = CallRecord.objects.filter(
        status__in=[status.value for status in FAILED], id__gte=first_id_at(since)
    )
    if wanted.get("status"):
        found = found.filter(status=wanted["status"])
    if wanted.get("model"):
        found = found.filter(model__icontains=wanted["model"])
    if wanted.get("organization"):
        named = Organization.objects.filter(name__icontains=wanted["organization"])
        found = found.filter(organization__in=list(named.values_list("pk", flat=True)[:500]))
    newest = list(found.only(*COLUMNS).order_by("-id")[: READ_MAX + 1])
    is_cut = len(newest) > READ_MAX
    kinds: dict[tuple[Any, ...], _Gathered] = {}
    for record in newest[:READ_MAX]:
        channel, http_status = _last_try(record)
        if wanted.get("channel") and channel != wanted["channel"]:
            continue
        kind = (channel, record.model, record.status, record.error_code, http_status)
        _gather(kinds.setdefault(kind, _Gathered()), record, since, span)
    rows = [_row(kind, one) for kind, one in kinds.items()]
    rows.sort(key=lambda row: (-row.calls, -row.last_at.timestamp()))
    if is_cut:
        since = newest[READ_MAX - 1].created_at
    return Failures(rows[:GROUPS_SHOWN], sum(row.calls for row in rows), since, is_cut)


def _last_try(record: CallRecord) -> tuple[str, int | None]:
    last = record.attempts[-1] if record.attempts else {}
    return last.get("channel") or "", last.get("status")


def _gather(one: _Gathered, record: CallRecord, since: datetime, span: timedelta) -> None:
    one.calls += 1
    one.organizations.add(record.organization_id)
    one.first_at = min(one.first_at or record.created_at, record.created_at)
    place = (record.created_at - since) * BARS // span
    one.counts[min(max(place, 0), BARS - 1)] += 1
    if len(one.records) < EXAMPLES:
        one.records.append(record)


def _row(kind: tuple[Any, ...], one: _Gathered) -> Failing:
    channel, model, status, code, http_status = kind
    newest = one.records[0]
    tallest = max(one.counts)
    return Failing(
        channel=channel,
        model=model,
        status=status,
        status_label=str(Status(status).label),
        code=code,
        http_status=http_status,
        message=newest.error_message
        or (newest.attempts[-1].get("error") or "" if newest.attempts else ""),
        calls=one.calls,
        organizations=len(one.organizations),
        first_at=one.first_at or newest.created_at,
        last_at=newest.created_at,
        bars=[-(-count * 100 // tallest) for count in one.counts],
        examples=one.records,
    )


@require_safe
@operator_only
def failures(request: MemberRequest) -> HttpResponse:
    """Failing calls by channel, model and error."""
    form = FailureFilterForm(request.GET)
    wanted = form.cleaned_data if form.is_valid() else {}
    name = wanted.get("span") or DEFAULT_SPAN
    span, title = SPANS[name]
    found = read_failures(span, wanted)
    context = FRAME | {
        "form": form,
        "span": name,
        "spans": [(key, text) for key, (_delta, text) in SPANS.items()],
        "title": title,
        "found": found,
        "filtered": any(wanted.get(one) for one in ("status", "channel", "model", "organization")),
        "groups": _groups(found.rows),
        "channels": {channel_label(one): one.pk for one in Channel.objects.all()},
    }
    return render(request, "operator/failures.html", context)


def _groups(rows: Iterable[Failing]) -> dict[UUID, Group]:
    """The groups of the examples, by their ids: an example whose group is gone has no page."""
    ids = {record.group_id for row in rows for record in row.examples}
    return Group.objects.select_related("organization").in_bulk(ids)
