"""The gateway is killed, the database goes away: no call is lost from the books, none is charged twice."""

import asyncio
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from config.embedded import EmbeddedPostgres
from simulator.process import SimulatorProcess
from tests.world import GatewayProcess, Tenant, World, run_command

BODY = {"model": "gpt-5.4-nano", "messages": [{"role": "user", "content": "Hi."}], "max_tokens": 50}


class Load:
    """Clients that call one after the other until told to stop, and remember every answer."""

    def __init__(
        self, gateway: GatewayProcess, tenant: Tenant, clients: int, **simulate: Any
    ) -> None:
        self._url = f"{gateway.base_url}/chat/completions"
        self._headers = {"authorization": f"Bearer {tenant.key}"}
        self._body = {**BODY, "simulate": simulate}
        self._clients = clients
        self._stop = threading.Event()
        self.answers: list[tuple[float, int, str | None]] = []
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)

    def count(self, status: int, since: float = 0.0) -> int:
        return sum(1 for at, found, _ in self.answers if found == status and at >= since)

    def wait_for(self, status: int, count: int, timeout_s: float = 20) -> None:
        began = time.monotonic()
        while self.count(status, began) < count:
            assert time.monotonic() < began + timeout_s, Counter(
                found for _, found, _ in self.answers
            )
            time.sleep(0.02)

    async def _run(self) -> None:
        async with httpx.AsyncClient(headers=self._headers, timeout=30, trust_env=False) as http:
            await asyncio.gather(*(self._call_on(http) for _ in range(self._clients)))

    async def _call_on(self, http: httpx.AsyncClient) -> None:
        while not self._stop.is_set():
            try:
                answer = await http.post(self._url, json=self._body)
                status, call_id = answer.status_code, answer.headers.get("x-request-id")
            except httpx.TransportError:
                status, call_id = 0, None
                await asyncio.sleep(0.05)
            self.answers.append((time.monotonic(), status, call_id))
            if status == 503:
                await asyncio.sleep(0.05)


def wait_until_nothing_is_held(world: World, tenant: Tenant, timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while held := world.database.one("SELECT count(*) FROM billing_hold WHERE state = 'open'"):
        assert time.monotonic() < deadline, f"{held} holds are still open"
        time.sleep(0.1)
    assert world.wallet(tenant)["held_nanos"] == 0


def check_every_answer_is_booked(world: World, tenant: Tenant, load: Load) -> None:
    """Every call that its client got whole is charged once; every call that is charged was served."""
    records = {f"call_{record['id'].hex}": record for record in world.records(tenant)}
    whole = [call_id for _, status, call_id in load.answers if status == 200]
    assert len(whole) == len(set(whole))
    for call_id in whole:
        assert call_id is not None
        assert records[call_id]["status"] == "completed"
        assert records[call_id]["amount_nanos"] > 0
    served = {entry["call_id"]: entry for entry in world.simulator.entries()}
    for call_id, record in records.items():
        if record["amount_nanos"]:
            assert served[call_id]["outcome"] == "completed"
            assert record["output_tokens"] == served[call_id]["usage"]["completion_tokens"]
    spent = sum(record["amount_nanos"] for record in records.values())
    assert world.wallet(tenant)["balance_nanos"] == 10**10 - spent
    world.audit()


def test_kill_9_between_hold_and_settlement_releases_the_hold_after_a_restart(
    fresh_world: World,
) -> None:
    world = fresh_world
    gateway = world.start_gateway()
    alice = world.add_tenant("Alice", balance="10")
    gate = f"kill-{time.monotonic_ns()}"
    held_open = Load(gateway, alice, 8, gate=gate)
    with held_open:
        deadline = time.monotonic() + 10
        while world.simulator.state()["waiting"].get(gate, 0) < 8:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert world.wallet(alice)["held_nanos"] > 0
        gateway.kill()
        held_open._stop.set()
    world.audit()  # open holds of a process that is gone are no violation; the money is merely reserved
    world.simulator.open_gate(gate)
    gateway.start()
    wait_until_nothing_is_held(world, alice)
    assert Counter(record["status"] for record in world.records(alice)) == {"lost": 8}
    assert world.wallet(alice)["balance_nanos"] == 10**10
    world.audit()


def test_kill_9_under_load_loses_no_whole_answer_and_charges_none_twice(fresh_world: World) -> None:
    world = fresh_world
    gateway = world.start_gateway()
    alice = world.add_tenant("Alice", balance="10")
    with Load(gateway, alice, 24, total_delay_s=0.01, output_tokens=5) as load:
        for _ in range(3):
            load.wait_for(200, 150)
            gateway.kill()
            gateway.start()
        load.wait_for(200, 150)
    wait_until_nothing_is_held(world, alice)
    check_every_answer_is_booked(world, alice, load)


@pytest.fixture
def own_server() -> Iterator[EmbeddedPostgres]:
    """A database server of this test's own, durable as in production, to be stopped and killed."""
    with tempfile.TemporaryDirectory(prefix="tollgate-faults-") as home:
        # As root the server runs as nobody, who has to walk to its data.
        Path(home).chmod(0o711)
        with EmbeddedPostgres(Path(home)) as server:
            yield server


@pytest.fixture
def own_world(own_server: EmbeddedPostgres, simulator: SimulatorProcess) -> Iterator[World]:
    for command in (["migrate", "-v0"], ["load_price_book"]):
        done = run_command(own_server.url, *command)
        assert done.returncode == 0, done.stderr
    postgres = own_server.url.replace("/tollgate?", "/postgres?")
    with World(postgres, "tollgate", simulator) as world:
        yield world


@pytest.mark.parametrize("how", ["stopped for five seconds", "killed"])
def test_a_database_that_goes_away_under_load_is_survived(
    own_server: EmbeddedPostgres, own_world: World, how: str
) -> None:
    world = own_world
    gateway = world.start_gateway()
    alice = world.add_tenant("Alice", balance="10")
    with Load(gateway, alice, 24, total_delay_s=0.02, output_tokens=5) as load:
        load.wait_for(200, 200)
        if how == "killed":
            own_server.kill()
        else:
            own_server.stop()
        load.wait_for(503, 50)
        time.sleep(5 if how != "killed" else 0)
        assert load.count(200, time.monotonic() - 2) == 0 or how == "killed"
        own_server.start()
        load.wait_for(200, 200)
    wait_until_nothing_is_held(world, alice)
    statuses = {status for _, status, _ in load.answers}
    assert statuses == {200, 503}
    check_every_answer_is_booked(world, alice, load)
