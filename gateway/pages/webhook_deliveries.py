"""One message of a webhook: what was sent, what was answered, and sending it again."""

from uuid import UUID

import msgspec
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts.views import MemberRequest, signed_in
from gateway.deliveries import TooManyTests
from gateway.models import Delivery
from gateway.nudge import nudge_deliveries
from gateway.pages.webhooks import POLL_S, find_webhook, frame_of
from gateway.webhooks import services


@require_safe
@signed_in
def webhook_delivery(
    request: MemberRequest, group_id: UUID, webhook_id: UUID, delivery_id: UUID
) -> HttpResponse:
    """Its body, and every try with the answer."""
    group, endpoint = find_webhook(request, group_id, webhook_id)
    delivery = get_object_or_404(Delivery.objects.of_endpoint(endpoint), pk=delivery_id)
    payload = delivery.event.payload if delivery.event else ""
    others = Delivery.objects.of_endpoint(endpoint).filter(event=delivery.event_id)
    context = frame_of(request, group) | {
        "endpoint": endpoint,
        "delivery": delivery,
        "payload": msgspec.json.format(payload, indent=2) if payload else "",
        "others": others.exclude(pk=delivery.pk),
        "poll_s": POLL_S,
    }
    return render(request, "gateway/webhook_delivery.html", context)


@require_POST
@signed_in
def redeliver_webhook(
    request: MemberRequest, group_id: UUID, webhook_id: UUID, delivery_id: UUID
) -> HttpResponse:
    """Send the message again; one that waits is tried now."""
    group, endpoint = find_webhook(request, group_id, webhook_id)
    mine = Delivery.objects.of_endpoint(endpoint).select_related("event", "endpoint")
    delivery = get_object_or_404(mine, pk=delivery_id)
    try:
        sent = services.redeliver(delivery, request.user)
    except TooManyTests:
        messages.error(request, _("Too many tests just now. Wait a minute."))
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        nudge_deliveries()
        messages.success(request, _("The message is on its way again."))
        delivery = sent
    return redirect("webhook_delivery", group.pk, endpoint.pk, delivery.pk)
