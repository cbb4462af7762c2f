"""Transfers of wallets and pools: as the API tells them, and the lists with their filters."""

from collections.abc import Sequence
from typing import Any, ClassVar
from uuid import UUID

from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.errors import Problem
from accounts.api.fields import MomentField, NamedSerializer, ObjectField
from accounts.api.paging import CursorPages, read_limit
from accounts.api.serializers import StrictSerializer
from accounts.api.views import ManagementView
from billing.api.fields import UsdField
from billing.models import Account, Transfer
from billing.transfers import (
    INCOMING,
    OUTGOING,
    TransferFilter,
    TransferRow,
    read_transfers,
)

TAGS = ["Credits"]
_PREFIXES = ("call_", "tsk_", "transfer_")


class TransferActorSerializer(serializers.Serializer[Any]):
    """Who made a move: the id of the person, and the name."""

    id = serializers.IntegerField()
    name = serializers.CharField()


class MakerSerializer(serializers.Serializer[Any]):
    """A person by id and name."""

    id = serializers.IntegerField()
    name = serializers.CharField(source="get_full_name")


class PartySerializer(serializers.Serializer[Any]):
    """One side of a transfer: the account's kind, and the group where it is a wallet."""

    kind = serializers.ChoiceField(choices=Account.Kind.values)
    group = NamedSerializer(allow_null=True)


class TransferSerializer(serializers.Serializer[Any]):
    """A transfer as the account whose list it stands in sees it: `change` is signed. It never changes again."""

    id = serializers.UUIDField(source="transfer.pk")
    object = ObjectField("transfer")
    kind = serializers.ChoiceField(source="transfer.kind", choices=Transfer.Kind.values)
    amount = UsdField(source="transfer.amount_nanos")
    change = UsdField(source="change_nanos")
    currency = serializers.SerializerMethodField()
    from_ = PartySerializer(source="transfer.debit_account")
    to = PartySerializer(source="transfer.credit_account")
    reason = serializers.CharField(source="transfer.reason")
    call = serializers.CharField(source="call_id", allow_null=True)
    actor = serializers.SerializerMethodField()
    created_at = MomentField(source="transfer.created_at")

    def get_fields(self) -> dict[str, Any]:
        """`from` is no name in Python."""
        fields = super().get_fields()
        return {("from" if name == "from_" else name): field for name, field in fields.items()}

    def get_currency(self, row: TransferRow) -> str:
        return "USD"

    @extend_schema_field(TransferActorSerializer(allow_null=True))
    def get_actor(self, row: TransferRow) -> dict[str, Any] | None:
        actor_id = row.transfer.actor_id
        return None if actor_id is None else {"id": actor_id, "name": row.actor}

    def to_representation(self, row: TransferRow) -> dict[str, Any]:
        shown: dict[str, Any] = super().to_representation(row)
        return shown | {"call": row.call_id or None}


class TransferQuery(StrictSerializer):
    """Filters of a list of transfers, all of which must hold."""

    kind = serializers.ChoiceField(choices=Transfer.Kind.values, required=False)
    direction = serializers.ChoiceField(
        choices=[INCOMING, OUTGOING], required=False, help_text="Into or out of this account."
    )
    actor = serializers.IntegerField(
        required=False,
        min_value=1,
        max_value=2**63 - 1,
        help_text="The id of the person who made it.",
    )
    since = MomentField(required=False, help_text="At this moment or later.")
    until = MomentField(required=False, help_text="Before this moment.")
    amount = UsdField(required=False, help_text="At least so much, in US dollars.")
    call = serializers.CharField(
        required=False, max_length=80, help_text="The id of a call or a task, or of a transfer."
    )
    reason = serializers.CharField(
        required=False, max_length=120, help_text="A part of the reason, in any case."
    )

    def validate_call(self, text: str) -> UUID:
        for prefix in _PREFIXES:
            text = text.removeprefix(prefix)
        try:
            return UUID(hex=text)
        except ValueError:
            raise serializers.ValidationError("This is no id of a call.") from None

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        since, until = attrs.get("since"), attrs.get("until")
        if since and until and since >= until:
            raise serializers.ValidationError({"until": "The end must be after the beginning."})
        return attrs

    def wanted(self) -> TransferFilter:
        """What the valid query asks for."""
        values = self.validated_data
        return TransferFilter(
            kind=values.get("kind", ""),
            actor_id=values.get("actor"),
            direction=values.get("direction", ""),
            least_nanos=values.get("amount", 0),
            since=values.get("since"),
            until=values.get("until"),
            reason=values.get("reason", ""),
            id=values.get("call"),
        )


class TransferPages(CursorPages):
    """Pages of transfers, whose place in a list is not their primary key: `next` is what the reader says."""

    def read(self, request: Request, account: Account, wanted: TransferFilter) -> Sequence[Any]:
        """A page of the account's transfers. Raises Problem 400 for a bad `limit` or `after`."""
        after = request.query_params.get("after")
        try:
            before = None if after is None else UUID(hex=after)
        except ValueError:
            message = "'after' must be the 'next' of a page before."
            raise Problem(400, "invalid_request_error", message, "after") from None
        page = read_transfers(account, wanted, before=before, size=read_limit(request))
        self.next = str(page.older) if page.older else None
        return page.rows


class TransferListView(ManagementView):
    """What lists of transfers share."""

    pagination_class = TransferPages
    serializer_class = TransferSerializer
    query_names: ClassVar[frozenset[str]] = frozenset(TransferQuery().fields)

    def list_transfers(self, account: Account, wanted: TransferFilter | None = None) -> Response:
        """The page that the request asks for; `wanted` None: by the filters of its query."""
        if wanted is None:
            query = TransferQuery(data=self._filters())
            query.is_valid(raise_exception=True)
            wanted = query.wanted()
        pages = self.paginator
        assert isinstance(pages, TransferPages)
        rows = pages.read(self.request, account, wanted)
        return pages.get_paginated_response(TransferSerializer(rows, many=True).data)

    def _filters(self) -> dict[str, Any]:
        given = self.request.query_params.dict()
        return {name: value for name, value in given.items() if name in self.query_names}


class GroupTransfers(TransferListView):
    """The transfers of a group."""

    @extend_schema(
        operation_id="list_group_transfers",
        tags=TAGS,
        parameters=[TransferQuery],
        responses=TransferSerializer(many=True),
    )
    def get(self, request: Request, group_id: UUID) -> Response:
        """Everything that moved the balance of a group, newest first: grants, charges of calls, refunds."""
        return self.list_transfers(Account.objects.wallet_of(self.find_group(group_id)))


class OrganizationTransfers(TransferListView):
    """The transfers of an organization's pool."""

    @extend_schema(
        operation_id="list_organization_transfers",
        tags=TAGS,
        parameters=[TransferQuery],
        responses=TransferSerializer(many=True),
    )
    def get(self, request: Request, organization_id: UUID) -> Response:
        """Everything that moved the pool of an organization, newest first. For its admins."""
        found = self.administered_organization(organization_id)
        return self.list_transfers(Account.objects.pool_of(found))
