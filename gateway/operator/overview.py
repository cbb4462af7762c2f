"""How the shop runs: what was charged and what it cost, who calls, what customers still have."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.db.models import Q, Sum
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from accounts import dates
from accounts.models import Organization
from accounts.views import MemberRequest
from billing.models import Account, Transfer
from billing.presentation import dollars
from billing.templatetags.money import usd_cents
from gateway.models import Channel
from gateway.operator.access import operator_only
from gateway.operator.costs import Spent, read_spent
from gateway.pages.charts import Chart, Label, Row, Unit, draw_bars
from gateway.provisioning import channel_label
from gateway.usage_analytics import (
    By,
    Scope,
    Series,
    Span,
    Totals,
    permille,
    read_series,
    read_top,
    read_totals,
)

FRAME = {"operator_page": True, "tab": "overview"}
DAYS = {"7d": 7, "30d": 30, "90d": 90}
PERIODS = [
    ("7d", gettext_lazy("7 days")),
    ("30d", gettext_lazy("30 days")),
    ("90d", gettext_lazy("90 days")),
    ("month", gettext_lazy("This month")),
    ("last", gettext_lazy("Last month")),
]
DEFAULT_PERIOD = "30d"
STACKS: Mapping[By, Any] = {
    "organization": gettext_lazy("Organizations"),
    "model": gettext_lazy("Models"),
    "channel": gettext_lazy("Channels"),
}
TOP = 8
ERRORS = ("upstream_failed", "timed_out", "lost")


class OverviewForm(forms.Form):
    """Which days to look at, and by what the chart is stacked."""

    period = forms.ChoiceField(required=False, choices=PERIODS)
    by = forms.ChoiceField(required=False, choices=list(STACKS.items()))


@dataclass(frozen=True)
class Money:
    """What came in and what went out in a span. `margin_permille` is of the revenue, None without any."""

    totals: Totals
    spent: Spent
    deposits_nanos: int
    active_groups: int

    @property
    def margin_nanos(self) -> int:
        return self.totals.amount_nanos - self.spent.nanos

    @property
    def margin_permille(self) -> int | None:
        return permille(self.margin_nanos, self.totals.amount_nanos)

    @property
    def failures(self) -> int:
        """Calls that failed by our side's or a provider's fault: refusals are not among them."""
        return sum(getattr(self.totals, name) for name in ERRORS)

    @property
    def failure_permille(self) -> int | None:
        return permille(self.failures, self.totals.calls)


@dataclass(frozen=True)
class Outstanding:
    """What customers have and have not used: a liability. `overdrawn_nanos` is what they owe by credit lines."""

    pools_nanos: int
    wallets_nanos: int
    held_nanos: int
    overdrawn_nanos: int

    @property
    def nanos(self) -> int:
        return self.pools_nanos + self.wallets_nanos


@dataclass(frozen=True)
class TopRow:
    """A line of a top list. `cost_nanos` is known for channels alone."""

    name: str
    url_args: Any
    totals: Totals
    cost_nanos: int | None

    @property
    def failure_permille(self) -> int | None:
        return permille(sum(getattr(self.totals, name) for name in ERRORS), self.totals.calls)

    @property
    def margin_permille(self) -> int | None:
        if self.cost_nanos is None:
            return None
        return permille(self.totals.amount_nanos - self.cost_nanos, self.totals.amount_nanos)


def span_of(period: str, now: datetime) -> Span:
    """The days of the period in the viewer's zone."""
    zone = timezone.get_current_timezone()
    today = timezone.localdate(now)
    if period == "month":
        return Span.of_days(today.replace(day=1), today, zone)
    if period == "last":
        end = today.replace(day=1) - timedelta(days=1)
        return Span.of_days(end.replace(day=1), end, zone)
    return Span.of_days(today - timedelta(days=DAYS[period] - 1), today, zone)


def read_money(span: Span) -> Money:
    """What the span brought."""
    deposits = Transfer.objects.filter(
        ~Q(kind=Transfer.Kind.CAPTURE),
        kind=Transfer.Kind.DEPOSIT,
        created_at__gte=span.since,
        created_at__lt=span.until,
    ).aggregate(total=Sum("amount_nanos"))
    return Money(
        totals=read_totals(Scope.everything(), span),
        spent=read_spent(span),
        deposits_nanos=int(deposits["total"] or 0),
        active_groups=len(read_top(Scope.everything(), span, "group")),
    )


def read_outstanding() -> Outstanding:
    """Balances of pools and wallets, now."""
    sums = {
        row["kind"]: row
        for row in Account.objects.filter(kind__in=[Account.Kind.POOL, Account.Kind.WALLET])
        .order_by()
        .values("kind")
        .annotate(
            credit=Sum("balance_nanos", filter=Q(balance_nanos__gt=0)),
            debt=Sum("balance_nanos", filter=Q(balance_nanos__lt=0)),
            held=Sum("held_nanos"),
        )
    }
    nothing: dict[str, int] = {}
    pool, wallet = (sums.get(kind, nothing) for kind in (Account.Kind.POOL, Account.Kind.WALLET))
    return Outstanding(
        pools_nanos=int(pool.get("credit") or 0),
        wallets_nanos=int(wallet.get("credit") or 0),
        held_nanos=int(wallet.get("held") or 0),
        overdrawn_nanos=-int(wallet.get("debt") or 0),
    )


def _names(by: By) -> dict[Any, str]:
    if by == "organization":
        return dict(Organization.objects.values_list("pk", "name"))
    if by == "channel":
        return {channel.pk: channel_label(channel) for channel in Channel.objects.all()}
    return {}


def read_tops(span: Span, spent: Spent) -> dict[str, list[TopRow]]:
    """The dearest organizations, models and channels."""
    found: dict[str, list[TopRow]] = {}
    for by in STACKS:
        names = _names(by)
        rows = read_top(Scope.everything(), span, by)
        found[by] = [
            TopRow(
                names.get(key, "") if names or by != "model" else str(key),
                key if key in names else None,
                totals,
                spent.by_channel.get(key, 0) if by == "channel" else None,  # type: ignore[arg-type]
            )
            for key, totals in rows[:TOP]
        ]
    return found


def _draw(series: Series, by: By) -> Chart | None:
    names = _names(by)
    rows = [
        Row((names.get(key, "") if by != "model" else str(key)) or _("unknown"), values)
        for key, values in series.rows
    ]
    labels = [Label(dates.day_of_year(start), dates.weekday(start)) for start in series.starts]
    return draw_bars(labels, rows, _("Others"), Unit(usd_cents, dollars))


def _tabulate(chart: Chart) -> list[tuple[str, list[int], int]]:
    """The days with something, newest first: their name, a value for each part of the legend, and the sum."""
    rows = []
    for column in reversed(chart.columns):
        values = {part.series: part.value for part in column.parts}
        cells = [values.get(part.series, 0) for part in chart.legend]
        if values:
            rows.append((column.label.long, cells, sum(cells)))
    return rows


@require_safe
@operator_only
def overview(request: MemberRequest) -> HttpResponse:
    """Revenue, cost and margin of a span beside the one before it, by day, and who brought it."""
    form = OverviewForm(request.GET)
    wanted = form.cleaned_data if form.is_valid() else {}
    period = wanted.get("period") or DEFAULT_PERIOD
    by: By = wanted.get("by") or "organization"
    now = timezone.now()
    span = span_of(period, now)
    money, before = read_money(span), read_money(span.before(now))
    series = read_series(Scope.everything(), span, by=by)
    chart = _draw(series, by)
    context = FRAME | {
        "period": period,
        "periods": PERIODS,
        "by": by,
        "stacks": list(STACKS.items()),
        "first_day": span.since.astimezone(span.zone).date(),
        "last_day": span.last_day,
        "money": money,
        "before": before,
        "outstanding": read_outstanding(),
        "chart": chart,
        "day_rows": _tabulate(chart) if chart else [],
        "tops": read_tops(span, money.spent),
    }
    return render(request, "operator/overview.html", context)
