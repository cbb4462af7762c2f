"""A group's low-balance alerts: thresholds, receivers of mail, a test, and what was sent."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from accounts.models import Group
from accounts.reauthentication import recently_authenticated
from accounts.views import MemberRequest, find_group, signed_in
from billing import alerts
from billing.notice_models import Alert
from billing.presentation import group_frame
from gateway.models import WebhookEndpoint, WebhookEvent
from gateway.pages.alert_forms import AlertsForm

NOTICES_SHOWN = 20


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
@recently_authenticated
def group_alerts(request: MemberRequest, group_id: UUID) -> HttpResponse:
    """The page. POST saves."""
    group = _find_managed(request, group_id)
    form = AlertsForm(request.POST or None, group, alerts.read_plan(group))
    if request.method != "POST":
        return render(request, "billing/alerts.html", _context(request, group, form))
    if not form.is_valid():
        return render(request, "billing/alerts.html", _context(request, group, form), status=422)
    base_url = request.build_absolute_uri("/").rstrip("/")
    alerts.save_plan(group, form.plan(), base_url=base_url, actor=request.user)
    messages.success(request, _("The alerts are saved."))
    return redirect("group_alerts", group.pk)


@require_POST
@signed_in
def test_alerts(request: MemberRequest, group_id: UUID) -> HttpResponse:
    """Send a test to every receiver that is saved."""
    group = _find_managed(request, group_id)
    try:
        sent = alerts.send_test(group)
    except alerts.TooManyTests:
        messages.error(request, _("Too many tests just now. Wait a minute."))
    else:
        if sent:
            messages.success(request, _("A test is on its way. It arrives within half a minute."))
        else:
            messages.error(request, _("Nobody would get a message: choose somebody and save."))
    return redirect("group_alerts", group.pk)


@require_POST
@signed_in
def stop_alert_mail(request: MemberRequest, group_id: UUID) -> HttpResponse:
    """No more mail to whoever asks."""
    group = _find_managed(request, group_id)
    alerts.stop_mail(group, request.user)
    messages.success(request, _("You get no more mail about the balance of this group."))
    return redirect("group_alerts", group.pk)


def _find_managed(request: MemberRequest, group_id: UUID) -> Group:
    """Raises Http404 for those who do not manage the group."""
    group = find_group(request, group_id)
    if not group_frame(request.user, group)["manages"]:
        raise Http404
    return group


def _context(request: MemberRequest, group: Group, form: AlertsForm) -> dict[str, Any]:
    plan = alerts.read_plan(group)
    chosen = form["recipients"].value() or []
    picked = {str(getattr(one, "pk", one)) for one in chosen}
    people = [(user, str(user.pk) in picked) for user in alerts.can_receive(group)]
    states = Alert.objects.filter(group=group).order_by("-threshold_nanos")
    return group_frame(request.user, group) | {
        "tab": "credits",
        "form": form,
        "people": people,
        "states": [(one, one.threshold_nanos + one.threshold_nanos // 20) for one in states],
        "webhooks": WebhookEndpoint.objects.of_group(group).filter(
            is_enabled=True, events__contains=[WebhookEvent.Type.BALANCE_LOW]
        ),
        "gets_mail": request.user in plan.recipients,
        "has_receivers": bool(plan.recipients),
        "notices": alerts.latest_notices(group, NOTICES_SHOWN),
    }
