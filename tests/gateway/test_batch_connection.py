"""The batcher when its connection breaks, when calls are given up, and at the end: no call lost, none charged twice."""

import asyncio
import random
import time
from uuid import UUID

import msgspec
import psycopg
import pytest
from uvloop import run as run_loop

from gateway.batch import Batcher, MoneyUnknown, SettleResult
from gateway.call import new_call_id
from gateway.money_line import MoneyLine
from tests.gateway.batching import (
    NOT_KNOWN,
    USD,
    Bank,
    Lock,
    amounts,
    balances,
    bank,
    hold,
    in_one_batch,
    rows,
    settlement,
    terminate,
    waits_for_a_lock,
)
from tests.gateway.database_proxy import database_proxy
from tests.world import Tenant, World


@pytest.fixture
def payer(world: World) -> Tenant:
    return world.add_tenant("Payer", balance="1")


# The connection breaks.


def test_a_connection_killed_within_a_batch_leaves_holds_unknown_and_settlements_written_once(
    world: World, payer: Tenant
) -> None:
    async def run() -> tuple[UUID, UUID]:
        async with bank(world) as made:
            first, second = hold(payer, 1000), hold(payer, 1000)
            await made.batcher.hold(first)
            with Lock(world, payer) as lock:
                end, waiting = await in_one_batch(
                    made, settlement(payer, first.call_id, 400), second
                )
                await made.until(lambda: waits_for_a_lock(world, made.backends[-1]))
                terminate(world, made.backends[-1])
                began = time.monotonic()
                with pytest.raises(MoneyUnknown):
                    await waiting
                assert time.monotonic() - began < 0.5  # told by the connection, not by the deadline
                assert await end == NOT_KNOWN  # nobody is kept waiting; it is written all the same
                assert rows(world, first.call_id) == ("open", 0, 0)
                lock.release()
                await made.until(lambda: rows(world, second.call_id)[0] == "released")
                assert len(made.backends) == 2
            return first.call_id, second.call_id

    settled, unknown = run_loop(run())
    assert rows(world, settled) == ("captured", 1, 1)
    assert rows(world, unknown) == ("released", 0, 1)
    assert balances(world, payer) == (USD - 400, 0)


def test_a_batch_whose_answer_was_lost_is_not_charged_twice_and_its_hold_is_given_back(
    world: World, payer: Tenant
) -> None:
    async def run() -> tuple[UUID, UUID]:
        async with database_proxy(world.database.url) as proxy, bank(world, url=proxy.url) as made:
            first, second = hold(payer, 1000), hold(payer, 1000)
            await made.batcher.hold(first)
            proxy.deaf = True
            end, waiting = await in_one_batch(made, settlement(payer, first.call_id, 400), second)
            # Committed, though nobody heard of it.
            await made.until(lambda: rows(world, second.call_id)[0] == "open")
            assert rows(world, first.call_id) == ("captured", 1, 1)
            proxy.deaf = False
            proxy.cut()
            with pytest.raises(MoneyUnknown):
                await waiting
            assert await end == NOT_KNOWN
            await made.until(lambda: rows(world, second.call_id)[0] == "released")
            return first.call_id, second.call_id

    settled, unknown = run_loop(run())
    assert rows(world, settled) == ("captured", 1, 1)
    assert rows(world, unknown) == ("released", 0, 1)
    assert balances(world, payer) == (USD - 400, 0)
    assert amounts(world, payer)[settled] == 400


def test_a_hold_that_arrives_after_its_release_is_refused_for_good(
    world: World, payer: Tenant
) -> None:
    async def run() -> None:
        async with bank(world) as made:
            late = hold(payer, 1000)
            release = settlement(payer, late.call_id, 0)
            assert await made.batcher.settle(release) == NOT_KNOWN
            with pytest.raises(MoneyUnknown):
                await made.batcher.hold(late)
            assert await made.batcher.settle(release) == NOT_KNOWN

    run_loop(run())
    assert balances(world, payer) == (USD, 0)


def test_a_database_that_falls_silent_is_noticed_in_time(world: World, payer: Tenant) -> None:
    # No reset, no error: packets go nowhere. Calls must be refused and not hang until TCP gives up.
    async def run() -> None:
        async with database_proxy(world.database.url) as proxy, bank(world, 0.3, proxy.url) as made:
            first, second = hold(payer, 1000), hold(payer, 1000)
            await made.batcher.hold(first)
            proxy.deaf = True
            end, waiting = await in_one_batch(made, settlement(payer, first.call_id, 400), second)
            try:
                async with asyncio.timeout(2):
                    with pytest.raises(MoneyUnknown):
                        await waiting
                with pytest.raises(MoneyUnknown):
                    await made.batcher.hold(hold(payer, 1))
                assert await end == NOT_KNOWN
            finally:
                proxy.deaf = False
                proxy.cut()
            await made.until(lambda: made.batcher.is_connected and not made.batcher.waiting)

    run_loop(run())
    assert balances(world, payer) == (USD - 400, 0)


def test_a_batch_that_takes_too_long_is_given_up_and_its_settlement_sent_again(
    world: World, payer: Tenant
) -> None:
    async def run() -> tuple[UUID, UUID]:
        async with bank(world, timeout_s=0.3) as made:
            first, second = hold(payer, 1000), hold(payer, 1000)
            await made.batcher.hold(first)
            with Lock(world, payer) as lock:
                began = time.monotonic()
                end, waiting = await in_one_batch(
                    made, settlement(payer, first.call_id, 400), second
                )
                with pytest.raises(MoneyUnknown):
                    await waiting
                assert time.monotonic() - began < 1.0
                assert await end == NOT_KNOWN
                lock.release()
                await made.until(lambda: rows(world, second.call_id)[0] == "released")
            return first.call_id, second.call_id

    settled, unknown = run_loop(run())
    assert rows(world, settled) == ("captured", 1, 1)
    assert rows(world, unknown) == ("released", 0, 1)
    assert balances(world, payer) == (USD - 400, 0)


def test_connections_killed_under_load_lose_no_call_and_charge_none_twice(
    world: World, payer: Tenant
) -> None:
    chance, kills = random.Random(11), 6
    charged: dict[UUID, int] = {}
    unknown: list[UUID] = []

    async def one(made: Bank) -> None:
        order = hold(payer, 10**5)
        try:
            result = await made.batcher.hold(order)
        except MoneyUnknown:
            unknown.append(order.call_id)
            await asyncio.sleep(0.02)
            return
        assert result.granted_nanos == 10**5
        await asyncio.sleep(chance.random() / 100)
        amount = chance.randrange(1, 10**5)
        charged[order.call_id] = amount
        result_of_end = await made.batcher.settle(settlement(payer, order.call_id, amount))
        assert result_of_end in (SettleResult(amount), NOT_KNOWN)

    async def caller(made: Bank) -> None:
        while len(made.backends) <= kills:
            await one(made)

    async def killer(made: Bank) -> None:
        for killed in range(kills):
            await made.until(lambda: len(made.backends) > killed)  # noqa: B023
            await asyncio.sleep(0.05)
            terminate(world, made.backends[-1])

    async def run() -> None:
        async with bank(world) as made:
            await asyncio.gather(killer(made), *(caller(made) for _ in range(40)))
            await made.until(lambda: made.batcher.is_connected and not made.batcher.waiting)

    run_loop(run())
    assert len(charged) > 100
    assert unknown
    captures = {
        row["id"]: row["amount_nanos"]
        for row in world.database.query(
            "SELECT id, amount_nanos FROM billing_transfer WHERE debit_account_id = %s",
            payer.wallet_id,
        )
    }
    assert captures == charged
    states = world.database.query(
        "SELECT id, state FROM billing_hold WHERE account_id = %s", payer.wallet_id
    )
    by_id = {row["id"]: row["state"] for row in states}
    assert {by_id.get(call_id) for call_id in unknown} <= {"released", None}
    assert {by_id[call_id] for call_id in charged} == {"captured"}
    assert balances(world, payer) == (USD - sum(charged.values()), 0)
    assert {
        call_id: amount for call_id, amount in amounts(world, payer).items() if amount
    } == charged
    world.audit()


def test_without_a_connection_holds_are_refused_at_once_and_settlements_wait(
    world: World, payer: Tenant
) -> None:
    async def run() -> UUID:
        async with bank(world) as made:
            first = hold(payer, 1000)
            await made.batcher.hold(first)
            made.is_away = True
            terminate(world, made.backends[-1])
            end = made.batcher.settle(settlement(payer, first.call_id, 400))
            await made.until(lambda: not made.batcher.is_connected)
            began = time.monotonic()
            for _ in range(100):
                with pytest.raises(MoneyUnknown):
                    await made.batcher.hold(hold(payer, 1))
            assert time.monotonic() - began < 0.1
            assert await end == NOT_KNOWN
            later = made.batcher.settle(settlement(payer, new_call_id(), 0))
            assert later.done()
            assert made.batcher.waiting == 2
            made.is_away = False
            await made.until(lambda: made.batcher.is_connected and not made.batcher.waiting)
            return first.call_id

    assert rows(world, run_loop(run())) == ("captured", 1, 1)
    assert balances(world, payer) == (USD - 400, 0)


def test_records_of_refused_calls_pile_up_to_a_bound_and_money_does_not_stop_there(
    world: World, payer: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.batch.RECORDS_WAITING_MAX", 5)

    async def run() -> UUID:
        async with bank(world) as made:
            first = hold(payer, 1000)
            await made.batcher.hold(first)
            made.is_away = True
            terminate(world, made.backends[-1])
            made.batcher.settle(settlement(payer, new_call_id(), 0))  # meets the broken connection
            await made.until(lambda: not made.batcher.is_connected)
            for _ in range(20):
                money = settlement(payer, new_call_id(), 0)
                made.batcher.settle(msgspec.structs.replace(money, account_id=None))
            assert made.batcher.waiting == 5
            made.batcher.settle(settlement(payer, first.call_id, 400))
            assert made.batcher.waiting == 6
            made.is_away = False
            await made.until(lambda: made.batcher.is_connected and not made.batcher.waiting)
            return first.call_id

    assert rows(world, run_loop(run())) == ("captured", 1, 1)
    assert len(world.records(payer)) == 6


# Calls that are given up, and the end of the process.


def test_the_hold_of_a_call_that_was_given_up_meanwhile_is_released(
    world: World, payer: Tenant
) -> None:
    async def run() -> UUID:
        async with bank(world) as made:
            with Lock(world, payer) as lock:
                order = hold(payer, 1000)
                waiting = asyncio.ensure_future(made.batcher.hold(order))
                await made.until(lambda: waits_for_a_lock(world, made.backends[-1]))
                waiting.cancel()
                lock.release()
                await made.until(lambda: rows(world, order.call_id)[0] == "released")
            return order.call_id

    assert rows(world, run_loop(run())) == ("released", 0, 1)
    assert balances(world, payer) == (USD, 0)


def test_a_refused_hold_of_a_call_that_was_given_up_leaves_nothing(
    world: World, payer: Tenant
) -> None:
    async def run() -> UUID:
        async with bank(world) as made:
            with Lock(world, payer) as lock:
                order = hold(payer, 2 * USD)
                waiting = asyncio.ensure_future(made.batcher.hold(order))
                await made.until(lambda: waits_for_a_lock(world, made.backends[-1]))
                waiting.cancel()
                lock.release()
            return order.call_id

    assert rows(world, run_loop(run())) == (None, 0, 0)
    assert balances(world, payer) == (USD, 0)


def test_stopping_writes_what_is_queued(world: World, payer: Tenant) -> None:
    async def run() -> list[UUID]:
        async with bank(world) as made:
            orders = [hold(payer, 10) for _ in range(700)]
            await asyncio.gather(*map(made.batcher.hold, orders))
            for order in orders:
                made.batcher.settle(settlement(payer, order.call_id, 3))
            return [order.call_id for order in orders]

    ended = run_loop(run())
    assert balances(world, payer) == (USD - 3 * len(ended), 0)
    assert len(world.records(payer)) == len(ended)


def test_stopping_without_a_database_ends_all_the_same(world: World, payer: Tenant) -> None:
    async def run() -> float:
        async with bank(world) as made:
            order = hold(payer, 10)
            await made.batcher.hold(order)
            made.is_away = True
            terminate(world, made.backends[-1])
            made.batcher.settle(settlement(payer, order.call_id, 3))
            await made.until(lambda: not made.batcher.is_connected)
            began = time.monotonic()
            await made.batcher.stop()
            return time.monotonic() - began

    assert run_loop(run()) < 1.0
    assert balances(world, payer) == (USD, 10)  # its process is gone: others release it as lost


def test_starting_without_a_database_fails(world: World) -> None:
    async def nowhere() -> MoneyLine:
        raise psycopg.OperationalError("nobody there")

    with pytest.raises(psycopg.OperationalError):
        run_loop(Batcher(nowhere, 1.0).start())
