"""The batcher with limits: 64 calls at once on two connections pass exactly what the limits allow."""

import asyncio
from typing import Any

import pytest
from uvloop import run as run_loop

from gateway.batch import HoldResult, SettleResult
from gateway.limits import Rate, RateState
from tests.gateway.batching import (
    USD,
    Bank,
    Lock,
    balances,
    bank,
    hold,
    in_one_batch,
    put_limit,
    settlement,
    terminate,
    waits_for_a_lock,
)
from tests.world import Tenant, World

CALLS = 64


@pytest.fixture
def payer(world: World) -> Tenant:
    return world.add_tenant("Payer", balance="1")


def limit_row(world: World, limit: int) -> dict[str, Any]:
    return world.database.query("SELECT * FROM billing_limit WHERE id = %s", limit)[0]


def place_all(
    world: World, tenant: Tenant, amount: int = 100, floor: int | None = None, **limited: int
) -> list[HoldResult]:
    """64 holds at once, every other one on another connection; all of them are left open."""

    async def run() -> list[HoldResult]:
        async with bank(world) as left, bank(world) as right:
            banks = (left, right)
            return await asyncio.gather(
                *(
                    banks[number % 2].batcher.hold(hold(tenant, amount, floor, **limited))
                    for number in range(CALLS)
                )
            )

    return run_loop(run())


def admitted(results: list[HoldResult]) -> int:
    return sum(result.granted_nanos > 0 for result in results)


# Exactly so many


@pytest.mark.parametrize("side", ["key", "group"])
def test_of_64_calls_at_once_as_many_pass_as_requests_may(
    world: World, payer: Tenant, side: str
) -> None:
    limit = put_limit(world, **{side: payer}, requests_per_minute=23)  # type: ignore[arg-type]
    results = place_all(world, payer, **{f"{side}_limit_id": limit})
    assert admitted(results) == 23
    refused = [result for result in results if not result.granted_nanos]
    assert {result.refusal for result in refused} == {f"{side}_requests"}
    assert all(0 < result.retry_after_s <= 60 for result in refused)
    left = sorted(r.rate.requests.remaining for r in results if r.rate and r.rate.requests)
    assert left == [0] * (CALLS - 23 + 1) + list(range(1, 23))


def test_of_64_calls_at_once_only_those_pass_whose_tokens_fit(world: World, payer: Tenant) -> None:
    limit = put_limit(world, key=payer, tokens_per_minute=1_000)
    results = place_all(world, payer, key_limit_id=limit, tokens=77)
    assert admitted(results) == 1_000 // 77
    assert {result.refusal for result in results} == {"", "key_tokens"}
    assert limit_row(world, limit)["window_tokens"] == 1_000 // 77 * 77


def test_of_64_calls_at_once_none_passes_the_budget_by_a_nano(world: World, payer: Tenant) -> None:
    key = put_limit(world, key=payer, day_nanos=4_321)
    group = put_limit(world, group=payer, month_nanos=9_999_999)
    results = place_all(world, payer, 100, 50, key_limit_id=key, group_limit_id=group)
    assert sum(result.granted_nanos for result in results) == 4_300
    assert admitted(results) == 43
    assert limit_row(world, key)["held_nanos"] == 4_300
    assert {(r.refusal, r.left_nanos) for r in results if not r.granted_nanos} == {("key_day", 21)}


def test_calls_that_come_and_go_on_two_connections_never_run_more_at_a_time_than_may(
    world: World, payer: Tenant
) -> None:
    limit = put_limit(world, group=payer, concurrent_calls=5, lifetime_nanos=3_000)
    running: set[int] = set()
    most = spent = 0

    async def one(made: Bank, number: int) -> None:
        nonlocal most, spent
        for _ in range(6):
            order = hold(payer, 100, 1, group_limit_id=limit, tokens=9)
            result = await made.batcher.hold(order)
            if not result.granted_nanos:
                assert result.refusal in ("group_concurrency", "group_lifetime")
                await asyncio.sleep(0.003)
                continue
            running.add(number)
            most = max(most, len(running))
            await asyncio.sleep(0.002)
            running.discard(number)
            charge = min(number, result.granted_nanos)
            spent += charge
            end = settlement(payer, order.call_id, charge, tokens=4)
            assert await made.batcher.settle(end) == SettleResult(charge)

    async def run() -> None:
        async with bank(world) as left, bank(world) as right:
            banks = (left, right)
            await asyncio.gather(*(one(banks[number % 2], number) for number in range(CALLS)))

    run_loop(run())
    assert most == 5
    row = limit_row(world, limit)
    assert (row["running_calls"], row["held_nanos"]) == (0, 0)
    assert row["lifetime_spent_nanos"] == spent <= 3_000
    assert row["window_tokens"] == row["window_requests"] * 4
    world.audit()


# What a caller is told


def test_an_admitted_call_is_told_what_is_left_of_the_tighter_limits(
    world: World, payer: Tenant
) -> None:
    key = put_limit(world, key=payer, requests_per_minute=5)
    group = put_limit(world, group=payer, requests_per_minute=9, tokens_per_minute=100)

    async def run() -> list[HoldResult]:
        async with bank(world) as made:
            orders = [
                hold(payer, 10, key_limit_id=key, group_limit_id=group, tokens=30),
                hold(payer, 10, group_limit_id=group, tokens=0),
                hold(payer, 10),
                hold(payer, 2 * USD),
            ]
            return await asyncio.gather(*map(made.batcher.hold, orders))

    both, one, none, poor = run_loop(run())
    assert both.rate == RateState(Rate(5, 4, 60), Rate(100, 70, 60))
    assert one.rate == RateState(Rate(9, 7, 60), Rate(100, 70, 60))
    assert none == HoldResult(10, USD - 20)
    assert poor == HoldResult(0, USD - 30, "credits")


def test_a_settlement_makes_room_in_its_own_batch_and_gives_tokens_back(
    world: World, payer: Tenant
) -> None:
    limit = put_limit(world, key=payer, concurrent_calls=1, tokens_per_minute=50)

    async def run() -> HoldResult:
        async with bank(world) as made:
            first = hold(payer, 10, key_limit_id=limit, tokens=50)
            await made.batcher.hold(first)
            end = settlement(payer, first.call_id, 5, tokens=20)
            _, waiting = await in_one_batch(
                made, end, hold(payer, 10, key_limit_id=limit, tokens=30)
            )
            return await waiting

    assert run_loop(run()) == HoldResult(10, USD - 5, rate=RateState(None, Rate(50, 0, 60)))


# When the database goes away


def test_a_hold_whose_batch_is_in_doubt_leaves_no_call_running(world: World, payer: Tenant) -> None:
    limit = put_limit(world, key=payer, concurrent_calls=1)

    async def run() -> None:
        async with bank(world) as made:
            with Lock(world, payer) as lock:
                waiting = asyncio.ensure_future(
                    made.batcher.hold(hold(payer, 10, key_limit_id=limit))
                )
                await made.until(lambda: waits_for_a_lock(world, made.backends[0]))
                terminate(world, made.backends[0])
                lock.release()
            assert isinstance((await asyncio.gather(waiting, return_exceptions=True))[0], Exception)
            await made.until(lambda: made.batcher.is_connected and not made.batcher.waiting)
            order = hold(payer, 10, key_limit_id=limit)
            assert (await made.batcher.hold(order)).refusal == ""
            await made.batcher.settle(settlement(payer, order.call_id, 0))

    run_loop(run())
    assert limit_row(world, limit)["running_calls"] == 0
    assert balances(world, payer) == (USD, 0)


def test_a_settlement_that_is_sent_again_counts_once(world: World, payer: Tenant) -> None:
    limit = put_limit(world, key=payer, lifetime_nanos=100)

    async def run() -> None:
        async with bank(world) as made:
            order = hold(payer, 50, key_limit_id=limit, tokens=9)
            await made.batcher.hold(order)
            end = settlement(payer, order.call_id, 30, tokens=4)
            assert await made.batcher.settle(end) == SettleResult(30)
            assert await made.batcher.settle(end) == SettleResult(None)

    run_loop(run())
    row = limit_row(world, limit)
    assert (row["lifetime_spent_nanos"], row["running_calls"], row["window_tokens"]) == (30, 0, 4)
