"""/api/v1/catalog: every model, whether it can be called or not, and its facts."""

from typing import Any

from django.http import Http404
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.paging import CursorPages, list_object, read_limit
from accounts.api.serializers import StrictSerializer
from accounts.api.views import OperatorView
from billing.api.fields import CountField
from gateway.api.fields import FlagField, TextField
from gateway.api.queries import names_of, read_body, read_query
from gateway.models import Model
from gateway.operator.price_reading import ModelRow, list_models
from gateway.operator.price_services import ModelFacts, change_model

TAGS = ["Operators"]
TOKENS_MAX = 2**31 - 1
NAME_CHARS_MAX = 120


class CatalogModelSerializer(serializers.Serializer[Any]):
    """A model. It can be called where it is enabled, has a price in force and a channel; margins are in thousandths of
    the revenue, at the dearest and at the cheapest channel."""

    id = serializers.CharField()
    object = serializers.CharField()
    provider = serializers.CharField()
    upstream_name = serializers.CharField()
    aliases = serializers.ListField(child=serializers.CharField())
    mode = serializers.CharField()
    context_length = serializers.IntegerField(allow_null=True)
    max_completion_tokens = serializers.IntegerField(allow_null=True)
    retires_on = serializers.DateField(allow_null=True)
    is_enabled = serializers.BooleanField()
    channels = serializers.IntegerField()
    price_id = serializers.IntegerField(allow_null=True)
    upcoming_price_id = serializers.IntegerField(allow_null=True)
    own_prices = serializers.IntegerField()
    margin_low_permille = serializers.IntegerField(allow_null=True)
    margin_high_permille = serializers.IntegerField(allow_null=True)


class CatalogChangeInput(StrictSerializer):
    """What of a model is to change; what is not named stays."""

    is_enabled = FlagField(required=False)
    aliases = serializers.ListField(
        child=TextField(max_length=NAME_CHARS_MAX), max_length=50, required=False
    )
    upstream_name = TextField(max_length=NAME_CHARS_MAX, required=False)
    context_length = CountField(min_value=0, max_value=TOKENS_MAX, required=False, allow_null=True)
    max_completion_tokens = CountField(
        min_value=0, max_value=TOKENS_MAX, required=False, allow_null=True
    )
    retires_on = serializers.DateField(required=False, allow_null=True)


class CatalogQuery(StrictSerializer):
    """Which models."""

    provider = serializers.CharField(max_length=40, required=False)


def describe_model(row: ModelRow) -> dict[str, Any]:
    """As CatalogModelSerializer says."""
    model = row.model
    return {
        "id": model.name,
        "object": "model",
        "provider": model.provider_id,
        "upstream_name": model.upstream_name,
        "aliases": list(model.aliases),
        "mode": model.mode,
        "context_length": model.context_length,
        "max_completion_tokens": model.max_completion_tokens,
        "retires_on": model.retires_on,
        "is_enabled": model.is_enabled,
        "channels": row.channels,
        "price_id": row.price.pk if row.price else None,
        "upcoming_price_id": row.upcoming.pk if row.upcoming else None,
        "own_prices": row.own_prices,
        "margin_low_permille": row.margin.low if row.margin else None,
        "margin_high_permille": row.margin.high if row.margin else None,
    }


@extend_schema_view(
    get=extend_schema(
        operation_id="list_catalog",
        tags=TAGS,
        parameters=[CatalogQuery],
        responses={200: CatalogModelSerializer(many=True)},
    )
)
class Catalog(OperatorView):
    """Lists models."""

    pagination_class = CursorPages
    query_names = names_of(CatalogQuery)

    def get(self, request: Request) -> Response:
        """Every model, by name, with what stands in its way of being called."""
        values = read_query(request, CatalogQuery)
        limit = read_limit(request)
        after = request.query_params.get("after", "")
        rows = sorted(list_models(), key=lambda row: row.model.name)
        found = [
            row
            for row in rows
            if row.model.name > after
            and values.get("provider", row.model.provider_id) == row.model.provider_id
        ]
        page = found[:limit]
        following = page[-1].model.name if len(found) > limit else None
        return Response(list_object([describe_model(row) for row in page], following))


@extend_schema_view(
    get=extend_schema(
        operation_id="get_catalog_model", tags=TAGS, responses=CatalogModelSerializer
    ),
    patch=extend_schema(
        operation_id="change_catalog_model",
        tags=TAGS,
        request=CatalogChangeInput,
        responses=CatalogModelSerializer,
    ),
)
class CatalogModel(OperatorView):
    """One model."""

    def get(self, request: Request, provider: str, name: str) -> Response:
        """One model."""
        return self._answer(find_model(provider, name))

    def patch(self, request: Request, provider: str, name: str) -> Response:
        """Change what a model is called and whether it can be called. Gateways follow within a second."""
        found = find_model(provider, name)
        values = read_body(request, CatalogChangeInput)
        stands = {field: getattr(found, field) for field in ModelFacts._fields}
        change_model(self.user, found.name, ModelFacts(**(stands | values)))
        return self._answer(found)

    def _answer(self, model: Model) -> Response:
        row = next((one for one in list_models() if one.model.pk == model.pk), None)
        if row is None:
            raise Http404
        return Response(describe_model(row))


def find_model(provider: str, name: str) -> Model:
    """Raises Http404, also for what no name can be."""
    if "\x00" in name:
        raise Http404
    return get_object_or_404(Model, pk=f"{provider}/{name}")
