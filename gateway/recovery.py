"""Calls whose process died: their holds are released and they are recorded as lost.

Every gateway process looks from time to time; an advisory lock lets one at a time do it. A process counts as gone
when its lock is free and it was last seen over `GRACE_S` ago (billing_release_lost has the whole rule).
"""

import asyncio
import logging

import psycopg

from gateway.store import Store

logger = logging.getLogger(__name__)

SWEEP_EVERY_S = 2.0
GRACE_S = 5.0


class Recovery:
    """The sweep of one process."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="recovery")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                released = await self._store.release_lost(GRACE_S)
                if released:
                    logger.warning("%d calls of gone processes were released as lost", released)
            except (psycopg.Error, OSError, TimeoutError) as error:
                logger.warning("recovery waits for the database: %s", error)
            await asyncio.sleep(SWEEP_EVERY_S)
