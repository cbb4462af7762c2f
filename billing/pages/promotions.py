"""Promotional credits, given and ended by operators."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from accounts.models import Group
from accounts.reauthentication import recently_authenticated
from accounts.views import MemberRequest, find_organization, signed_in
from billing import promotions
from billing.models import Account
from billing.move_forms import PromoteForm
from billing.pages.moves import Question, ask, go_to
from billing.prepared_moves import prepare_move
from billing.presentation import fraction_digits
from billing.promotion_models import Promotion


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
@recently_authenticated(on_get=True)
def promote(request: MemberRequest, organization_id: UUID, group_id: UUID) -> HttpResponse:
    """Gives promotional credits, and shows those that were given. For operators."""
    if not request.user.is_staff:
        raise Http404
    found = find_organization(request, organization_id)
    group = get_object_or_404(Group, pk=group_id, organization=found, archived_at=None)

    def carry_out(operation_id: UUID, values: dict[str, Any]) -> Promotion:
        return promotions.promote(
            group,
            values["amount"],
            expires_at=values["expires_on"],
            operation_id=operation_id,
            actor=request.user,
            reason=values["reason"],
        )

    rows = promotions.read_promotions(Account.objects.wallet_of(group))
    amounts = [n for row in rows for n in (row.amount_nanos, row.spent_nanos, row.remaining_nanos)]
    question = Question(
        prepare_move("promote", found, group),
        PromoteForm,
        carry_out,
        _page_of(group),
        "billing/promotions.html",
        {"rows": rows, "fraction": fraction_digits(amounts)},
    )
    return ask(request, question)


@require_POST
@signed_in
@recently_authenticated
def end_promotion(
    request: MemberRequest, organization_id: UUID, promotion_id: UUID
) -> HttpResponse:
    """Ends a promotion before its day. For operators."""
    if not request.user.is_staff:
        raise Http404
    promotion = get_object_or_404(
        Promotion.objects.select_related("wallet__group__organization"),
        pk=promotion_id,
        wallet__organization=organization_id,
    )
    promotions.end_promotion(promotion, request.user)
    messages.success(
        request, _("The promotional credits “%(name)s” have ended.") % {"name": promotion}
    )
    group = promotion.wallet.group
    assert group is not None
    return go_to(request, _page_of(group))


def _page_of(group: Group) -> str:
    return reverse("promote", args=[group.organization_id, group.pk])
