"""A new group in three steps: its name, its credits, its members.

Every step saves by itself: after the first the group is there and works, whatever becomes of the others.
"""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts import services
from accounts.ids import uuid7
from accounts.member_forms import GroupPeopleForm, NewGroupForm
from accounts.member_lists import list_colleagues
from accounts.models import Group, Organization
from accounts.reauthentication import recently_authenticated
from accounts.views import MemberRequest, find_organization, signed_in
from billing import ledger
from billing.errors import InsufficientCredit, LedgerError, OperationConflict
from billing.models import Transfer
from billing.move_forms import ConfirmedMoveForm
from billing.pages.group_members import bring_in
from billing.prepared_moves import Move, prepare_move
from billing.presentation import dollars

PREVIEW_ID = "move-preview"


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def group_new(request: MemberRequest, organization_id: UUID) -> HttpResponse:
    """Step 1: the name. `?group=` comes back from a later step; the id made with the form makes one group of a form
    that is sent twice, and renames the group where somebody goes back and sends another name."""
    found = find_organization(request, organization_id)
    existing = _asked_group(request, found)
    form = NewGroupForm(
        request.POST or None,
        initial={
            "name": existing.name if existing else "",
            "group_id": existing.pk if existing else uuid7(),
        },
    )
    if request.method == "POST" and form.is_valid():
        try:
            group = _save_name(request, found, form.cleaned_data)
        except ValidationError as error:
            form.add_error("name", error.messages)
        else:
            return redirect("group_new_credits", found.pk, group.pk)
    context = _frame(found, existing, 1) | {"form": form}
    return _show(request, "billing/new_group_name.html", context, form.errors)


def _asked_group(request: MemberRequest, organization: Organization) -> Group | None:
    asked = request.GET.get("group", "")
    if not asked:
        return None
    try:
        return _find_group(organization, UUID(asked))
    except ValueError:
        raise Http404 from None


def _find_group(organization: Organization, group_id: UUID) -> Group:
    living = Group.objects.filter(organization=organization, archived_at=None)
    return get_object_or_404(living.select_related("organization"), pk=group_id)


def _save_name(request: MemberRequest, organization: Organization, values: dict[str, Any]) -> Group:
    user = request.user
    # An operator makes groups for others without becoming a member.
    manager = user if organization.memberships.filter(user=user).exists() else None
    group = services.create_group(
        organization, values["name"], manager, actor=user, group_id=values["group_id"]
    )
    if group.name != values["name"]:
        services.rename_group(group, values["name"], actor=user)
    return group


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
@recently_authenticated
def group_new_credits(
    request: MemberRequest, organization_id: UUID, group_id: UUID
) -> HttpResponse:
    """Step 2: credits from the pool. Both balances follow what is typed."""
    found = find_organization(request, organization_id)
    group = _find_group(found, group_id)
    move = prepare_move(Transfer.Kind.GRANT, found, group)
    if request.method == "POST":
        form = ConfirmedMoveForm(request.POST)
        if form.is_valid() and _grant(request, group, form):
            return redirect("group_new_members", found.pk, group.pk)
    elif "amount" in request.GET:
        form = ConfirmedMoveForm({"operation_id": str(uuid7()), "amount": request.GET["amount"]})
    else:
        form = ConfirmedMoveForm(initial={"operation_id": uuid7()})
    _refuse_too_much(form, move)
    amount = form.cleaned_data.get("amount") if form.is_bound and not form.errors else None
    context = _frame(found, group, 2) | {
        "form": form,
        "move": move,
        "sides": move.sides(amount),
    }
    if request.htmx and request.htmx.target == PREVIEW_ID:
        return render(request, "billing/move.html#preview", context)
    return _show(request, "billing/new_group_credits.html", context, form.errors)


def _grant(request: MemberRequest, group: Group, form: ConfirmedMoveForm) -> bool:
    values = form.cleaned_data
    try:
        ledger.grant(
            group,
            values["amount"],
            operation_id=values["operation_id"],
            actor=request.user,
            reason=values["reason"],
        )
    except InsufficientCredit as error:
        form.add_error("amount", _too_much(error.available_nanos))
    except OperationConflict:
        form.add_error(None, _("This form was used for another move before. Please start again."))
    except LedgerError:
        form.add_error("amount", _("The ledger refused this amount."))
    else:
        messages.success(
            request,
            _("%(amount)s granted to “%(group)s”.")
            % {"amount": dollars(values["amount"]), "group": group},
        )
        return True
    return False


def _refuse_too_much(form: ConfirmedMoveForm, move: Move) -> None:
    limit = move.limit_nanos or 0
    if form.is_bound and form.is_valid() and form.cleaned_data["amount"] > limit:
        form.add_error("amount", _too_much(limit))


def _too_much(available_nanos: int) -> str:
    return _("That is more than there is in the pool: %(available)s.") % {
        "available": dollars(available_nanos)
    }


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def group_new_members(
    request: MemberRequest, organization_id: UUID, group_id: UUID
) -> HttpResponse:
    """Step 3: colleagues by tick, others by e-mail. Nobody at all is fine."""
    found = find_organization(request, organization_id)
    group = _find_group(found, group_id)
    form = GroupPeopleForm(request.POST or None, colleagues=list_colleagues(group), required=False)
    if request.method == "POST" and form.is_valid() and bring_in(request, group, form):
        return redirect("group_keys", group.pk)
    context = _frame(found, group, 3) | {"form": form}
    return _show(request, "billing/new_group_members.html", context, form.errors)


def _frame(organization: Organization, group: Group | None, step: int) -> dict[str, Any]:
    steps = [_("Name"), _("Credits"), _("Members")]
    return {
        "organization": organization,
        "organization_page": True,
        "new_group": group,
        "step": step,
        "steps": list(enumerate(steps, 1)),
    }


def _show(
    request: MemberRequest, template: str, context: dict[str, Any], errors: object
) -> HttpResponse:
    refused = request.method == "POST" and bool(errors)
    return render(request, template, context, status=422 if refused else 200)
