"""Limits at the front door: two gateway processes, 64 clients at once, and exactly what the limits allow."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from billing.money import format_usd
from tests.gateway.batching import put_limit
from tests.world import GatewayProcess, Tenant, World, client

MODEL = "gpt-5.4-nano"
CALLS = 64
BODY = {
    "model": MODEL,
    "messages": [{"role": "user", "content": "Count this."}],
    "max_tokens": 200,
}


@pytest.fixture(scope="module")
def gateways(world: World) -> list[GatewayProcess]:
    return [world.start_gateway(), world.start_gateway()]


@pytest.fixture
def payer(world: World) -> Tenant:
    return world.add_tenant("Payer", balance="10")


def body(**script: Any) -> dict[str, Any]:
    return {**BODY, "simulate": {"output_tokens": 20, **script}}


def call(gateway: GatewayProcess, tenant: Tenant, **script: Any) -> httpx.Response:
    with client(gateway, tenant) as http:
        return http.post("/v1/chat/completions", json=body(**script))


def fire(gateways: list[GatewayProcess], tenant: Tenant, **script: Any) -> list[httpx.Response]:
    """64 calls at once, every other one at another process."""

    async def run() -> list[httpx.Response]:
        headers = {"authorization": f"Bearer {tenant.key}"}
        limits = httpx.Limits(max_connections=CALLS)
        async with httpx.AsyncClient(
            headers=headers, timeout=60, limits=limits, trust_env=False
        ) as http:
            return await asyncio.gather(
                *(
                    http.post(
                        f"{gateways[number % 2].base_url}/chat/completions", json=body(**script)
                    )
                    for number in range(CALLS)
                )
            )

    return asyncio.run(run())


def counts(answers: list[httpx.Response]) -> dict[tuple[int, str], int]:
    """How many answers there were of each status and error code."""
    found: dict[tuple[int, str], int] = {}
    for answer in answers:
        error = answer.json().get("error") or {}
        kind = (answer.status_code, error.get("code", ""))
        found[kind] = found.get(kind, 0) + 1
    return found


def limit_row(world: World, limit: int) -> dict[str, Any]:
    return world.database.query("SELECT * FROM billing_limit WHERE id = %s", limit)[0]


def check_nothing_runs(world: World, limit: int) -> None:
    row = limit_row(world, limit)
    assert (row["running_calls"], row["held_nanos"]) == (0, 0)
    world.audit()


def cost_of_one_call(world: World, gateway: GatewayProcess) -> tuple[int, int]:
    """What such a call holds and what it is charged, learned from one that was made."""
    prober = world.add_tenant(f"Prober{uuid4().hex[:4]}", balance="1")
    assert call(gateway, prober).status_code == 200
    record = world.records(prober)[-1]
    return int(record["hold_nanos"]), int(record["amount_nanos"])


@pytest.mark.parametrize("side", ["key", "group"])
def test_of_64_requests_at_once_exactly_as_many_pass_as_may(
    world: World, gateways: list[GatewayProcess], payer: Tenant, side: str
) -> None:
    limit = put_limit(world, **{side: payer}, requests_per_minute=17)  # type: ignore[arg-type]
    answers = fire(gateways, payer)
    assert counts(answers) == {(200, ""): 17, (429, "rate_limited"): CALLS - 17}
    for answer in answers:
        assert answer.headers["x-ratelimit-limit-requests"] == "17"
        reset = answer.headers["x-ratelimit-reset-requests"]
        assert 0 < int(reset.removesuffix("s")) <= 60
        if answer.status_code == 429:
            assert 0 < int(answer.headers["retry-after"]) <= 60
            assert answer.headers["x-ratelimit-remaining-requests"] == "0"
            assert answer.json()["error"]["type"] == "rate_limit_error"
    passed = [a.headers["x-ratelimit-remaining-requests"] for a in answers if a.is_success]
    assert sorted(map(int, passed)) == list(range(17))
    check_nothing_runs(world, limit)
    world.database.query(
        "UPDATE billing_limit SET window_started_at = window_started_at - interval '60 s' WHERE id = %s",
        limit,
    )
    assert call(gateways[0], payer).status_code == 200


def test_of_64_calls_at_once_none_passes_the_budget(
    world: World, gateways: list[GatewayProcess], payer: Tenant
) -> None:
    hold, charge = cost_of_one_call(world, gateways[0])
    budget = 20 * hold
    limit = put_limit(world, key=payer, day_nanos=budget)
    answers = fire(gateways, payer)
    kinds = counts(answers)
    assert set(kinds) == {(200, ""), (402, "key_budget_exceeded")}
    # Those that had ended made room for others; what they were charged stays.
    spent = limit_row(world, limit)["day_spent_nanos"]
    assert 20 <= kinds[200, ""] <= budget // charge
    assert spent == sum(record["amount_nanos"] for record in world.records(payer)) <= budget
    check_nothing_runs(world, limit)
    while call(gateways[0], payer).status_code == 200:
        pass
    refused = call(gateways[1], payer)
    left = budget - limit_row(world, limit)["day_spent_nanos"]
    assert 0 <= left < hold
    assert f"${format_usd(left)} left of its daily budget" in refused.json()["error"]["message"]
    assert "retry-after" not in refused.headers


def test_of_64_calls_at_once_only_so_many_run_and_an_end_makes_room(
    world: World, gateways: list[GatewayProcess], payer: Tenant
) -> None:
    limit = put_limit(world, group=payer, concurrent_calls=7)
    gate = uuid4().hex + "room"
    simulator = world.simulator

    def open_when_full() -> int:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and simulator.state()["waiting"].get(gate, 0) < 7:
            time.sleep(0.05)
        time.sleep(0.5)  # were more admitted than may run, they would arrive now
        waiting = int(simulator.state()["waiting"].get(gate, 0))
        assert limit_row(world, limit)["running_calls"] == waiting
        simulator.open_gate(gate)
        return waiting

    async def both() -> tuple[list[httpx.Response], int]:
        return await asyncio.gather(
            asyncio.to_thread(fire, gateways, payer, gate=gate), asyncio.to_thread(open_when_full)
        )

    answers, waiting = asyncio.run(both())
    assert waiting == 7
    assert counts(answers) == {(200, ""): 7, (429, "concurrency_limited"): CALLS - 7}
    assert {a.headers["retry-after"] for a in answers if a.status_code == 429} == {"1"}
    check_nothing_runs(world, limit)
    assert call(gateways[0], payer).status_code == 200


def test_tokens_are_counted_as_used_once_a_call_has_ended(
    world: World, gateways: list[GatewayProcess], payer: Tenant
) -> None:
    limit = put_limit(world, key=payer, tokens_per_minute=100_000)
    answer = call(gateways[0], payer, input_tokens=1_000)
    assert answer.status_code == 200
    usage = answer.json()["usage"]
    assert limit_row(world, limit)["window_tokens"] == usage["total_tokens"]
    during = int(answer.headers["x-ratelimit-remaining-tokens"])
    assert during <= 100_000 - BODY["max_tokens"]  # type: ignore[operator]
    world.database.query(
        "UPDATE billing_limit SET window_tokens = tokens_per_minute WHERE id = %s", limit
    )
    refused = call(gateways[1], payer)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limited")
    assert refused.headers["x-ratelimit-remaining-tokens"] == "0"


def test_a_failed_call_gives_back_all_but_the_request(
    world: World, gateways: list[GatewayProcess], payer: Tenant
) -> None:
    limit = put_limit(world, key=payer, concurrent_calls=1, day_nanos=10**9, requests_per_minute=9)
    assert call(gateways[0], payer, status=400).status_code == 400
    row = limit_row(world, limit)
    names = ("window_requests", "window_tokens", "day_spent_nanos")
    assert [row[name] for name in names] == [1, 0, 0]
    check_nothing_runs(world, limit)


def test_calls_whose_process_died_make_room_again(fresh_world: World) -> None:
    world = fresh_world
    survivor, victim = world.start_gateway(), world.start_gateway()
    payer = world.add_tenant("Payer", balance="10")
    limit = put_limit(world, key=payer, concurrent_calls=1)
    gate = uuid4().hex + "died"

    async def run() -> None:
        headers = {"authorization": f"Bearer {payer.key}"}
        async with httpx.AsyncClient(headers=headers, timeout=30, trust_env=False) as http:
            url = f"{victim.base_url}/chat/completions"
            lost = asyncio.create_task(http.post(url, json=body(gate=gate)))
            while not world.simulator.state()["waiting"].get(gate, 0):
                await asyncio.sleep(0.02)
            assert (await asyncio.to_thread(call, survivor, payer)).status_code == 429
            await asyncio.to_thread(victim.kill)
            await asyncio.gather(lost, return_exceptions=True)

    asyncio.run(run())
    world.gateways.remove(victim)
    world.simulator.open_gate(gate)
    deadline = time.monotonic() + 20
    while call(survivor, payer).status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    check_nothing_runs(world, limit)


def test_a_new_limit_and_a_removed_one_are_known_within_a_second(
    world: World, gateways: list[GatewayProcess], payer: Tenant
) -> None:
    assert [call(gateway, payer).status_code for gateway in gateways] == [200, 200]
    limit = put_limit(world, key=payer, lifetime_nanos=1)
    time.sleep(1)
    assert [call(gateway, payer).status_code for gateway in gateways] == [402, 402]
    world.database.query("DELETE FROM billing_limit WHERE id = %s", limit)
    time.sleep(1)
    assert [call(gateway, payer).status_code for gateway in gateways] == [200, 200]
    world.audit()


def test_restrictions_and_expiry_hold_at_every_process(
    world: World, gateways: list[GatewayProcess], payer: Tenant
) -> None:
    def answers() -> set[tuple[int, str]]:
        time.sleep(1)
        return set(counts([call(gateway, payer) for gateway in gateways]))

    def restrict(assignment: str, value: Any) -> None:
        update = f"UPDATE accounts_group SET {assignment} = %s WHERE id = %s"
        world.database.query(update, value, payer.group_id)

    restrict("allowed_models", '["anthropic/*"]')
    assert answers() == {(403, "model_not_allowed")}
    restrict("allowed_models", '["openai/*"]')
    restrict("allowed_networks", '["192.0.2.0/24"]')
    assert answers() == {(403, "ip_not_allowed")}
    restrict("allowed_networks", '["127.0.0.0/8"]')
    assert answers() == {(200, "")}
    restrict("expires_at", datetime.now(UTC) - timedelta(seconds=1))
    assert answers() == {(401, "invalid_api_key")}


def test_me_shows_the_limits_and_what_is_used(
    world: World, gateways: list[GatewayProcess], payer: Tenant
) -> None:
    put_limit(world, key=payer, requests_per_minute=9, day_nanos=10**9)
    put_limit(world, group=payer, concurrent_calls=4)
    charged = call(gateways[0], payer).headers["x-tollgate-charge"]
    with client(gateways[1], payer) as http:
        limits = http.get("/v1/me").json()["limits"]
    assert limits["key"]["requests_per_minute"]["remaining"] == 8
    day = limits["key"]["day_usd"]
    assert (day["limit"], day["used"], day["held"]) == ("1.00", charged, "0.00")
    assert limits["group"] == {"concurrent_calls": {"limit": 4, "used": 0, "remaining": 4}}
