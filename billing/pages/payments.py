"""Buying credits: the form, the orders, one order, and the provider's events. Only events credit anything."""

from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.ids import uuid7
from accounts.models import Organization
from accounts.reauthentication import recently_authenticated
from accounts.views import MemberRequest, signed_in
from billing.errors import OperationConflict
from billing.forms import UsdField
from billing.models import Account
from billing.money import NANOS_PER_USD
from billing.notice_models import Order
from billing.pages.organizations import find_organization
from billing.payments.interface import BadEvent, CannotStart, PaymentProvider
from billing.payments.orders import apply_event, place_order, start_payment
from billing.payments.stripe_checkout import NANOS_PER_CENT, find_provider
from billing.presentation import dollars, page_by_id, parse_cursor

PRESETS = tuple(amount * NANOS_PER_USD for amount in (20, 50, 100, 500, 1000))
LEAST_NANOS, MOST_NANOS = 5 * NANOS_PER_USD, 10_000 * NANOS_PER_USD
ORDERS_SHOWN = 20
OWN = "own"
POLL_S = 2
EVENT_BYTES_MAX = 512 * 1024


class BuyForm(forms.Form):
    """An amount: one of the presets, or one's own. `order_id` comes from the page, so that a double click orders
    once."""

    preset = forms.ChoiceField(
        choices=[*((str(nanos), dollars(nanos)) for nanos in PRESETS), (OWN, OWN)]
    )
    amount = UsdField(
        label=gettext_lazy("Another amount"),
        required=False,
        widget=forms.TextInput(
            attrs={"inputmode": "decimal", "maxlength": 40, "autocomplete": "off"}
        ),
    )
    order_id = forms.UUIDField(widget=forms.HiddenInput)

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        if values.get("preset") != OWN:
            values["nanos"] = int(values.get("preset") or 0)
            return values
        nanos = values.get("amount")
        if nanos is None:
            if "amount" not in self.errors:
                self.add_error("amount", _("Write an amount."))
        elif nanos % NANOS_PER_CENT:
            self.add_error("amount", _("Whole cents only."))
        elif not LEAST_NANOS <= nanos <= MOST_NANOS:
            limits = {"least": dollars(LEAST_NANOS), "most": dollars(MOST_NANOS)}
            self.add_error(
                "amount", ValidationError(_("From %(least)s to %(most)s."), params=limits)
            )
        values["nanos"] = nanos
        return values


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
@recently_authenticated
def payments(request: MemberRequest, organization_id: UUID) -> HttpResponse:
    """The form and the organization's orders. POST places an order and leads to where it is paid."""
    organization = find_organization(request, organization_id)
    provider = find_provider()
    if provider is None and not Order.objects.filter(organization=organization).exists():
        raise Http404
    form = BuyForm(request.POST or None, auto_id="buy_%s")
    if request.method == "POST" and provider is None:
        raise Http404
    if request.method == "POST" and provider is not None and form.is_valid():
        try:
            order = _order(request, organization, form, provider)
        except CannotStart:
            form.add_error(None, _("The payment provider cannot be reached. Nothing was charged."))
        except OperationConflict:
            form.add_error(None, _("This form was used for another order. Please press again."))
        else:
            return redirect(f"{reverse('payment', args=[organization.pk, order.pk])}?go=1")
    return _show_payments(request, organization, form)


def _order(
    request: MemberRequest, organization: Organization, form: BuyForm, provider: PaymentProvider
) -> Order:
    values = form.cleaned_data
    order = place_order(
        organization, values["nanos"], order_id=values["order_id"], buyer=request.user
    )
    base = settings.PUBLIC_URL or request.build_absolute_uri("/").rstrip("/")
    here = base + reverse("payment", args=[organization.pk, order.pk])
    list_url = base + reverse("organization_payments", args=[organization.pk])
    return start_payment(order, provider, here, f"{list_url}?cancelled=1")


@require_safe
@signed_in
def payment(request: MemberRequest, organization_id: UUID, order_id: UUID) -> HttpResponse:
    """One order. With `?go=1` it leads on to the provider; else it shows what became of the order, by itself once the
    provider said so."""
    organization = find_organization(request, organization_id)
    orders = Order.objects.filter(organization=organization).select_related("buyer")
    order = get_object_or_404(orders, pk=order_id)
    is_open = order.state == Order.State.OPEN
    context = _frame(organization) | {
        "order": order,
        "is_open": is_open,
        "leads_on": is_open and "go" in request.GET and bool(order.checkout_url),
        "poll_s": POLL_S,
    }
    if request.htmx and request.htmx.target == "payment-state":
        if is_open:
            return HttpResponse(status=204)
        return render(request, "billing/payment.html#state", context)
    return render(request, "billing/payment.html", context)


@csrf_exempt
@require_POST
def stripe_webhook(request: HttpRequest) -> HttpResponse:
    """An event of Stripe. Nobody is signed in: its signature is what counts. 404 where Stripe is not set up."""
    provider = find_provider()
    if provider is None:
        raise Http404
    if int(request.headers.get("content-length") or 0) > EVENT_BYTES_MAX:
        return HttpResponse("too large", status=413, content_type="text/plain")
    try:
        event = provider.read_event(request.body, request.headers.get("stripe-signature", ""))
    except BadEvent:
        return HttpResponse("not verified", status=400, content_type="text/plain")
    if event is not None:
        apply_event(event)
    return HttpResponse("ok", content_type="text/plain")


def _show_payments(
    request: MemberRequest, organization: Organization, form: BuyForm
) -> HttpResponse:
    orders = Order.objects.filter(organization=organization).select_related("buyer").order_by("-pk")
    before, after = (parse_cursor(request.GET.get(name)) for name in ("before", "after"))
    context = _frame(organization) | {
        "form": form,
        "presets": [(str(nanos), nanos) for nanos in PRESETS],
        "chosen": form["preset"].value() or str(PRESETS[1]),
        "least_nanos": LEAST_NANOS,
        "most_nanos": MOST_NANOS,
        # An order that failed stays so: the next one is another.
        "order_id": (not form.non_field_errors() and form["order_id"].value()) or uuid7(),
        "can_buy": find_provider() is not None,
        "page": page_by_id(orders, ORDERS_SHOWN, before=before, after=after),
        "is_cancelled": "cancelled" in request.GET,
    }
    return render(request, "billing/payments.html", context, status=422 if form.errors else 200)


def _frame(organization: Organization) -> dict[str, Any]:
    return {
        "organization": organization,
        "organization_page": True,
        "tab": "groups",
        "pool": Account.objects.pool_of(organization),
    }
