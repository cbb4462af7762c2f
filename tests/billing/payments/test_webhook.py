"""Stripe's events: who may send them, in which order they come, and what they move. Over the real URL."""

import time
from typing import Any
from uuid import uuid4

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import Client
from django.urls import reverse

from billing import ledger
from billing.archiving import archive_group, archive_organization
from billing.models import Account, Transfer
from billing.notice_models import Order
from billing.payments.orders import place_order, start_payment
from billing.payments.stripe_checkout import StripeCheckout, find_provider
from tests.billing.bank import in_parallel, orm_on
from tests.billing.past import USD
from tests.billing.payments.fake_stripe import (
    SECRET_KEY,
    WEBHOOK_SECRET,
    FakeStripe,
    event,
    sign,
)
from tests.people import People, make_people

PAID = "checkout.session.completed"


@pytest.fixture
def order(people: People, fake: FakeStripe) -> Order:
    """Fifty dollars, ordered and not paid yet."""
    made = place_order(people.organization, 50 * USD, order_id=uuid4(), buyer=people.alice)
    provider = find_provider()
    assert provider is not None
    return start_payment(made, provider, "https://gate.example/back", "https://gate.example/off")


def send(body: bytes, signature: str) -> int:
    url = reverse("stripe_webhook")
    headers = {"stripe-signature": signature}
    answer = Client(enforce_csrf_checks=True).post(
        url, body, content_type="application/json", headers=headers
    )
    return int(answer.status_code)


def send_event(kind: str, about: dict[str, Any]) -> int:
    body = event(kind, about)
    return send(body, sign(body))


def paid(fake: FakeStripe, order: Order, **changes: Any) -> dict[str, Any]:
    return fake.session_of(order.pk) | {"payment_status": "paid"} | changes


def refund(order: Order, cents: int, **changes: Any) -> dict[str, Any]:
    charge = {"id": "ch_1", "object": "charge", "currency": "usd", "amount_refunded": cents}
    return charge | {"metadata": {"order": str(order.pk)}} | changes


def pool_of(people: People) -> int:
    return Account.objects.pool_of(people.organization).balance_nanos


def test_a_paid_order_is_deposited_once(people: People, fake: FakeStripe, order: Order) -> None:
    assert pool_of(people) == 0
    body = event(PAID, paid(fake, order))
    assert send(body, sign(body)) == 200
    deposit = Transfer.objects.get(kind="deposit")
    assert (deposit.pk, deposit.amount_nanos) == (order.pk, 50 * USD)
    assert deposit.actor_id == people.alice.pk
    assert Order.objects.get().state == "paid"
    for again in (body, event(PAID, paid(fake, order))):
        assert send(again, sign(again)) == 200
    assert send_event("checkout.session.async_payment_succeeded", paid(fake, order)) == 200
    assert pool_of(people) == 50 * USD
    assert Transfer.objects.filter(kind="deposit").count() == 1


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "nonsense",
        "t=,v1=",
        "t=1",
        "v1=00",
        "t=1,t=2,v1=zz",
        "t=99999999999999999999,v1=aa",
        "t=٣,v1=aa",
    ],
)
def test_a_message_without_a_signature_is_refused(
    people: People, fake: FakeStripe, order: Order, signature: str
) -> None:
    assert send(event(PAID, paid(fake, order)), signature) == 400
    assert pool_of(people) == 0


@pytest.mark.parametrize("secret", ["", " ", "whsec_other", "None", "undefined"])
def test_a_message_that_somebody_else_signed_is_refused(
    people: People, fake: FakeStripe, order: Order, secret: str
) -> None:
    body = event(PAID, paid(fake, order))
    assert send(body, sign(body, secret)) == 400
    assert pool_of(people) == 0


def test_a_body_that_was_changed_is_refused(people: People, fake: FakeStripe, order: Order) -> None:
    body = event(PAID, paid(fake, order))
    signature = sign(body)
    assert send(body.replace(b"5000", b"9000"), signature) == 400
    assert send(body + b" ", signature) == 400
    assert pool_of(people) == 0


@pytest.mark.parametrize("age_s", [301 + 5, 3600, -301 - 5, -86_400])
def test_an_old_message_is_refused_and_so_is_one_of_the_future(
    people: People, fake: FakeStripe, order: Order, age_s: int
) -> None:
    body = event(PAID, paid(fake, order))
    assert send(body, sign(body, at=time.time() - age_s)) == 400
    assert pool_of(people) == 0


def test_an_empty_secret_verifies_nothing(settings: Any, fake: FakeStripe) -> None:
    for secret in ("", "  ", "\n"):
        with pytest.raises(ImproperlyConfigured):
            StripeCheckout(SECRET_KEY, secret)
        settings.STRIPE_WEBHOOK_SECRET = secret
        with pytest.raises(ImproperlyConfigured):
            find_provider()


def test_without_stripe_there_is_no_webhook(settings: Any, people: People) -> None:
    settings.STRIPE_SECRET_KEY = ""
    body = event(PAID, {})
    assert send(body, sign(body, "")) == 404


@pytest.mark.parametrize(
    "changes",
    [
        {"amount_total": 5001},
        {"amount_total": 1},
        {"amount_total": 0},
        {"amount_total": None},
        {"amount_total": "5000"},
        {"amount_total": 50.0},
        {"amount_total": True},
        {"currency": "eur"},
        {"currency": "USD"},
        {"currency": None},
        {"id": "cs_another"},
    ],
)
def test_a_payment_that_is_not_the_order_deposits_nothing_and_is_flagged(
    people: People, fake: FakeStripe, order: Order, changes: dict[str, Any]
) -> None:
    assert send_event(PAID, paid(fake, order, **changes)) == 200
    assert pool_of(people) == 0
    found = Order.objects.get()
    assert found.state == "open"
    assert found.problem


@pytest.mark.parametrize(
    ("kind", "about"),
    [
        (PAID, {"id": "cs_1", "client_reference_id": str(uuid4()), "payment_status": "paid"}),
        (PAID, {"id": "cs_1", "client_reference_id": "somebody else's", "payment_status": "paid"}),
        (PAID, {"id": "cs_1", "client_reference_id": None, "payment_status": "paid"}),
        ("charge.refunded", {"id": "ch_1", "metadata": None, "amount_refunded": 100}),
        ("customer.created", {"id": "cus_1"}),
    ],
)
def test_events_about_others_are_passed_over(
    people: People, fake: FakeStripe, order: Order, kind: str, about: dict[str, Any]
) -> None:
    assert send_event(kind, about) == 200
    assert (pool_of(people), Order.objects.get().state) == (0, "open")


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b'{"type": 1}', b"\xff\xfe", b'{"type":"x","data":{"object":3}}']
)
def test_a_signed_body_that_is_no_event_is_refused(fake: FakeStripe, db: None, body: bytes) -> None:
    signature = sign(body) if body != b"\xff\xfe" else "t=1,v1=00"
    assert send(body, signature) == 400


def test_a_completed_session_that_is_not_paid_yet_waits(
    people: People, fake: FakeStripe, order: Order
) -> None:
    assert send_event(PAID, paid(fake, order, payment_status="unpaid")) == 200
    assert (pool_of(people), Order.objects.get().state) == (0, "open")
    send_event("checkout.session.async_payment_succeeded", paid(fake, order))
    assert (pool_of(people), Order.objects.get().state) == (50 * USD, "paid")


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        ("checkout.session.expired", "expired"),
        ("checkout.session.async_payment_failed", "failed"),
    ],
)
def test_an_order_that_ended_unpaid_is_still_deposited_if_it_was_paid_after_all(
    people: People, fake: FakeStripe, order: Order, kind: str, state: str
) -> None:
    send_event(kind, fake.session_of(order.pk))
    assert Order.objects.get().state == state
    send_event(PAID, paid(fake, order))
    assert (pool_of(people), Order.objects.get().state) == (50 * USD, "paid")
    send_event(kind, fake.session_of(order.pk))
    assert Order.objects.get().state == "paid", "what was paid stays paid"


def test_what_is_paid_for_an_organization_that_is_gone_is_flagged(
    people: People, fake: FakeStripe, order: Order
) -> None:
    """Nobody could spend it there; asking again would not help."""
    archive_group(people.group, actor=people.alice)
    archive_organization(people.organization, actor=people.alice)
    assert send_event(PAID, paid(fake, order)) == 200
    found = Order.objects.get()
    assert (pool_of(people), found.state) == (0, "open")
    assert "50.00" in found.problem
    assert "OwnerArchived" in found.problem


def test_an_event_may_come_before_the_answer_that_names_its_session(
    people: People, fake: FakeStripe, order: Order
) -> None:
    Order.objects.update(session_id="", checkout_url="")
    send_event(PAID, paid(fake, order))
    assert pool_of(people) == 50 * USD
    assert Order.objects.get().session_id == fake.session_of(order.pk)["id"]


def test_refunds_leave_the_pool_again_each_part_once(
    people: People, fake: FakeStripe, order: Order
) -> None:
    send_event(PAID, paid(fake, order))
    for cents in (1000, 1000, 3000, 1000):  # in all, so far; the last one came late
        assert send_event("charge.refunded", refund(order, cents)) == 200
    assert pool_of(people) == 20 * USD
    moves = Transfer.objects.filter(kind="adjust").order_by("amount_nanos")
    assert [move.amount_nanos for move in moves] == [10 * USD, 20 * USD]
    assert {move.credit_account.kind for move in moves} == {"deposits"}
    assert all(str(order) in move.reason for move in moves)
    found = Order.objects.get()
    assert (found.refunded_nanos, found.taken_back_nanos) == (30 * USD, 30 * USD)


def test_a_refund_that_comes_before_its_payment_is_not_forgotten(
    people: People, fake: FakeStripe, order: Order
) -> None:
    send_event("charge.refunded", refund(order, 2000))
    assert pool_of(people) == 0
    send_event(PAID, paid(fake, order))
    assert pool_of(people) == 30 * USD


def test_a_refund_of_what_was_spent_is_flagged_and_made_later(
    people: People, fake: FakeStripe, order: Order
) -> None:
    send_event(PAID, paid(fake, order))
    ledger.grant(people.group, 45 * USD, operation_id=uuid4(), actor=people.alice)
    assert send_event("charge.refunded", refund(order, 5000)) == 200
    found = Order.objects.get()
    assert (pool_of(people), found.taken_back_nanos) == (5 * USD, 0)
    assert "50.00" in found.problem
    ledger.reclaim(people.group, 45 * USD, operation_id=uuid4(), actor=people.alice)
    send_event("charge.refunded", refund(order, 5000))
    found = Order.objects.get()
    assert (pool_of(people), found.taken_back_nanos, found.problem) == (0, 50 * USD, "")


@pytest.mark.parametrize("changes", [{"currency": "eur"}, {"amount_refunded": 5001}])
def test_a_refund_that_makes_no_sense_is_flagged(
    people: People, fake: FakeStripe, order: Order, changes: dict[str, Any]
) -> None:
    send_event(PAID, paid(fake, order))
    send_event("charge.refunded", refund(order, 5000, **changes))
    assert (pool_of(people), Order.objects.get().refunded_nanos) == (50 * USD, 0)
    assert Order.objects.get().problem


def test_a_body_beyond_any_event_is_refused(fake: FakeStripe, db: None) -> None:
    body = b'{"type": "' + b"x" * 600_000 + b'"}'
    assert send(body, sign(body)) == 413


def test_events_that_come_at_once_and_twice_are_each_carried_out_once(
    fresh_world: Any, django_db_blocker: Any, fake: FakeStripe
) -> None:
    """Of each order its payment and its refund, twice: whoever writes last may not undo what the other wrote."""
    with orm_on(fresh_world.database, django_db_blocker):

        def prepare() -> list[Order]:
            made = make_people()
            provider = StripeCheckout(SECRET_KEY, WEBHOOK_SECRET, fake.url)
            orders = [
                place_order(made.organization, 50 * USD, order_id=uuid4(), buyer=made.alice)
                for _ in range(6)
            ]
            return [start_payment(one, provider, "https://a.example", "") for one in orders]

        (orders,) = in_parallel(prepare)
        assert isinstance(orders, list), orders
        for order in orders:
            pair = [event(PAID, paid(fake, order)), event("charge.refunded", refund(order, 1000))]
            works = [lambda body=body: send(body, sign(body)) for body in pair]
            assert in_parallel(*works) == [200] * 2
        again = [event(PAID, paid(fake, order)) for order in orders]
        works = [lambda body=body: send(body, sign(body)) for body in again * 2]
        assert in_parallel(*works) == [200] * 12
    found = fresh_world.database.query(
        "SELECT t.kind, t.amount_nanos, count(*) FROM billing_transfer t JOIN billing_account a"
        " ON a.id IN (t.debit_account_id, t.credit_account_id) AND a.kind = 'deposits'"
        " GROUP BY 1, 2 ORDER BY 1"
    )
    assert [tuple(row.values()) for row in found] == [
        ("adjust", 10 * USD, 6),
        ("deposit", 50 * USD, 6),
    ]
    states = fresh_world.database.query(
        "SELECT DISTINCT state, refunded_nanos, taken_back_nanos, problem FROM billing_order"
    )
    assert [tuple(row.values()) for row in states] == [("paid", 10 * USD, 10 * USD, "")]
