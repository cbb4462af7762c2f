"""Refunds of calls, by operators."""

from typing import Any
from uuid import UUID

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from accounts.reauthentication import recently_authenticated
from accounts.views import MemberRequest, signed_in
from billing import ledger
from billing.models import Account, Transfer
from billing.move_forms import ReasonedMoveForm
from billing.pages.moves import Question, ask
from billing.prepared_moves import prepare_refund


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
@recently_authenticated(on_get=True)
def refund(request: MemberRequest, call_id: UUID) -> HttpResponse:
    """All or a part of what a call was charged, once. A call that was charged nothing has nothing to refund: 404."""
    if not request.user.is_staff:
        raise Http404
    capture = get_object_or_404(Transfer, pk=call_id, kind=Transfer.Kind.CAPTURE)
    wallet = Account.objects.select_related("group", "organization").get(
        pk=capture.debit_account_id
    )
    group = wallet.group
    assert group is not None

    def carry_out(operation_id: UUID, values: dict[str, Any]) -> Transfer:
        return ledger.refund(
            group,
            values["amount"],
            operation_id=operation_id,
            actor=request.user,
            reason=values["reason"],
            call_id=capture.pk,
        )

    earlier = Transfer.objects.filter(call_id=capture.pk, kind=Transfer.Kind.REFUND).first()
    context = {"capture": capture, "earlier": earlier, "call_id": f"call_{capture.pk.hex}"}
    next_url = reverse("call", args=[group.pk, context["call_id"]])
    question = Question(
        prepare_refund(capture, wallet),
        ReasonedMoveForm,
        carry_out,
        next_url,
        "billing/refund.html",
        context,
    )
    return ask(request, question)
