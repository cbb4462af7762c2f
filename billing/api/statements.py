"""Monthly statements of groups and organizations. Months are those of UTC."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.errors import Problem
from accounts.api.fields import NamedSerializer, ObjectField
from accounts.api.paging import CursorPages, read_limit
from accounts.api.views import ManagementView
from accounts.models import Organization
from billing.api.fields import UsdField
from billing.api.transfers import TAGS, TransferSerializer
from billing.closings import day_start, snapshot
from billing.models import Account, Transfer
from billing.statements import (
    MOVES_MAX,
    AccountMonth,
    Month,
    began_at,
    list_months,
    list_moves,
    parse_month,
    read_months,
    sum_months,
    without_internal,
)


class LineSerializer(serializers.Serializer[Any]):
    """All moves of one kind and direction."""

    kind = serializers.ChoiceField(choices=Transfer.Kind.values)
    change = UsdField(source="change_nanos")
    moves = serializers.IntegerField()


class MonthSerializer(serializers.Serializer[Any]):
    """A month: what there was at its beginning, what changed it, what calls took, and what there was at its end.

    `closing` is `opening` and the changes of `lines`, less `spent`. `is_open`: the month is not over yet.
    """

    object = ObjectField("statement")
    month = serializers.CharField(help_text="Such as 2026-10.")
    is_open = serializers.BooleanField()
    currency = serializers.CharField()
    opening = UsdField()
    lines = LineSerializer(many=True)
    spent = UsdField()
    calls = serializers.IntegerField(help_text="How many calls were charged.")
    closing = UsdField()


class GroupStatementSerializer(MonthSerializer):
    """The same with every move but the charges of calls, oldest first; `moves_cut` where there were more."""

    moves = TransferSerializer(many=True)
    moves_cut = serializers.BooleanField()


class AccountMonthSerializer(serializers.Serializer[Any]):
    """The pool (`group` null) or one group in an organization's month."""

    group = NamedSerializer(allow_null=True)
    opening = UsdField()
    lines = LineSerializer(many=True)
    spent = UsdField()
    calls = serializers.IntegerField()
    closing = UsdField()


class OrganizationStatementSerializer(GroupStatementSerializer):
    """Pool and groups together, without what moved between them; `accounts` tells them apart. `moves` are those of
    the pool."""

    accounts = AccountMonthSerializer(many=True)


class MonthPages(CursorPages):
    """Pages of months, newest first; a cursor is a month."""

    def cut(self, request: Request, months: Sequence[Month]) -> list[Month]:
        """The page that the request asks for. Raises Problem 400."""
        limit, after = read_limit(request), request.query_params.get("after")
        if after is not None and parse_month(after, timezone.now()) is None:
            message = "'after' must be the 'next' of a page before."
            raise Problem(400, "invalid_request_error", message, "after")
        rest = [month for month in months if after is None or month.text < after]
        self.next = rest[limit - 1].text if len(rest) > limit else None
        return rest[:limit]


class StatementView(ManagementView):
    """What the views of statements share."""

    def list_statements(self, accounts: list[Account], made_at: datetime) -> Response:
        """The months of all accounts together, page by page."""
        pages = self.paginator
        assert isinstance(pages, MonthPages)
        months = pages.cut(self.request, list_months(began_at(accounts, made_at), timezone.now()))
        with snapshot():
            read = [(month, read_months(accounts, month)) for month in months]
        rows = [_summary(month, _total(list(found.values()))) for month, found in read]
        return pages.get_paginated_response(MonthSerializer(rows, many=True).data)


class GroupStatements(StatementView):
    """The months of a group."""

    pagination_class = MonthPages
    serializer_class = MonthSerializer

    @extend_schema(
        operation_id="list_group_statements", tags=TAGS, responses=MonthSerializer(many=True)
    )
    def get(self, request: Request, group_id: UUID) -> Response:
        """The months of a group, newest first."""
        found = self.find_group(group_id)
        return self.list_statements([Account.objects.wallet_of(found)], found.created_at)


class OrganizationStatements(StatementView):
    """The months of an organization."""

    pagination_class = MonthPages
    serializer_class = MonthSerializer

    @extend_schema(
        operation_id="list_organization_statements",
        tags=TAGS,
        responses=MonthSerializer(many=True),
    )
    def get(self, request: Request, organization_id: UUID) -> Response:
        """The months of an organization, pool and groups together, newest first. For its admins."""
        found = self.administered_organization(organization_id)
        return self.list_statements(accounts_of(found), found.created_at)


class GroupStatement(ManagementView):
    """One month of a group."""

    serializer_class = GroupStatementSerializer

    @extend_schema(operation_id="get_group_statement", tags=TAGS)
    def get(self, request: Request, group_id: UUID, month: str) -> Response:
        """One month of a group, such as 2026-10, with its moves."""
        found = self.find_group(group_id)
        wallet = Account.objects.wallet_of(found)
        asked = find_month(month, [wallet], found.created_at)
        with snapshot():
            total = read_months([wallet], asked)[wallet.pk]
            body = _summary(asked, total) | _moves(wallet, asked)
        return Response(GroupStatementSerializer(body).data)


class OrganizationStatement(ManagementView):
    """One month of an organization."""

    serializer_class = OrganizationStatementSerializer

    @extend_schema(operation_id="get_organization_statement", tags=TAGS)
    def get(self, request: Request, organization_id: UUID, month: str) -> Response:
        """One month of an organization, such as 2026-10: all together, pool and groups, and moves of the pool. For its
        admins."""
        found = self.administered_organization(organization_id)
        accounts = accounts_of(found)
        asked = find_month(month, accounts, found.created_at)
        with snapshot():
            months = read_months(accounts, asked)
            body = _summary(asked, _total(list(months.values()))) | _moves(accounts[0], asked)
        body["accounts"] = [
            _figures(months[account.pk]) | {"group": account.group} for account in accounts
        ]
        return Response(OrganizationStatementSerializer(body).data)


def accounts_of(organization: Organization) -> list[Account]:
    """The pool, then the wallets by the name of their groups."""
    pool = Account.objects.pool_of(organization)
    return [pool, *Account.objects.wallets_of(organization)]


def find_month(text: str, accounts: list[Account], made_at: datetime) -> Month:
    """Raises Http404 for what is no month, for those to come, and for those before there was anything."""
    month = parse_month(text, timezone.now())
    if month is None or day_start(month.last) <= began_at(accounts, made_at):
        raise Http404
    return month


def _total(months: list[AccountMonth]) -> AccountMonth:
    return months[0] if len(months) == 1 else without_internal(sum_months(months))


def _figures(one: AccountMonth) -> dict[str, Any]:
    return {
        "opening": one.opening_nanos,
        "lines": one.lines,
        "spent": one.spent.nanos,
        "calls": one.spent.calls,
        "closing": one.closing_nanos,
    }


def _summary(month: Month, total: AccountMonth) -> dict[str, Any]:
    head = {"month": month.text, "is_open": month.is_open, "currency": "USD"}
    return head | _figures(total)


def _moves(account: Account, month: Month) -> dict[str, Any]:
    moves = list_moves(account, month)
    return {"moves": moves[:MOVES_MAX], "moves_cut": len(moves) > MOVES_MAX}
