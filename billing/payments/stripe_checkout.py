"""Stripe Checkout, by the package `stripe` (requirements-stripe.txt), which is imported when it is first needed."""

import importlib
import json
import time
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from billing.money import NANOS_PER_USD
from billing.notice_models import Order
from billing.payments.interface import (
    BadEvent,
    CannotStart,
    Checkout,
    EventKind,
    PaymentEvent,
    PaymentProvider,
)

NANOS_PER_CENT = NANOS_PER_USD // 100
# How old, or how far ahead, a message's time may be: what is sent again later is signed anew.
TOLERANCE_S = 300
TIMEOUT_S = 15
LOCALES = {"en": "en", "ko": "ko", "zh-hans": "zh", "zh-hant": "zh-TW"}
ENDINGS: dict[str, EventKind] = {
    "checkout.session.expired": "expired",
    "checkout.session.async_payment_failed": "failed",
}
PAYMENTS = ("checkout.session.completed", "checkout.session.async_payment_succeeded")


def find_provider() -> PaymentProvider | None:
    """Stripe, where it is set up; None where credits cannot be bought."""
    if not settings.STRIPE_SECRET_KEY:
        return None
    return StripeCheckout(
        settings.STRIPE_SECRET_KEY, settings.STRIPE_WEBHOOK_SECRET, settings.STRIPE_BASE_URL
    )


class StripeCheckout:
    """`base_url` is where Stripe's API is, empty for its own address."""

    def __init__(self, secret_key: str, webhook_secret: str, base_url: str = "") -> None:
        # An HMAC with an empty key is one that everybody can make.
        if not secret_key.strip() or not webhook_secret.strip():
            raise ImproperlyConfigured("Stripe needs its secret key and the secret of its webhook")
        self._secret_key = secret_key
        self._webhook_secret = webhook_secret
        self._base_url = base_url
        self._stripe: Any = importlib.import_module("stripe")

    def start(self, order: Order, return_url: str, cancel_url: str) -> Checkout:
        """As PaymentProvider. The order's id stands in the session and in the payment, so that events about either
        find it."""
        client = self._stripe.StripeClient(
            self._secret_key,
            base_addresses={"api": self._base_url} if self._base_url else None,
            http_client=self._stripe.RequestsClient(timeout=TIMEOUT_S),
            max_network_retries=2,
        )
        name = _("Credits for “%(organization)s”") % {"organization": order.organization.name}
        params = {
            "mode": "payment",
            "client_reference_id": str(order.pk),
            "customer_email": order.buyer.email,
            "line_items": [
                {
                    "quantity": 1,
                    "price_data": {
                        "currency": order.currency,
                        "unit_amount": order.amount_nanos // NANOS_PER_CENT,
                        "product_data": {"name": name[:250]},
                    },
                }
            ],
            "metadata": {"order": str(order.pk)},
            "payment_intent_data": {"metadata": {"order": str(order.pk)}},
            "success_url": return_url,
            "cancel_url": cancel_url,
            "locale": LOCALES.get(get_language() or "", "auto"),
        }
        try:
            session = client.v1.checkout.sessions.create(
                params=params, options={"idempotency_key": f"order-{order.pk}"}
            )
        except self._stripe.StripeError as error:
            raise CannotStart(str(error)) from error
        return Checkout(str(session.id), str(session.url))

    def read_event(self, body: bytes, signature: str) -> PaymentEvent | None:
        """As PaymentProvider."""
        try:
            self._stripe.WebhookSignature.verify_header(
                body, signature, self._webhook_secret, TOLERANCE_S
            )
            _check_not_ahead(signature)
            event = json.loads(body)
            kind, about = str(event["type"]), event["data"]["object"]
        except self._stripe.SignatureVerificationError as error:
            raise BadEvent(str(error)) from error
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise BadEvent(f"not an event: {error}") from error
        if not isinstance(about, dict):
            raise BadEvent("not an event: it is about nothing")
        return _read(kind, about)


def _check_not_ahead(signature: str) -> None:
    """The library looks for old times only."""
    moment = int(next(part[2:] for part in signature.split(",") if part.startswith("t=")))
    if moment > time.time() + TOLERANCE_S:
        raise ValueError("its time has not come yet")


def _read(kind: str, about: dict[str, Any]) -> PaymentEvent | None:
    session_id, currency = str(about.get("id", "")), str(about.get("currency", ""))
    if kind == "charge.refunded":
        order_id = _order_id((about.get("metadata") or {}).get("order"))
        amount, meaning, session_id = about.get("amount_refunded"), "refunded", ""
    else:
        order_id = _order_id(about.get("client_reference_id"))
        amount, meaning = about.get("amount_total"), ENDINGS.get(kind, "")
        # A session can be completed before its payment is: with some methods that takes days.
        if kind in PAYMENTS and about.get("payment_status") == "paid":
            meaning = "paid"
    if order_id is None or not meaning:
        return None
    cents = amount if type(amount) is int and amount >= 0 else 0
    kind_of_ours: EventKind = meaning  # type: ignore[assignment]
    return PaymentEvent(kind_of_ours, order_id, session_id, cents * NANOS_PER_CENT, currency)


def _order_id(text: object) -> UUID | None:
    try:
        return UUID(str(text)) if text else None
    except ValueError:
        return None  # of somebody else's order at the same account
