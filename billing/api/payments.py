"""Orders of credits: placed here, paid at the payment provider's page, settled by its events."""

from typing import Any
from uuid import UUID, uuid5

from django.conf import settings
from django.shortcuts import get_object_or_404
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.errors import Problem
from accounts.api.fields import MomentField, ObjectField
from accounts.api.idempotency import operation_id_of
from accounts.api.schema import IDEMPOTENT
from accounts.api.serializers import StrictSerializer
from accounts.api.views import ManagementView
from accounts.models import Organization
from billing.api.fields import UsdField
from billing.api.moves import REPLAYED
from billing.api.refusals import refusals_of_ledger
from billing.api.timed_pages import TimedPages
from billing.api.transfers import TAGS, MakerSerializer
from billing.money import format_usd
from billing.notice_models import Order
from billing.pages.payments import LEAST_NANOS, MOST_NANOS
from billing.payments.interface import CannotStart
from billing.payments.orders import place_order, start_payment
from billing.payments.stripe_checkout import NANOS_PER_CENT, find_provider


class OrderSerializer(serializers.Serializer[Any]):
    """Credits that an organization buys. `checkout_url` is where they are paid; the pool gets them once they are."""

    id = serializers.UUIDField()
    object = ObjectField("payment")
    amount = UsdField(source="amount_nanos")
    refunded = UsdField(source="refunded_nanos")
    currency = serializers.SerializerMethodField()
    state = serializers.ChoiceField(choices=Order.State.values)
    checkout_url = serializers.SerializerMethodField()
    buyer = MakerSerializer()
    created_at = MomentField()
    ended_at = MomentField(allow_null=True)

    def get_currency(self, order: Order) -> str:
        return order.currency.upper()

    def get_checkout_url(self, order: Order) -> str | None:
        is_open = order.state == Order.State.OPEN
        return (order.checkout_url or None) if is_open else None


class OrderInput(StrictSerializer):
    """How many credits to buy: whole cents."""

    amount = UsdField()

    def validate_amount(self, nanos: int) -> int:
        if nanos % NANOS_PER_CENT:
            raise serializers.ValidationError("Whole cents only.")
        if not LEAST_NANOS <= nanos <= MOST_NANOS:
            limits = f"From ${format_usd(LEAST_NANOS)} to ${format_usd(MOST_NANOS)}."
            raise serializers.ValidationError(limits)
        return nanos


class Payments(ManagementView):
    """The orders of an organization."""

    pagination_class = TimedPages
    serializer_class = OrderSerializer
    queryset = Order.objects.none()

    @extend_schema(operation_id="list_payments", tags=TAGS, responses=OrderSerializer(many=True))
    def get(self, request: Request, organization_id: UUID) -> Response:
        """Orders of credits, newest first. For admins of the organization."""
        found = self.administered_organization(organization_id)
        page = self.paginate_queryset(
            Order.objects.filter(organization=found).select_related("buyer")
        )
        return self.get_paginated_response(OrderSerializer(page, many=True).data)

    @extend_schema(
        operation_id="create_payment",
        tags=TAGS,
        parameters=IDEMPOTENT,
        request=OrderInput,
        responses={201: OrderSerializer},
    )
    def post(self, request: Request, organization_id: UUID) -> Response:
        """Order credits. Somebody pays at `checkout_url` then. Answers 404 where credits cannot be bought here. For
        admins of the organization."""
        found = self.administered_organization(organization_id)
        provider = find_provider()
        if provider is None:
            raise Problem(404, "not_found", "Credits cannot be bought here.")
        given = OrderInput(data=request.data)
        given.is_valid(raise_exception=True)
        # An id of its own: the deposit that pays it bears it, and no other move may have taken it by then.
        order_id = uuid5(operation_id_of(request), "payment")
        replayed = Order.objects.filter(pk=order_id).exists()
        with refusals_of_ledger():
            amount = given.validated_data["amount"]
            order = place_order(found, amount, order_id=order_id, buyer=self.user)
        here, back = _pages_of(request, found, order)
        try:
            order = start_payment(order, provider, here, back)
        except CannotStart:
            message = "The payment provider cannot be reached. Nothing was charged."
            raise Problem(502, "upstream_error", message) from None
        headers = {"Location": reverse("api_payment", args=[found.pk, order.pk])}
        return Response(
            OrderSerializer(order).data,
            status=201,
            headers=headers | ({REPLAYED: "true"} if replayed else {}),
        )


def _pages_of(request: Request, organization: Organization, order: Order) -> tuple[str, str]:
    """Where the provider leads whoever has paid, and whoever has not."""
    base = settings.PUBLIC_URL or request.build_absolute_uri("/").rstrip("/")
    here = reverse("payment", args=[organization.pk, order.pk])
    back = reverse("organization_payments", args=[organization.pk])
    return f"{base}{here}", f"{base}{back}?cancelled=1"


class PaymentDetail(ManagementView):
    """One order."""

    serializer_class = OrderSerializer

    @extend_schema(operation_id="get_payment", tags=TAGS)
    def get(self, request: Request, organization_id: UUID, order_id: UUID) -> Response:
        """What became of one order. For admins of the organization."""
        found = self.administered_organization(organization_id)
        orders: Any = Order.objects.filter(organization=found).select_related("buyer")
        return Response(OrderSerializer(get_object_or_404(orders, pk=order_id)).data)
