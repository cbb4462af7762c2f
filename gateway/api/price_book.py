"""/api/v1/price-book: every dated price, a new one with its effect shown first, and whole books. Nothing is edited."""

from typing import Any
from uuid import UUID

from django.urls import reverse
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.fields import MomentField
from accounts.api.paging import CursorPages
from accounts.api.serializers import StrictSerializer
from accounts.api.views import OperatorView
from accounts.models import Group
from billing.api.fields import CountField
from billing.models import Price, PriceRate
from billing.money import format_usd
from billing.picture_pricing import parse_bucket
from billing.price_book import PriceEntry
from billing.pricing import MAX_SELL_BPS, Rate, RateTable
from gateway.api.fields import FlagField, RateField, TextField
from gateway.api.prices import RateTableSerializer, describe_tables
from gateway.api.queries import names_of, page_of, read_body, read_query
from gateway.api.schemas import UsdText
from gateway.models import Model
from gateway.operator import price_services as services
from gateway.operator.price_effects import Effect, Example, list_examples, read_effect
from gateway.operator.price_forms import BUCKET_UNITS, ROWS_MAX

TAGS = ["Operators"]
TOKENS_MAX = 10**12


class RateInput(StrictSerializer):
    """A list price: of a million tokens, or of one picture. `sell_bps` is its own share, else the price's holds."""

    tier = serializers.ChoiceField(choices=PriceRate.Tier.values, default="standard")
    above_input_tokens = CountField(min_value=0, max_value=TOKENS_MAX, default=0)
    bucket = TextField(max_length=32)
    list_price = RateField()
    sell_bps = CountField(min_value=0, max_value=MAX_SELL_BPS, required=False, allow_null=True)

    def validate_bucket(self, name: str) -> str:
        """Refuses what cannot have a rate."""
        if name not in BUCKET_UNITS and parse_bucket(name) is None:
            raise serializers.ValidationError("This cannot have a rate.")
        return name


class PriceInput(StrictSerializer):
    """A dated price of a model: for everybody, or for one group alone."""

    model = TextField(max_length=120)
    group = serializers.UUIDField(required=False, allow_null=True)
    effective_from = MomentField(in_future=True)
    sell_bps = CountField(min_value=0, max_value=MAX_SELL_BPS)
    source = TextField(  # type: ignore[assignment]
        max_length=Price._meta.get_field("source").max_length, default="", allow_blank=True
    )
    list_is_estimated = FlagField(default=False)
    rates = serializers.ListField(child=RateInput(), min_length=1, max_length=ROWS_MAX)


class DatedPriceSerializer(serializers.Serializer[Any]):
    """A price of the book; `group` is set where one group has it alone."""

    id = serializers.IntegerField()
    object = serializers.CharField()
    model = serializers.CharField()
    group = serializers.UUIDField(allow_null=True)
    effective_from = serializers.DateTimeField()
    sell_bps = serializers.IntegerField()
    source = serializers.CharField(allow_blank=True)  # type: ignore[assignment]
    list_is_estimated = serializers.BooleanField()
    created_at = serializers.DateTimeField()
    tables = RateTableSerializer(many=True)


class GroupEffectSerializer(serializers.Serializer[Any]):
    """What the calls of a group cost, and would have cost."""

    group = serializers.UUIDField(allow_null=True)
    calls = serializers.IntegerField()
    before = UsdText()
    after = UsdText()


class PriceExampleSerializer(serializers.Serializer[Any]):
    """What one call costs before and after; null without a price for it. `key` names a picture's rate."""

    key = serializers.CharField(allow_blank=True)
    input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    before = UsdText(allow_null=True)
    after = UsdText(allow_null=True)


class PricePreviewSerializer(serializers.Serializer[Any]):
    """What the price would have done to the calls since `since`; only the newest of them were looked at where `is_cut`.

    `unpriced` calls could not have been charged.
    """

    object = serializers.CharField()
    model = serializers.CharField()
    replaces = serializers.IntegerField(allow_null=True)
    since = serializers.DateTimeField()
    is_cut = serializers.BooleanField()
    calls = serializers.IntegerField()
    unpriced = serializers.IntegerField()
    groups = serializers.IntegerField()
    before = UsdText()
    after = UsdText()
    top = GroupEffectSerializer(many=True)
    examples = PriceExampleSerializer(many=True)


class PriceBookQuery(StrictSerializer):
    """Whose prices."""

    model = serializers.CharField(max_length=120, required=False)
    group = serializers.UUIDField(required=False)


def describe_price(price: Price) -> dict[str, Any]:
    """As DatedPriceSerializer says."""
    return {
        "id": price.pk,
        "object": "dated_price",
        "model": price.model,
        "group": price.group_id,
        "effective_from": price.effective_from,
        "sell_bps": price.sell_bps,
        "source": price.source,
        "list_is_estimated": price.list_is_estimated,
        "created_at": price.created_at,
        "tables": describe_tables(price.frozen().tables),
    }


class PriceBookViews(OperatorView):
    """What the views of the price book share."""

    def read_price(self, request: Request) -> tuple[Model, Group | None, PriceEntry]:
        """The price that the body describes. Raises ValidationError."""
        values = read_body(request, PriceInput)
        model = Model.objects.filter(pk=values["model"]).first()
        if model is None:
            raise serializers.ValidationError({"model": ["There is no such model."]})
        entry = PriceEntry(
            effective_from=values["effective_from"],
            sell_bps=values["sell_bps"],
            list_is_estimated=values["list_is_estimated"],
            source=values["source"],
            tables=_read_tables(values["rates"], values["sell_bps"]),
        )
        services.check_price(model, entry.tables)
        return model, self._find_group(values.get("group")), entry

    def _find_group(self, group_id: UUID | None) -> Group | None:
        if group_id is None:
            return None
        group = self.groups().filter(pk=group_id).first()
        if group is None:
            raise serializers.ValidationError({"group": ["There is no such group."]})
        return group


def _read_tables(rows: list[dict[str, Any]], sell_bps: int) -> tuple[RateTable, ...]:
    tables: dict[tuple[Any, int], dict[str, Rate]] = {}
    for place, row in enumerate(rows):
        rates = tables.setdefault((row["tier"], row["above_input_tokens"]), {})
        if row["bucket"] in rates:
            raise serializers.ValidationError(
                {f"rates.{place}.bucket": ["This stands here twice."]}
            )
        share = row.get("sell_bps")
        per = BUCKET_UNITS.get(row["bucket"], 1)
        rates[row["bucket"]] = Rate(row["list_price"], per, sell_bps if share is None else share)
    return tuple(RateTable(tier, above, rates) for (tier, above), rates in sorted(tables.items()))


@extend_schema_view(
    get=extend_schema(
        operation_id="list_price_book",
        tags=TAGS,
        parameters=[PriceBookQuery],
        responses={200: DatedPriceSerializer(many=True)},
    ),
    post=extend_schema(
        operation_id="add_price",
        tags=TAGS,
        request=PriceInput,
        responses={201: DatedPriceSerializer},
    ),
)
class PriceBook(PriceBookViews):
    """Lists dated prices, and books a new one."""

    pagination_class = CursorPages
    query_names = names_of(PriceBookQuery)

    def get(self, request: Request) -> Response:
        """Every price that was ever booked, the latest booking first."""
        values = read_query(request, PriceBookQuery)
        found = Price.objects.filter(**values).prefetch_related("rates")
        rows = page_of(self, found)
        return self.get_paginated_response([describe_price(row) for row in rows])

    def post(self, request: Request) -> Response:
        """Book a price that begins in the future. There is no way to change it, or to take it back."""
        model, group, entry = self.read_price(request)
        booked = services.add_price(self.user, model, group, entry)
        booked = Price.objects.prefetch_related("rates").get(pk=booked.pk)
        headers = {"Location": f"{reverse('api_price_book')}?model={model.pk}"}
        return Response(describe_price(booked), status=201, headers=headers)


@extend_schema_view(
    post=extend_schema(
        operation_id="preview_price",
        tags=TAGS,
        request=PriceInput,
        responses={200: PricePreviewSerializer},
    )
)
class PricePreview(PriceBookViews):
    """Shows what a price would do."""

    def post(self, request: Request) -> Response:
        """Charge the model's calls of the last 30 days once more, at this price. Nothing is booked."""
        model, group, entry = self.read_price(request)
        current = services.price_in_force(model, group, timezone.now())
        frozen = services.frozen_entry(entry, model, group)
        before = current.frozen() if current else None
        answer = {
            "object": "price_preview",
            "model": model.pk,
            "replaces": current.pk if current else None,
            **_describe_effect(read_effect(model, group, frozen)),
            "examples": [_describe_example(one) for one in list_examples(model, before, frozen)],
        }
        return Response(answer)


def _describe_effect(effect: Effect) -> dict[str, Any]:
    return {
        "since": effect.since,
        "is_cut": effect.is_cut,
        "calls": effect.calls,
        "unpriced": effect.unpriced,
        "groups": effect.groups,
        "before": format_usd(effect.before_nanos),
        "after": format_usd(effect.after_nanos),
        "top": [
            {
                "group": one.group.pk if one.group else None,
                "calls": one.calls,
                "before": format_usd(one.before_nanos),
                "after": format_usd(one.after_nanos),
            }
            for one in effect.top
        ],
    }


def _describe_example(example: Example) -> dict[str, Any]:
    amounts = {"before": example.before_nanos, "after": example.after_nanos}
    return {
        "key": example.key,
        "input_tokens": example.input_tokens,
        "output_tokens": example.output_tokens,
        **{name: None if nanos is None else format_usd(nanos) for name, nanos in amounts.items()},
    }
