"""What Tollgate needs of a payment provider: a page where a person pays, and events that say what became of it."""

from typing import Literal, NamedTuple, Protocol
from uuid import UUID

from billing.notice_models import Order

EventKind = Literal["paid", "expired", "failed", "refunded"]


class BadEvent(Exception):
    """A message that is not proven to come from the provider, or is too old, or makes no sense."""


class CannotStart(Exception):
    """The provider could not be reached, or refused the order."""


class Checkout(NamedTuple):
    """A page of the provider on which one order can be paid."""

    session_id: str
    url: str


class PaymentEvent(NamedTuple):
    """What became of an order. `amount_nanos` is what was paid, or what was refunded in all; `session_id` is empty
    where the provider does not say."""

    kind: EventKind
    order_id: UUID
    session_id: str
    amount_nanos: int
    currency: str


class PaymentProvider(Protocol):
    """One provider. Both raise nothing but the errors above."""

    def start(self, order: Order, return_url: str, cancel_url: str) -> Checkout:
        """Open a page for the order; of the same order twice, the same page. Raises CannotStart."""

    def read_event(self, body: bytes, signature: str) -> PaymentEvent | None:
        """What the message says, None where it is about nothing of ours. Raises BadEvent."""
