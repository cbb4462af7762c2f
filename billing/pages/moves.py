"""Credits on the move: deposits, grants and reclaims, with both balances shown before."""

from collections.abc import Callable
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts.ids import uuid7
from accounts.models import Group
from accounts.views import MemberRequest, signed_in
from billing import ledger
from billing.errors import InsufficientCredit, LedgerError, OperationConflict
from billing.forms import ConfirmedMoveForm, MoveForm
from billing.models import Transfer
from billing.pages.organizations import find_organization, go_to_organization
from billing.presentation import (
    Move,
    dollars,
    prepare_move,
)

PREVIEW_ID = "move-preview"


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def deposit(request: MemberRequest, organization_id: UUID) -> HttpResponse:
    """Bought credits into the pool. For operators; for anybody else the page is not there."""
    if not request.user.is_staff:
        raise Http404
    found = find_organization(request, organization_id)
    return _move(request, prepare_move(Transfer.Kind.DEPOSIT, found, None))


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def grant(request: MemberRequest, organization_id: UUID, group_id: UUID) -> HttpResponse:
    """Credits from the pool to a group's wallet."""
    found = find_organization(request, organization_id)
    group = get_object_or_404(Group, pk=group_id, organization=found)
    return _move(request, prepare_move(Transfer.Kind.GRANT, found, group))


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def reclaim(request: MemberRequest, organization_id: UUID, group_id: UUID) -> HttpResponse:
    """Credits that are not held from a group's wallet back to the pool."""
    found = find_organization(request, organization_id)
    group = get_object_or_404(Group, pk=group_id, organization=found)
    return _move(request, prepare_move(Transfer.Kind.RECLAIM, found, group))


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
        return go_to_organization(request, move.organization)
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
