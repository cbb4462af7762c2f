"""Monthly statements of groups and organizations: as a page that prints well, and as CSV."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts.models import Group, Organization
from accounts.spreadsheets import stream_csv
from accounts.views import MemberRequest, find_group, signed_in
from billing.closings import day_start, snapshot
from billing.models import Account
from billing.pages.organizations import find_organization
from billing.presentation import exact_usd, fraction_digits, group_frame
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
from billing.transfers import TransferRow
from gateway.pages.statement_spending import Spending, read_spending
from gateway.usage_analytics import Scope

GROUP_FRAME = {"frame_template": "parts/group.html", "tab": "credits"}
CSV_HEADER = ("section", "name", "time", "count", "amount_usd", "amount_nanos", "by", "reason")


@require_safe
@signed_in
def group_statements(request: MemberRequest, group_id: UUID) -> HttpResponse:
    """The group's months with what each began and ended with."""
    group = find_group(request, group_id)
    frame = group_frame(request.user, group)
    months = list_months(began_at([frame["wallet"]], group.created_at), timezone.now())
    with snapshot():
        rows = [
            (month, read_months([frame["wallet"]], month)[frame["wallet"].pk]) for month in months
        ]
    context = frame | GROUP_FRAME | {"rows": rows, "fraction": _fraction_of(rows)}
    return render(request, "billing/statements.html", context)


@require_safe
@signed_in
def group_statement(request: MemberRequest, group_id: UUID, month: str) -> HttpResponse:
    """One month of a group: the balances, every kind of move, spending by model and key, and the moves."""
    group = find_group(request, group_id)
    frame = group_frame(request.user, group)
    context = frame | GROUP_FRAME | {"print_title": group.name}
    context |= _group_statement(group, frame["wallet"], month)
    return render(request, "billing/statement_page.html", context)


@require_safe
@signed_in
def group_statement_csv(request: MemberRequest, group_id: UUID, month: str) -> HttpResponse:
    """The same as CSV."""
    group = find_group(request, group_id)
    wallet = Account.objects.wallet_of(group)
    context = _group_statement(group, wallet, month)
    name = f"statement-{group.pk.hex[:8]}-{month}.csv"
    return cast("HttpResponse", stream_csv(name, CSV_HEADER, _csv_rows(context, [])))


@require_safe
@signed_in
def organization_statements(request: MemberRequest, organization_id: UUID) -> HttpResponse:
    """The organization's months: pool and wallets together."""
    organization = find_organization(request, organization_id)
    accounts = _accounts_of(organization)
    months = list_months(began_at(accounts, organization.created_at), timezone.now())
    with snapshot():
        rows = [
            (month, without_internal(sum_months(list(read_months(accounts, month).values()))))
            for month in months
        ]
    context = _organization_frame(organization) | {"rows": rows, "fraction": _fraction_of(rows)}
    return render(request, "billing/statements.html", context)


@require_safe
@signed_in
def organization_statement(
    request: MemberRequest, organization_id: UUID, month: str
) -> HttpResponse:
    """One month of an organization: pool and groups side by side, spending by model and key, and moves of the pool."""
    organization = find_organization(request, organization_id)
    context = _organization_frame(organization) | {"print_title": organization.name}
    context |= _organization_statement(organization, month)
    return render(request, "billing/statement_page.html", context)


@require_safe
@signed_in
def organization_statement_csv(
    request: MemberRequest, organization_id: UUID, month: str
) -> HttpResponse:
    """The same as CSV."""
    organization = find_organization(request, organization_id)
    context = _organization_statement(organization, month)
    name = f"statement-{organization.pk.hex[:8]}-{month}.csv"
    rows = _csv_rows(context, context["accounts"])
    return cast("HttpResponse", stream_csv(name, CSV_HEADER, rows))


def _find_month(text: str, accounts: list[Account], made_at: datetime) -> Month:
    """Raises Http404 for what is no month, for those to come, and for those before there was anything."""
    month = parse_month(text, timezone.now())
    if month is None or day_start(month.last) <= began_at(accounts, made_at):
        raise Http404
    return month


def _organization_frame(organization: Organization) -> dict[str, Any]:
    return {
        "frame_template": "parts/organization.html",
        "organization": organization,
        "organization_page": True,
        "tab": "statements",
    }


def _accounts_of(organization: Organization) -> list[Account]:
    """The pool, then the wallets by the name of their groups."""
    pool = Account.objects.pool_of(organization)
    return [pool, *Account.objects.wallets_of(organization)]


def _fraction_of(rows: list[tuple[Month, AccountMonth]]) -> int:
    amounts = ((one.opening_nanos, one.spent.nanos, one.closing_nanos) for _month, one in rows)
    return fraction_digits(nanos for three in amounts for nanos in three)


def _group_statement(group: Group, wallet: Account, month_text: str) -> dict[str, Any]:
    month = _find_month(month_text, [wallet], group.created_at)
    with snapshot():
        total = read_months([wallet], month)[wallet.pk]
        spending = read_spending(Scope.of_group(group), month, total.spent.nanos)
        moves = list_moves(wallet, month)
    return _shown(month, total, spending, moves)


def _organization_statement(organization: Organization, month_text: str) -> dict[str, Any]:
    accounts = _accounts_of(organization)
    month = _find_month(month_text, accounts, organization.created_at)
    with snapshot():
        months = read_months(accounts, month)
        total = sum_months(list(months.values()))
        scope = Scope.of_organization(organization)
        spending = read_spending(scope, month, total.spent.nanos)
        moves = list_moves(accounts[0], month)
    # Groups that are gone and had nothing need no line.
    rows = [
        (str(account.group) if account.group else _("Unassigned pool"), months[account.pk])
        for account in accounts
        if account.group is None or any(_figures(months[account.pk])) or months[account.pk].lines
    ]
    return _shown(month, without_internal(total), spending, moves) | {"accounts": rows}


def _figures(one: AccountMonth) -> tuple[int, ...]:
    return (
        one.opening_nanos,
        one.came_in_nanos,
        one.went_out_nanos,
        one.spent.nanos,
        one.closing_nanos,
    )


def _shown(
    month: Month, total: AccountMonth, spending: Spending, moves: list[TransferRow]
) -> dict[str, Any]:
    amounts = [*_figures(total), *(row.change_nanos for row in moves)]
    amounts += [part.nanos for part in (*spending.models, *spending.keys)]
    return {
        "month": month,
        "total": total,
        "spending": spending,
        "moves": moves[:MOVES_MAX],
        "moves_cut": MOVES_MAX if len(moves) > MOVES_MAX else 0,
        "fraction": fraction_digits(amounts),
        "made_at": timezone.now(),
    }


def _csv_rows(
    context: dict[str, Any], accounts: list[tuple[str, AccountMonth]]
) -> Iterator[tuple[object, ...]]:
    """Summary, accounts, models, keys, moves: one table, told apart by the first column."""
    total: AccountMonth = context["total"]

    def row(section: str, name: str, nanos: int, count: int | None = None) -> tuple[object, ...]:
        return (section, name, None, count, exact_usd(nanos), nanos, "", "")

    yield row("summary", "opening balance", total.opening_nanos)
    for line in total.lines:
        yield row("summary", line.kind, line.change_nanos, line.moves)
    yield row("summary", "calls", total.spent_change_nanos, total.spent.calls)
    yield row("summary", "closing balance", total.closing_nanos)
    for name, one in accounts:
        yield row("account opening", name, one.opening_nanos)
        yield row("account calls", name, one.spent_change_nanos, one.spent.calls)
        yield row("account closing", name, one.closing_nanos)
    for section in ("models", "keys"):
        for part in getattr(context["spending"], section):
            yield row(section, part.name, part.nanos)
    for move in context["moves"]:
        transfer, change = move.transfer, move.change_nanos
        yield (
            "moves", transfer.kind, transfer.created_at, 1, exact_usd(change), change, move.actor, transfer.reason
        )  # fmt: skip
