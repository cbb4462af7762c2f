"""The batcher against a real database: many operations at once, and one that is refused among them."""

import asyncio
import random
from uuid import UUID

import pytest
from uvloop import run as run_loop

from gateway.batch import BATCH_MAX, Hold, HoldResult, MoneyUnknown, Settlement, SettleResult
from gateway.call import new_call_id
from tests.gateway.batching import (
    NOT_KNOWN,
    USD,
    Bank,
    balances,
    bank,
    hold,
    record,
    rows,
    settlement,
)
from tests.world import Tenant, World


@pytest.fixture
def payer(world: World) -> Tenant:
    return world.add_tenant("Payer", balance="1")


def test_a_hold_is_placed_and_then_captured_with_its_record(world: World, payer: Tenant) -> None:
    async def run() -> UUID:
        async with bank(world) as made:
            order = hold(payer, 1000)
            assert await made.batcher.hold(order) == HoldResult(1000, USD)
            assert balances(world, payer) == (USD, 1000)
            assert rows(world, order.call_id) == ("open", 0, 0)
            assert await made.batcher.settle(settlement(payer, order.call_id, 300)) == SettleResult(
                300
            )
            return order.call_id

    call_id = run_loop(run())
    assert rows(world, call_id) == ("captured", 1, 1)
    assert balances(world, payer) == (USD - 300, 0)
    [written] = world.records(payer)
    assert (written["amount_nanos"], written["written_off_nanos"]) == (300, 0)


def test_a_hold_that_is_released_costs_nothing(world: World, payer: Tenant) -> None:
    async def run() -> UUID:
        async with bank(world) as made:
            order = hold(payer, 1000)
            await made.batcher.hold(order)
            assert await made.batcher.settle(settlement(payer, order.call_id, 0)) == SettleResult(0)
            return order.call_id

    assert rows(world, run_loop(run())) == ("released", 0, 1)
    assert balances(world, payer) == (USD, 0)


def test_a_record_without_a_hold_moves_nothing(world: World, payer: Tenant) -> None:
    async def run() -> UUID:
        async with bank(world) as made:
            call_id = new_call_id()
            alone = Settlement(
                call_id=call_id,
                account_id=None,
                amount_nanos=0,
                record=record(
                    payer, call_id, "refused", error_message='"quoted", {braced} \\ 안녕 😀'
                ),
            )
            assert await made.batcher.settle(alone) == NOT_KNOWN
            return call_id

    assert rows(world, run_loop(run())) == (None, 0, 1)
    assert world.records(payer)[-1]["error_message"] == '"quoted", {braced} \\ 안녕 😀'


@pytest.mark.parametrize(
    ("amount", "floor", "granted"),
    [
        (USD, USD, USD),
        (USD + 1, USD + 1, 0),
        (2 * USD, USD, USD),
        (2 * USD, 1, USD),
        (2 * USD, USD + 1, 0),
    ],
)
def test_a_hold_gets_what_there_is_down_to_its_floor(
    world: World, payer: Tenant, amount: int, floor: int, granted: int
) -> None:
    async def run() -> HoldResult:
        async with bank(world) as made:
            order = hold(payer, amount, floor)
            result = await made.batcher.hold(order)
            if result.granted_nanos:
                await made.batcher.settle(settlement(payer, order.call_id, 0))
            return result

    assert run_loop(run()) == HoldResult(granted, USD, "" if granted else "credits")
    assert balances(world, payer) == (USD, 0)


def test_usage_above_the_hold_takes_what_there_is_and_writes_off_the_rest(
    world: World, payer: Tenant
) -> None:
    async def run() -> SettleResult:
        async with bank(world) as made:
            order = hold(payer, 1000)
            await made.batcher.hold(order)
            return await made.batcher.settle(settlement(payer, order.call_id, USD + 5))

    assert run_loop(run()) == SettleResult(USD)
    assert balances(world, payer) == (0, 0)
    assert world.records(payer)[-1]["written_off_nanos"] == 5
    world.audit()


@pytest.mark.parametrize(
    "memo",
    ['{"a":"b"}', 'q"uote', "back\\slash", "{a,b}", "NULL", "", " x ", "line\nbreak", "안녕 😀"],
)
def test_any_memo_is_stored_as_it_is(world: World, payer: Tenant, memo: str) -> None:
    async def run() -> UUID:
        async with bank(world) as made:
            plain = hold(payer, 1)
            order = Hold(
                call_id=plain.call_id,
                account_id=plain.account_id,
                amount_nanos=1,
                floor_nanos=1,
                memo=memo,
                refusal=plain.refusal,
            )
            await made.batcher.hold(order)
            assert (
                world.database.one("SELECT memo FROM billing_hold WHERE id = %s", order.call_id)
                == memo
            )
            await made.batcher.settle(settlement(payer, order.call_id, 0))
            return order.call_id

    run_loop(run())


def test_of_many_holds_at_once_exactly_as_many_are_granted_as_there_is_credit_for(
    world: World, payer: Tenant
) -> None:
    async def run() -> list[HoldResult]:
        async with bank(world) as made:
            orders = [hold(payer, USD // 7) for _ in range(60)]
            results = await asyncio.gather(*map(made.batcher.hold, orders))
            assert balances(world, payer) == (USD, 7 * (USD // 7))
            for order, result in zip(orders, results, strict=True):
                if result.granted_nanos:
                    made.batcher.settle(settlement(payer, order.call_id, 0))
            return results

    granted = [result for result in run_loop(run()) if result.granted_nanos]
    assert len(granted) == 7
    assert balances(world, payer) == (USD, 0)


def test_many_calls_of_many_wallets_at_once_are_exact_and_share_their_batches(world: World) -> None:
    tenants = [world.add_tenant(f"Many{number}", balance="1") for number in range(4)]
    chance = random.Random(5)
    plan = [(chance.choice(tenants), chance.randrange(1, 10**6)) for _ in range(1200)]

    async def one(made: Bank, tenant: Tenant, amount: int) -> None:
        order = hold(tenant, 10**6, 1)
        assert (await made.batcher.hold(order)).granted_nanos > 0
        await asyncio.sleep(amount / 10**9)
        charged = amount if amount % 5 else 0
        assert await made.batcher.settle(
            settlement(tenant, order.call_id, charged)
        ) == SettleResult(charged)

    async def run() -> int:
        async with bank(world) as made:
            await asyncio.gather(*(one(made, *part) for part in plan))
            return made.batcher.batches

    assert run_loop(run()) < 300
    for tenant in tenants:
        charged = sum(amount for payer, amount in plan if payer is tenant and amount % 5)
        assert balances(world, tenant) == (USD - charged, 0)
        assert sum(row["amount_nanos"] for row in world.records(tenant)) == charged
    world.audit()


def test_a_queue_longer_than_a_batch_is_worked_off(world: World, payer: Tenant) -> None:
    async def run() -> int:
        async with bank(world) as made:
            orders = [hold(payer, 10) for _ in range(BATCH_MAX + 100)]
            results = await asyncio.gather(*map(made.batcher.hold, orders))
            assert all(result.granted_nanos == 10 for result in results)
            ends = [made.batcher.settle(settlement(payer, order.call_id, 10)) for order in orders]
            await asyncio.gather(*ends)
            return made.batcher.batches

    assert run_loop(run()) >= 4
    assert balances(world, payer) == (USD - 10 * (BATCH_MAX + 100), 0)


def test_two_batchers_on_the_same_wallets_neither_deadlock_nor_overspend(world: World) -> None:
    tenants = [world.add_tenant(f"Shared{number}", balance="0.000001") for number in range(6)]

    async def one(made: Bank, number: int) -> int:
        tenant = tenants[number % 6]
        order = hold(tenant, 100)
        granted = (await made.batcher.hold(order)).granted_nanos
        if granted:
            await made.batcher.settle(settlement(tenant, order.call_id, granted))
        return granted

    async def run() -> int:
        async with bank(world) as left, bank(world) as right:
            banks = (left, right)
            granted = await asyncio.gather(*(one(banks[n % 2], n) for n in range(240)))
            assert len(left.backends) == len(right.backends) == 1
            return sum(granted)

    assert run_loop(run()) == 6 * 1000
    assert all(balances(world, tenant) == (0, 0) for tenant in tenants)


# An operation that the database refuses.


def test_one_refused_operation_does_not_stop_the_others_of_its_batch(
    world: World, payer: Tenant
) -> None:
    async def run() -> tuple[list[UUID], UUID, UUID]:
        async with bank(world) as made:
            good, bad, absurd = (
                [hold(payer, 100) for _ in range(20)],
                hold(payer, 100),
                hold(payer, 2**63),
            )
            await asyncio.gather(*map(made.batcher.hold, [*good, bad]))
            before = made.batcher.batches
            # Queued without a pause between them: one batch takes them all.
            ends = [made.batcher.settle(settlement(payer, order.call_id, 7)) for order in good]
            spoilt = made.batcher.settle(settlement(payer, bad.call_id, 7, endpoint="e" * 33))
            later, refused = await asyncio.gather(
                made.batcher.hold(hold(payer, 50, call_id=good[0].call_id)),
                made.batcher.hold(absurd),
                return_exceptions=True,
            )
            assert all([await end == SettleResult(7) for end in ends])
            assert await spoilt == NOT_KNOWN
            assert isinstance(later, MoneyUnknown)  # its id is taken
            assert isinstance(refused, MoneyUnknown)
            assert made.batcher.batches == before + 20
            assert made.batcher.is_connected
            final = hold(payer, 5)
            assert (await made.batcher.hold(final)).granted_nanos == 5
            await made.batcher.settle(settlement(payer, final.call_id, 0))
            return [order.call_id for order in good], bad.call_id, absurd.call_id

    good, bad, absurd = run_loop(run())
    assert {rows(world, call_id) for call_id in good} == {("captured", 1, 1)}
    assert rows(world, bad) == ("open", 0, 0)  # released as lost once its process has ended
    assert rows(world, absurd) == (None, 0, 0)
    assert balances(world, payer) == (USD - 20 * 7, 100)
