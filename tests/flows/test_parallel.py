"""Credit for k calls admits exactly k of many parallel ones, and what moves afterwards is their charges."""

import asyncio
import time
from uuid import uuid4

import httpx
import pytest

from simulator.process import SimulatorProcess
from tests.world import GatewayProcess, Tenant, World

MODEL = "gpt-5.4-nano"
CALLS = 200
BODY_FIELDS = {
    "model": MODEL,
    "messages": [{"role": "user", "content": "Hold this."}],
    "max_tokens": 200,
}


def hold_of_one_call(world: World, gateway: GatewayProcess) -> int:
    """What such a call holds, learned from one that was made."""
    prober = world.add_tenant(f"Prober{uuid4().hex[:4]}", balance="1")
    body = {**BODY_FIELDS, "simulate": {"gate": "x" * 36, "output_tokens": 1}}
    world.simulator.open_gate("x" * 36)
    headers = {"authorization": f"Bearer {prober.key}"}
    answer = httpx.post(
        f"{gateway.base_url}/chat/completions", json=body, headers=headers, timeout=20
    )
    assert answer.status_code == 200, answer.text
    return int(world.records(prober)[-1]["hold_nanos"])


async def fire(gateways: list[GatewayProcess], tenant: Tenant, gate: str) -> list[httpx.Response]:
    body = {**BODY_FIELDS, "simulate": {"gate": gate, "output_tokens": 20}}
    headers = {"authorization": f"Bearer {tenant.key}"}
    limits = httpx.Limits(max_connections=CALLS)
    async with httpx.AsyncClient(
        headers=headers, timeout=60, limits=limits, trust_env=False
    ) as http:
        return await asyncio.gather(
            *(
                http.post(f"{gateways[i % len(gateways)].base_url}/chat/completions", json=body)
                for i in range(CALLS)
            )
        )


def open_when_full(simulator: SimulatorProcess, gate: str, admitted: int) -> int:
    """Wait until no more calls arrive at the gate; open it. Answers how many had arrived."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and simulator.state()["waiting"].get(gate, 0) < admitted:
        time.sleep(0.05)
    time.sleep(0.5)  # were more admitted than there is credit for, they would arrive now
    waiting = int(simulator.state()["waiting"].get(gate, 0))
    simulator.open_gate(gate)
    return waiting


@pytest.mark.parametrize("processes", [1, 2])
def test_exactly_as_many_calls_as_fit_are_admitted(fresh_world: World, processes: int) -> None:
    world = fresh_world
    gateways = [world.start_gateway() for _ in range(processes)]
    admitted = 23
    hold = hold_of_one_call(world, gateways[0])
    alice = world.add_tenant("Alice")
    world.fund(
        alice, admitted * hold + hold // 2
    )  # half a hold more admits nobody: the caller's limit is its own floor
    gate = uuid4().hex + "abcd"

    async def both() -> tuple[list[httpx.Response], int]:
        opener = asyncio.to_thread(open_when_full, world.simulator, gate, admitted)
        answers, waiting = await asyncio.gather(fire(gateways, alice, gate), opener)
        return answers, waiting

    answers, waiting = asyncio.run(both())
    statuses = [answer.status_code for answer in answers]
    assert waiting == admitted
    assert statuses.count(200) == admitted
    assert statuses.count(402) == CALLS - admitted
    assert all(
        a.json()["error"]["code"] == "insufficient_credits" for a in answers if a.status_code == 402
    )
    charges = sum(record["amount_nanos"] for record in world.records(alice))
    wallet = world.wallet(alice)
    assert wallet["balance_nanos"] == admitted * hold + hold // 2 - charges
    assert wallet["held_nanos"] == 0
    assert charges > 0
    world.audit()
