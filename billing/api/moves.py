"""Moves of credits: deposits, grants, reclaims, adjustments and refunds. Each is made once for an Idempotency-Key."""

from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.http import Http404
from django.shortcuts import get_object_or_404
from django.urls import reverse
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.fields import MomentField, NamedSerializer, ObjectField
from accounts.api.idempotency import operation_id_of
from accounts.api.schema import IDEMPOTENT
from accounts.api.serializers import StrictSerializer
from accounts.api.views import ManagementView
from accounts.models import Group, Organization
from billing import ledger
from billing.api.fields import ReasonField, UsdField
from billing.api.refusals import refusals_of_ledger
from billing.api.transfers import TAGS, PartySerializer, TransferListView, TransferSerializer
from billing.errors import OperationConflict
from billing.models import Account, Transfer
from billing.transfers import INCOMING, OUTGOING, TransferFilter

REPLAYED = "Idempotency-Replayed"
# What the accounts of the platform have is nobody's balance.
SHOWN = (Account.Kind.POOL, Account.Kind.WALLET)


class MoveInput(StrictSerializer):
    """How much, and why."""

    amount = UsdField()
    reason = ReasonField(required=False, allow_blank=True, default="")


class ReasonedMoveInput(StrictSerializer):
    """The same where nobody does it without saying why."""

    amount = UsdField()
    reason = ReasonField()


class AdjustmentInput(StrictSerializer):
    """A correction: a positive amount is given, a negative one taken away."""

    amount = UsdField(signed=True)
    reason = ReasonField()


class BalanceAfterSerializer(PartySerializer):
    """What one of the two accounts has now."""

    organization = NamedSerializer()
    balance = UsdField(source="balance_nanos")


class MoveSerializer(serializers.Serializer[Any]):
    """A move that was made. `balances` is what pool and wallet have after it; where it is answered again, what they
    have by then."""

    id = serializers.UUIDField(source="transfer.pk")
    object = ObjectField("transfer")
    kind = serializers.ChoiceField(source="transfer.kind", choices=Transfer.Kind.values)
    amount = UsdField(source="transfer.amount_nanos")
    currency = serializers.SerializerMethodField()
    reason = serializers.CharField(source="transfer.reason")
    call = serializers.SerializerMethodField()
    created_at = MomentField(source="transfer.created_at")
    balances = BalanceAfterSerializer(many=True)

    def get_currency(self, made: dict[str, Any]) -> str:
        return "USD"

    def get_call(self, made: dict[str, Any]) -> str | None:
        call_id = made["transfer"].call_id
        return f"call_{call_id.hex}" if call_id else None


EXAMPLES = [
    OpenApiExample(
        "Ten dollars", value={"amount": "10.00", "reason": "November"}, request_only=True
    )
]
Verb = Callable[[], Transfer]


def carry_out(accounts: Iterable[Account], operation_id: UUID, reason: str, verb: Verb) -> Response:
    """Make the move unless it was made, and answer it with what both accounts have then.

    The accounts are locked before it is looked up, so that of parallel repeats one is new. Raises Problem.
    """
    with refusals_of_ledger(), transaction.atomic():
        ids = ledger.lock_accounts(accounts)
        replayed = Transfer.objects.filter(pk=operation_id).exists()
        made = verb()
        _check_same(made, reason)
        return answer_move(made, ids, replayed=replayed)


def answer_move(made: Transfer, account_ids: Iterable[int], *, replayed: bool) -> Response:
    """201 with the move and the balances; the header says whether it was made before."""
    accounts = Account.objects.filter(pk__in=list(account_ids), kind__in=SHOWN)
    balances = accounts.select_related("group", "organization").order_by("kind")
    body = MoveSerializer({"transfer": made, "balances": list(balances)}).data
    headers = {"Location": _location(balances[0], made)}
    return Response(body, status=201, headers=headers | ({REPLAYED: "true"} if replayed else {}))


def _location(account: Account, made: Transfer) -> str:
    """The list of transfers that shows this one alone."""
    if account.group_id is None:
        address = reverse("api_organization_transfers", args=[account.organization_id])
    else:
        address = reverse("api_group_transfers", args=[account.group_id])
    return f"{address}?call=transfer_{made.pk.hex}"


def _check_same(made: Transfer, reason: str) -> None:
    """The ledger compares what moves; another reason is another request, too."""
    if made.reason != reason:
        raise OperationConflict(made.pk)


class MoveView(TransferListView):
    """What the views of moves share."""

    query_names = frozenset()

    def read(self, serializer: type[StrictSerializer]) -> dict[str, Any]:
        """The valid body. Raises ValidationError."""
        given = serializer(data=self.request.data)
        given.is_valid(raise_exception=True)
        return dict(given.validated_data)

    def find_moved_group(self, group_id: UUID) -> Group:
        """A group whose organization the user administers. Raises Http404 where he may not see it, Problem 403 where
        he only may see it."""
        found = self.find_group(group_id)
        self.administered_organization(found.organization_id)
        return found


class Deposits(MoveView):
    """Bought credits that came into a pool."""

    @extend_schema(operation_id="list_deposits", tags=TAGS, responses=TransferSerializer(many=True))
    def get(self, request: Request, organization_id: UUID) -> Response:
        """Deposits into the pool, newest first. For admins of the organization."""
        pool = Account.objects.pool_of(self.administered_organization(organization_id))
        return self.list_transfers(pool, TransferFilter(kind=Transfer.Kind.DEPOSIT))

    @extend_schema(
        operation_id="deposit",
        tags=TAGS,
        parameters=IDEMPOTENT,
        request=MoveInput,
        responses={201: MoveSerializer},
        examples=EXAMPLES,
    )
    def post(self, request: Request, organization_id: UUID) -> Response:
        """Put bought credits into the pool. For operators."""
        found = self.find_organization(organization_id)
        self.require_operator()
        values, operation_id = self.read(MoveInput), operation_id_of(request)
        accounts = ledger.platform_accounts(found)

        def move() -> Transfer:
            return ledger.deposit(
                found,
                values["amount"],
                operation_id=operation_id,
                actor=self.user,
                reason=values["reason"],
            )

        sides = (accounts[Account.Kind.DEPOSITS], accounts[Account.Kind.POOL])
        return carry_out(sides, operation_id, values["reason"], move)


class WithinView(MoveView):
    """What grants and reclaims share."""

    def move_within(self, group_id: UUID, verb: Callable[..., Transfer]) -> Response:
        """Between the pool and the wallet. Raises Problem."""
        group = self.find_moved_group(group_id)
        values, operation_id = self.read(MoveInput), operation_id_of(self.request)

        def move() -> Transfer:
            return verb(
                group,
                values["amount"],
                operation_id=operation_id,
                actor=self.user,
                reason=values["reason"],
            )

        return carry_out(pool_and_wallet(group), operation_id, values["reason"], move)


def pool_and_wallet(group: Group) -> tuple[Account, Account]:
    """Both accounts."""
    return Account.objects.pool_of(group.organization), Account.objects.wallet_of(group)


class Grants(WithinView):
    """Credits that came into a wallet."""

    @extend_schema(operation_id="list_grants", tags=TAGS, responses=TransferSerializer(many=True))
    def get(self, request: Request, group_id: UUID) -> Response:
        """What was granted to the group, newest first: from the pool, and promotional credits."""
        wallet = Account.objects.wallet_of(self.find_group(group_id))
        wanted = TransferFilter(kind=Transfer.Kind.GRANT, direction=INCOMING)
        return self.list_transfers(wallet, wanted)

    @extend_schema(
        operation_id="grant",
        tags=TAGS,
        parameters=IDEMPOTENT,
        request=MoveInput,
        responses={201: MoveSerializer},
        examples=EXAMPLES,
    )
    def post(self, request: Request, group_id: UUID) -> Response:
        """Move credits from the organization's pool to the group's wallet. For admins of the organization."""
        return self.move_within(group_id, ledger.grant)


class Reclaims(WithinView):
    """Credits that left a wallet again."""

    @extend_schema(operation_id="list_reclaims", tags=TAGS, responses=TransferSerializer(many=True))
    def get(self, request: Request, group_id: UUID) -> Response:
        """What was reclaimed from the group, newest first: into the pool, and promotional credits that ended."""
        wallet = Account.objects.wallet_of(self.find_group(group_id))
        wanted = TransferFilter(kind=Transfer.Kind.RECLAIM, direction=OUTGOING)
        return self.list_transfers(wallet, wanted)

    @extend_schema(
        operation_id="reclaim",
        tags=TAGS,
        parameters=IDEMPOTENT,
        request=MoveInput,
        responses={201: MoveSerializer},
        examples=EXAMPLES,
    )
    def post(self, request: Request, group_id: UUID) -> Response:
        """Move paid credits that no call holds from the group's wallet back to the pool. For admins of the
        organization."""
        return self.move_within(group_id, ledger.reclaim)


class AdjustmentView(MoveView):
    """What adjustments of wallets and of pools share."""

    def adjust(self, owner: Group | Organization) -> Response:
        """Correct its balance. For operators."""
        self.require_operator()
        values, operation_id = self.read(AdjustmentInput), operation_id_of(self.request)
        if isinstance(owner, Group):
            organization, account = owner.organization, Account.objects.wallet_of(owner)
        else:
            organization, account = owner, Account.objects.pool_of(owner)
        source = ledger.platform_accounts(organization)[Account.Kind.PROMOTIONS]

        def move() -> Transfer:
            return ledger.adjust(
                owner,
                values["amount"],
                operation_id=operation_id,
                actor=self.user,
                reason=values["reason"],
            )

        return carry_out((source, account), operation_id, values["reason"], move)


class GroupAdjustments(AdjustmentView):
    """Corrections of a wallet."""

    @extend_schema(
        operation_id="list_group_adjustments",
        tags=TAGS,
        responses=TransferSerializer(many=True),
    )
    def get(self, request: Request, group_id: UUID) -> Response:
        """Corrections of the group's balance, newest first."""
        wallet = Account.objects.wallet_of(self.find_group(group_id))
        return self.list_transfers(wallet, TransferFilter(kind=Transfer.Kind.ADJUST))

    @extend_schema(
        operation_id="adjust_group",
        tags=TAGS,
        parameters=IDEMPOTENT,
        request=AdjustmentInput,
        responses={201: MoveSerializer},
    )
    def post(self, request: Request, group_id: UUID) -> Response:
        """Correct the balance of a group: a positive amount is given, a negative one taken. For operators."""
        return self.adjust(self.find_group(group_id))


class OrganizationAdjustments(AdjustmentView):
    """Corrections of a pool."""

    @extend_schema(
        operation_id="list_organization_adjustments",
        tags=TAGS,
        responses=TransferSerializer(many=True),
    )
    def get(self, request: Request, organization_id: UUID) -> Response:
        """Corrections of the pool, newest first. For admins of the organization."""
        pool = Account.objects.pool_of(self.administered_organization(organization_id))
        return self.list_transfers(pool, TransferFilter(kind=Transfer.Kind.ADJUST))

    @extend_schema(
        operation_id="adjust_organization",
        tags=TAGS,
        parameters=IDEMPOTENT,
        request=AdjustmentInput,
        responses={201: MoveSerializer},
    )
    def post(self, request: Request, organization_id: UUID) -> Response:
        """Correct the pool of an organization: a positive amount is given, a negative one taken. For operators."""
        return self.adjust(self.find_organization(organization_id))


class Refunds(ManagementView):
    """The refund of a call."""

    serializer_class = MoveSerializer

    @extend_schema(
        operation_id="refund_call",
        tags=TAGS,
        parameters=IDEMPOTENT,
        request=ReasonedMoveInput,
        responses={201: MoveSerializer},
    )
    def post(self, request: Request, call_id: str) -> Response:
        """Give back what a call was charged, or a part of it, once. For operators."""
        self.require_operator()
        capture = _find_capture(call_id)
        wallet = Account.objects.select_related("group__organization").get(
            pk=capture.debit_account_id
        )
        # Also where the wallet's organization is not there any more.
        group = self.find_group(wallet.group_id) if wallet.group_id else None
        if group is None:
            raise Http404
        given = ReasonedMoveInput(data=request.data)
        given.is_valid(raise_exception=True)
        values, operation_id = given.validated_data, operation_id_of(request)
        # No lock before: the ledger counts the captures of a busy hour without one.
        replayed = Q(pk=operation_id) & Q(call_id=capture.pk)
        is_replayed = Transfer.objects.filter(replayed).exists()
        with refusals_of_ledger():
            made = ledger.refund(
                group,
                values["amount"],
                operation_id=operation_id,
                actor=self.user,
                reason=values["reason"],
                call_id=capture.pk,
            )
            _check_same(made, values["reason"])
        return answer_move(made, [wallet.pk], replayed=is_replayed)


def _find_capture(text: str) -> Transfer:
    """The charge of a call. Raises Http404 for a call that was charged nothing."""
    try:
        call_id = UUID(hex=text.removeprefix("call_").removeprefix("tsk_"))
    except ValueError:
        raise Http404 from None
    return get_object_or_404(Transfer, pk=call_id, kind=Transfer.Kind.CAPTURE)
