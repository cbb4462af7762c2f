"""Pages about money: a group's credits, and an organization's pool with the moves between the two."""

from collections.abc import Callable
from itertools import chain
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe
from django_htmx.http import HttpResponseLocation

from accounts import services
from accounts.forms import GroupForm
from accounts.ids import uuid7
from accounts.models import Group, Organization
from accounts.views import MemberRequest, find_group, signed_in
from billing import ledger
from billing.errors import InsufficientCredit, LedgerError, OperationConflict
from billing.forms import ConfirmedMoveForm, MoveForm, OrganizationFilterForm, StatementFilterForm
from billing.models import Account, Transfer
from billing.presentation import (
    Move,
    dollars,
    fraction_digits,
    group_frame,
    parse_cursor,
    prepare_move,
    read_groups,
    read_statement,
)

POOL_ROWS = 10
ORGANIZATIONS_MAX = 100
PREVIEW_ID = "move-preview"


@require_safe
@signed_in
def credits(request: MemberRequest, group_id: UUID) -> HttpResponse:
    """What a group has, and every transfer of its wallet."""
    group = find_group(request, group_id)
    frame = group_frame(request.user, group)
    form = StatementFilterForm(request.GET)
    kind = form.cleaned_data["kind"] if form.is_valid() else ""
    page = read_statement(
        frame["wallet"],
        kind,
        before=parse_cursor(request.GET.get("before")),
        after=parse_cursor(request.GET.get("after")),
    )
    context = frame | {
        "tab": "credits",
        "form": form,
        "kind": kind,
        "page": page,
        "fraction": fraction_digits(row.change_nanos for row in page.rows),
    }
    return render(request, "billing/credits.html", context)


@require_safe
@signed_in
def organizations(request: MemberRequest) -> HttpResponse:
    """The organizations that the user administers; straight to it where there is one."""
    found = Organization.objects.administered_by(request.user).order_by("name", "pk")
    if not request.user.is_staff:
        first_two = list(found[:2])
        if not first_two:
            raise Http404
        if len(first_two) == 1:
            return redirect("organization", first_two[0].pk)
    form = OrganizationFilterForm(request.GET)
    name = form.cleaned_data["name"] if form.is_valid() else ""
    if name:
        found = found.filter(name__icontains=name)
    rows = list(found[: ORGANIZATIONS_MAX + 1])
    pools = {
        account.organization_id: account
        for account in Account.objects.filter(organization__in=rows, kind=Account.Kind.POOL)
    }
    context = {
        "rows": [(row, pools[row.pk]) for row in rows[:ORGANIZATIONS_MAX]],
        "fraction": fraction_digits(pool.balance_nanos for pool in pools.values()),
        "is_cut": len(rows) > ORGANIZATIONS_MAX,
        "form": form,
        "name": name,
        "organization_page": True,
    }
    return render(request, "billing/organizations.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def organization(request: MemberRequest, organization_id: UUID) -> HttpResponse:
    """The pool, the groups with what they have, and the latest moves. POST makes a group."""
    found = _administered(request, organization_id)
    form = GroupForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            group = services.create_group(found, form.cleaned_data["group_name"], request.user)
        except ValidationError as error:
            form.add_error("group_name", error.messages)
        else:
            messages.success(request, _("The group “%(name)s” is ready.") % {"name": group.name})
            return _go_to(request, found)
    pool = Account.objects.pool_of(found)
    rows = read_groups(found)
    page = read_statement(
        pool,
        before=parse_cursor(request.GET.get("before")),
        after=parse_cursor(request.GET.get("after")),
        size=POOL_ROWS,
    )
    amounts = [(row.wallet.available_nanos, row.wallet.held_nanos, row.spent_nanos) for row in rows]
    context = {
        "organization": found,
        "organization_page": True,
        "pool": pool,
        "rows": rows,
        "wallets_nanos": sum(row.wallet.balance_nanos for row in rows),
        "held_nanos": sum(row.wallet.held_nanos for row in rows),
        "spent_nanos": sum(row.spent_nanos for row in rows),
        "groups_fraction": fraction_digits(chain.from_iterable(amounts)),
        "page": page,
        "fraction": fraction_digits(row.change_nanos for row in page.rows),
        "group_form": form,
    }
    return render(request, "billing/organization.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def deposit(request: MemberRequest, organization_id: UUID) -> HttpResponse:
    """Bought credits into the pool. For operators; for anybody else the page is not there."""
    if not request.user.is_staff:
        raise Http404
    found = _administered(request, organization_id)
    return _move(request, prepare_move(Transfer.Kind.DEPOSIT, found, None))


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def grant(request: MemberRequest, organization_id: UUID, group_id: UUID) -> HttpResponse:
    """Credits from the pool to a group's wallet."""
    found = _administered(request, organization_id)
    group = get_object_or_404(Group, pk=group_id, organization=found)
    return _move(request, prepare_move(Transfer.Kind.GRANT, found, group))


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def reclaim(request: MemberRequest, organization_id: UUID, group_id: UUID) -> HttpResponse:
    """Credits that are not held from a group's wallet back to the pool."""
    found = _administered(request, organization_id)
    group = get_object_or_404(Group, pk=group_id, organization=found)
    return _move(request, prepare_move(Transfer.Kind.RECLAIM, found, group))


def _administered(request: MemberRequest, organization_id: UUID) -> Organization:
    return get_object_or_404(Organization.objects.administered_by(request.user), pk=organization_id)


def _go_to(request: MemberRequest, organization: Organization) -> HttpResponse:
    url = reverse("organization", args=[organization.pk])
    if request.htmx:
        return HttpResponseLocation(url, target="#main", select="#main", swap="outerHTML")
    return redirect(url)


def _move(request: MemberRequest, move: Move) -> HttpResponse:
    """Ask for the amount, show both balances before and after, then do it.

    The operation id is made with the confirmation, so that confirming twice, by a double click or after a lost
    answer, moves once.
    """
    if request.method != "POST":
        form = MoveForm(request.GET if "amount" in request.GET else None)
        if request.htmx and request.htmx.target == PREVIEW_ID:
            return _show_move(request, move, form, "preview")
        return _show_move(request, move, MoveForm(), "ask")
    if request.POST.get("step") != "confirm":
        form = MoveForm(request.POST)
        _refuse_more_than_there_is(form, move)
        if request.POST.get("step") == "change" or not form.is_valid():
            return _show_move(request, move, form, "ask")
        return _show_move(request, move, form, "confirm")
    confirmed = ConfirmedMoveForm(request.POST)
    if confirmed.is_valid() and _carry_out(request, move, confirmed):
        return _go_to(request, move.organization)
    return _show_move(request, move, confirmed, "ask")


def _carry_out(request: MemberRequest, move: Move, form: ConfirmedMoveForm) -> bool:
    values = form.cleaned_data
    verbs: dict[str, Callable[..., Transfer]] = {
        Transfer.Kind.GRANT: ledger.grant,
        Transfer.Kind.RECLAIM: ledger.reclaim,
        Transfer.Kind.DEPOSIT: ledger.deposit,
    }
    try:
        verbs[move.kind](
            move.group or move.organization,
            values["amount"],
            operation_id=values["operation_id"],
            actor=request.user,
            reason=values["reason"],
        )
    except InsufficientCredit as error:
        form.add_error("amount", _too_much(error.available_nanos, error.amount_nanos))
    except OperationConflict:
        form.add_error(None, _("This form was used for another move before. Please start again."))
    except LedgerError:
        form.add_error("amount", _("The ledger refused this amount."))
    else:
        messages.success(request, _done(move, values["amount"]))
        return True
    return False


def _refuse_more_than_there_is(form: MoveForm, move: Move) -> None:
    limit = move.limit_nanos
    if form.is_valid() and limit is not None and form.cleaned_data["amount"] > limit:
        form.add_error("amount", _too_much(limit, form.cleaned_data["amount"]))


def _too_much(available_nanos: int, amount_nanos: int) -> str:
    return _("%(amount)s is more than can be moved: %(available)s.") % {
        "amount": dollars(amount_nanos),
        "available": dollars(available_nanos),
    }


def _done(move: Move, amount_nanos: int) -> str:
    values = {"amount": dollars(amount_nanos), "group": move.group}
    if move.kind == Transfer.Kind.GRANT:
        return _("%(amount)s granted to “%(group)s”.") % values
    if move.kind == Transfer.Kind.RECLAIM:
        return _("%(amount)s reclaimed from “%(group)s”.") % values
    return _("%(amount)s deposited.") % values


def _show_move(request: MemberRequest, move: Move, form: MoveForm, step: str) -> HttpResponse:
    """One step of a move: the whole page, or for htmx the part that changes."""
    bound = form.is_bound
    if bound:
        _refuse_more_than_there_is(form, move)
    amount = form.cleaned_data.get("amount") if bound and not form.errors else None
    context = {
        "move": move,
        "organization": move.organization,
        "organization_page": True,
        "form": form,
        "step": step,
        "sides": move.sides(amount),
        "amount_nanos": amount,
        "operation_id": uuid7() if step == "confirm" else None,
    }
    template = "billing/move.html"
    if request.htmx:
        template += f"#{'preview' if step == 'preview' else 'step'}"
    refused = step == "ask" and bound and bool(form.errors)
    return render(request, template, context, status=422 if refused else 200)
