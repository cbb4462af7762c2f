"""One connection that runs one prepared statement, over and over: the batcher's line to the ledger.

It speaks libpq's asynchronous calls directly. A driver's general path (cursors, adapters, a new pair of event loop
registrations for each wait) took a fifth of a busy gateway's time.
"""

import asyncio
from collections.abc import Sequence

import psycopg
from psycopg import AsyncConnection
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult

STATEMENT = b"money"


class MoneyLine:
    """Takes over an idle psycopg connection. One `run` at a time. `owner_id` is the owner of the holds it places."""

    def __init__(self, connection: AsyncConnection, query: str, owner_id: int) -> None:
        self.owner_id = owner_id
        self._connection = connection  # kept alive: it owns the socket
        self._pgconn = connection.pgconn
        self._query = query.encode()
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None
        self._failure: psycopg.Error | None = None
        self._socket = self._pgconn.socket  # libpq forgets it when the connection breaks
        self._loop.add_reader(self._socket, self._on_readable)

    async def prepare(self) -> None:
        """Prepare the statement. Once, before the first `run`."""
        self._pgconn.send_prepare(STATEMENT, self._query)
        _check(await self._result(), ExecStatus.COMMAND_OK)

    async def run(self, parameters: Sequence[bytes | None]) -> list[bytes | None]:
        """The columns of the statement's one row, as text.

        Raises psycopg errors: OperationalError for a broken connection, the server's own class for a refusal.
        A run that is cancelled leaves the line unusable; close it.
        """
        if self._failure is not None:
            raise self._failure
        self._pgconn.send_query_prepared(STATEMENT, parameters)
        result = await self._result()
        _check(result, ExecStatus.TUPLES_OK)
        return [result.get_value(0, column) for column in range(result.nfields)]

    async def close(self) -> None:
        """Close the connection, whatever state it is in."""
        self._loop.remove_reader(self._socket)
        self._pgconn.finish()
        await self._connection.close()

    async def _result(self) -> PGresult:
        """Wait for the whole answer to what was sent."""
        while self._pgconn.flush():
            await self._wait_writable()
        results: list[PGresult] = []
        while True:
            while self._pgconn.is_busy():
                await self._wait()
            result = self._pgconn.get_result()
            if result is None:
                return results[-1]
            results.append(result)

    async def _wait(self) -> None:
        if self._failure is not None:
            raise self._failure
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    async def _wait_writable(self) -> None:
        """A batch larger than the socket's buffer: the rest goes when there is room."""
        room = self._loop.create_future()
        self._loop.add_writer(self._socket, _finish, room)
        try:
            await room
        finally:
            self._loop.remove_writer(self._socket)

    def _on_readable(self) -> None:
        try:
            self._pgconn.consume_input()
        except psycopg.Error as error:
            # The server is gone. Nobody may be waiting just now; the next run is told.
            self._failure = error
            self._loop.remove_reader(self._socket)
        waiter = self._waiter
        if waiter is None or waiter.done():
            return
        if self._failure is not None:
            waiter.set_exception(self._failure)
        elif not self._pgconn.is_busy():
            waiter.set_result(None)


def _check(result: PGresult, expected: ExecStatus) -> None:
    if result.status != expected:
        raise psycopg.errors.error_from_result(result)


def _finish(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)
