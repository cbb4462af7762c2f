"""Image tasks over the brokers of production, which are killed while tasks run."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator.process import SimulatorProcess
from tests.flows.broker_servers import BrokerServer, RabbitServer, RedisServer
from tests.flows.task_books import check_books
from tests.flows.task_processes import BEAT, CLOCK_WORKER, TASK_WORKER, Crew
from tests.image_tasks import FLUX, GPT, TOPAZ, order_task, put_image_channels, read_task
from tests.world import ROOT, World, free_port

BLOCKS_AT_MOST_S = 6
NUDGE = """
import time, django; django.setup()
import config.celery
from gateway.nudge import nudge_tasks
began = time.monotonic(); nudge_tasks(); print(time.monotonic() - began)
"""


@pytest.fixture
def vendor() -> Iterator[SimulatorProcess]:
    with SimulatorProcess() as process:
        yield process


@pytest.fixture
def wired(fresh_world: World, vendor: SimulatorProcess) -> World:
    fresh_world.database.query("UPDATE gateway_channel SET base_url = %s", vendor.base_url)
    put_image_channels(fresh_world, vendor)
    return fresh_world


@pytest.fixture(params=[RedisServer, RabbitServer], ids=["redis", "rabbitmq"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BrokerServer]:
    folder = tmp_path / "broker-server"
    folder.mkdir()
    with request.param(folder) as server:
        yield server


@pytest.fixture
def crew(wired: World, broker: BrokerServer, tmp_path: Path) -> Iterator[Crew]:
    home = tmp_path / "home"
    home.mkdir()
    with Crew(wired, home, CELERY_BROKER_URL=broker.url, TOLLGATE_TASK_LEASE_S="2") as made:
        yield made


def nudge_takes_s(world: World, broker_url: str) -> float:
    """How long a nudge blocks who sends it. It must not raise."""
    environment = {"DATABASE_URL": world.database.url, "CELERY_BROKER_URL": broker_url}
    environment["DJANGO_SETTINGS_MODULE"] = "config.settings"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", NUDGE],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


def wait_for(world: World, crew: Crew, done: str, timeout_s: float = 60) -> None:
    """Wait until the condition holds for every task."""
    deadline = time.monotonic() + timeout_s
    while world.database.one(f"SELECT count(*) FROM gateway_task WHERE NOT ({done})"):
        assert time.monotonic() < deadline, crew.log[-4000:]
        time.sleep(0.1)


def test_tasks_end_once_though_the_broker_is_killed_and_comes_back(
    wired: World, vendor: SimulatorProcess, broker: BrokerServer, crew: Crew
) -> None:
    alice = wired.add_tenant("Alice", balance="10")
    tasks = [order_task(wired, alice, FLUX, {"job_gate": "broker"}) for _ in range(3)]
    crew.start(CLOCK_WORKER, TASK_WORKER, BEAT)
    wait_for(wired, crew, "job IS NOT NULL")
    broker.kill()
    # They go on without it; what is new waits.
    vendor.open_gate("broker")
    wait_for(wired, crew, "status = 'completed'")
    waiting = [order_task(wired, alice, model) for model in (GPT, TOPAZ, FLUX)]
    overdue = order_task(wired, alice, FLUX, timeout_s=1)
    assert nudge_takes_s(wired, broker.url) < BLOCKS_AT_MOST_S
    time.sleep(3)
    broker.start()
    wait_for(wired, crew, "ended_at IS NOT NULL")
    assert crew.ended() == []
    assert read_task(wired, overdue)["error_code"] == "expired"
    books = check_books(wired, vendor, [alice], [*tasks, *waiting, overdue])
    assert books.statuses == {"completed": 6, "failed": 1}


def test_a_nudge_starts_a_task_at_once(
    wired: World, vendor: SimulatorProcess, broker: BrokerServer, crew: Crew
) -> None:
    """Nobody sweeps here: it is the message that starts it."""
    alice = wired.add_tenant("Alice", balance="10")
    crew.start(TASK_WORKER)
    tasks = [order_task(wired, alice, FLUX) for _ in range(3)]
    nudge_takes_s(wired, broker.url)
    wait_for(wired, crew, "ended_at IS NOT NULL", timeout_s=30)
    check_books(wired, vendor, [alice], tasks)


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_a_nudge_does_not_wait_long_for_a_broker_that_is_away_or_mute(
    world: World, scheme: str
) -> None:
    assert nudge_takes_s(world, f"{scheme}://127.0.0.1:{free_port()}/") < BLOCKS_AT_MOST_S
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"{scheme}://127.0.0.1:{mute.getsockname()[1]}/"
        assert nudge_takes_s(world, url) < BLOCKS_AT_MOST_S
