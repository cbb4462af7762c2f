"""Callbacks: several senders at once, and what people do by hand."""

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import connections
from django.utils import timezone

from accounts.key_services import issue_key
from accounts.models import APIKey, Group
from gateway import deliveries
from gateway.addresses import UnsafeAddress
from gateway.callback_secrets import callback_secret
from gateway.callbacks import redeliver, send_test
from gateway.deliveries import claim_delivery, send_next_delivery, sweep_deliveries
from gateway.models import Delivery
from tests.gateway.callback_rows import deliver_to, make_due
from tests.gateway.far_end import whole
from tests.gateway.receivers import OK, Receiver, verify
from tests.people import People
from tests.world import ROOT, World

# Senders.


def test_of_two_senders_one_sends(shared: APIKey, hook: Receiver) -> None:
    deliver_to(hook.url, shared)
    start = threading.Barrier(4)

    def run(_number: int) -> bool:
        try:
            start.wait(5)
            return send_next_delivery()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(run, range(4))) == [False, False, False, True]
    assert len(hook.received) == 1


def test_a_killed_sender_s_message_is_sent_again_with_the_same_id_and_bytes(
    shared: APIKey, hook: Receiver, fresh_world: World
) -> None:
    hook.answers = [None, OK]
    delivery = deliver_to(hook.url, shared)
    program = (
        "import django; django.setup(); from gateway.deliveries import *; send_next_delivery()"
    )
    sender = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", program],
        cwd=ROOT,
        env={
            **os.environ,
            "DATABASE_URL": fresh_world.database.url,
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "TOLLGATE_ALLOW_LOOPBACK_URLS": "1",
        },
    )
    try:
        assert hook.arrived.acquire(timeout=20)
    finally:
        sender.send_signal(signal.SIGKILL)
        sender.wait(10)
    assert not send_next_delivery()  # its lease still runs
    with_lease = Delivery.objects.get()
    assert with_lease.lease_until is not None
    assert 20 < (with_lease.lease_until - timezone.now()).total_seconds() <= 30
    Delivery.objects.update(next_at=timezone.now(), lease_until=timezone.now())
    assert send_next_delivery()
    first, second = hook.received
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts, len(delivery.log)) == ("delivered", 2, 1)


def test_a_sender_that_was_taken_for_dead_writes_nothing_any_more(
    shared: APIKey, hook: Receiver
) -> None:
    hook.answers = [None, OK]
    delivery = deliver_to(hook.url, shared)

    def run() -> bool:
        try:
            return send_next_delivery()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(run)
        assert hook.arrived.acquire(timeout=5)
        make_due(delivery)
        assert send_next_delivery()
        hook.released.set()
        assert slow.result(5)
    delivery.refresh_from_db()
    assert delivery.state == "delivered"
    assert [one["status"] for one in delivery.log] == [200]


def test_a_group_has_no_more_than_its_share_of_the_senders(people: People, key: APIKey) -> None:
    theirs = issue_key(people.foreign_group, people.charlie, "theirs")[0]
    for _ in range(6):
        deliver_to("http://127.0.0.1:1/", key)
    deliver_to("http://127.0.0.1:1/", theirs)
    claimed = [one for one in (claim_delivery() for _ in range(7)) if one is not None]
    groups = [one.group_id for one in claimed]
    assert len(groups) == deliveries.IN_FLIGHT_MAX + 1
    assert groups.count(people.group.pk) == deliveries.IN_FLIGHT_MAX
    # Not at the end of the queue: who has fewest in flight comes first.
    assert groups[1] == people.foreign_group.pk
    Delivery.objects.filter(pk=claimed[0].pk).update(state="delivered", ended_at=timezone.now())
    assert claim_delivery() is not None


def test_an_organization_has_no_more_than_its_share_however_many_groups_it_makes(
    people: People, key: APIKey
) -> None:
    others = [people.group] + [
        Group.objects.create(organization_id=people.group.organization_id, name=f"g{number}")
        for number in range(8)
    ]
    for group in others:
        for _ in range(2):
            Delivery.objects.create(group=group, api_key=key, url="http://127.0.0.1:1/")
    theirs = issue_key(people.foreign_group, people.charlie, "theirs")[0]
    for _ in range(2):
        deliver_to("http://127.0.0.1:1/", theirs)
    claimed = [one for one in (claim_delivery() for _ in range(9)) if one is not None]
    foreign = [number for number, one in enumerate(claimed) if one.group_id == theirs.group_id]
    assert len(claimed) == deliveries.ORGANIZATION_IN_FLIGHT_MAX + 2
    # They come as soon as theirs has fewest in flight, whatever waits longer.
    assert foreign == [1, 3]


def test_a_sweep_counts_what_nobody_was_woken_for(key: APIKey) -> None:
    def sweep_after(**fields: timedelta) -> int:
        Delivery.objects.update(**{name: timezone.now() + moved for name, moved in fields.items()})
        return sweep_deliveries()

    deliver_to("http://127.0.0.1:1/", key)
    assert sweep_deliveries() == 0  # who ended its task has just woken somebody
    second, minute = timedelta(seconds=1), timedelta(minutes=1)
    assert sweep_after(nudged_at=-minute, next_at=-2 * minute) == 1  # that message was lost
    assert sweep_deliveries() == 0
    assert sweep_after(nudged_at=-2 * second, next_at=-second) == 1  # its next try has come
    assert sweep_after(nudged_at=-minute, next_at=minute) == 0
    Delivery.objects.update(state="failed", ended_at=timezone.now())
    assert sweep_after(nudged_at=-minute, next_at=-2 * minute) == 0


# By hand.


def test_a_test_goes_the_same_way_and_is_tried_once(key: APIKey, hook: Receiver) -> None:
    hook.answers = [whole(b"not yet", status="500 Oops"), OK]
    delivery = send_test(key, hook.url)
    send_next_delivery()
    message = verify(callback_secret(key), hook.received[0])
    assert message["task_id"] == "tsk_" + "0" * 32
    assert message["status"] == "completed"
    delivery.refresh_from_db()
    assert (delivery.state, delivery.log[0]["error"]) == ("failed", "not yet")
    again = redeliver(delivery)
    send_next_delivery()
    again.refresh_from_db()
    assert (again.pk != delivery.pk, again.state) == (True, "delivered")


def test_a_test_to_an_unsafe_address_is_refused(key: APIKey) -> None:
    with pytest.raises(UnsafeAddress):
        send_test(key, "http://169.254.169.254/")
    assert not Delivery.objects.exists()


def test_tests_are_not_sent_by_the_hundred(people: People, key: APIKey) -> None:
    for _ in range(deliveries.TESTS_MAX):
        send_test(key, "https://example.com/")
    with pytest.raises(deliveries.TooManyTests):
        send_test(key, "https://example.com/")
    send_test(issue_key(people.group, people.alice, "another")[0], "https://example.com/")
    with time_machine.travel(datetime.now(UTC) + timedelta(minutes=2)):
        send_test(key, "https://example.com/")


def test_a_message_that_ended_is_sent_anew_under_an_id_of_its_own(
    key: APIKey, hook: Receiver
) -> None:
    delivery = deliver_to(hook.url, key)
    send_next_delivery()
    again = redeliver(delivery)
    assert redeliver(delivery).pk == again.pk  # pressed twice
    send_next_delivery()
    first, second = hook.received
    assert first.headers["webhook-id"] != second.headers["webhook-id"]
    assert first.body == second.body
    assert not send_next_delivery()


def test_a_message_that_waits_is_tried_at_once_instead_of_twice(
    key: APIKey, hook: Receiver
) -> None:
    hook.answers = [whole(b"", status="500 Oops"), OK]
    delivery = deliver_to(hook.url, key)
    send_next_delivery()
    assert not send_next_delivery()
    assert redeliver(delivery).pk == delivery.pk
    assert send_next_delivery()
    assert Delivery.objects.get().state == "delivered"


def test_a_message_that_is_being_sent_is_left_alone(key: APIKey) -> None:
    delivery = deliver_to("http://127.0.0.1:1/", key)
    claim_delivery()
    assert redeliver(delivery).pk == delivery.pk
    assert claim_delivery() is None
