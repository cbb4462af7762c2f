"""Rows of deliveries as tests want them."""

from datetime import timedelta
from typing import Any

from django.utils import timezone

from accounts.models import APIKey
from gateway.models import Delivery
from tests.gateway.task_pictures import make_task

HOUR_S = 3600.0


def deliver_to(url: str, key: APIKey, **fields: Any) -> Delivery:
    """A delivery that is due, about a task that has just completed."""
    made = Delivery.objects.create(
        group=key.group, api_key=key, task=make_task(key), url=url, **fields
    )
    return Delivery.objects.get(pk=made.pk)


def make_due(delivery: Delivery, **fields: Any) -> None:
    """Let the time of its next try come, and the lease of a sender end."""
    past = timezone.now() - timedelta(seconds=1)
    Delivery.objects.filter(pk=delivery.pk).update(next_at=past, lease_until=None, **fields)


def wait_s(delivery: Delivery) -> float:
    """How long its next try is away."""
    delivery.refresh_from_db()
    return (delivery.next_at - timezone.now()).total_seconds()
