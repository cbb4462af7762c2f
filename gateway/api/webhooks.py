"""/api/v1/groups/{id}/webhooks: addresses that are told of a group's events, and what became of the messages."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError
from django.shortcuts import get_object_or_404
from django.urls import reverse
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.errors import Problem
from accounts.api.fields import LineField, ObjectField
from accounts.api.paging import CursorPages
from accounts.api.serializers import StrictSerializer
from accounts.api.views import ManagementView
from accounts.models import Group
from gateway.addresses import URL_LENGTH_MAX
from gateway.api.deliveries import DeliverySerializer, describe_delivery, refusals_of_senders
from gateway.api.fields import FlagField, TextField
from gateway.api.queries import names_of, page_of, read_body, read_query
from gateway.models import Delivery, WebhookEndpoint
from gateway.nudge import nudge_deliveries
from gateway.webhooks import services
from gateway.webhooks.models import SUBSCRIBABLE, WebhookEvent

TAGS = ["Webhooks"]


class WebhookSerializer(serializers.ModelSerializer[WebhookEndpoint]):
    """A webhook. `stopped_why` says why it was switched off by itself: failing or gone."""

    object = ObjectField("webhook")
    events = serializers.ListField(child=serializers.CharField())

    class Meta:
        model = WebhookEndpoint
        fields = (
            "id",
            "object",
            "url",
            "description",
            "events",
            "is_enabled",
            "stopped_why",
            "failing_since",
            "rotated_at",
            "previous_until",
            "created_at",
        )


class NewWebhookSerializer(WebhookSerializer):
    """The same with its secret, which is not shown again."""

    secret = serializers.CharField()

    class Meta(WebhookSerializer.Meta):
        fields = (*WebhookSerializer.Meta.fields, "secret")  # type: ignore[assignment]


class WebhookSecretSerializer(serializers.Serializer[Any]):
    """What signs the messages, by the scheme of Standard Webhooks."""

    object = ObjectField("webhook_secret")
    secret = serializers.CharField()


class WebhookChangeInput(StrictSerializer):
    """What of a webhook is to change; what is not named stays."""

    url = TextField(max_length=URL_LENGTH_MAX, required=False)
    events = serializers.ListField(
        child=serializers.ChoiceField(choices=SUBSCRIBABLE),
        min_length=1,
        max_length=20,
        required=False,
    )
    description = LineField(
        max_length=services.DESCRIPTION_CHARS_MAX, required=False, allow_blank=True
    )
    is_enabled = FlagField(required=False)


class WebhookInput(WebhookChangeInput):
    """A new webhook."""

    url = TextField(max_length=URL_LENGTH_MAX)
    events = serializers.ListField(
        child=serializers.ChoiceField(choices=SUBSCRIBABLE), min_length=1, max_length=20
    )


class WebhookDeliveryQuery(StrictSerializer):
    """Which messages."""

    state = serializers.ChoiceField(choices=Delivery.State.values, required=False)
    event = serializers.ChoiceField(choices=WebhookEvent.Type.values, required=False)


class WebhookViews(ManagementView):
    """What the views of webhooks share: they are for managers of the group."""

    serializer_class = WebhookSerializer
    queryset = WebhookEndpoint.objects.none()

    def find_webhook(self, group_id: UUID, webhook_id: UUID) -> WebhookEndpoint:
        """Raises Http404, and Problem 403 for who only sees the group."""
        mine = WebhookEndpoint.objects.manageable_by(self.user, self.managed_group(group_id))
        return get_object_or_404(mine.select_related("group"), pk=webhook_id)

    def find_delivery(self, endpoint: WebhookEndpoint, delivery_id: UUID) -> Delivery:
        """Raises Http404."""
        mine = Delivery.objects.of_endpoint(endpoint).select_related("endpoint")
        return get_object_or_404(mine, pk=delivery_id)

    def answer_sent(self, delivery: Delivery) -> Response:
        """202: it is on its way."""
        nudge_deliveries()
        return Response(describe_delivery(delivery), status=202)


@extend_schema_view(
    get=extend_schema(
        operation_id="list_webhooks", tags=TAGS, responses={200: WebhookSerializer(many=True)}
    ),
    post=extend_schema(
        operation_id="create_webhook",
        tags=TAGS,
        request=WebhookInput,
        responses={201: NewWebhookSerializer},
    ),
)
class Webhooks(WebhookViews):
    """Lists the webhooks of a group, and makes new ones."""

    pagination_class = CursorPages

    def get(self, request: Request, group_id: UUID) -> Response:
        """Webhooks of the group, newest first."""
        group: Group = self.managed_group(group_id)
        rows = page_of(self, WebhookEndpoint.objects.of_group(group))
        return self.get_paginated_response(self.get_serializer(rows, many=True).data)

    def post(self, request: Request, group_id: UUID) -> Response:
        """Tell an address of the group's events. The answer has the secret that signs, this once."""
        group = self.managed_group(group_id)
        values = read_body(request, WebhookInput)
        plan = services.EndpointPlan(**values | {"events": tuple(values["events"])})
        base_url = settings.PUBLIC_URL or request.build_absolute_uri("/").rstrip("/")
        made, secret = services.create_endpoint(group, self.user, plan, base_url=base_url)
        address = reverse("api_webhook", args=[group.pk, made.pk])
        answer = dict(self.get_serializer(made).data) | {"secret": secret}
        return Response(answer, status=201, headers={"Location": address})


@extend_schema_view(
    get=extend_schema(operation_id="get_webhook", tags=TAGS),
    patch=extend_schema(
        operation_id="change_webhook",
        tags=TAGS,
        request=WebhookChangeInput,
        responses=WebhookSerializer,
    ),
    delete=extend_schema(operation_id="remove_webhook", tags=TAGS, responses={204: None}),
)
class WebhookDetail(WebhookViews):
    """One webhook."""

    def get(self, request: Request, group_id: UUID, webhook_id: UUID) -> Response:
        """One webhook."""
        return Response(self.get_serializer(self.find_webhook(group_id, webhook_id)).data)

    def patch(self, request: Request, group_id: UUID, webhook_id: UUID) -> Response:
        """Change its address, its events, or switch it off or on."""
        found = self.find_webhook(group_id, webhook_id)
        values = read_body(request, WebhookChangeInput)
        if "events" in values:
            values["events"] = tuple(values["events"])
        plan = services.plan_of(found)._replace(**values)
        changed = services.change_endpoint(found, self.user, plan)
        return Response(self.get_serializer(changed).data)

    def delete(self, request: Request, group_id: UUID, webhook_id: UUID) -> Response:
        """Take it away, with its log."""
        services.remove_endpoint(self.find_webhook(group_id, webhook_id), self.user)
        return Response(status=204)


@extend_schema_view(
    post=extend_schema(
        operation_id="rotate_webhook_secret",
        tags=TAGS,
        request=None,
        responses={200: WebhookSecretSerializer},
    )
)
class WebhookSecretRotation(WebhookViews):
    """Changes the secret of a webhook."""

    def post(self, request: Request, group_id: UUID, webhook_id: UUID) -> Response:
        """Another secret, shown this once; the one before signs too for 24 hours."""
        secret = services.rotate_secret(self.find_webhook(group_id, webhook_id), self.user)
        return Response(WebhookSecretSerializer({"secret": secret}).data)


@extend_schema_view(
    post=extend_schema(
        operation_id="test_webhook", tags=TAGS, request=None, responses={202: DeliverySerializer}
    )
)
class WebhookTest(WebhookViews):
    """Sends a test to a webhook."""

    def post(self, request: Request, group_id: UUID, webhook_id: UUID) -> Response:
        """Send a signed test; its delivery says what became of it."""
        found = self.find_webhook(group_id, webhook_id)
        with refusals_of_senders():
            sent = services.send_test(found, self.user)
        return self.answer_sent(sent)


@extend_schema_view(
    get=extend_schema(
        operation_id="list_webhook_deliveries",
        tags=TAGS,
        parameters=[WebhookDeliveryQuery],
        responses={200: DeliverySerializer(many=True)},
    )
)
class WebhookDeliveries(WebhookViews):
    """Lists the messages to a webhook."""

    pagination_class = CursorPages
    query_names = names_of(WebhookDeliveryQuery)

    def get(self, request: Request, group_id: UUID, webhook_id: UUID) -> Response:
        """What was sent to the webhook, newest first, with every try."""
        sent = Delivery.objects.of_endpoint(self.find_webhook(group_id, webhook_id))
        values = read_query(request, WebhookDeliveryQuery)
        if "state" in values:
            sent = sent.filter(state=values["state"])
        if "event" in values:
            sent = sent.filter(event__type=values["event"])
        rows = page_of(self, sent)
        return self.get_paginated_response([describe_delivery(row) for row in rows])


@extend_schema_view(
    get=extend_schema(operation_id="get_webhook_delivery", tags=TAGS, responses=DeliverySerializer)
)
class WebhookDelivery(WebhookViews):
    """One message to a webhook."""

    def get(
        self, request: Request, group_id: UUID, webhook_id: UUID, delivery_id: UUID
    ) -> Response:
        """One message and its tries."""
        found = self.find_delivery(self.find_webhook(group_id, webhook_id), delivery_id)
        return Response(describe_delivery(found))


@extend_schema_view(
    post=extend_schema(
        operation_id="redeliver_webhook",
        tags=TAGS,
        request=None,
        responses={202: DeliverySerializer},
    )
)
class WebhookRedelivery(WebhookViews):
    """Sends a message to a webhook again."""

    def post(
        self, request: Request, group_id: UUID, webhook_id: UUID, delivery_id: UUID
    ) -> Response:
        """Send the same event again, with the same id and bytes; one that waits is tried now."""
        found = self.find_delivery(self.find_webhook(group_id, webhook_id), delivery_id)
        try:
            with refusals_of_senders():
                sent = services.redeliver(found, self.user)
        except ValidationError as error:
            raise Problem(409, "webhook_disabled", " ".join(error.messages)) from None
        return self.answer_sent(sent)
