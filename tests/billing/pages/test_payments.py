"""Buying credits: who may, what is ordered, and that no page but the provider's event credits anything."""

import re
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from billing.models import Account, Transfer
from billing.notice_models import Order
from tests.billing.past import USD
from tests.billing.payments.fake_stripe import (
    SECRET_KEY,
    WEBHOOK_SECRET,
    FakeStripe,
    event,
    sign,
)
from tests.people import People


@pytest.fixture
def fake(settings: Any) -> Iterator[FakeStripe]:
    server = FakeStripe()
    settings.STRIPE_SECRET_KEY = SECRET_KEY
    settings.STRIPE_WEBHOOK_SECRET = WEBHOOK_SECRET
    settings.STRIPE_BASE_URL = server.url
    yield server
    server.close()


def url_of(people: People) -> str:
    return reverse("organization_payments", args=[people.organization.pk])


def order(client: Client, people: People, **fields: object) -> Any:
    values = {"preset": str(50 * USD), "order_id": str(uuid4())} | fields
    return client.post(url_of(people), values)


def pool_of(people: People) -> int:
    return Account.objects.pool_of(people.organization).balance_nanos


def test_only_admins_buy(client: Client, people: People, fake: FakeStripe) -> None:
    client.force_login(people.alice)
    assert order(client, people).status_code == 302
    made = Order.objects.get()
    one = reverse("payment", args=[people.organization.pk, made.pk])
    for user, status in ((people.bob, 404), (people.charlie, 404), (people.olga, 200)):
        client.force_login(user)
        assert client.get(url_of(people)).status_code == status
        assert client.get(one).status_code == status
    client.logout()
    assert client.get(one).status_code == 302
    foreign = reverse("payment", args=[people.foreign_organization.pk, made.pk])
    client.force_login(people.charlie)
    assert client.get(foreign).status_code == 404


def test_without_a_provider_there_is_nothing_to_buy(
    client: Client, people: People, settings: Any
) -> None:
    settings.STRIPE_SECRET_KEY = ""
    client.force_login(people.alice)
    assert client.get(url_of(people)).status_code == 404
    assert order(client, people).status_code == 404


def test_an_order_leads_to_the_provider_without_a_script(
    client: Client, people: People, fake: FakeStripe
) -> None:
    client.force_login(people.alice)
    response = order(client, people)
    made = Order.objects.get()
    html = client.get(response["location"]).content.decode()
    assert f'<meta http-equiv="refresh" content="0;url={made.checkout_url}">' in html
    assert f'href="{made.checkout_url}"' in html
    assert "http-equiv" not in client.get(response["location"].split("?")[0]).content.decode()


def test_only_the_event_credits(client: Client, people: People, fake: FakeStripe) -> None:
    client.force_login(people.alice)
    page = order(client, people)["location"].split("?")[0]
    htmx = {"HX-Request": "true", "HX-Target": "payment-state"}
    assert "Waiting for the payment" in client.get(page).content.decode()
    assert client.get(page, headers=htmx).status_code == 204
    assert client.get(f"{page}?paid=1&state=paid&session_id=cs_1").status_code == 200
    assert (pool_of(people), Transfer.objects.count()) == (0, 0)
    made = Order.objects.get()
    body = event(
        "checkout.session.completed", fake.session_of(made.pk) | {"payment_status": "paid"}
    )
    headers = {"stripe-signature": sign(body)}
    Client().post(reverse("stripe_webhook"), body, content_type="application/json", headers=headers)
    assert pool_of(people) == 50 * USD
    part = client.get(page, headers=htmx).content.decode()
    assert "$50.00 went into the pool" in part
    assert "hx-get" not in part, "it does not ask any more"


def test_a_double_click_orders_once(client: Client, people: People, fake: FakeStripe) -> None:
    client.force_login(people.alice)
    html = client.get(url_of(people)).content.decode()
    found = re.search(r'name="order_id" value="([^"]+)"', html)
    assert found is not None
    for _ in range(2):
        order(client, people, order_id=found[1])
    assert (Order.objects.count(), len(fake.sessions)) == (1, 1)


def test_another_organizations_order_cannot_be_taken_over(
    client: Client, people: People, fake: FakeStripe
) -> None:
    client.force_login(people.alice)
    order_id = uuid4()
    order(client, people, order_id=str(order_id))
    client.force_login(people.charlie)
    foreign = reverse("organization_payments", args=[people.foreign_organization.pk])
    response = client.post(foreign, {"preset": str(20 * USD), "order_id": str(order_id)})
    assert response.status_code == 422
    assert Order.objects.get().organization_id == people.organization.pk


@pytest.mark.parametrize(
    ("fields", "nanos"),
    [
        ({"preset": "own", "amount": "12.34"}, 12_340_000_000),
        ({"preset": "own", "amount": "5"}, 5 * USD),
        ({"preset": "own", "amount": "10,000"}, 10_000 * USD),
        ({"preset": str(20 * USD), "amount": "7"}, 20 * USD),
    ],
)
def test_amounts_that_can_be_bought(
    client: Client, people: People, fake: FakeStripe, fields: dict[str, str], nanos: int
) -> None:
    client.force_login(people.alice)
    assert order(client, people, **fields).status_code == 302
    assert Order.objects.get().amount_nanos == nanos


@pytest.mark.parametrize(
    "fields",
    [
        {"preset": "own", "amount": "4.99"},
        {"preset": "own", "amount": "10000.01"},
        {"preset": "own", "amount": "12.345"},
        {"preset": "own", "amount": "-20"},
        {"preset": "own", "amount": ""},
        {"preset": "own"},
        {"preset": "1"},
        {"preset": ""},
        {"order_id": "1"},
    ],
)
def test_amounts_that_cannot(
    client: Client, people: People, fake: FakeStripe, fields: dict[str, str]
) -> None:
    client.force_login(people.alice)
    assert order(client, people, **fields).status_code == 422
    assert (Order.objects.count(), len(fake.requests)) == (0, 0)


def test_a_provider_that_is_away_is_told_in_words(
    client: Client, people: People, fake: FakeStripe
) -> None:
    fake.fails_with = 500
    client.force_login(people.alice)
    response = order(client, people)
    assert response.status_code == 422
    assert "Nothing was charged" in response.content.decode()
    assert Order.objects.get().state == "failed"


def test_a_problem_is_for_the_operators_eyes(
    client: Client, people: People, fake: FakeStripe
) -> None:
    client.force_login(people.alice)
    order(client, people)
    Order.objects.update(problem="paid in eur")
    html = client.get(url_of(people)).content.decode()
    assert "Being looked at" in html
    assert "paid in eur" not in html
    client.force_login(people.olga)
    assert "paid in eur" in client.get(url_of(people)).content.decode()
