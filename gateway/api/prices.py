"""/api/v1/prices: what can be called, at list price and at yours."""

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.paging import CursorPages, list_object, read_limit
from accounts.api.serializers import StrictSerializer
from accounts.api.views import ManagementView
from accounts.models import Group
from billing.models import Price
from billing.money import format_scaled
from billing.picture_pricing import parse_bucket
from billing.pricing import Rate, RateTable
from gateway.api.queries import names_of, read_query
from gateway.api.schemas import UsdText
from gateway.catalog import Model as CatalogModel
from gateway.endpoints.models import (
    BPS_DECIMALS,
    MODALITIES,
    NANO_DECIMALS,
    SERVED_MODES,
    can_be_called,
)
from gateway.models import Model

TAGS = ["Prices"]
TIERS = ("standard", "flex", "priority")


class PriceQuery(StrictSerializer):
    """Whose prices and of which provider. A group's own prices come before everybody's."""

    group = serializers.UUIDField(required=False, help_text="One of your groups.")
    provider = serializers.CharField(max_length=40, required=False)


class RateSerializer(serializers.Serializer[Any]):
    """What `unit` of a bucket costs: at list, and charged."""

    bucket = serializers.CharField()
    unit = serializers.CharField()
    list_price = UsdText()
    price = UsdText()
    sell_bps = serializers.IntegerField()


class RateTableSerializer(serializers.Serializer[Any]):
    """Rates of a service tier, for calls with more input than `above_input_tokens`."""

    tier = serializers.CharField()
    above_input_tokens = serializers.IntegerField()
    rates = RateSerializer(many=True)


class PriceSerializer(serializers.Serializer[Any]):
    """A model with the price that is in force; `group` is set where it is the group's own."""

    id = serializers.CharField()
    object = serializers.CharField()
    aliases = serializers.ListField(child=serializers.CharField())
    provider = serializers.CharField()
    modality = serializers.CharField()
    context_length = serializers.IntegerField(allow_null=True)
    max_completion_tokens = serializers.IntegerField(allow_null=True)
    retires_on = serializers.DateField(allow_null=True)
    price_id = serializers.IntegerField()
    group = serializers.UUIDField(allow_null=True)
    effective_from = serializers.DateTimeField()
    list_is_estimated = serializers.BooleanField()
    currency = serializers.CharField()
    tables = RateTableSerializer(many=True)


def prices_in_force(names: Iterable[str], group: Group | None) -> Mapping[str, Price]:
    """By the name of the model: the group's own price, else everybody's."""
    whose = Q(group=None) if group is None else Q(group=None) | Q(group=group)
    found = Price.objects.filter(whose, model__in=list(names)).in_force(timezone.now())
    by_model: dict[str, Price] = {}
    for price in found.prefetch_related("rates"):
        if price.group_id is not None or price.model not in by_model:
            by_model[price.model] = price
    return by_model


def describe_tables(tables: Iterable[RateTable]) -> list[dict[str, Any]]:
    """Standard first, shorter contexts first."""
    ordered = sorted(tables, key=lambda one: (TIERS.index(one.tier), one.above_input_tokens))
    return [
        {
            "tier": table.tier,
            "above_input_tokens": table.above_input_tokens,
            "rates": [_describe_rate(name, rate) for name, rate in sorted(table.rates.items())],
        }
        for table in ordered
    ]


def _describe_rate(bucket: str, rate: Rate) -> dict[str, Any]:
    pictures = parse_bucket(bucket)
    sale = format_scaled(rate.list_nanos * rate.sell_bps, NANO_DECIMALS + BPS_DECIMALS)
    return {
        "bucket": bucket,
        "unit": pictures.unit if pictures else "1000000 tokens" if rate.per > 1 else "1",
        "list_price": format_scaled(rate.list_nanos, NANO_DECIMALS),
        "price": sale,
        "sell_bps": rate.sell_bps,
    }


def _can_be_called(model: Model, price: Price) -> bool:
    shown = CatalogModel(
        name=model.name,
        provider=model.provider_id,
        upstream_name=model.upstream_name,
        mode=model.mode,
    )
    return can_be_called(shown, price.frozen())


def _describe(model: Model, price: Price) -> dict[str, Any]:
    return {
        "id": model.name,
        "object": "price",
        "aliases": list(model.aliases),
        "provider": model.provider_id,
        "modality": MODALITIES[model.mode],
        "context_length": model.context_length,
        "max_completion_tokens": model.max_completion_tokens,
        "retires_on": model.retires_on,
        "price_id": price.pk,
        "group": price.group_id,
        "effective_from": price.effective_from,
        "list_is_estimated": price.list_is_estimated,
        "currency": "USD",
        "tables": describe_tables(price.frozen().tables),
    }


@extend_schema_view(
    get=extend_schema(
        operation_id="list_prices",
        tags=TAGS,
        parameters=[PriceQuery],
        responses={200: PriceSerializer(many=True)},
    )
)
class Prices(ManagementView):
    """Lists the prices in force."""

    pagination_class = CursorPages
    query_names = names_of(PriceQuery)

    def get(self, request: Request) -> Response:
        """Every model that can be called, by name, with its price at list and yours."""
        values = read_query(request, PriceQuery)
        limit = read_limit(request)
        group_id: UUID | None = values.get("group")
        group = self.find_group(group_id) if group_id else None
        models = Model.objects.filter(is_enabled=True, mode__in=SERVED_MODES).order_by("name")
        if "provider" in values:
            models = models.filter(provider=values["provider"])
        after = request.query_params.get("after", "")
        rows = {model.name: model for model in models if model.name > after}
        prices = prices_in_force(rows, group)
        found = [
            (model, prices[name])
            for name, model in sorted(rows.items())
            if name in prices and _can_be_called(model, prices[name])
        ]
        page = found[:limit]
        following = page[-1][0].name if len(found) > limit else None
        return Response(list_object([_describe(*pair) for pair in page], following))
