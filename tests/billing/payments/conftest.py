"""Alice's organization, and a Stripe of our own."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.billing.payments.fake_stripe import SECRET_KEY, WEBHOOK_SECRET, FakeStripe


@pytest.fixture
def fake(settings: Any) -> Iterator[FakeStripe]:
    """Stripe is set up, and answers here."""
    server = FakeStripe()
    settings.STRIPE_SECRET_KEY = SECRET_KEY
    settings.STRIPE_WEBHOOK_SECRET = WEBHOOK_SECRET
    settings.STRIPE_BASE_URL = server.url
    yield server
    server.close()
