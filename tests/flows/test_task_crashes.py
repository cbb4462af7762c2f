"""kill -9 of workers, clock and broker while tasks run: each task ends once, charged once or released once.

TOLLGATE_CRASH_TASKS=500 makes a long run of it, whose figures the terminal shows at the end.
"""

import os
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from simulator.process import SimulatorProcess
from tests.flows.task_books import check_books
from tests.flows.task_processes import BEAT, CLOCK_WORKER, TASK_WORKER, Crew
from tests.image_tasks import (
    FLUX,
    GPT,
    GPT_4O,
    TOPAZ,
    order_task,
    put_image_channels,
    read_task,
)
from tests.world import Tenant, World

TASKS = int(os.environ.get("TOLLGATE_CRASH_TASKS", "60"))
KILL_EVERY_S = 2.0
LEASE_S = 2.0
PATIENCE_S = 120 + TASKS * 0.6

# Model, key, pictures, what the provider does.
MIX: list[tuple[str, str | None, int, dict[str, Any]]] = [
    (GPT, "1k", 1, {"total_delay_s": 0.5}),
    (FLUX, "", 1, {"job_delay_s": 1.5}),
    (TOPAZ, "2", 1, {"job_delay_s": 0.5}),
    (GPT_4O, None, 2, {}),
    (FLUX, "", 1, {"poll_status": 503, "poll_failures": 1}),
    (TOPAZ, "4", 1, {}),
    (FLUX, "", 1, {"job_refused": "content"}),
    (GPT, "1k", 2, {"total_delay_s": 1}),
    (FLUX, "", 1, {"job_delay_s": 3}),
    (GPT, "1k", 1, {"status": 400}),
    (TOPAZ, "2", 1, {"job_delay_s": 2}),
    (FLUX, "", 1, {"job_fails": "out of memory"}),
    (FLUX, "", 1, {"job_hangs": True}),
]


@pytest.fixture
def vendor() -> Iterator[SimulatorProcess]:
    """A simulator of this test's own: its log has nothing else."""
    with SimulatorProcess() as process:
        yield process


@pytest.fixture
def crashing(fresh_world: World, vendor: SimulatorProcess) -> World:
    fresh_world.database.query("UPDATE gateway_channel SET base_url = %s", vendor.base_url)
    put_image_channels(fresh_world, vendor)
    return fresh_world


@pytest.fixture
def crew(crashing: World, tmp_path: Path) -> Iterator[Crew]:
    with Crew(crashing, tmp_path, TOLLGATE_TASK_LEASE_S=str(LEASE_S)) as made:
        yield made


def order_mix(world: World, tenants: list[Tenant], count: int) -> list[UUID]:
    made = []
    for number in range(count):
        model, key, pictures, script = MIX[number % len(MIX)]
        # One that hangs shall be over before the test is; the others have time for all their trials.
        timeout_s = 15 if "job_hangs" in script else PATIENCE_S
        tenant = tenants[number % len(tenants)]
        made.append(
            order_task(world, tenant, model, script, key=key, count=pictures, timeout_s=timeout_s)
        )
    return made


def unfinished(world: World) -> int:
    return int(world.database.one("SELECT count(*) FROM gateway_task WHERE ended_at IS NULL"))


def wait_until_ended(world: World, crew: Crew, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while left := unfinished(world):
        assert time.monotonic() < deadline, f"{left} have not ended\n{crew.log[-4000:]}"
        assert crew.ended() == [], crew.log[-4000:]
        time.sleep(0.2)


def test_whoever_is_killed_each_task_ends_once_and_the_log_agrees(
    crashing: World, vendor: SimulatorProcess, crew: Crew, pytestconfig: pytest.Config
) -> None:
    chance = random.Random(4)
    tenants = [crashing.add_tenant(name, balance="100") for name in ("Alice", "Bob", "Charlie")]
    tasks = order_mix(crashing, tenants, TASKS)
    crew.start(CLOCK_WORKER, BEAT, *[TASK_WORKER] * 3)
    began = time.monotonic()
    rounds = 0
    while unfinished(crashing) > TASKS // 6 and time.monotonic() - began < PATIENCE_S:
        time.sleep(KILL_EVERY_S)
        rounds += 1
        crew.kill_one(TASK_WORKER, chance)
        if rounds % 4 == 2:
            crew.kill_one(BEAT, chance)
        if rounds % 4 == 3:
            crew.kill_one(CLOCK_WORKER, chance)
        if rounds % 4 == 0:
            shutil.rmtree(crew.broker, ignore_errors=True)
    wait_until_ended(crashing, crew, PATIENCE_S)
    took_s = time.monotonic() - began
    books = check_books(crashing, vendor, tenants, tasks)
    assert books.statuses["completed"] > TASKS // 2, books
    late = crashing.database.one(
        "SELECT coalesce(max(extract(epoch FROM ended_at - deadline_at)), 0)::float8 FROM gateway_task"
    )
    pytestconfig.get_terminal_writer().line(
        f"\n{TASKS} tasks in {took_s:.0f} s with {crew.kills} kills: {dict(books.statuses)}"
        f" {dict(books.codes)}; {books.requests} requests at the provider, {books.interrupted} interrupted;"
        f" {books.charged_nanos / 1e9:.2f} USD charged; the latest end {late:.1f} s after its deadline"
    )
    assert late < 60


def test_a_stopping_worker_is_quick_and_another_goes_on_with_its_jobs(
    crashing: World, vendor: SimulatorProcess, crew: Crew
) -> None:
    alice = crashing.add_tenant("Alice", balance="10")
    tasks = [order_task(crashing, alice, FLUX, {"job_gate": "later"}) for _ in range(4)]
    crew.start(CLOCK_WORKER, BEAT, TASK_WORKER)
    wait_for_jobs(crashing, tasks, crew)
    began = time.monotonic()
    assert crew.stop_one(TASK_WORKER, 5) == 0
    assert time.monotonic() - began < 4.5
    assert {read_task(crashing, task_id)["lease_until"] for task_id in tasks} == {None}
    vendor.open_gate("later")
    crew.start(TASK_WORKER)
    wait_until_ended(crashing, crew, 40)
    books = check_books(crashing, vendor, [alice], tasks)
    assert (books.statuses["completed"], books.requests) == (4, 4)


def wait_for_jobs(world: World, tasks: list[UUID], crew: Crew) -> None:
    deadline = time.monotonic() + 30
    while not all(read_task(world, task_id)["job"] for task_id in tasks):
        assert time.monotonic() < deadline, crew.log[-4000:]
        time.sleep(0.1)


def test_without_any_worker_nothing_is_lost_and_a_new_one_ends_what_is_overdue(
    crashing: World, vendor: SimulatorProcess, crew: Crew
) -> None:
    alice = crashing.add_tenant("Alice", balance="10")
    overdue = order_task(crashing, alice, FLUX, timeout_s=1)
    waiting = order_task(crashing, alice, FLUX)
    crew.start(BEAT)
    time.sleep(3)
    crew.start(CLOCK_WORKER, TASK_WORKER)
    wait_until_ended(crashing, crew, 40)
    assert read_task(crashing, overdue)["error_code"] == "expired"
    assert read_task(crashing, waiting)["status"] == "completed"
    check_books(crashing, vendor, [alice], [overdue, waiting])
