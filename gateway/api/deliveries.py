"""A delivery of a callback or of a webhook, as the API answers it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from rest_framework import serializers

from accounts.api.errors import Problem
from gateway.addresses import UnsafeAddress
from gateway.api.queries import refuse
from gateway.deliveries import TESTS_PERIOD, TooManyTests
from gateway.images.shape import public_message_id, public_task_id
from gateway.models import Delivery


class DeliveryTrySerializer(serializers.Serializer[Any]):
    """One POST; `status` is null where no answer came, `response` the beginning of the answer."""

    at = serializers.DateTimeField()
    status = serializers.IntegerField(allow_null=True)
    duration_ms = serializers.IntegerField()
    error = serializers.CharField(allow_blank=True)
    response = serializers.CharField(allow_blank=True)


class DeliverySerializer(serializers.Serializer[Any]):
    """A message to an address. `state`: waiting, delivered or failed.

    `message_id` is the header webhook-id. `event` names what a webhook is told; `task_id` is what a callback is about,
    null for a test.
    """

    id = serializers.UUIDField()
    object = serializers.CharField()
    message_id = serializers.CharField()
    event = serializers.CharField(allow_null=True)
    task_id = serializers.CharField(allow_null=True)
    url = serializers.CharField()
    state = serializers.CharField()
    attempts = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    next_try_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)
    tries = DeliveryTrySerializer(many=True)


class TooManySent(Problem):
    """429; `wait` is what Retry-After says, in seconds."""

    wait = TESTS_PERIOD.total_seconds()


@contextmanager
def refusals_of_senders() -> Iterator[None]:
    """Refusals inside become Problems: 429 for too many tests, 400 for an address that is not called."""
    try:
        yield
    except TooManyTests:
        message = "Too many tests just now. Wait a minute."
        raise TooManySent(429, "rate_limited", message) from None
    except UnsafeAddress as error:
        raise refuse("url", str(error)) from None


def describe_delivery(delivery: Delivery) -> dict[str, Any]:
    """As DeliverySerializer says; a webhook's with its event."""
    waits = delivery.state == Delivery.State.WAITING
    event = delivery.event
    return {
        "id": str(delivery.pk),
        "object": "delivery",
        "message_id": event.public_id if event else public_message_id(delivery.pk),
        "event": event.type if event else None,
        "task_id": public_task_id(delivery.task_id) if delivery.task_id else None,
        "url": delivery.url,
        "state": delivery.state,
        "attempts": delivery.attempts,
        "created_at": delivery.created_at,
        "next_try_at": delivery.next_at if waits else None,
        "ended_at": delivery.ended_at,
        "tries": [_describe_try(entry) for entry in delivery.log],
    }


def _describe_try(entry: dict[str, Any]) -> dict[str, Any]:
    return {
        "at": datetime.fromtimestamp(entry["at"], UTC),
        "status": entry.get("status") or None,
        "duration_ms": entry.get("ms") or 0,
        "error": entry.get("error") or "",
        "response": entry.get("response") or "",
    }
