"""Orders of credits: placed by an admin, paid at the provider, and settled by the provider's events alone.

Events come in any order, twice, or at once. Each is applied under the lock of its order, and what it does depends on
the order's state only: the deposit has the order's id, so that there is one, whatever comes.
"""

import logging
from uuid import UUID, uuid5

from django.db import transaction
from django.utils import timezone

from accounts.models import Organization, User
from billing import ledger
from billing.errors import LedgerError, OperationConflict
from billing.models import Account, Transfer
from billing.notice_models import Order
from billing.payments.interface import CannotStart, PaymentEvent, PaymentProvider
from billing.presentation import dollars

logger = logging.getLogger(__name__)

State = Order.State
ENDINGS = {"expired": State.EXPIRED, "failed": State.FAILED}


def place_order(
    organization: Organization, amount_nanos: int, *, order_id: UUID, buyer: User
) -> Order:
    """A new order; the same id again is the same order. It costs nothing until it is paid at the provider.

    Raises OperationConflict where the id is that of another order.
    """
    fields = {"organization": organization, "buyer": buyer, "amount_nanos": amount_nanos}
    order, _made = Order.objects.get_or_create(pk=order_id, defaults=fields)
    if (order.organization_id, order.amount_nanos) != (organization.pk, amount_nanos):
        raise OperationConflict(order_id)
    return order


def start_payment(
    order: Order, provider: PaymentProvider, return_url: str, cancel_url: str
) -> Order:
    """Have the provider open its page for the order. Raises CannotStart, and the order has failed then."""
    if order.checkout_url or order.state != State.OPEN:
        return order
    try:
        checkout = provider.start(order, return_url, cancel_url)
    except CannotStart as error:
        logger.error("%s cannot be paid: %s", order, error)
        Order.objects.filter(pk=order.pk, state=State.OPEN).update(
            state=State.FAILED, ended_at=timezone.now()
        )
        raise
    # Not all of the row: an event may have come meanwhile.
    Order.objects.filter(pk=order.pk).update(
        session_id=checkout.session_id, checkout_url=checkout.url
    )
    order.session_id, order.checkout_url = checkout
    return order


@transaction.atomic
def apply_event(event: PaymentEvent) -> Order | None:
    """Carry out what the provider says became of an order. None: it is no order of ours."""
    order = (
        Order.objects.select_for_update(of=("self",))
        .select_related("organization", "buyer")
        .filter(pk=event.order_id)
        .first()
    )
    if order is None:
        logger.warning("an event about order %s, which is none of ours", event.order_id)
        return None
    if event.session_id and order.session_id and event.session_id != order.session_id:
        _flag(order, f"an event names another session: {event.session_id}")
    elif event.kind == "paid":
        _pay(order, event)
    elif event.kind == "refunded":
        _refund(order, event)
    elif order.state == State.OPEN:
        order.state, order.ended_at = ENDINGS[event.kind], timezone.now()
    order.save()
    return order


def _pay(order: Order, event: PaymentEvent) -> None:
    if order.state == State.PAID:
        return
    if (event.amount_nanos, event.currency) != (order.amount_nanos, order.currency):
        _flag(order, f"paid {dollars(event.amount_nanos)} in {event.currency}; nothing deposited")
        return
    try:
        ledger.deposit(
            order.organization,
            order.amount_nanos,
            operation_id=order.pk,
            actor=order.buyer,
            reason=f"Payment {order}",
        )
    except LedgerError as error:
        # Asking again would not help: the operator gives the money back, or deposits it himself.
        paid = dollars(event.amount_nanos)
        _flag(order, f"paid {paid}; nothing deposited: {type(error).__name__} {error}")
        return
    order.session_id = order.session_id or event.session_id
    order.state, order.ended_at, order.problem = State.PAID, timezone.now(), ""
    _take_back(order)


def _refund(order: Order, event: PaymentEvent) -> None:
    """What the provider gave back in all; an earlier event that comes late says less."""
    if event.currency != order.currency or event.amount_nanos > order.amount_nanos:
        _flag(order, f"refunded {dollars(event.amount_nanos)} in {event.currency}: look at it")
        return
    order.refunded_nanos = max(order.refunded_nanos, event.amount_nanos)
    _take_back(order)


def _take_back(order: Order) -> None:
    """Move what was refunded out of the pool again. Where the pool has less, the operator has to decide."""
    missing = order.refunded_nanos - order.taken_back_nanos
    if order.state != State.PAID or missing <= 0:
        return
    accounts = ledger.platform_accounts(order.organization)
    move = ledger.Move(
        uuid5(order.pk, f"refunded {order.refunded_nanos}"),
        Transfer.Kind.ADJUST,
        accounts[Account.Kind.POOL],
        accounts[Account.Kind.DEPOSITS],
        missing,
        None,
        f"Refund of {order}",
    )
    try:
        ledger.carry_out(move)
    except LedgerError as error:
        _flag(order, f"{dollars(missing)} were refunded, and the pool has less: {error}")
        return
    order.taken_back_nanos, order.problem = order.refunded_nanos, ""


def _flag(order: Order, problem: str) -> None:
    logger.error("%s of %s: %s", order, order.organization, problem)
    order.problem = problem[:300]
