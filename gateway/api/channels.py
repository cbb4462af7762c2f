"""/api/v1/providers and /api/v1/channels: vendors, and the credentials and addresses by which they are called."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.debug import sensitive_variables
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.errors import Problem
from accounts.api.fields import MomentField, ObjectField
from accounts.api.paging import CursorPages
from accounts.api.serializers import StrictSerializer
from accounts.api.views import OperatorView
from billing.api.fields import CountField
from gateway.api.channel_schemas import ChannelSerializer, describe_channels
from gateway.api.fields import FlagField, NamesField, TextField
from gateway.api.queries import names_of, page_of, read_body, read_query
from gateway.channels import Change
from gateway.models import Channel, ChannelCost, Model, Provider
from gateway.operator import channel_services as services
from gateway.operator.channel_tests import testable_models, try_channel
from gateway.operator_models import COST_BPS_MAX, LIST_BPS
from gateway.providers import DIALECTS

TAGS = ["Operators"]
INT_MAX = 2**31 - 1
CREDENTIAL_CHARS_MAX = 4000
URL_CHARS_MAX = 200


class ProviderSerializer(serializers.ModelSerializer[Provider]):
    """A vendor: names of its models begin with its id."""

    id = serializers.CharField(source="slug")
    object = ObjectField("provider")

    class Meta:
        model = Provider
        fields = ("id", "object", "name", "dialect", "base_url")


class ProviderInput(StrictSerializer):
    """A vendor that is not among the known ones."""

    id = serializers.SlugField(max_length=40)
    name = TextField(max_length=80)
    dialect = serializers.ChoiceField(choices=sorted(DIALECTS))
    base_url = TextField(max_length=URL_CHARS_MAX)


class ChannelChangeInput(StrictSerializer):
    """What of a channel is to change; what is not named stays. `credential` is written and never shown."""

    base_url = TextField(max_length=URL_CHARS_MAX, required=False)
    priority = CountField(min_value=-INT_MAX, max_value=INT_MAX, required=False)
    weight = CountField(min_value=0, max_value=INT_MAX, required=False)
    model_map = NamesField(
        required=False,
        help_text="Names of models, and what they are called here. Empty: every model of the provider.",
    )
    credential = TextField(max_length=CREDENTIAL_CHARS_MAX, required=False, write_only=True)


class ChannelInput(ChannelChangeInput):
    """A new channel. It takes no calls until it is enabled, unless it begins so."""

    provider = TextField(max_length=40)
    name = TextField(max_length=80)
    base_url = TextField(max_length=URL_CHARS_MAX)
    credential = TextField(max_length=CREDENTIAL_CHARS_MAX, write_only=True)
    cost_bps = CountField(min_value=0, max_value=COST_BPS_MAX, default=LIST_BPS)
    is_enabled = FlagField(default=False)


class ChannelTestInput(StrictSerializer):
    """Which model to call; without one the vendor is asked what costs nothing."""

    model = TextField(max_length=120, required=False)


class ChannelTestSerializer(serializers.Serializer[Any]):
    """What became of a test; `status` is null where no answer came."""

    object = ObjectField("channel_test")
    is_good = serializers.BooleanField()
    status = serializers.IntegerField(allow_null=True)
    duration_ms = serializers.IntegerField(source="ms")
    text = serializers.CharField(allow_blank=True)
    model = serializers.CharField(allow_blank=True)
    address = serializers.CharField()


class ChannelCostInput(StrictSerializer):
    """From which full hour on, still to come, the channel costs which share of list price."""

    cost_bps = CountField(min_value=0, max_value=COST_BPS_MAX)
    effective_from = MomentField()


class ChannelCostSerializer(serializers.ModelSerializer[ChannelCost]):
    """A dated cost of a channel."""

    object = ObjectField("channel_cost")

    class Meta:
        model = ChannelCost
        fields = ("id", "object", "cost_bps", "effective_from", "created_at")


class ChannelQuery(StrictSerializer):
    """Whose channels."""

    provider = serializers.CharField(max_length=40, required=False)


@extend_schema_view(
    get=extend_schema(
        operation_id="list_providers", tags=TAGS, responses={200: ProviderSerializer(many=True)}
    ),
    post=extend_schema(
        operation_id="add_provider",
        tags=TAGS,
        request=ProviderInput,
        responses={201: ProviderSerializer},
    ),
)
class Providers(OperatorView):
    """Lists vendors, and adds one."""

    pagination_class = CursorPages
    serializer_class = ProviderSerializer
    queryset = Provider.objects.none()

    def get(self, request: Request) -> Response:
        """Every vendor, by id from the end of the alphabet."""
        rows = page_of(self, Provider.objects.all())
        return self.get_paginated_response(self.get_serializer(rows, many=True).data)

    def post(self, request: Request) -> Response:
        """Add a vendor, spoken to in one of the known dialects."""
        values = read_body(request, ProviderInput)
        provider = Provider(slug=values.pop("id"), **values)
        if Provider.objects.filter(pk=provider.pk).exists():
            raise serializers.ValidationError({"id": ["There is a provider of this id already."]})
        made = services.add_provider(self.user, provider)
        headers = {"Location": reverse("api_providers")}
        return Response(self.get_serializer(made).data, status=201, headers=headers)


class ChannelViews(OperatorView):
    """What the views of channels share."""

    serializer_class = ChannelSerializer

    def find_channel(self, channel_id: int) -> Channel:
        """Raises Http404."""
        return get_object_or_404(Channel.objects.select_related("provider"), pk=channel_id)

    def describe(self, channel_id: int) -> dict[str, Any]:
        """The channel as it stands now."""
        return describe_channels([self.find_channel(channel_id)])[0]


@extend_schema_view(
    get=extend_schema(
        operation_id="list_channels",
        tags=TAGS,
        parameters=[ChannelQuery],
        responses={200: ChannelSerializer(many=True)},
    ),
    post=extend_schema(
        operation_id="add_channel",
        tags=TAGS,
        request=ChannelInput,
        responses={201: ChannelSerializer},
    ),
)
class Channels(ChannelViews):
    """Lists channels, and adds one."""

    pagination_class = CursorPages
    query_names = names_of(ChannelQuery)
    queryset = Channel.objects.none()

    def get(self, request: Request) -> Response:
        """Every channel, newest first, with its health in the last hour. Credentials are never shown."""
        found = Channel.objects.select_related("provider")
        values = read_query(request, ChannelQuery)
        if "provider" in values:
            found = found.filter(provider=values["provider"])
        return self.get_paginated_response(describe_channels(page_of(self, found)))

    @sensitive_variables("values", "credential")
    def post(self, request: Request) -> Response:
        """Add a channel of a known provider."""
        values = read_body(request, ChannelInput)
        credential, cost_bps = values.pop("credential"), values.pop("cost_bps")
        provider = Provider.objects.filter(pk=values.pop("provider")).first()
        if provider is None:
            raise serializers.ValidationError({"provider": ["There is no such provider."]})
        channel = Channel(provider=provider, **values)
        with at_credential():
            made = services.add_channel(self.user, channel, credential, cost_bps)
        headers = {"Location": reverse("api_channel", args=[made.pk])}
        return Response(self.describe(made.pk), status=201, headers=headers)


@extend_schema_view(
    get=extend_schema(operation_id="get_channel", tags=TAGS),
    patch=extend_schema(
        operation_id="change_channel",
        tags=TAGS,
        request=ChannelChangeInput,
        responses=ChannelSerializer,
    ),
    delete=extend_schema(operation_id="delete_channel", tags=TAGS, responses={204: None}),
)
class ChannelDetail(ChannelViews):
    """One channel."""

    def get(self, request: Request, channel_id: int) -> Response:
        """One channel with its health in the last hour."""
        return Response(self.describe(channel_id))

    @sensitive_variables("values", "credential")
    def patch(self, request: Request, channel_id: int) -> Response:
        """Change its address, its place, its map of models or its credential. Gateways follow within a second."""
        found = self.find_channel(channel_id)
        values = read_body(request, ChannelChangeInput)
        credential = values.pop("credential", None)
        with transaction.atomic():
            if values:
                services.change_channel(self.user, found.pk, Change(**values))
            if credential is not None:
                with at_credential():
                    services.rotate_credential(self.user, found.pk, credential)
        return Response(self.describe(channel_id))

    def delete(self, request: Request, channel_id: int) -> Response:
        """Delete a channel that is disabled and never took a call."""
        found = self.find_channel(channel_id)
        try:
            services.delete_channel(self.user, found.pk)
        except ValidationError as error:
            raise Problem(409, "channel_in_use", " ".join(error.messages)) from None
        return Response(status=204)


@extend_schema_view(
    post=extend_schema(
        operation_id="enable_channel",
        tags=TAGS,
        request=None,
        responses={200: ChannelSerializer},
    )
)
class ChannelEnabling(ChannelViews):
    """Puts a channel into routing."""

    def post(self, request: Request, channel_id: int) -> Response:
        """Let calls go through the channel."""
        services.switch_channel(self.user, self.find_channel(channel_id).pk, is_enabled=True)
        return Response(self.describe(channel_id))


@extend_schema_view(
    post=extend_schema(
        operation_id="disable_channel",
        tags=TAGS,
        request=None,
        responses={200: ChannelSerializer},
    )
)
class ChannelDisabling(ChannelViews):
    """Takes a channel out of routing."""

    def post(self, request: Request, channel_id: int) -> Response:
        """Let no more calls go through the channel. Running ones go on."""
        services.switch_channel(self.user, self.find_channel(channel_id).pk, is_enabled=False)
        return Response(self.describe(channel_id))


@extend_schema_view(
    post=extend_schema(
        operation_id="test_channel",
        tags=TAGS,
        request=ChannelTestInput,
        responses={200: ChannelTestSerializer},
    )
)
class ChannelTesting(ChannelViews):
    """Tries a channel."""

    def post(self, request: Request, channel_id: int) -> Response:
        """Send a real request through the channel, and say what came of it. 10 a minute at most."""
        found = self.find_channel(channel_id)
        name = read_body(request, ChannelTestInput).get("model")
        model: Model | None = None
        if name is not None:
            model = next((one for one in testable_models(found) if one.name == name), None)
            if model is None:
                message = "The channel cannot be tested with this model."
                raise serializers.ValidationError({"model": [message]})
        try:
            services.count_test(self.user, found, name or "")
        except services.TooManyTests:
            message = "Too many tests within a minute. Wait a little."
            raise Problem(429, "rate_limited", message) from None
        return Response(ChannelTestSerializer(try_channel(found, model)).data)


@extend_schema_view(
    get=extend_schema(
        operation_id="list_channel_costs",
        tags=TAGS,
        responses={200: ChannelCostSerializer(many=True)},
    ),
    post=extend_schema(
        operation_id="set_channel_cost",
        tags=TAGS,
        request=ChannelCostInput,
        responses={201: ChannelCostSerializer},
    ),
)
class ChannelCosts(ChannelViews):
    """What a channel costs."""

    pagination_class = CursorPages
    serializer_class = ChannelCostSerializer  # type: ignore[assignment]
    queryset = ChannelCost.objects.none()

    def get(self, request: Request, channel_id: int) -> Response:
        """The dated costs of a channel, as shares of list price; before the first it costs list price."""
        found = self.find_channel(channel_id)
        rows = page_of(self, ChannelCost.objects.filter(channel=found))
        return self.get_paginated_response(self.get_serializer(rows, many=True).data)

    def post(self, request: Request, channel_id: int) -> Response:
        """Set what the channel costs from a full hour to come. Costs are never edited."""
        found = self.find_channel(channel_id)
        values = read_body(request, ChannelCostInput)
        cost = services.set_cost(self.user, found.pk, values["cost_bps"], values["effective_from"])
        headers = {"Location": reverse("api_channel_costs", args=[found.pk])}
        return Response(self.get_serializer(cost).data, status=201, headers=headers)


@contextmanager
def at_credential() -> Iterator[None]:
    """What is refused inside without naming a field is the credential."""
    try:
        yield
    except ValidationError as error:
        if hasattr(error, "error_dict"):
            raise
        raise serializers.ValidationError({"credential": error.messages}) from None
