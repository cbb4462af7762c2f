"""The connection that listens: revoked keys, a changed catalog, and the pulse of this process.

Each round trip on it proves that every notification sent before has arrived. What is cached may be used only while
the last proof is fresh; with the database away, or this connection silently dead, caches are not trusted.
"""

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import psycopg
from psycopg import AsyncConnection

logger = logging.getLogger(__name__)

ROUND_S = 0.25
FRESH_S = 0.9
RECONNECT_PAUSE_S = 0.2
ROUND_TIMEOUT_S = 2.0
SEEN_EVERY_S = 1.0
PULSE = """
    UPDATE billing_holdowner SET seen_at = clock_timestamp(), busy_since = to_timestamp(%s) WHERE id = %s
"""


class Listeners(NamedTuple):
    """Who is told: `on_key(public_id)` of a changed key (`*`: all of them), `on_catalog()` of a changed catalog,
    `on_task(id)` of a task that has ended."""

    on_key: Callable[[str], None]
    on_catalog: Callable[[], Awaitable[None]]
    on_task: Callable[[str], None]


class Watch:
    """Listens for one process.

    `connect` opens a connection of its own; `owner_id` is this process's row of hold owners, whose `seen_at` it moves;
    `busy_since()` is when the oldest call in flight began (epoch seconds), or now.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[AsyncConnection]],
        owner_id: int,
        listeners: Listeners,
        busy_since: Callable[[], float],
    ) -> None:
        self._connect = connect
        self._owner_id = owner_id
        self._listeners = listeners
        self._busy_since = busy_since
        self._proven_at = -1e9
        self._task: asyncio.Task[None] | None = None

    @property
    def is_fresh(self) -> bool:
        """Whether every change committed more than a second ago is known here."""
        return time.monotonic() - self._proven_at < FRESH_S

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="watch")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(ROUND_TIMEOUT_S):
                    connection = await self._connect()
            except (psycopg.Error, OSError, TimeoutError):
                await asyncio.sleep(RECONNECT_PAUSE_S)
                continue
            try:
                await self._listen(connection)
            except (psycopg.Error, OSError, TimeoutError) as error:
                logger.warning("listening connection lost: %s", error)
            finally:
                await connection.close()

    async def _listen(self, connection: AsyncConnection) -> None:
        await connection.execute(
            "SET synchronous_commit = off"
        )  # a pulse may be lost, money is never written here
        await connection.execute("LISTEN tollgate_keys")
        await connection.execute("LISTEN tollgate_catalog")
        await connection.execute("LISTEN tollgate_tasks")
        # What changed while nobody listened is unknown: forget everything before the caches are trusted again.
        self._listeners.on_key("*")
        await self._reload_catalog()
        seen_at = 0.0
        while True:
            asked_at = time.monotonic()
            pulse = asked_at - seen_at >= SEEN_EVERY_S
            if pulse:
                seen_at = asked_at
            round_trip = asyncio.create_task(self._round(connection, pulse))
            try:
                done, _ = await asyncio.wait((round_trip,), timeout=ROUND_TIMEOUT_S)
            finally:
                # Also when this task is asked to end: a socket that is closed while the round trip still waits on it is
                # taken from under the event loop, which then aborts the process.
                if not round_trip.done():
                    # Cancelled politely, psycopg would ask the silent server and wait for it. Shut down, the socket
                    # ends the wait by itself.
                    _shut_down(connection.pgconn.socket)
                    await asyncio.gather(round_trip, return_exceptions=True)
            if not done:
                raise TimeoutError("no answer on the listening connection")
            catalog_changed = round_trip.result()
            # Only what was sent before the question is proven to have arrived.
            self._proven_at = asked_at
            if catalog_changed:
                await self._reload_catalog()

    async def _round(self, connection: AsyncConnection, pulse: bool) -> bool:
        """Ask, then take in what is announced. Answers whether the catalog changed."""
        if pulse:
            await connection.execute(PULSE, (self._busy_since(), self._owner_id))
        else:
            await connection.execute("SELECT 1")
        catalog_changed = False
        async for notification in connection.notifies(timeout=ROUND_S):
            if notification.channel == "tollgate_keys":
                self._listeners.on_key(notification.payload)
            elif notification.channel == "tollgate_tasks":
                self._listeners.on_task(notification.payload)
            else:
                catalog_changed = True
        return catalog_changed

    async def _reload_catalog(self) -> None:
        """One row that cannot be read must not keep this process from hearing of revoked keys, or of its repair."""
        try:
            await self._listeners.on_catalog()
        except (psycopg.Error, OSError, TimeoutError):
            raise
        except Exception:
            logger.exception("the catalog cannot be read; the last one stays in use")


def _shut_down(descriptor: int) -> None:
    """End both directions of a socket that somebody else owns."""
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as end:
        end.shutdown(socket.SHUT_RDWR)
