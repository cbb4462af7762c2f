"""Claims, leases, fences and ends, on rows that every thread sees as committed."""

import threading
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.db import connections

from gateway import task_queue
from gateway.task_queue import Claim, KeptJob, StoredPicture, Trial
from tests.billing.bank import orm_on
from tests.image_tasks import (
    FLUX,
    GPT,
    GPT_4O,
    count_pictures,
    order_task,
    price_nanos,
    read_record,
    read_task,
)
from tests.world import Tenant, World

PICTURE = StoredPicture("a.png", "a.webp", "image/png", "png", 64, 64, 1000)


@pytest.fixture
def world(fresh_world: World) -> World:
    return fresh_world


@pytest.fixture(autouse=True)
def _orm(world: World, django_db_blocker: Any) -> Iterator[None]:
    kept = connections["default"]
    del connections["default"]
    with orm_on(world.database, django_db_blocker):
        yield
        connections["default"].close()
    connections["default"] = kept


@pytest.fixture
def alice(world: World) -> Tenant:
    return world.add_tenant("Alice", balance="10")


@pytest.fixture
def bob(world: World) -> Tenant:
    return world.add_tenant("Bob", balance="10")


@pytest.fixture
def unlimited(settings: Any) -> None:
    settings.TASKS_PER_GROUP_MAX = settings.TASKS_PER_PROVIDER_MAX = 1000


def claim() -> Claim:
    found = task_queue.claim_task()
    assert found is not None
    return found


def change(world: World, task_id: UUID, assignments: str) -> None:
    world.database.query(f"UPDATE gateway_task SET {assignments} WHERE id = %s", task_id)


def lose_lease(world: World, task_id: UUID) -> None:
    change(world, task_id, "lease_until = now() - interval '1 s'")


def trial(used: bool = False, number: int = 1) -> Trial:
    return Trial(
        id=f"t-{number}", channel="openai:simulator", at=1.0, upstream_id="up-1", used=used
    )


def test_a_claim_takes_the_task_for_a_lease_and_counts(
    world: World, alice: Tenant, settings: Any
) -> None:
    settings.TASK_LEASE_S = 30
    task_id = order_task(world, alice)
    got = claim()
    row = read_task(world, task_id)
    assert (got.id, got.fence, row["status"], row["attempts"]) == (task_id, 1, "processing", 1)
    assert 25 < (row["lease_until"] - row["started_at"]).total_seconds() < 31
    assert [event["what"] for event in row["events"]] == ["created", "started"]
    assert 55 < got.left_s <= 60
    assert task_queue.claim_task() is None


def test_a_task_that_waits_or_is_overdue_is_not_claimed(world: World, alice: Tenant) -> None:
    waiting, overdue = order_task(world, alice), order_task(world, alice)
    change(world, waiting, "next_at = now() + interval '1 h'")
    change(world, overdue, "deadline_at = now() - interval '1 ms'")
    assert task_queue.claim_task() is None
    assert not task_queue.has_due_tasks(1)


def test_a_lease_that_is_over_is_claimed_by_the_next_worker(world: World, alice: Tenant) -> None:
    task_id = order_task(world, alice)
    first = claim()
    lose_lease(world, task_id)
    second = claim()
    assert (first.fence, second.fence, second.broken_runs) == (1, 2, 1)


def test_the_group_with_fewer_running_tasks_goes_first(
    world: World, alice: Tenant, bob: Tenant
) -> None:
    for _ in range(3):
        order_task(world, alice)
    last = order_task(world, bob)
    claim()
    assert claim().id == last


def test_of_one_group_the_oldest_goes_first(world: World, alice: Tenant) -> None:
    made = [order_task(world, alice) for _ in range(3)]
    assert [claim().id for _ in range(3)] == made


def claim_all() -> list[UUID]:
    claimed = []
    while (found := task_queue.claim_task()) is not None:
        claimed.append(found.id)
    return claimed


def test_a_group_has_no_more_than_its_share_of_the_workers(
    world: World, alice: Tenant, bob: Tenant, settings: Any
) -> None:
    settings.TASKS_PER_GROUP_MAX = 3
    hers = [order_task(world, alice) for _ in range(5)]
    his = order_task(world, bob, FLUX)
    claimed = claim_all()
    assert sorted(claimed) == sorted([*hers[:3], his])
    assert not task_queue.has_due_tasks(1)
    lose_lease(world, hers[1])
    assert claim().id == hers[1]


def test_a_provider_that_hangs_keeps_no_more_than_its_share_of_the_workers(
    world: World, alice: Tenant, bob: Tenant, settings: Any
) -> None:
    settings.TASKS_PER_PROVIDER_MAX = 3
    hanging = [order_task(world, tenant, FLUX) for _ in range(2) for tenant in (alice, bob)]
    other = order_task(world, bob)
    assert sorted(claim_all()) == sorted([*hanging[:3], other])
    assert not task_queue.has_due_tasks(1)
    lose_lease(world, hanging[0])
    assert task_queue.has_due_tasks(1)


def test_a_task_that_may_not_run_yet_is_nudged_when_it_may(
    world: World, alice: Tenant, bob: Tenant, settings: Any
) -> None:
    """Those of a group that has its share do not use up the nudges of others."""
    settings.TASKS_PER_GROUP_MAX = 1
    for _ in range(task_queue.NUDGES_AT_ONCE + 2):
        order_task(world, alice)
    running = claim()
    his = order_task(world, bob)
    world.database.query("UPDATE gateway_task SET nudged_at = now() - interval '1 min'")
    change(world, his, "nudged_at = now() - interval '30 s'")
    assert task_queue.take_nudges() == 1
    assert task_queue.fail_task(running, "upstream_error", "x")
    assert task_queue.take_nudges() == task_queue.NUDGES_AT_ONCE


@pytest.mark.usefixtures("unlimited")
def test_many_workers_claim_each_task_once(world: World, alice: Tenant) -> None:
    made = {order_task(world, alice) for _ in range(40)}
    claimed: list[UUID] = []

    def work() -> None:
        while (found := task_queue.claim_task()) is not None:
            claimed.append(found.id)
        connections["default"].close()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claimed) == sorted(made)


def test_a_lease_is_renewed_with_the_progress(world: World, alice: Tenant) -> None:
    task_id = order_task(world, alice)
    got = claim()
    before = read_task(world, task_id)["lease_until"]
    got.progress = 40
    assert task_queue.renew_lease(got)
    row = read_task(world, task_id)
    assert row["lease_until"] > before
    assert row["progress"] == 40


def test_a_run_that_was_taken_for_dead_writes_nothing(world: World, alice: Tenant) -> None:
    task_id = order_task(world, alice)
    stale = claim()
    lose_lease(world, task_id)
    claim()
    before = read_task(world, task_id)
    stale.trials.append(trial(used=True))
    stale.job = KeptJob("openai:simulator", "job", "", "t-1")
    written = [
        task_queue.renew_lease(stale),
        task_queue.note_trials(stale),
        task_queue.note_job(stale, "submitted"),
        task_queue.postpone(stale, 0, "x"),
        task_queue.finish_task(stale, [PICTURE]),
        task_queue.fail_task(stale, "upstream_error", "x"),
    ]
    assert written == [False] * 6
    assert read_task(world, task_id) == before
    assert count_pictures(world, task_id) == 0
    world.audit()


def test_a_finished_task_is_charged_once_with_its_pictures(world: World, alice: Tenant) -> None:
    task_id = order_task(world, alice, key="2k", count=3)
    got = claim()
    got.trials.append(trial(used=True))
    assert task_queue.finish_task(got, [PICTURE] * 3)
    assert not task_queue.finish_task(got, [PICTURE] * 3)
    assert not task_queue.fail_task(got, "upstream_error", "x")
    row, record = read_task(world, task_id), read_record(world, task_id)
    assert (row["status"], row["progress"]) == ("completed", 100)
    assert row["amount_nanos"] == price_nanos(GPT, "2k", 3) == 300_000_000
    assert (record["source"], record["status"], record["images"]) == ("task", "completed", 3)
    assert (record["price_key"], record["amount_nanos"]) == ("2k", 300_000_000)
    assert (record["list_nanos"], record["basis"]) == (600_000_000, "reported")
    assert (record["upstream_id"], len(record["attempts"])) == ("up-1", 1)
    assert count_pictures(world, task_id) == 3
    assert world.wallet(alice)["balance_nanos"] == 10 * 10**9 - 300_000_000
    world.audit()


@pytest.mark.parametrize(
    ("model", "count", "delivered", "nanos", "key"),
    [
        (GPT, 4, 3, 180_000_000, "1k"),
        (GPT_4O, 4, 4, 80_000_000, "4"),
        (GPT_4O, 4, 3, 70_000_000, "2"),
        (FLUX, 1, 1, 20_000_000, ""),
    ],
)
def test_what_was_delivered_is_charged(
    world: World, alice: Tenant, model: str, count: int, delivered: int, nanos: int, key: str
) -> None:
    task_id = order_task(world, alice, model, count=count)
    assert task_queue.finish_task(claim(), [PICTURE] * delivered)
    record = read_record(world, task_id)
    assert (record["amount_nanos"], record["price_key"]) == (nanos, key)
    assert world.wallet(alice)["held_nanos"] == 0
    world.audit()


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("upstream_error", "upstream_failed"),
        ("storage_unavailable", "upstream_failed"),
        ("no_channel_available", "upstream_failed"),
        ("upstream_timeout", "timed_out"),
        ("expired", "timed_out"),
        ("content_refused", "refused"),
        ("invalid_request", "refused"),
        ("source_refused", "refused"),
        ("source_unreachable", "refused"),
        ("source_not_an_image", "refused"),
        ("cancelled", "client_gone"),
    ],
)
def test_a_failed_task_is_released_in_full_and_the_reason_kept(
    world: World, alice: Tenant, code: str, status: str
) -> None:
    task_id = order_task(world, alice)
    assert task_queue.fail_task(claim(), code, "It did not\x00 work.")
    row, record = read_task(world, task_id), read_record(world, task_id)
    assert (row["status"], row["error_code"]) == ("failed", code)
    assert row["error_message"] == "It did not� work."
    assert (record["status"], record["error_code"], record["amount_nanos"]) == (status, code, 0)
    wallet = world.wallet(alice)
    assert (wallet["balance_nanos"], wallet["held_nanos"]) == (10 * 10**9, 0)
    world.audit()


def test_nothing_is_finished_after_its_deadline(world: World, alice: Tenant) -> None:
    task_id = order_task(world, alice)
    got = claim()
    change(world, task_id, "deadline_at = clock_timestamp()")
    assert not task_queue.finish_task(got, [PICTURE])
    assert count_pictures(world, task_id) == 0
    assert task_queue.expire_tasks() == 1
    assert read_task(world, task_id)["error_code"] == "expired"


def test_every_overdue_task_expires_whoever_has_it(world: World, alice: Tenant) -> None:
    pending, running, fine = (order_task(world, alice) for _ in range(3))
    change(world, pending, "next_at = now() + interval '1 h'")
    change(world, fine, "next_at = now() + interval '1 h'")
    got = claim()
    assert got.id == running
    for task_id in (pending, running):
        change(world, task_id, "deadline_at = clock_timestamp()")
    assert task_queue.expire_tasks() == 2
    assert task_queue.expire_tasks() == 0
    rows = [read_task(world, task_id) for task_id in (pending, running, fine)]
    assert [row["status"] for row in rows] == ["failed", "failed", "pending"]
    assert read_record(world, running)["status"] == "timed_out"
    assert not task_queue.renew_lease(got)
    world.audit()


def test_tasks_that_cannot_be_read_do_not_keep_others_from_ending(
    world: World, alice: Tenant
) -> None:
    odd, broken, fine = (order_task(world, alice) for _ in range(3))
    change(world, odd, """request = '{"action": 7}', deadline_at = now() - interval '2 s'""")
    change(world, broken, "hold_nanos = 1, deadline_at = now() - interval '2 s', trials = '[{}]'")
    change(world, fine, "deadline_at = now() - interval '1 s'")
    assert task_queue.expire_tasks() == 2
    rows = [read_task(world, task_id)["status"] for task_id in (odd, broken, fine)]
    assert rows == ["failed", "pending", "failed"]


def test_an_end_waits_for_a_finish_that_is_being_committed(world: World, alice: Tenant) -> None:
    """Both at once: one wins, and the other writes nothing."""
    task_ids = [order_task(world, alice, timeout_s=1.2) for _ in range(6)]
    claims = [claim() for _ in task_ids]
    time.sleep(1.2 - 0.05)
    ended: list[bool] = []

    def finish() -> None:
        ended.extend(task_queue.finish_task(got, [PICTURE]) for got in claims)
        connections["default"].close()

    finisher = threading.Thread(target=finish)
    finisher.start()
    expired = 0
    while finisher.is_alive():
        expired += task_queue.expire_tasks()
    finisher.join()
    time.sleep(0.1)
    expired += task_queue.expire_tasks()
    assert sum(ended) + expired == len(task_ids)
    world.audit()


def test_a_crash_between_the_pictures_and_the_end_leaves_neither(
    world: World, alice: Tenant
) -> None:
    task_id = order_task(world, alice)
    got = claim()
    world.database.query(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;"
        "CREATE TRIGGER refuse BEFORE INSERT ON gateway_callrecord FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    with pytest.raises(Exception, match="no"):
        task_queue.finish_task(got, [PICTURE])
    assert count_pictures(world, task_id) == 0
    assert read_task(world, task_id)["status"] == "processing"
    world.audit()


def test_a_postponed_task_is_free_and_comes_back_in_time(world: World, alice: Tenant) -> None:
    task_id = order_task(world, alice)
    assert task_queue.postpone(claim(), 0.3, "0.3 s before the next trial")
    row = read_task(world, task_id)
    assert row["lease_until"] is None
    assert task_queue.claim_task() is None
    time.sleep(0.35)
    assert claim().broken_runs == 0


def test_only_runs_that_broke_count_as_broken(world: World, alice: Tenant) -> None:
    order_task(world, alice)
    task_queue.postpone(claim(), 0, "waits")
    task_queue.postpone(claim(), 0, "a bug", is_clean=False)
    assert claim().broken_runs == 1


def test_trials_and_job_outlive_their_worker(world: World, alice: Tenant) -> None:
    task_id = order_task(world, alice)
    got = claim()
    got.trials.append(trial())
    assert task_queue.note_trials(got)
    got.job = KeptJob("openai:simulator", "job-1", "https://x/1", "t-1")
    assert task_queue.note_job(got, "submitted")
    lose_lease(world, task_id)
    after = claim()
    assert (after.job, after.trials) == (got.job, got.trials)


def test_a_fresh_task_is_nudged_by_the_sweep_only_if_its_nudge_was_lost(
    world: World, alice: Tenant
) -> None:
    task_id = order_task(world, alice)
    assert task_queue.take_nudges() == 0
    change(world, task_id, "nudged_at = now() - interval '1 min'")
    assert task_queue.take_nudges() == 1
    assert task_queue.take_nudges() == 0


def test_a_task_whose_time_or_lease_came_is_nudged_once(world: World, alice: Tenant) -> None:
    waited, left = order_task(world, alice), order_task(world, alice)
    for task_id in (waited, left):
        change(world, task_id, "nudged_at = now() - interval '2 s'")
    change(world, waited, "next_at = now() - interval '1 s'")
    change(world, left, "status = 'processing', lease_until = now() - interval '1 s'")
    assert task_queue.take_nudges() == 2
    assert task_queue.take_nudges() == 0


@pytest.mark.usefixtures("unlimited")
def test_a_full_queue_gets_few_nudges(world: World, alice: Tenant) -> None:
    made = [order_task(world, alice) for _ in range(20)]
    for task_id in made:
        change(world, task_id, "nudged_at = now() - interval '1 min'")
    assert task_queue.take_nudges() == task_queue.NUDGES_AT_ONCE
    running = [task_queue.claim_task() for _ in made]
    assert all(running)
    assert task_queue.take_nudges() == 0


def test_two_sweeps_at_once_send_each_nudge_once(world: World, alice: Tenant) -> None:
    task_id = order_task(world, alice)
    change(world, task_id, "nudged_at = now() - interval '1 min'")
    with psycopg.connect(world.database.url) as other:
        other.execute("SELECT 1 FROM gateway_task WHERE id = %s FOR UPDATE", (task_id,))
        assert task_queue.take_nudges() == 0
