"""A key's callbacks: what signs them, a test, and what became of the latest."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_POST, require_safe
from django_htmx.http import HttpResponseLocation

from accounts.models import APIKey, Group
from accounts.views import MemberRequest, find_group, signed_in
from billing.presentation import group_frame, parse_cursor
from gateway import callbacks
from gateway.addresses import UnsafeAddress
from gateway.callback_secrets import callback_secret, rotate_secret
from gateway.credentials import BadCredential
from gateway.deliveries import TooManyTests
from gateway.models import CallbackSecret, Delivery
from gateway.nudge import nudge_deliveries
from gateway.pages.callback_forms import CallbackTestForm
from gateway.pages.outbound_words import OUTBOUND_TEXTS
from gateway.signing import OVERLAP

DELIVERIES_SHOWN = 20
NEWS_ID = "callback-news"
POLL_S = 2


def _find_key(request: MemberRequest, group_id: UUID, key_id: UUID) -> tuple[Group, APIKey]:
    """A key of a group that the user sees, for those who may manage it."""
    group = find_group(request, group_id)
    keys = APIKey.objects.manageable_by(request.user, group).select_related("created_by")
    return group, get_object_or_404(keys, pk=key_id)


def _context(
    request: MemberRequest, group: Group, key: APIKey, tested: UUID | None
) -> dict[str, Any]:
    """What the page shows. `tested`: the delivery whose result stands beside the form."""
    latest = list(callbacks.latest_deliveries(key, DELIVERIES_SHOWN))
    secret = CallbackSecret.objects.filter(pk=key.pk).first()
    overlaps = secret is not None and (secret.previous_until or timezone.now()) > timezone.now()
    seen = "-".join(f"{one.pk.hex[-6:]}.{one.state[0]}{one.attempts}" for one in latest)
    return group_frame(request.user, group) | {
        "tab": "keys",
        "key": key,
        "made_at": secret.rotated_at if secret else None,
        "previous_until": secret.previous_until if secret and overlaps else None,
        "overlap_hours": int(OVERLAP.total_seconds() // 3600),
        "deliveries": latest,
        "tested": next((one for one in latest if one.pk == tested), None),
        "is_live": any(one.state == Delivery.State.WAITING for one in latest),
        "seen": seen,
        "poll_s": POLL_S,
        "form": CallbackTestForm(),
    }


@require_safe
@signed_in
def callbacks_page(request: MemberRequest, group_id: UUID, key_id: UUID) -> HttpResponse:
    """The page. htmx asks here too while a delivery is unfinished, answered with 204 while nothing is new."""
    group, key = _find_key(request, group_id, key_id)
    context = _context(request, group, key, parse_cursor(request.GET.get("tested")))
    if request.htmx and request.htmx.target == NEWS_ID:
        if request.GET.get("seen") == context["seen"]:
            return HttpResponse(status=204)
        return render(request, "gateway/callbacks.html#poll", context)
    return render(request, "gateway/callbacks.html", context)


@sensitive_variables("context")
@require_POST
@signed_in
def show_secret(request: MemberRequest, group_id: UUID, key_id: UUID) -> HttpResponse:
    """The page with the secret in the clear; for htmx the part that shows it."""
    group, key = _find_key(request, group_id, key_id)
    try:
        shown = {"secret": callback_secret(key)}
    except BadCredential:
        shown = {"secret": "", "secret_problem": _("The secret cannot be read. Rotate it.")}
    context = _context(request, group, key, None) | shown
    part = "#secret" if request.htmx else ""
    return render(request, f"gateway/callbacks.html{part}", context)


@require_POST
@signed_in
def rotate_callback_secret(request: MemberRequest, group_id: UUID, key_id: UUID) -> HttpResponse:
    """Give the key another secret."""
    group, key = _find_key(request, group_id, key_id)
    rotate_secret(key)
    text = _(
        "The callbacks of “%(name)s” have a new secret; the one before signs too for 24 hours."
    )
    messages.success(request, text % {"name": key.name})
    return _go_to(request, reverse("callbacks", args=[group.pk, key.pk]))


@require_POST
@signed_in
def send_test_callback(request: MemberRequest, group_id: UUID, key_id: UUID) -> HttpResponse:
    """Send a test to an address; the page shows what became of it."""
    group, key = _find_key(request, group_id, key_id)
    form = CallbackTestForm(request.POST)
    if form.is_valid():
        try:
            sent = callbacks.send_test(key, form.cleaned_data["url"])
        except TooManyTests:
            form.add_error("url", _("Too many tests just now. Wait a minute."))
        except UnsafeAddress as error:
            form.add_error("url", OUTBOUND_TEXTS.say(str(error)))
        else:
            nudge_deliveries()
            url = reverse("callbacks", args=[group.pk, key.pk])
            if not request.htmx:
                return redirect(f"{url}?tested={sent.pk}")
            context = _context(request, group, key, sent.pk) | {"form": form}
            return render(request, "gateway/callbacks.html", context)
    context = _context(request, group, key, None) | {"form": form}
    return render(request, "gateway/callbacks.html", context, status=422)


@require_POST
@signed_in
def redeliver(
    request: MemberRequest, group_id: UUID, key_id: UUID, delivery_id: UUID
) -> HttpResponse:
    """Send a message again; one that waits is tried now."""
    group, key = _find_key(request, group_id, key_id)
    delivery = get_object_or_404(Delivery, pk=delivery_id, api_key=key)
    try:
        callbacks.redeliver(delivery)
    except TooManyTests:
        messages.error(request, _("Too many tests just now. Wait a minute."))
    except UnsafeAddress as error:
        messages.error(request, OUTBOUND_TEXTS.say(str(error)))
    else:
        nudge_deliveries()
        messages.success(request, _("The message is on its way again."))
    here = request.htmx.current_url_abs_path if request.htmx else None
    return _go_to(request, here or reverse("callbacks", args=[group.pk, key.pk]))


def _go_to(request: HttpRequest, url: str) -> HttpResponse:
    if getattr(request, "htmx", False):
        return HttpResponseLocation(url, target="#main", select="#main", swap="outerHTML")
    return redirect(url)
