"""What a delivery sends, where, and what signs it: of callbacks and of webhooks."""

from typing import NamedTuple

from gateway.callback_payloads import task_payload
from gateway.callback_secrets import find_or_make_secret
from gateway.images.shape import public_message_id
from gateway.models import Delivery, WebhookEndpoint, WebhookEvent
from gateway.webhooks.models import SigningSecret
from gateway.webhooks.payloads import NothingToTell, settled_payload


class Unsendable(Exception):
    """Nobody wants it any more; the text is for the log."""


class Message(NamedTuple):
    """`id` is the header `webhook-id`; `payload_kept` is what the delivery keeps of the body: all of a callback's,
    nothing of a webhook's, which its event has."""

    id: str
    url: str
    body: str
    payload_kept: str
    secret: SigningSecret


def compose(delivery: Delivery) -> Message:
    """The same bytes in every try. Raises Unsendable."""
    if delivery.event_id is not None:
        return _of_webhook(delivery)
    return _of_callback(delivery)


def _of_callback(delivery: Delivery) -> Message:
    body = delivery.payload
    if not body and delivery.task is None:
        raise LookupError(f"{delivery} has neither a payload nor a task")
    if not body and delivery.task is not None:
        body = task_payload(delivery.task)
    if delivery.api_key is None:
        raise LookupError(f"{delivery} is of no key")
    secret = find_or_make_secret(delivery.api_key)
    return Message(public_message_id(delivery.pk), delivery.url, body, body, secret)


def _of_webhook(delivery: Delivery) -> Message:
    """To the address that the webhook has now, and not at all where it was switched off or removed."""
    # Fresh ones: neither is held in the database by what names them.
    endpoint = WebhookEndpoint.objects.filter(deliveries=delivery).first()
    event = WebhookEvent.objects.filter(deliveries=delivery).first()
    if endpoint is None or event is None:
        raise Unsendable("the webhook was removed")
    if not endpoint.is_enabled and event.type != WebhookEvent.Type.TEST:
        raise Unsendable("the webhook is switched off")
    try:
        body = settled_payload(event)
    except NothingToTell:
        raise Unsendable("what it tells of was deleted") from None
    return Message(event.public_id, endpoint.url, body, "", endpoint)
