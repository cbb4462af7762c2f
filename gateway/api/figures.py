"""/api/v1/overview and /api/v1/failures: how the shop runs, for operators."""

import zoneinfo
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.serializers import StrictSerializer
from accounts.api.views import OperatorView
from billing.money import format_usd
from gateway.api.queries import names_of, read_query
from gateway.api.schemas import UsdText
from gateway.api.usage import TotalsSerializer, ZoneField, describe_totals
from gateway.operator.failures import DEFAULT_SPAN, FAILED, SPANS, Failing, read_failures
from gateway.operator.overview import (
    DEFAULT_PERIOD,
    PERIODS,
    STACKS,
    Money,
    Outstanding,
    TopRow,
    read_money,
    read_outstanding,
    read_tops,
    span_of,
)
from gateway.usage_analytics import Scope, Series, one_snapshot, read_series

TAGS = ["Operators"]


class OverviewQuery(StrictSerializer):
    """Which days, in which time zone."""

    period = serializers.ChoiceField(
        choices=[name for name, _label in PERIODS], default=DEFAULT_PERIOD
    )
    timezone = ZoneField(required=False, help_text="Where days begin. UTC unless given.")


class MoneySerializer(serializers.Serializer[Any]):
    """What came in and went out. The cost is an estimate from what channels cost; the margin is of the revenue."""

    revenue = UsdText()
    cost = UsdText()
    margin = UsdText()
    margin_permille = serializers.IntegerField(allow_null=True)
    deposits = UsdText()
    active_groups = serializers.IntegerField()
    failures = serializers.IntegerField()
    totals = TotalsSerializer()


class OutstandingSerializer(serializers.Serializer[Any]):
    """What customers have and have not used, now."""

    total = UsdText()
    pools = UsdText()
    wallets = UsdText()
    held = UsdText()
    overdrawn = UsdText()


class RevenueStepSerializer(serializers.Serializer[Any]):
    """The revenue of a day."""

    start = serializers.DateTimeField()
    revenue = UsdText()


class TopRowSerializer(serializers.Serializer[Any]):
    """An organization, model or channel; `cost` and its margin are known for channels alone."""

    id = serializers.CharField(allow_null=True)
    name = serializers.CharField(allow_blank=True)
    revenue = UsdText()
    cost = UsdText(allow_null=True)
    margin_permille = serializers.IntegerField(allow_null=True)
    calls = serializers.IntegerField()
    failure_permille = serializers.IntegerField(allow_null=True)


class TopListsSerializer(serializers.Serializer[Any]):
    """The dearest of each."""

    organization = TopRowSerializer(many=True)
    model = TopRowSerializer(many=True)
    channel = TopRowSerializer(many=True)


class OverviewSerializer(serializers.Serializer[Any]):
    """Revenue, cost and margin of a span beside the one before it."""

    object = serializers.CharField()
    since = serializers.DateTimeField()
    until = serializers.DateTimeField()
    timezone = serializers.CharField()
    currency = serializers.CharField()
    money = MoneySerializer()
    before = MoneySerializer()
    outstanding = OutstandingSerializer()
    days = RevenueStepSerializer(many=True)
    top = TopListsSerializer()


def _describe_money(money: Money) -> dict[str, Any]:
    return {
        "revenue": format_usd(money.totals.amount_nanos),
        "cost": format_usd(money.spent.nanos),
        "margin": format_usd(money.margin_nanos),
        "margin_permille": money.margin_permille,
        "deposits": format_usd(money.deposits_nanos),
        "active_groups": money.active_groups,
        "failures": money.failures,
        "totals": describe_totals(money.totals),
    }


def _describe_outstanding(outstanding: Outstanding) -> dict[str, Any]:
    return {
        "total": format_usd(outstanding.nanos),
        "pools": format_usd(outstanding.pools_nanos),
        "wallets": format_usd(outstanding.wallets_nanos),
        "held": format_usd(outstanding.held_nanos),
        "overdrawn": format_usd(outstanding.overdrawn_nanos),
    }


def _describe_days(series: Series) -> list[dict[str, Any]]:
    """Without a dimension the series has one row, or none where nothing was charged."""
    values = series.rows[0][1] if series.rows else [0] * len(series.starts)
    return [
        {"start": start, "revenue": format_usd(nanos)}
        for start, nanos in zip(series.starts, values, strict=True)
    ]


def _describe_top(row: TopRow) -> dict[str, Any]:
    return {
        "id": str(row.url_args) if row.url_args is not None else None,
        "name": row.name,
        "revenue": format_usd(row.totals.amount_nanos),
        "cost": None if row.cost_nanos is None else format_usd(row.cost_nanos),
        "margin_permille": row.margin_permille,
        "calls": row.totals.calls,
        "failure_permille": row.failure_permille,
    }


@extend_schema_view(
    get=extend_schema(
        operation_id="get_overview",
        tags=TAGS,
        parameters=[OverviewQuery],
        responses=OverviewSerializer,
    )
)
class Overview(OperatorView):
    """How the shop runs."""

    query_names = names_of(OverviewQuery)

    def get(self, request: Request) -> Response:
        """Revenue, cost and margin, what customers still have, and who brought it."""
        values = read_query(request, OverviewQuery)
        now = timezone.now()
        with timezone.override(values.get("timezone") or zoneinfo.ZoneInfo("UTC")):
            span = span_of(values["period"], now)
        with one_snapshot():
            money, before = read_money(span), read_money(span.before(now))
            series = read_series(Scope.everything(), span)
            tops = read_tops(span, money.spent)
            outstanding = read_outstanding()
        answer = {
            "object": "overview",
            "since": span.since,
            "until": span.until,
            "timezone": str(span.zone),
            "currency": "USD",
            "money": _describe_money(money),
            "before": _describe_money(before),
            "outstanding": _describe_outstanding(outstanding),
            "days": _describe_days(series),
            "top": {by: [_describe_top(row) for row in tops[by]] for by in STACKS},
        }
        return Response(answer)


class FailureQuery(StrictSerializer):
    """Which failing calls: `model` and `organization` are parts of names."""

    span = serializers.ChoiceField(choices=list(SPANS), default=DEFAULT_SPAN)
    status = serializers.ChoiceField(choices=[one.value for one in FAILED], required=False)
    channel = serializers.CharField(max_length=130, required=False)
    model = serializers.CharField(max_length=120, required=False)
    organization = serializers.CharField(max_length=120, required=False)


class FailingSerializer(serializers.Serializer[Any]):
    """Calls that failed in the same way; `examples` are the newest."""

    channel = serializers.CharField(allow_blank=True)
    model = serializers.CharField(allow_blank=True)
    status = serializers.CharField()
    code = serializers.CharField(allow_blank=True)
    http_status = serializers.IntegerField(allow_null=True)
    message = serializers.CharField(allow_blank=True)
    calls = serializers.IntegerField()
    organizations = serializers.IntegerField()
    first_at = serializers.DateTimeField()
    last_at = serializers.DateTimeField()
    examples = serializers.ListField(child=serializers.CharField())


class FailuresSerializer(serializers.Serializer[Any]):
    """Failing calls, most first. `is_cut`: only the newest were read, since `since`."""

    object = serializers.CharField()
    since = serializers.DateTimeField()
    is_cut = serializers.BooleanField()
    calls = serializers.IntegerField()
    data = FailingSerializer(many=True)  # type: ignore[assignment]


def _describe_failing(row: Failing) -> dict[str, Any]:
    own = (
        "channel", "model", "status", "code", "http_status", "message", "calls", "organizations", "first_at", "last_at",
    )  # fmt: skip
    return {name: getattr(row, name) for name in own} | {
        "examples": [record.public_id for record in row.examples]
    }


@extend_schema_view(
    get=extend_schema(
        operation_id="get_failures",
        tags=TAGS,
        parameters=[FailureQuery],
        responses=FailuresSerializer,
    )
)
class Failures(OperatorView):
    """Calls that failed."""

    query_names = names_of(FailureQuery)

    def get(self, request: Request) -> Response:
        """Failing calls of all tenants, put together by channel, model and error."""
        values = read_query(request, FailureQuery)
        span, _title = SPANS[values.pop("span")]
        found = read_failures(span, values)
        answer = {
            "object": "failures",
            "since": found.since,
            "is_cut": found.is_cut,
            "calls": found.calls,
            "data": [_describe_failing(row) for row in found.rows],
        }
        return Response(answer)
