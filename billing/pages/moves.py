"""Credits on the move: deposits, grants, reclaims and adjustments, with both balances shown before."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods
from django_htmx.http import HttpResponseLocation

from accounts.models import Group
from accounts.reauthentication import recently_authenticated
from accounts.views import MemberRequest, find_organization, signed_in
from billing import ledger
from billing.errors import (
    AccountFull,
    AlreadyExpired,
    InsufficientCredit,
    LedgerError,
    NotRefundable,
    OperationConflict,
    OwnerArchived,
)
from billing.models import Transfer
from billing.move_forms import AdjustForm, MoveForm
from billing.prepared_moves import Move, operation_id_of, prepare_move
from billing.presentation import dollars

PREVIEW_ID = "move-preview"


class Question(NamedTuple):
    """A move that somebody is asked about: its form, what carries it out, and the page that is shown then. The
    template shows the whole page; what is inside of dialogs is that of every move."""

    move: Move
    form: type[MoveForm]
    carry_out: Callable[[UUID, dict[str, Any]], object]
    next_url: str
    template: str = "billing/move.html"
    context: Mapping[str, Any] = MappingProxyType({})


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
@recently_authenticated(on_get=True)
def deposit(request: MemberRequest, organization_id: UUID) -> HttpResponse:
    """Bought credits into the pool. For operators; for anybody else the page is not there."""
    if not request.user.is_staff:
        raise Http404
    found = find_organization(request, organization_id)

    def carry_out(operation_id: UUID, values: dict[str, Any]) -> Transfer:
        return ledger.deposit(
            found,
            values["amount"],
            operation_id=operation_id,
            actor=request.user,
            reason=values["reason"],
        )

    move = prepare_move("deposit", found, None)
    return ask(request, Question(move, MoveForm, carry_out, _page_of(move)))


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
@recently_authenticated(on_get=True)
def grant(request: MemberRequest, organization_id: UUID, group_id: UUID) -> HttpResponse:
    """Credits from the pool to a group's wallet."""
    return _move_within(request, organization_id, group_id, "grant")


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
@recently_authenticated(on_get=True)
def reclaim(request: MemberRequest, organization_id: UUID, group_id: UUID) -> HttpResponse:
    """Paid credits that are not held from a group's wallet back to the pool."""
    return _move_within(request, organization_id, group_id, "reclaim")


def _move_within(
    request: MemberRequest, organization_id: UUID, group_id: UUID, kind: str
) -> HttpResponse:
    found = find_organization(request, organization_id)
    group = get_object_or_404(Group, pk=group_id, organization=found, archived_at=None)
    verb = ledger.grant if kind == "grant" else ledger.reclaim

    def carry_out(operation_id: UUID, values: dict[str, Any]) -> Transfer:
        return verb(
            group,
            values["amount"],
            operation_id=operation_id,
            actor=request.user,
            reason=values["reason"],
        )

    move = prepare_move(kind, found, group)
    return ask(request, Question(move, MoveForm, carry_out, _page_of(move)))


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
@recently_authenticated(on_get=True)
def adjust(
    request: MemberRequest, organization_id: UUID, group_id: UUID | None = None
) -> HttpResponse:
    """A correction of a wallet, or of the pool without a group, up or down. For operators."""
    if not request.user.is_staff:
        raise Http404
    found = find_organization(request, organization_id)
    group = (
        get_object_or_404(Group, pk=group_id, organization=found, archived_at=None)
        if group_id
        else None
    )
    goes_down = typed(request).get("direction") == "down"
    move = prepare_move("adjust_down" if goes_down else "adjust_up", found, group)

    def carry_out(operation_id: UUID, values: dict[str, Any]) -> Transfer:
        return ledger.adjust(
            group or found,
            -values["amount"] if goes_down else values["amount"],
            operation_id=operation_id,
            actor=request.user,
            reason=values["reason"],
        )

    return ask(request, Question(move, AdjustForm, carry_out, _page_of(move)))


def _page_of(move: Move) -> str:
    return reverse("organization", args=[move.organization.pk])


def typed(request: MemberRequest) -> QueryDict:
    """What was sent with the request."""
    return request.POST if request.method == "POST" else request.GET


def ask(request: MemberRequest, question: Question) -> HttpResponse:
    """Ask for the amount, show both balances before and after, then do it.

    The operation id is made with the first page and goes along, so that confirming twice, by a double click, after a
    lost answer, from the page before or from a second tab, moves once.
    """
    move = question.move
    if request.method != "POST":
        if request.htmx and request.htmx.target == PREVIEW_ID:
            return _show(request, question, question.form(request.GET), "preview")
        initial: dict[str, Any] = {"operation_id": operation_id_of(move, request.user)}
        if move.call_id is not None and move.limit_nanos:
            initial["amount"] = dollars(move.limit_nanos).removeprefix("$")
            question = question._replace(
                context={**question.context, "sides": move.sides(move.limit_nanos)}
            )
        return _show(request, question, question.form(initial=initial), "ask")
    step, has_id = request.POST.get("step"), _is_uuid(request.POST.get("operation_id", ""))
    form = question.form(request.POST if has_id else _with_operation_id(request, move))
    if step != "confirm":
        _refuse_more_than_there_is(form, move)
    if step == "change" or not form.is_valid():
        return _show(request, question, form, "ask")
    if step != "confirm":
        return _show(request, question, form, "confirm")
    if not has_id:
        form.add_error(None, _("Please confirm again."))
    elif _carry_out(request, question, form):
        return go_to(request, question.next_url)
    return _show(request, question, form, "ask")


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _with_operation_id(request: MemberRequest, move: Move) -> QueryDict:
    data = request.POST.copy()
    data["operation_id"] = str(operation_id_of(move, request.user))
    return data


def _carry_out(request: MemberRequest, question: Question, form: MoveForm) -> bool:
    values = form.cleaned_data
    try:
        question.carry_out(values["operation_id"], values)
    except InsufficientCredit as error:
        form.add_error("amount", _too_much(error.available_nanos, error.amount_nanos))
    except NotRefundable as error:
        form.add_error("amount", _too_much(error.refundable_nanos, error.amount_nanos))
    except OperationConflict:
        form.data = _with_operation_id(request, question.move)
        form.add_error(None, _("This form was used for another move before. Please start again."))
    except AccountFull:
        form.add_error("amount", _("The account cannot hold that much more."))
    except AlreadyExpired:
        form.add_error(None, _("This day is over."))
    except OwnerArchived:
        form.add_error(None, _("The group or organization was deleted. Nothing was moved."))
    except LedgerError:
        form.add_error("amount", _("The ledger refused this amount."))
    else:
        messages.success(request, question.move.done(values["amount"]))
        return True
    return False


def _refuse_more_than_there_is(form: MoveForm, move: Move) -> None:
    """Before it is confirmed; then the ledger says what there is."""
    form.is_valid()
    limit, amount = move.limit_nanos, form.cleaned_data.get("amount")
    if limit is not None and amount is not None and amount > limit:
        form.add_error("amount", _too_much(limit, amount))


def _too_much(available_nanos: int, amount_nanos: int) -> str:
    return _("%(amount)s is more than can be moved: %(available)s.") % {
        "amount": dollars(amount_nanos),
        "available": dollars(available_nanos),
    }


def _show(request: MemberRequest, question: Question, form: MoveForm, step: str) -> HttpResponse:
    """One step of a move: the whole page, or for htmx the part that changes."""
    move, amount = question.move, None
    if form.is_bound:
        if step == "preview":
            _refuse_more_than_there_is(form, move)
        form.is_valid()
        amount = form.cleaned_data.get("amount")
    context = {
        "move": move,
        "organization": move.organization,
        "organization_page": True,
        "form": form,
        "step": step,
        "sides": move.sides(amount),
        "next_url": question.next_url,
        **question.context,
    }
    if step == "confirm" and amount is not None:
        context |= {"question": move.question(amount), "button": move.button(amount)}
    template = question.template
    # Where htmx goes on to a page like this one it asks for the whole of it.
    if request.htmx and request.htmx.target != "main":
        template = f"billing/move.html#{'preview' if step == 'preview' else 'step'}"
    refused = step == "ask" and form.is_bound and bool(form.errors)
    return render(request, template, context, status=422 if refused else 200)


def go_to(request: MemberRequest, url: str) -> HttpResponse:
    """To another page after a change, for htmx as for plain forms."""
    if request.htmx:
        return HttpResponseLocation(url, target="#main", select="#main", swap="outerHTML")
    return redirect(url)
