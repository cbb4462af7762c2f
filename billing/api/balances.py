"""What wallets and pools have, now or at a moment of the past."""

from typing import Any, ClassVar
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.fields import MomentField, NamedSerializer, ObjectField
from accounts.api.serializers import StrictSerializer
from accounts.api.views import ManagementView
from billing.api.fields import UsdField
from billing.api.transfers import TAGS
from billing.closings import balance_at
from billing.models import Account
from billing.promotions import promotional_nanos, read_promotions
from billing.runway import Runway, read_runway


class BalanceQuery(StrictSerializer):
    """Of when the balance is asked."""

    at = MomentField(required=False, help_text="A moment of the past, in place of now.")

    def validate_at(self, moment: Any) -> Any:
        if moment > timezone.now():
            raise serializers.ValidationError("This moment has not come yet.")
        return moment


class RunwaySerializer(serializers.Serializer[Any]):
    """How long the available credits last at the rate of the last days: `left_s` is null where nothing was spent or
    there is too little history to tell."""

    left_s = serializers.IntegerField(allow_null=True)
    per_day = UsdField(source="day_nanos")
    history_s = serializers.SerializerMethodField()

    def get_history_s(self, runway: Runway) -> int:
        return int(runway.history.total_seconds())


class PoolBalanceSerializer(serializers.Serializer[Any]):
    """What the pool has, or had just before `at`."""

    object = ObjectField("balance")
    organization = NamedSerializer()
    currency = serializers.CharField()
    at = MomentField()
    balance = UsdField()


class GroupBalanceSerializer(serializers.Serializer[Any]):
    """What the wallet has, or had just before `at`. Of the past, the balance alone is known: the rest is null then.

    `available` is what a call may hold: the balance less what calls hold, and the credit line. `promotional` is that
    part of the balance that was given until a day and cannot be reclaimed.
    """

    object = ObjectField("balance")
    group = NamedSerializer()
    currency = serializers.CharField()
    at = MomentField()
    balance = UsdField()
    held = UsdField(allow_null=True)
    credit_line = UsdField(allow_null=True)
    available = UsdField(allow_null=True)
    promotional = UsdField(allow_null=True)
    runway = RunwaySerializer(allow_null=True)


class BalanceView(ManagementView):
    """What both views of balances share."""

    query_names: ClassVar[frozenset[str]] = frozenset({"at"})

    def asked_moment(self) -> Any:
        """The moment that the request names, None for now. Raises ValidationError."""
        query = BalanceQuery(data=self.request.query_params.dict())
        query.is_valid(raise_exception=True)
        return query.validated_data.get("at")


class OrganizationBalance(BalanceView):
    """The balance of a pool."""

    serializer_class = PoolBalanceSerializer

    @extend_schema(operation_id="get_organization_balance", tags=TAGS, parameters=[BalanceQuery])
    def get(self, request: Request, organization_id: UUID) -> Response:
        """What the pool has that is granted to no group. For admins of the organization."""
        found = self.administered_organization(organization_id)
        pool, moment = Account.objects.pool_of(found), self.asked_moment()
        body = {
            "organization": found,
            "currency": "USD",
            "at": moment or timezone.now(),
            "balance": balance_at(pool, moment) if moment else pool.balance_nanos,
        }
        return Response(PoolBalanceSerializer(body).data)


class GroupBalance(BalanceView):
    """The balance of a wallet."""

    serializer_class = GroupBalanceSerializer

    @extend_schema(operation_id="get_group_balance", tags=TAGS, parameters=[BalanceQuery])
    def get(self, request: Request, group_id: UUID) -> Response:
        """What the group has, what of it is free, and how long it lasts."""
        found = self.find_group(group_id)
        wallet, moment = Account.objects.wallet_of(found), self.asked_moment()
        body: dict[str, Any] = {"group": found, "currency": "USD"}
        if moment is None:
            body |= _present(wallet)
        else:
            unknown = ("held", "credit_line", "available", "promotional", "runway")
            body |= dict.fromkeys(unknown) | {"at": moment, "balance": balance_at(wallet, moment)}
        return Response(GroupBalanceSerializer(body).data)


def _present(wallet: Account) -> dict[str, Any]:
    now = timezone.now()
    return {
        "at": now,
        "balance": wallet.balance_nanos,
        "held": wallet.held_nanos,
        "credit_line": wallet.credit_line_nanos,
        "available": wallet.available_nanos,
        "promotional": promotional_nanos(read_promotions(wallet, only_running=True)),
        "runway": read_runway(wallet, now),
    }
