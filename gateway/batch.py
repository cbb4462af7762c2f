"""The batcher: one queue of money operations and one connection per process.

While a batch commits, new operations gather; the next batch takes them all. No timer: it clocks itself. A settlement
carries its call's record, so that both are written by one transaction.

When the connection breaks under a batch, nobody knows whether it was committed. Its settlements are sent again (a
hold resolves once, so the second time changes nothing); its holds are refused towards their callers and a release is
queued for each (see `billing_apply` for a hold that arrives late). While there is no connection, new holds are refused
at once and settlements wait.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import msgspec
import psycopg

from gateway.call import Record, encode_records
from gateway.limits import Rate, RateState
from gateway.metrics.counting import Metrics
from gateway.money_line import MoneyLine

logger = logging.getLogger(__name__)

BATCH_MAX = 512
BATCH_EVERY_S = 0.002
BATCH_ENOUGH = 64
RECONNECT_PAUSE_S = 0.2
RECORDS_WAITING_MAX = 10_000
APPLY = """
    SELECT s_taken, h_granted, h_available, h_refusals, h_retry_s, h_left, h_request_limits, h_requests_left,
           h_requests_reset_s, h_token_limits, h_tokens_left, h_tokens_reset_s
    FROM gateway_apply($1::bigint, $2::uuid[], $3::bigint[], $4::bigint[],
                       $5::uuid[], $6::bigint[], $7::bigint[], $8::bigint[], $9::text[], $10::jsonb,
                       $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[])
"""


class MoneyUnknown(Exception):
    """The database cannot say: nothing may be sent upstream on this hold."""


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """A reservation to be placed: up to `amount_nanos`, and not below `floor_nanos`. `tokens` is what it brings to the
    limits of its key and group, where they have any."""

    call_id: UUID
    account_id: int
    amount_nanos: int
    floor_nanos: int
    memo: str
    refusal: Callable[[], Record]
    """Makes the record that is written if the hold must be taken back because its fate is unknown."""
    key_limit_id: int | None = None
    group_limit_id: int | None = None
    tokens: int = 0


class HoldResult(msgspec.Struct, frozen=True):
    """`granted_nanos` 0: refused. `available_nanos` is what there was just before.

    `refusal` is '' where it was granted, else `credits`, or `key_` or `group_` and one of `requests`, `tokens`,
    `concurrency`, `day`, `month`, `lifetime`. `retry_after_s` is for the first three of them, `left_nanos` (what the
    budget leaves) for the others. `rate` is what remains of the limits per minute, None for a caller without limits.
    """

    granted_nanos: int
    available_nanos: int
    refusal: str = ""
    retry_after_s: int = 0
    left_nanos: int = 0
    rate: RateState | None = None


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a hold: `amount_nanos` is captured, 0 releases. Without `account_id` it is a record alone.

    `tokens` is what the call used; it may be left 0 for a caller without limits."""

    call_id: UUID
    account_id: int | None
    amount_nanos: int
    record: Record
    tokens: int = 0


class SettleResult(msgspec.Struct, frozen=True):
    """What was taken from the wallet; None where that is not known: the hold had been resolved before, or the database
    went away and the settlement is written when it is back."""

    taken_nanos: int | None


PendingHold = tuple[Hold, "asyncio.Future[HoldResult]"]
PendingSettlement = tuple[Settlement, "asyncio.Future[SettleResult]"]


UNKNOWN = SettleResult(None)


class Batcher:
    """Turns many holds and settlements into few transactions.

    `connect` opens the process's line to the ledger. `timeout_s` bounds a
    batch: beyond it the connection counts as broken. `metrics` is told of every batch.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[MoneyLine]],
        timeout_s: float,
        metrics: Metrics | None = None,
    ) -> None:
        self._connect = connect
        self._timeout_s = timeout_s
        self._metrics = metrics or Metrics()
        self._holds: deque[PendingHold] = deque()
        self._settlements: deque[PendingSettlement] = deque()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._line: MoneyLine | None = None
        self._task: asyncio.Task[None] | None = None
        self._began_at = 0.0
        self.batches = 0

    @property
    def is_connected(self) -> bool:
        """Whether the state of money is known right now."""
        return self._line is not None

    @property
    def waiting(self) -> int:
        """Operations that are not yet part of a batch."""
        return len(self._holds) + len(self._settlements)

    async def start(self) -> None:
        """Connect (raises where that fails) and begin to work."""
        self._line = await self._connect()
        self._task = asyncio.create_task(self._run(), name="batcher")

    async def stop(self) -> None:
        """Write what is queued, as long as the database answers, then end."""
        try:
            async with asyncio.timeout(self._timeout_s):
                while self.is_connected and (self.waiting or not self._idle.is_set()):
                    await self._idle.wait()
                    await asyncio.sleep(0)
        except TimeoutError:
            logger.error("stopped with %d money operations unwritten", self.waiting)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._line is not None:
            await self._line.close()

    async def hold(self, hold: Hold) -> HoldResult:
        """Place a hold. Raises MoneyUnknown when the database is away or does not answer in time."""
        if self._line is None:
            raise MoneyUnknown
        future: asyncio.Future[HoldResult] = asyncio.get_running_loop().create_future()
        self._holds.append((hold, future))
        self._wake.set()
        return await future

    def settle(self, settlement: Settlement) -> "asyncio.Future[SettleResult]":
        """Queue a settlement: it is written as soon as the database can, whether or not anybody waits.

        The future is done once it is written, or at once when there is no connection to write it on. While there is
        none, records without money are kept up to a bound.
        """
        future: asyncio.Future[SettleResult] = asyncio.get_running_loop().create_future()
        if self._line is None:
            future.set_result(UNKNOWN)
            if settlement.account_id is None and self.waiting >= RECORDS_WAITING_MAX:
                # The record of a call that was refused, and no money: callers can make as many as they like.
                return future
        self._settlements.append((settlement, future))
        self._wake.set()
        return future

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            self._idle.clear()
            while self._holds or self._settlements:
                if self._line is None:
                    await self._reconnect()
                await self._gather()
                await self._write_next()
            self._idle.set()

    async def _gather(self) -> None:
        """Let operations gather when batches follow each other closely.

        A batch costs the same to begin whether it carries one operation or fifty. On a disk that commits in a tenth of
        a millisecond, batches that start as soon as they can carry two or three.
        """
        loop = asyncio.get_running_loop()
        pause_s = self._began_at + BATCH_EVERY_S - loop.time()
        if pause_s > 0 and self.waiting < BATCH_ENOUGH:
            await asyncio.sleep(pause_s)
        self._began_at = loop.time()

    async def _write_next(self) -> None:
        settlements = [
            self._settlements.popleft() for _ in range(min(BATCH_MAX, len(self._settlements)))
        ]
        room = BATCH_MAX - len(settlements)
        holds = [self._holds.popleft() for _ in range(min(room, len(self._holds)))]
        try:
            await self._write(settlements, holds)
        except (psycopg.OperationalError, psycopg.InterfaceError, TimeoutError) as error:
            logger.warning("money connection lost: %s", error)
            await self._lose_connection(settlements, holds)
        except psycopg.Error:
            # The batch as a whole was rolled back; one of its operations is at fault and must not stop the others.
            logger.exception("a batch of %d was refused", len(settlements) + len(holds))
            await self._write_singly(settlements, holds)

    async def _write(self, settlements: list[PendingSettlement], holds: list[PendingHold]) -> None:
        line = self._line
        assert line is not None
        charged = [s for s, _ in settlements if s.account_id is not None]
        records = [s.record for s, _ in settlements]
        key_limits = _sparse_array([h.key_limit_id for h, _ in holds])
        group_limits = _sparse_array([h.group_limit_id for h, _ in holds])
        limited = key_limits is not None or group_limits is not None
        parameters = (
            str(line.owner_id).encode(),
            _array([s.call_id for s in charged]),
            _array([s.account_id for s in charged]),
            _array([s.amount_nanos for s in charged]),
            _array([h.call_id for h, _ in holds]),
            _array([h.account_id for h, _ in holds]),
            _array([h.amount_nanos for h, _ in holds]),
            _array([h.floor_nanos for h, _ in holds]),
            _array([_quote(h.memo) for h, _ in holds]),
            encode_records(records) if records else None,
            _sparse_array([s.tokens for s in charged]),
            key_limits,
            group_limits,
            _array([h.tokens for h, _ in holds]) if limited else None,
        )
        began = time.perf_counter()
        async with asyncio.timeout(self._timeout_s):
            columns = await line.run(parameters)
        self._metrics.observe("tollgate_batch_seconds", time.perf_counter() - began)
        self._metrics.observe("tollgate_batch_operations", len(settlements) + len(holds))
        self.batches += 1
        taken = _numbers(columns[0])
        results = _hold_results(columns[1:])
        position = 0
        for settlement, future in settlements:
            result = UNKNOWN
            if settlement.account_id is not None:
                result = SettleResult(taken[position] if taken[position] >= 0 else None)
                position += 1
            if not future.done():
                future.set_result(result)
        for index, (hold, future_hold) in enumerate(holds):
            if future_hold.cancelled():
                # The call was given up while its hold was being placed: take it back.
                if results[index].granted_nanos:
                    self._take_back(hold)
            else:
                future_hold.set_result(results[index])

    async def _write_singly(
        self, settlements: list[PendingSettlement], holds: list[PendingHold]
    ) -> None:
        singles: list[tuple[list[PendingSettlement], list[PendingHold]]] = [
            *(([pending], []) for pending in settlements),
            *(([], [pending]) for pending in holds),
        ]
        for index, (one_settlement, one_hold) in enumerate(singles):
            try:
                await self._write(one_settlement, one_hold)
            except (psycopg.OperationalError, psycopg.InterfaceError, TimeoutError):
                rest = singles[index:]
                await self._lose_connection(
                    [pending for some, _ in rest for pending in some],
                    [pending for _, some in rest for pending in some],
                )
                return
            except psycopg.Error:
                for settlement, future in one_settlement:
                    # The hold stays open and is released as lost once this process ends; the log keeps what is known.
                    logger.critical(
                        "settlement refused by the database: %s", msgspec.json.encode(settlement)
                    )
                    if not future.done():
                        future.set_result(UNKNOWN)
                for _, future_hold in one_hold:
                    if not future_hold.done():
                        future_hold.set_exception(MoneyUnknown())

    async def _lose_connection(
        self, settlements: list[PendingSettlement], holds: list[PendingHold]
    ) -> None:
        line, self._line = self._line, None
        if line is not None:
            await line.close()
        self._settlements.extendleft(reversed(settlements))
        for _, settled in self._settlements:
            if not settled.done():
                settled.set_result(UNKNOWN)
        for hold, future in holds:
            self._take_back(hold)
            if not future.done():
                future.set_exception(MoneyUnknown())
        self._refuse_waiting_holds()

    def _take_back(self, hold: Hold) -> None:
        self.settle(
            Settlement(
                call_id=hold.call_id,
                account_id=hold.account_id,
                amount_nanos=0,
                record=hold.refusal(),
            )
        )

    def _refuse_waiting_holds(self) -> None:
        while self._holds:
            _, future = self._holds.popleft()
            if not future.done():
                future.set_exception(MoneyUnknown())

    async def _reconnect(self) -> None:
        while self._line is None:
            self._refuse_waiting_holds()
            try:
                async with asyncio.timeout(self._timeout_s):
                    self._line = await self._connect()
                logger.info("money connection is back, %d operations wait", self.waiting)
            except (psycopg.Error, OSError, TimeoutError):
                await asyncio.sleep(RECONNECT_PAUSE_S)


def _array(values: list[Any]) -> bytes:
    """A PostgreSQL array literal."""
    return ("{" + ",".join(map(str, values)) + "}").encode()


def _sparse_array(values: list[Any]) -> bytes | None:
    """The same with NULL for None; NULL as a whole where no value says anything."""
    if not any(values):
        return None
    return _array(["NULL" if value is None else value for value in values])


def _hold_results(columns: list[bytes | None]) -> list[HoldResult]:
    """The columns of holds: two for every batch, and the rest where one of its holds has limits."""
    granted, available = map(_numbers, columns[:2])
    refusals = columns[2]
    if refusals is None:
        return [
            HoldResult(amount, there, "" if amount else "credits")
            for amount, there in zip(granted, available, strict=True)
        ]
    reasons = refusals[1:-1].decode().replace('"', "").split(",")
    retry_s, left = map(_numbers, columns[3:5])
    requests, tokens = _rates(columns[5:8]), _rates(columns[8:11])
    rates = [RateState(*pair) if any(pair) else None for pair in zip(requests, tokens, strict=True)]
    return list(map(HoldResult, granted, available, reasons, retry_s, left, rates))


def _rates(columns: list[bytes | None]) -> list[Rate | None]:
    """Limit, remaining and reset of each hold; an element is NULL where nothing limits."""
    texts = [(column or b"{}")[1:-1].split(b",") for column in columns]
    return [
        None if parts[0] == b"NULL" else Rate(*map(int, parts))
        for parts in zip(*texts, strict=True)
    ]


def _numbers(column: bytes | None) -> list[int]:
    """The integers of an array as PostgreSQL prints it; empty for NULL."""
    return list(map(int, column[1:-1].split(b","))) if column and column != b"{}" else []


def _quote(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
