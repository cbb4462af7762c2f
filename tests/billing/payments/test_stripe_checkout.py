"""Asking Stripe for a page on which an order can be paid: by its own library, over HTTP."""

from uuid import uuid4

import pytest

from billing.notice_models import Order
from billing.payments.interface import CannotStart
from billing.payments.orders import place_order, start_payment
from billing.payments.stripe_checkout import StripeCheckout
from tests.billing.past import USD
from tests.billing.payments.fake_stripe import SECRET_KEY, WEBHOOK_SECRET, FakeStripe
from tests.people import People

BACK, OFF = "https://gate.example/back", "https://gate.example/off"


def provider_at(url: str, key: str = SECRET_KEY) -> StripeCheckout:
    return StripeCheckout(key, WEBHOOK_SECRET, url)


def order_of(people: People, nanos: int = 50 * USD) -> Order:
    return place_order(people.organization, nanos, order_id=uuid4(), buyer=people.alice)


def test_the_order_is_told_in_cents_with_its_id_on_session_and_payment(
    people: People, fake: FakeStripe
) -> None:
    order = order_of(people, 12_340_000_000)
    started = start_payment(order, provider_at(fake.url), BACK, OFF)
    (asked,) = fake.requests
    assert asked["line_items[0][price_data][unit_amount]"] == "1234"
    assert asked["line_items[0][price_data][currency]"] == "usd"
    assert asked["client_reference_id"] == str(order.pk)
    assert asked["payment_intent_data[metadata][order]"] == str(order.pk)
    assert (asked["success_url"], asked["cancel_url"]) == (BACK, OFF)
    assert asked["mode"] == "payment"
    saved = Order.objects.get()
    assert saved.checkout_url == started.checkout_url == fake.session_of(order.pk)["url"]
    assert saved.state == "open"


def test_an_order_has_one_page_however_often_it_is_asked_for(
    people: People, fake: FakeStripe
) -> None:
    order = order_of(people)
    start_payment(order, provider_at(fake.url), BACK, OFF)
    start_payment(Order.objects.get(), provider_at(fake.url), BACK, OFF)
    assert len(fake.requests) == 1
    Order.objects.update(checkout_url="", session_id="")  # the answer was lost
    start_payment(Order.objects.get(), provider_at(fake.url), BACK, OFF)
    assert len(fake.sessions) == 1
    assert len(fake.requests) == 2


def test_a_double_click_is_one_order(people: People) -> None:
    order_id = uuid4()
    for _ in range(2):
        place_order(people.organization, 5 * USD, order_id=order_id, buyer=people.alice)
    assert Order.objects.count() == 1


@pytest.mark.parametrize("problem", ["away", "500", "bad key"])
def test_an_order_that_stripe_does_not_take_has_failed(
    people: People, fake: FakeStripe, problem: str
) -> None:
    provider = provider_at(fake.url)
    if problem == "away":
        provider = provider_at("http://127.0.0.1:9")
    elif problem == "bad key":
        provider = provider_at(fake.url, "sk_test_other")
    else:
        fake.fails_with = 500
    with pytest.raises(CannotStart):
        start_payment(order_of(people), provider, BACK, OFF)
    assert Order.objects.get().state == "failed"
