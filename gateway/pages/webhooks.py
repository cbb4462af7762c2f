"""A group's webhooks: the list, one with what was sent there, its settings and its secret."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.models import Group
from accounts.reauthentication import recently_authenticated
from accounts.views import MemberRequest, signed_in
from billing.pages.group_members import find_managed_group
from billing.presentation import group_frame, page_by_id, parse_cursor
from gateway.deliveries import TooManyTests
from gateway.models import Delivery, WebhookEndpoint
from gateway.nudge import nudge_deliveries
from gateway.pages.webhook_forms import LogFilterForm, WebhookForm
from gateway.signing import OVERLAP
from gateway.webhooks import services
from gateway.webhooks.services import ENDPOINTS_MAX, plan_of

PAGE_SIZE = 25
POLL_S = 2


def find_webhook(
    request: MemberRequest, group_id: UUID, webhook_id: UUID
) -> tuple[Group, WebhookEndpoint]:
    """A webhook of a group that the user manages. Raises Http404."""
    group = find_managed_group(request, group_id)
    mine = WebhookEndpoint.objects.manageable_by(request.user, group).select_related("group")
    return group, get_object_or_404(mine, pk=webhook_id)


def frame_of(request: MemberRequest, group: Group) -> dict[str, Any]:
    """What every page about webhooks shows."""
    return group_frame(request.user, group) | {"tab": "webhooks"}


@require_safe
@signed_in
def webhooks(request: MemberRequest, group_id: UUID) -> HttpResponse:
    """The list."""
    group = find_managed_group(request, group_id)
    rows = [
        (one, Delivery.objects.of_endpoint(one).first())
        for one in WebhookEndpoint.objects.manageable_by(request.user, group)
    ]
    context = frame_of(request, group) | {
        "rows": rows,
        "has_room": len(rows) < ENDPOINTS_MAX,
        "most": ENDPOINTS_MAX,
    }
    return render(request, "gateway/webhooks.html", context)


@sensitive_variables("secret")
@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
@recently_authenticated
def new_webhook(request: MemberRequest, group_id: UUID) -> HttpResponse:
    """The form of a new one. POST makes it and shows its secret, this once."""
    group = find_managed_group(request, group_id)
    form = WebhookForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        base_url = request.build_absolute_uri("/").rstrip("/")
        try:
            endpoint, secret = services.create_endpoint(
                group, request.user, form.plan(), base_url=base_url
            )
        except ValidationError as error:
            form.add_error(None, error)
        else:
            return _show(request, group, endpoint, {"secret": secret})
    return _show_form(request, group, form, None)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
@recently_authenticated
def edit_webhook(request: MemberRequest, group_id: UUID, webhook_id: UUID) -> HttpResponse:
    """Its settings. POST saves."""
    group, endpoint = find_webhook(request, group_id, webhook_id)
    form = WebhookForm(request.POST if request.method == "POST" else None, plan_of(endpoint))
    if request.method == "POST" and form.is_valid():
        try:
            services.change_endpoint(endpoint, request.user, form.plan())
        except ValidationError as error:
            form.add_error(None, error)
        else:
            messages.success(request, _("The webhook is saved."))
            return redirect("webhook", group.pk, endpoint.pk)
    return _show_form(request, group, form, endpoint)


@require_safe
@signed_in
def webhook(request: MemberRequest, group_id: UUID, webhook_id: UUID) -> HttpResponse:
    """One webhook, and what was sent there."""
    group, endpoint = find_webhook(request, group_id, webhook_id)
    return _show(request, group, endpoint, {})


@require_POST
@signed_in
def switch_webhook(request: MemberRequest, group_id: UUID, webhook_id: UUID) -> HttpResponse:
    """On or off: what the field `on` says."""
    group, endpoint = find_webhook(request, group_id, webhook_id)
    wanted = plan_of(endpoint)._replace(is_enabled=request.POST.get("on") == "1")
    try:
        services.change_endpoint(endpoint, request.user, wanted)
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        text = _("The webhook is on.") if wanted.is_enabled else _("The webhook is off.")
        messages.success(request, text)
    return redirect("webhook", group.pk, endpoint.pk)


@require_POST
@signed_in
@recently_authenticated
def remove_webhook(request: MemberRequest, group_id: UUID, webhook_id: UUID) -> HttpResponse:
    """Take it away, with its log."""
    group, endpoint = find_webhook(request, group_id, webhook_id)
    services.remove_endpoint(endpoint, request.user)
    messages.success(request, _("The webhook is removed."))
    return redirect("group_webhooks", group.pk)


@sensitive_variables("secret")
@require_POST
@signed_in
@recently_authenticated
def rotate_webhook_secret(request: MemberRequest, group_id: UUID, webhook_id: UUID) -> HttpResponse:
    """Another secret, shown this once."""
    group, endpoint = find_webhook(request, group_id, webhook_id)
    secret = services.rotate_secret(endpoint, request.user)
    endpoint.refresh_from_db()
    return _show(request, group, endpoint, {"secret": secret, "is_rotation": True})


@require_POST
@signed_in
def test_webhook(request: MemberRequest, group_id: UUID, webhook_id: UUID) -> HttpResponse:
    """Send a test; the log shows what became of it."""
    group, endpoint = find_webhook(request, group_id, webhook_id)
    try:
        services.send_test(endpoint, request.user)
    except TooManyTests:
        messages.error(request, _("Too many tests just now. Wait a minute."))
    else:
        nudge_deliveries()
        messages.success(request, _("A test is on its way: below you see what becomes of it."))
    return redirect("webhook", group.pk, endpoint.pk)


def _show(
    request: MemberRequest, group: Group, endpoint: WebhookEndpoint, shown: dict[str, Any]
) -> HttpResponse:
    form = LogFilterForm(request.GET)
    log = Delivery.objects.of_endpoint(endpoint).filter(**form.conditions())
    before, after = (parse_cursor(request.GET.get(name)) for name in ("before", "after"))
    page = page_by_id(log, PAGE_SIZE, before=before, after=after)
    now = timezone.now()
    until = endpoint.previous_until
    context = frame_of(request, group) | {
        "endpoint": endpoint,
        "page": page,
        "form": form,
        "is_filtered": bool(form.conditions()),
        "previous_until": until if until is not None and until > now else None,
        "overlap_hours": int(OVERLAP.total_seconds() // 3600),
        "is_live": any(
            (one.state == Delivery.State.WAITING and one.next_at <= now) or one.lease_until
            for one in page.rows
        ),
        "poll_s": POLL_S,
    }
    return render(request, "gateway/webhook.html", context | shown)


def _show_form(
    request: MemberRequest, group: Group, form: WebhookForm, endpoint: WebhookEndpoint | None
) -> HttpResponse:
    context = frame_of(request, group) | {"form": form, "endpoint": endpoint}
    status = 422 if form.errors else 200
    return render(request, "gateway/webhook_form.html", context, status=status)
