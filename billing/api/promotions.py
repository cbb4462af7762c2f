"""Promotional credits of groups."""

from typing import Any
from uuid import UUID

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.fields import MomentField, ObjectField
from accounts.api.idempotency import operation_id_of
from accounts.api.schema import IDEMPOTENT
from accounts.api.serializers import StrictSerializer
from accounts.api.views import ManagementView
from accounts.models import Group
from billing import promotions
from billing.api.fields import ReasonField, UsdField
from billing.api.moves import REPLAYED
from billing.api.refusals import refusals_of_ledger
from billing.api.timed_pages import TimedPages
from billing.api.transfers import TAGS
from billing.errors import OperationConflict
from billing.models import Account, Transfer
from billing.promotion_models import Promotion
from billing.promotions import read_promotions

STATES = ("running", "spent", "ending", "ended")


class PromotionSerializer(serializers.Serializer[Any]):
    """Credits that were given until a moment. `state`: `running`; `spent`; `ending`, where calls still hold some of
    what is to be returned; `ended`."""

    id = serializers.UUIDField()
    object = ObjectField("promotion")
    amount = UsdField(source="amount_nanos")
    remaining = UsdField(source="remaining_nanos")
    spent = UsdField(source="spent_nanos")
    returned = UsdField(source="returned_nanos")
    reason = serializers.CharField()
    started_at = MomentField()
    expires_at = MomentField()
    state = serializers.ChoiceField(choices=STATES)


class PromotionInput(StrictSerializer):
    """Promotional credits to be given."""

    amount = UsdField()
    expires_at = MomentField(in_future=True)
    reason = ReasonField()


class PromotionView(ManagementView):
    """What the views of promotions share."""

    serializer_class = PromotionSerializer

    def state_of(self, promotion: Promotion) -> dict[str, Any]:
        """The promotion as of now."""
        states = read_promotions(promotion.wallet)
        state = next(one for one in states if one.id == promotion.pk)
        return dict(PromotionSerializer(state).data)


class Promotions(PromotionView):
    """The promotions of a group."""

    pagination_class = TimedPages
    time_field = "started_at"
    queryset = Promotion.objects.none()

    @extend_schema(
        operation_id="list_promotions", tags=TAGS, responses=PromotionSerializer(many=True)
    )
    def get(self, request: Request, group_id: UUID) -> Response:
        """Promotional credits that the group was given, running and ended ones."""
        wallet = Account.objects.wallet_of(self.find_group(group_id))
        page = self.paginate_queryset(Promotion.objects.filter(wallet=wallet)) or []
        states = {state.id: state for state in read_promotions(wallet)}
        rows = [states[promotion.pk] for promotion in page]
        return self.get_paginated_response(PromotionSerializer(rows, many=True).data)

    @extend_schema(
        operation_id="give_promotion",
        tags=TAGS,
        parameters=IDEMPOTENT,
        request=PromotionInput,
        responses={201: PromotionSerializer},
    )
    def post(self, request: Request, group_id: UUID) -> Response:
        """Give promotional credits, which calls spend before paid ones. For operators."""
        found = self.find_group(group_id)
        self.require_operator()
        given = PromotionInput(data=request.data)
        given.is_valid(raise_exception=True)
        operation_id = operation_id_of(request)
        replayed = Transfer.objects.filter(pk=operation_id).exists()
        with refusals_of_ledger():
            made = self._give(found, operation_id, given.validated_data)
        headers = {REPLAYED: "true"} if replayed else {}
        return Response(self.state_of(made), status=201, headers=headers)

    def _give(self, group: Group, operation_id: UUID, values: dict[str, Any]) -> Promotion:
        made = promotions.promote(
            group,
            values["amount"],
            expires_at=values["expires_at"],
            operation_id=operation_id,
            actor=self.user,
            reason=values["reason"],
        )
        if made.reason != values["reason"]:
            raise OperationConflict(operation_id)
        return made


class PromotionEnd(PromotionView):
    """The end of a promotion."""

    @extend_schema(operation_id="end_promotion", tags=TAGS, request=None)
    def post(self, request: Request, group_id: UUID, promotion_id: UUID) -> Response:
        """End a promotion before its day: what no call holds goes back at once. Ending it again changes nothing. For
        operators."""
        found = self.find_group(group_id)
        self.require_operator()
        rows = Promotion.objects.filter(wallet=Account.objects.wallet_of(found))
        promotion = get_object_or_404(rows.select_related("wallet"), pk=promotion_id)
        promotions.end_promotion(promotion, self.user)
        return Response(self.state_of(promotion))
