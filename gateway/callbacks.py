"""Callbacks of tasks: tests and sending again by hand. gateway/deliveries.py sends."""

from django.db.models import QuerySet

from accounts.models import APIKey
from gateway.addresses import check_url
from gateway.callback_payloads import example_payload
from gateway.deliveries import address_policy, check_test_rate, hurry_waiting
from gateway.models import Delivery


def send_test(key: APIKey, url: str) -> Delivery:
    """A message about a task that never was, to be tried once. Raises UnsafeAddress, TooManyTests."""
    check_url(url, address_policy())
    check_test_rate(Delivery.objects.filter(api_key=key, task=None))
    return Delivery.objects.create(
        group_id=key.group_id, api_key=key, url=url, payload=example_payload()
    )


def redeliver(delivery: Delivery) -> Delivery:
    """Another message to the same address about the same task; one that waits is tried now instead. For a test as
    `send_test`."""
    if delivery.api_key is None:
        raise ValueError(f"{delivery} is no callback")
    if delivery.task_id is None:
        return send_test(delivery.api_key, delivery.url)
    same = Delivery.objects.filter(task_id=delivery.task_id, url=delivery.url)
    return hurry_waiting(same) or Delivery.objects.create(
        group_id=delivery.group_id,
        api_key_id=delivery.api_key_id,
        task_id=delivery.task_id,
        url=delivery.url,
    )


def latest_deliveries(key: APIKey, count: int) -> QuerySet[Delivery]:
    """The key's deliveries, newest first."""
    mine = Delivery.objects.filter(api_key=key).select_related("api_key", "task", "event")
    return mine.defer("payload").order_by("-id")[:count]
