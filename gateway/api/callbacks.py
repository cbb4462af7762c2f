"""/api/v1/groups/{id}/keys/{id}/callbacks: what signs a key's callbacks, and what became of them."""

from typing import Any
from uuid import UUID

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.errors import Problem
from accounts.api.fields import ObjectField
from accounts.api.paging import CursorPages
from accounts.api.serializers import StrictSerializer
from accounts.api.views import ManagementView
from accounts.models import APIKey
from gateway import callbacks
from gateway.addresses import URL_LENGTH_MAX
from gateway.api.deliveries import DeliverySerializer, describe_delivery, refusals_of_senders
from gateway.api.fields import TextField
from gateway.api.queries import page_of, read_body
from gateway.callback_secrets import callback_secret, rotate_secret
from gateway.credentials import BadCredential
from gateway.models import Delivery
from gateway.nudge import nudge_deliveries

TAGS = ["Keys"]


class CallbackTestInput(StrictSerializer):
    """Where to send a test."""

    url = TextField(max_length=URL_LENGTH_MAX)


class SecretSerializer(serializers.Serializer[Any]):
    """What signs the messages, by the scheme of Standard Webhooks."""

    object = ObjectField("callback_secret")
    secret = serializers.CharField()


class CallbackViews(ManagementView):
    """What the views of callbacks share."""

    def find_key(self, group_id: UUID, key_id: UUID) -> APIKey:
        """A key that the user may manage. Raises Http404."""
        group = self.find_group(group_id)
        keys = APIKey.objects.manageable_by(self.user, group)
        return get_object_or_404(keys.select_related("group"), pk=key_id)

    def find_delivery(self, key: APIKey, delivery_id: UUID) -> Delivery:
        """Raises Http404."""
        found = Delivery.objects.select_related("task", "event", "api_key")
        return get_object_or_404(found, pk=delivery_id, api_key=key)

    def answer_sent(self, delivery: Delivery) -> Response:
        """202: it is on its way."""
        nudge_deliveries()
        return Response(describe_delivery(delivery), status=202)


@extend_schema_view(
    get=extend_schema(
        operation_id="list_callbacks", tags=TAGS, responses={200: DeliverySerializer(many=True)}
    )
)
class Callbacks(CallbackViews):
    """Lists the deliveries of a key's callbacks."""

    pagination_class = CursorPages

    def get(self, request: Request, group_id: UUID, key_id: UUID) -> Response:
        """Messages to the addresses that callers of the key gave, newest first, with every try."""
        key = self.find_key(group_id, key_id)
        mine = Delivery.objects.filter(api_key=key).select_related("event").defer("payload")
        rows = page_of(self, mine)
        return self.get_paginated_response([describe_delivery(row) for row in rows])


@extend_schema_view(
    get=extend_schema(operation_id="get_callback", tags=TAGS, responses=DeliverySerializer)
)
class CallbackDetail(CallbackViews):
    """One delivery."""

    def get(self, request: Request, group_id: UUID, key_id: UUID, delivery_id: UUID) -> Response:
        """One message and its tries."""
        delivery = self.find_delivery(self.find_key(group_id, key_id), delivery_id)
        return Response(describe_delivery(delivery))


@extend_schema_view(
    post=extend_schema(
        operation_id="redeliver_callback",
        tags=TAGS,
        request=None,
        responses={202: DeliverySerializer},
    )
)
class CallbackRedelivery(CallbackViews):
    """Sends a message again."""

    def post(self, request: Request, group_id: UUID, key_id: UUID, delivery_id: UUID) -> Response:
        """Send the message again; one that waits is tried now."""
        delivery = self.find_delivery(self.find_key(group_id, key_id), delivery_id)
        with refusals_of_senders():
            sent = callbacks.redeliver(delivery)
        return self.answer_sent(sent)


@extend_schema_view(
    post=extend_schema(
        operation_id="test_callback",
        tags=TAGS,
        request=CallbackTestInput,
        responses={202: DeliverySerializer},
    )
)
class CallbackTest(CallbackViews):
    """Sends a test."""

    def post(self, request: Request, group_id: UUID, key_id: UUID) -> Response:
        """Send a signed test to an address; its delivery says what became of it."""
        key = self.find_key(group_id, key_id)
        url = read_body(request, CallbackTestInput)["url"]
        with refusals_of_senders():
            sent = callbacks.send_test(key, url)
        return self.answer_sent(sent)


@extend_schema_view(
    post=extend_schema(
        operation_id="show_callback_secret",
        tags=TAGS,
        request=None,
        responses={200: SecretSerializer},
    )
)
class CallbackSecretView(CallbackViews):
    """Shows the secret of a key's callbacks."""

    def post(self, request: Request, group_id: UUID, key_id: UUID) -> Response:
        """The secret that signs the key's callbacks; made now if there was none."""
        key = self.find_key(group_id, key_id)
        try:
            return Response(SecretSerializer({"secret": callback_secret(key)}).data)
        except BadCredential:
            message = "The secret cannot be read. Rotate it."
            raise Problem(409, "secret_unreadable", message) from None


@extend_schema_view(
    post=extend_schema(
        operation_id="rotate_callback_secret",
        tags=TAGS,
        request=None,
        responses={200: SecretSerializer},
    )
)
class CallbackSecretRotation(CallbackViews):
    """Changes the secret of a key's callbacks."""

    def post(self, request: Request, group_id: UUID, key_id: UUID) -> Response:
        """Another secret; the one before signs too for 24 hours."""
        key = self.find_key(group_id, key_id)
        return Response(SecretSerializer({"secret": rotate_secret(key)}).data)
