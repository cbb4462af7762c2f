"""Orders of credits by the management API."""

from collections.abc import Iterator
from typing import Any

import pytest

from billing.models import Account
from billing.notice_models import Order
from billing.payments.interface import PaymentEvent
from billing.payments.orders import apply_event
from tests.billing.api.asking import error_of
from tests.billing.api.conftest import Askers
from tests.billing.payments.fake_stripe import SECRET_KEY, WEBHOOK_SECRET, FakeStripe
from tests.people import People


@pytest.fixture
def fake(settings: Any) -> Iterator[FakeStripe]:
    """Stripe is set up, and answers here."""
    server = FakeStripe()
    settings.STRIPE_SECRET_KEY = SECRET_KEY
    settings.STRIPE_WEBHOOK_SECRET = WEBHOOK_SECRET
    settings.STRIPE_BASE_URL = server.url
    yield server
    server.close()


@pytest.fixture
def path(people: People) -> str:
    return f"organizations/{people.organization.pk}/payments"


def test_an_order_is_placed_once_and_tells_where_to_pay(
    fake: FakeStripe, askers: Askers, path: str
) -> None:
    made = askers.alice.move(path, {"amount": "20"}, key="o")
    assert (made["state"], made["amount"], made["currency"]) == ("open", "20.00", "USD")
    assert made["checkout_url"].startswith("http")
    assert askers.alice.move(path, {"amount": "20"}, key="o") == made
    other = askers.alice.move(path, {"amount": "30"}, 409, key="o")
    assert error_of(other)[0] == "idempotency_conflict"
    assert askers.alice.get(path)["data"] == [made]
    assert askers.alice.get(f"{path}/{made['id']}") == made
    assert Order.objects.count() == 1


def test_an_amount_is_of_whole_cents_and_within_limits(
    fake: FakeStripe, askers: Askers, path: str
) -> None:
    for amount in ("20.001", "4.99", "10000.01"):
        assert error_of(askers.alice.move(path, {"amount": amount}, 400))[1] == "amount"
    assert not Order.objects.exists()


def test_orders_are_for_admins(fake: FakeStripe, askers: Askers, path: str) -> None:
    made = askers.alice.move(path, {"amount": "20"})
    for asker, status in ((askers.charlie, 404), (askers.bob, 403)):
        asker.get(path, status)
        asker.get(f"{path}/{made['id']}", status)
        asker.move(path, {"amount": "20"}, status)
    assert Order.objects.count() == 1


def test_nothing_can_be_bought_without_a_provider(askers: Askers, path: str) -> None:
    askers.alice.move(path, {"amount": "20"}, 404)
    assert askers.alice.get(path)["data"] == []


def test_another_move_by_the_same_idempotency_key_takes_no_order_s_deposit(
    fake: FakeStripe, askers: Askers, people: People, path: str
) -> None:
    made = askers.alice.move(path, {"amount": "20"}, key="november-1")
    askers.alice.move(f"groups/{people.group.pk}/grants", {"amount": "5"}, key="november-1")
    before = Account.objects.pool_of(people.organization).balance_nanos
    order = Order.objects.get(pk=made["id"])
    event = PaymentEvent("paid", order.pk, order.session_id, order.amount_nanos, order.currency)
    apply_event(event)
    order.refresh_from_db()
    assert (order.state, order.problem) == ("paid", "")
    assert Account.objects.pool_of(people.organization).balance_nanos - before == 20 * 10**9
