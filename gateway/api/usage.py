"""/api/v1/groups/{id}/usage and /api/v1/organizations/{id}/usage: totals, steps of time, and who or what used most."""

import zoneinfo
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.errors import Problem
from accounts.api.serializers import StrictSerializer
from accounts.api.views import ManagementView
from accounts.models import APIKey, Group, GroupMembership
from billing.money import format_usd
from gateway.api.queries import names_of, read_query, refuse
from gateway.api.schemas import UsdText
from gateway.models import CallRecord
from gateway.pages.usage_names import names_of as names_of_keys
from gateway.pages.usage_range import DEFAULT, PRESETS, read_range
from gateway.usage_analytics import (
    By,
    Key,
    Measure,
    Scope,
    Span,
    Step,
    Totals,
    one_snapshot,
    read_series,
    read_steps,
    read_top,
)

TAGS = ["Usage"]
STEPS_MAX = 1000
ROWS_MAX = 100
ZONE_CHARS_MAX = 60
PER_STEP: tuple[Measure, ...] = ("spend", "calls", "tokens")
COUNTS = (
    "calls", "errors", "completed", "client_gone", "upstream_failed", "timed_out", "lost", "refused",
    "input_tokens", "cached_input_tokens", "cache_write_tokens", "cache_write_1h_tokens", "output_tokens",
    "reasoning_tokens", "audio_input_tokens", "audio_output_tokens", "tokens", "images",
)  # fmt: skip


class ZoneField(serializers.CharField):
    """A time zone by its IANA name."""

    def to_internal_value(self, data: Any) -> zoneinfo.ZoneInfo:  # type: ignore[override]
        name = super().to_internal_value(data)
        try:
            if len(name) > ZONE_CHARS_MAX:
                raise ValueError(name)
            return zoneinfo.ZoneInfo(name)
        except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
            message = "This is no time zone such as Asia/Seoul."
            raise serializers.ValidationError(message) from None

    def run_validators(self, value: Any) -> None:
        """Those of a text have nothing to say about a zone: what is no name of one was refused."""


class UsageQuery(StrictSerializer):
    """Which days: a `period`, a `month` (2026-11), or from `since` to `until`, both included (2026-11-21)."""

    period = serializers.ChoiceField(
        choices=list(PRESETS), required=False, help_text=f"{DEFAULT} unless days are named."
    )
    month = serializers.CharField(max_length=7, required=False)
    since = serializers.CharField(max_length=10, required=False)
    until = serializers.CharField(max_length=10, required=False)
    timezone = ZoneField(required=False, help_text="Where days begin. UTC unless given.")
    interval = serializers.ChoiceField(
        choices=["hour", "day", "month"], required=False, help_text="By the length of the days."
    )
    source = serializers.ChoiceField(choices=CallRecord.Source.values, required=False)  # type: ignore[assignment]
    by = serializers.ChoiceField(choices=["model", "key", "member", "source"], required=False)


class GroupUsageQuery(UsageQuery):
    """The same, or of one key of the group alone."""

    key = serializers.UUIDField(required=False)


class OrganizationUsageQuery(UsageQuery):
    """The same, or by group."""

    by = serializers.ChoiceField(
        choices=["group", "model", "key", "member", "source"], required=False
    )


class TotalsSerializer(serializers.Serializer[Any]):
    """Sums over calls. Buckets of tokens are disjoint, reasoning stands inside output; errors are not charged.

    Times are percentiles of completed calls, to about a tenth; null without any.
    """

    calls = serializers.IntegerField()
    errors = serializers.IntegerField()  # type: ignore[assignment]
    completed = serializers.IntegerField()
    client_gone = serializers.IntegerField()
    upstream_failed = serializers.IntegerField()
    timed_out = serializers.IntegerField()
    lost = serializers.IntegerField()
    refused = serializers.IntegerField()
    input_tokens = serializers.IntegerField()
    cached_input_tokens = serializers.IntegerField()
    cache_write_tokens = serializers.IntegerField()
    cache_write_1h_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    reasoning_tokens = serializers.IntegerField()
    audio_input_tokens = serializers.IntegerField()
    audio_output_tokens = serializers.IntegerField()
    tokens = serializers.IntegerField()
    images = serializers.IntegerField()
    list_price = UsdText()
    charge = UsdText()
    latency_p50_ms = serializers.IntegerField(allow_null=True)
    latency_p95_ms = serializers.IntegerField(allow_null=True)
    first_token_p50_ms = serializers.IntegerField(allow_null=True)


class UsageStepSerializer(serializers.Serializer[Any]):
    """A step of time, by its beginning in the time zone."""

    start = serializers.DateTimeField()
    totals = TotalsSerializer()


class UsageRowSerializer(serializers.Serializer[Any]):
    """A model, key, member, source or group, with what it used in all and in each step."""

    id = serializers.CharField(allow_null=True, allow_blank=True)
    name = serializers.CharField()
    totals = TotalsSerializer()
    charges = serializers.ListField(child=UsdText())
    calls = serializers.ListField(child=serializers.IntegerField())
    tokens = serializers.ListField(child=serializers.IntegerField())


class UsageSerializer(serializers.Serializer[Any]):
    """What was used. `rows` are the dearest by what was asked for, `rest` all others together."""

    object = serializers.CharField()
    since = serializers.DateTimeField()
    until = serializers.DateTimeField()
    timezone = serializers.CharField()
    interval = serializers.CharField()
    by = serializers.CharField(allow_null=True)
    currency = serializers.CharField()
    totals = TotalsSerializer()
    steps = UsageStepSerializer(many=True)
    rows = UsageRowSerializer(many=True)
    rest = TotalsSerializer(allow_null=True)


class Asked(NamedTuple):
    """What a query asks for. `by` None: no rows."""

    span: Span
    interval: Step
    by: By | None
    source: str


def read_asked(values: Mapping[str, Any], now: datetime) -> Asked:
    """The span and steps that the parameters mean. Raises Problem 400."""
    zone = values.get("timezone") or zoneinfo.ZoneInfo("UTC")
    query = {name: values[name] for name in ("since", "until", "month") if name in values}
    if "period" in values:
        if query:
            raise refuse("period", "Give a period, or days of your own.")
        query["range"] = values["period"]
    if "month" in query and len(query) > 1:
        raise refuse("month", "Give a month, or days of your own.")
    with timezone.override(zone):
        chosen = read_range(query, now)
        if chosen.error or chosen.note:
            raise refuse(next(iter(query), "period"), chosen.error or chosen.note)
        interval = values.get("interval") or chosen.step
        return Asked(chosen.span, interval, values.get("by"), values.get("source", ""))


def read_usage(scope: Scope, asked: Asked) -> dict[str, Any]:
    """The answer. Raises Problem 400 for too many steps."""
    scope = scope.only(asked.source) if asked.source else scope
    hours = {"hour": 1, "day": 23, "month": 28 * 24}[asked.interval]
    if asked.span.days * 24 > hours * STEPS_MAX:
        raise refuse("interval", f"At most {STEPS_MAX} steps: choose longer ones or fewer days.")
    with one_snapshot():
        starts, steps = read_steps(scope, asked.span, step=asked.interval)
        top = read_top(scope, asked.span, asked.by) if asked.by else []
        rows = _rows(scope, asked, top[:ROWS_MAX], len(starts))
    rest = [totals for _key, totals in top[ROWS_MAX:]]
    return {
        "object": "usage",
        "since": asked.span.since,
        "until": asked.span.until,
        "timezone": str(asked.span.zone),
        "interval": asked.interval,
        "by": asked.by,
        "currency": "USD",
        "totals": describe_totals(_add_up(steps)),
        "steps": [
            {"start": start, "totals": describe_totals(step)}
            for start, step in zip(starts, steps, strict=True)
        ],
        "rows": rows,
        "rest": describe_totals(_add_up(rest)) if rest else None,
    }


def _add_up(parts: Iterable[Totals]) -> Totals:
    return sum(parts, Totals())


def _rows(
    scope: Scope, asked: Asked, top: list[tuple[Key, Totals]], steps: int
) -> list[dict[str, Any]]:
    if not asked.by or not top:
        return []
    over_time = {
        measure: dict(
            read_series(scope, asked.span, step=asked.interval, by=asked.by, measure=measure).rows
        )
        for measure in PER_STEP
    }
    names = names_of_keys(asked.by, [key for key, _totals in top])
    nothing = [0] * steps
    return [
        {
            "id": None if key is None else str(key),
            "name": names[key],
            "totals": describe_totals(totals),
            "charges": [format_usd(nanos) for nanos in over_time["spend"].get(key, nothing)],
            "calls": over_time["calls"].get(key, nothing),
            "tokens": over_time["tokens"].get(key, nothing),
        }
        for key, totals in top
    ]


def describe_totals(totals: Totals) -> dict[str, Any]:
    """Sums as the API answers them."""
    return {
        **{name: getattr(totals, name) for name in COUNTS},
        "list_price": format_usd(totals.list_nanos),
        "charge": format_usd(totals.amount_nanos),
        "latency_p50_ms": totals.latency_ms(50),
        "latency_p95_ms": totals.latency_ms(95),
        "first_token_p50_ms": totals.time_to_first_token_ms(50),
    }


@extend_schema_view(
    get=extend_schema(
        operation_id="get_group_usage",
        tags=TAGS,
        parameters=[GroupUsageQuery],
        responses=UsageSerializer,
    )
)
class GroupUsage(ManagementView):
    """What a group used."""

    query_names = names_of(GroupUsageQuery)

    def get(self, request: Request, group_id: UUID) -> Response:
        """What the group used, or one of its keys. Who made which calls, only its managers see."""
        group = self.find_group(group_id)
        values = read_query(request, GroupUsageQuery)
        if (
            values.get("by") == "member"
            and group.role_of(self.user) != GroupMembership.Role.MANAGER
        ):
            raise Problem(403, "forbidden", "Only managers of the group see what members use.")
        scope = self._scope(group, values.get("key"))
        return Response(read_usage(scope, read_asked(values, timezone.now())))

    def _scope(self, group: Group, key_id: UUID | None) -> Scope:
        if key_id is None:
            return Scope.of_group(group)
        key = APIKey.objects.filter(group=group, pk=key_id).first()
        if key is None:
            raise refuse("key", "The group has no such key.")
        return Scope.of_key(key)


@extend_schema_view(
    get=extend_schema(
        operation_id="get_organization_usage",
        tags=TAGS,
        parameters=[OrganizationUsageQuery],
        responses=UsageSerializer,
    )
)
class OrganizationUsage(ManagementView):
    """What all groups of an organization used."""

    query_names = names_of(OrganizationUsageQuery)

    def get(self, request: Request, organization_id: UUID) -> Response:
        """What all groups of the organization used. For its admins."""
        found = self.administered_organization(organization_id)
        values = read_query(request, OrganizationUsageQuery)
        scope = Scope.of_organization(found)
        return Response(read_usage(scope, read_asked(values, timezone.now())))
