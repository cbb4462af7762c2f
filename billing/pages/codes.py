"""Redeem codes: operators make them, managers of groups redeem them."""

from typing import Any
from urllib.parse import quote
from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count, F, Q, QuerySet, Sum
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.ids import uuid7
from accounts.models import GroupMembership
from accounts.reauthentication import recently_authenticated
from accounts.views import MemberRequest, find_group, signed_in
from billing import codes
from billing.code_forms import CodesForm
from billing.errors import (
    CodeRedeemedBefore,
    CodeRefused,
    LedgerError,
    OperationConflict,
    TooManyGuesses,
)
from billing.move_forms import RedeemForm
from billing.pages.moves import go_to
from billing.presentation import dollars, fraction_digits, group_frame
from billing.promotion_models import Code, CodeBatch, Redemption

BATCHES_SHOWN = 50
ROWS_SHOWN = 100


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
@recently_authenticated
def operator_codes(request: MemberRequest) -> HttpResponse:
    """The batches of codes, newest first. POST makes one and shows its codes, this once."""
    if not request.user.is_staff:
        raise Http404
    form = CodesForm(request.POST or None, initial={"operation_id": uuid7()})
    if request.method == "POST" and form.is_valid():
        values = form.cleaned_data
        try:
            texts = codes.make_codes(
                form.offer(),
                values["count"],
                operation_id=values["operation_id"],
                actor=request.user,
            )
        except OperationConflict:
            messages.warning(
                request,
                _("These codes were made before, and were shown then. Nothing was made now."),
            )
            return redirect("operator_codes")
        return _show_new_codes(request, values["operation_id"], texts)
    pages = Paginator(_batches(), BATCHES_SHOWN)
    page = pages.get_page(request.GET.get("page"))
    context = {
        "operator_page": True,
        "tab": "codes",
        "form": form,
        "page": page,
        "now": timezone.now(),
        "fraction": fraction_digits(batch.amount_nanos for batch in page),
    }
    return render(request, "billing/codes.html", context, status=422 if form.errors else 200)


def _batches() -> QuerySet[CodeBatch, Any]:
    batches = CodeBatch.objects.select_related("created_by").order_by("-created_at", "-id")
    return batches.annotate(
        count=Count("codes"),
        uses=Sum("codes__uses"),
        disabled=Count("codes", filter=Q(codes__disabled_at__isnull=False)),
        most=F("uses_max") * Count("codes"),
    )


def _show_new_codes(request: MemberRequest, batch_id: UUID, texts: list[str]) -> HttpResponse:
    batch = CodeBatch.objects.get(pk=batch_id)
    table = "\r\n".join(["code", *texts]) + "\r\n"
    context = {
        "operator_page": True,
        "tab": "codes",
        "batch": batch,
        "count": len(texts),
        "lines": "\n".join(texts),
        "csv_url": f"data:text/csv;charset=utf-8,{quote(table)}",
        "csv_name": f"codes-{batch.created_at:%Y-%m-%d}-{batch.pk.hex[-6:]}.csv",
    }
    return render(request, "billing/codes_made.html", context)


@require_safe
@signed_in
def code_batch(request: MemberRequest, batch_id: UUID) -> HttpResponse:
    """A batch: its codes by their last characters, and who redeemed them."""
    batch = _find_batch(request, batch_id)
    shown = Paginator(batch.codes.order_by("pk"), ROWS_SHOWN).get_page(request.GET.get("page"))
    redemptions = Redemption.objects.filter(code__batch=batch).select_related(
        "code", "organization", "group", "redeemed_by"
    )
    context = {
        "operator_page": True,
        "tab": "codes",
        "batch": batch,
        "codes": shown,
        "is_over": batch.valid_until <= timezone.now(),
        "left": batch.codes.filter(disabled_at=None).exists(),
        "redemptions": Paginator(redemptions, ROWS_SHOWN).get_page(request.GET.get("redeemed")),
    }
    return render(request, "billing/codes_batch.html", context)


@require_POST
@signed_in
@recently_authenticated
def disable_codes(
    request: MemberRequest, batch_id: UUID, code_id: int | None = None
) -> HttpResponse:
    """Disables one code of a batch, or all of them."""
    batch = _find_batch(request, batch_id)
    code = get_object_or_404(Code, pk=code_id, batch=batch) if code_id is not None else None
    codes.disable_codes(batch, request.user, code)
    if code is None:
        text = _("The codes “%(name)s” are disabled.") % {"name": batch}
    else:
        text = _("The code %(name)s is disabled.") % {"name": code}
    messages.success(request, text)
    return go_to(request, reverse("code_batch", args=[batch.pk]))


def _find_batch(request: MemberRequest, batch_id: UUID) -> CodeBatch:
    if not request.user.is_staff:
        raise Http404
    return get_object_or_404(CodeBatch.objects.select_related("created_by"), pk=batch_id)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
@recently_authenticated
def redeem(request: MemberRequest, group_id: UUID) -> HttpResponse:
    """Redeems a code for a group. For those who manage it; for its members the page is not there."""
    group = find_group(request, group_id)
    if group.role_of(request.user) != GroupMembership.Role.MANAGER:
        raise Http404
    form = RedeemForm(request.POST or None, initial={"operation_id": uuid7()})
    if request.method == "POST" and form.is_valid():
        redemption = _try_code(request, form, group)
        if redemption is not None:
            messages.success(request, _told(redemption))
            return go_to(request, reverse("group_credits", args=[group.pk]))
    context = group_frame(request.user, group) | {"tab": "credits", "form": form}
    return render(request, "billing/redeem.html", context, status=422 if form.errors else 200)


def _try_code(request: MemberRequest, form: RedeemForm, group: Any) -> Redemption | None:
    values = form.cleaned_data
    try:
        return codes.redeem(
            values["code"], group, operation_id=values["operation_id"], actor=request.user
        )
    except CodeRefused:
        text = _(
            "This code cannot be redeemed. Check that you typed all of it as it was given to you."
        )
    except CodeRedeemedBefore:
        text = _("Your organization has redeemed this code already.")
    except TooManyGuesses:
        text = _("Too many codes that cannot be redeemed. Try again in an hour.")
    except OperationConflict:
        text = _("This form was used before. Please load the page again.")
    except LedgerError:
        text = _("The ledger refused this code. Ask whoever gave it to you.")
    form.add_error("code", text)
    return None


def _told(redemption: Redemption) -> str:
    batch, amount = redemption.code.batch, dollars(redemption.code.batch.amount_nanos)
    if batch.kind == CodeBatch.Kind.POOL:
        text = _("%(amount)s redeemed for the pool of “%(name)s”.")
        return text % {"amount": amount, "name": redemption.organization}
    if batch.kind == CodeBatch.Kind.PROMOTION:
        text = _("%(amount)s of promotional credits redeemed for “%(name)s”.")
    else:
        text = _("%(amount)s redeemed for “%(name)s”.")
    return text % {"amount": amount, "name": redemption.group}
