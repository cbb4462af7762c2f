"""Several gateway processes behind one port: whoever of them is asked for metrics answers for all."""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from config.process import spawn
from config.run import Site, granian
from tests.gateway.metrics.test_counting import MODEL, Samples, scrape
from tests.world import ROOT, GatewayProcess, Tenant, World

CALLS = 60
CALLS_KEY = ("tollgate_calls_total", "chat/completions", MODEL, "openai", "completed")
CHARGE_KEY = ("tollgate_charge_usd_total", MODEL, "openai")


class TwoWorkers(GatewayProcess):
    """Started as `make run` with WORKERS=2 starts it."""

    def start(self, *, wait: bool = True) -> None:
        home = Path(os.environ["TOLLGATE_HOME"])
        command = granian(Site(home, "127.0.0.1", self.port, 2), "config.asgi:application")
        with self._log.open("ab") as log:
            self._process = spawn(
                command,
                signal.SIGKILL,
                cwd=ROOT,
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if wait:
            self.wait_ready()


@pytest.fixture
def gateway(world: World) -> Iterator[GatewayProcess]:
    started = TwoWorkers(world.database.url)
    world.gateways.append(started)
    wait_for(started, lambda samples: samples["tollgate_processes",] == 2)
    yield started
    started.stop()


def wait_for(gateway: GatewayProcess, condition: Callable[[Samples], bool]) -> Samples:
    deadline = time.monotonic() + 60
    while True:
        samples = scrape(gateway)
        if condition(samples):
            return samples
        assert time.monotonic() < deadline, samples
        time.sleep(0.1)


def call_once(gateway: GatewayProcess, tenant: Tenant) -> None:
    """On a connection of its own, so that either process may take it."""
    answer = httpx.post(
        f"{gateway.base_url}/chat/completions",
        json={"model": MODEL, "messages": [{"role": "user", "content": "Hello"}]},
        headers={"authorization": f"Bearer {tenant.key}"},
        timeout=30,
        trust_env=False,
    )
    assert answer.status_code == 200, answer.text


def call_often(gateway: GatewayProcess, tenant: Tenant) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: call_once(gateway, tenant), range(CALLS)))


def test_calls_of_both_processes_are_counted_by_each(
    gateway: GatewayProcess, world: World, alice: Tenant
) -> None:
    call_often(gateway, alice)
    samples = wait_for(gateway, lambda samples: samples.get(CALLS_KEY) == CALLS)
    owners = Counter(
        row["owner_id"] for row in world.database.query("SELECT owner_id FROM billing_hold")
    )
    assert len(owners) == 2, "one process took every call: nothing is shown"
    spent = sum(record["amount_nanos"] for record in world.records(alice))
    assert round(samples[CHARGE_KEY] * 10**9) == spent
    time.sleep(1.5)
    seen = {scrape(gateway)[CALLS_KEY] for _ in range(20)}
    assert seen == {CALLS}


def test_what_a_killed_process_counted_stays_counted(
    gateway: GatewayProcess, world: World, bob: Tenant
) -> None:
    call_often(gateway, bob)
    wait_for(gateway, lambda samples: samples.get(CALLS_KEY) == CALLS)
    time.sleep(1.5)  # both have written
    os.kill(gateway.worker_pid, signal.SIGKILL)
    after = []
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and (not after or after[-1] != 2 or len(after) < 5):
        try:
            samples = scrape(gateway)
        except httpx.TransportError:
            continue
        assert samples[CALLS_KEY] == CALLS
        after.append(int(samples["tollgate_processes",]))
        time.sleep(0.2)
    assert after[-1] == 2, "no successor came"
    call_once(gateway, bob)
    wait_for(gateway, lambda samples: samples[CALLS_KEY] == CALLS + 1)
