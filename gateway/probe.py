"""Asks the open channels of one process whether they answer again; gateway/breaker.py decides what follows from it.

A probe costs nothing at a vendor: it is its dialect's GET, mostly the list of models.
"""

import asyncio
import logging
import time

from gateway.breaker import Breakers
from gateway.catalog import Channel
from gateway.providers import DIALECTS
from gateway.upstream import Broken, NotReached, TooSlow, Upstream, UpstreamError

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 0.25
PROBE_TIMEOUT_S = 5.0
PROBES_MAX = 4
FAILURES = {NotReached: "not reached", Broken: "broken off", TooSlow: "too slow"}


class Prober:
    """The probes of one process: one at a time for each channel, four in all."""

    def __init__(self, breakers: Breakers, upstream: Upstream) -> None:
        self._breakers = breakers
        self._upstream = upstream
        self._task: asyncio.Task[None] | None = None
        self._probes: dict[int, asyncio.Task[None]] = {}

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="probe")

    async def stop(self) -> None:
        tasks = [*self._probes.values(), *([self._task] if self._task else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            for channel in self._breakers.due(time.monotonic()):
                if len(self._probes) >= PROBES_MAX:
                    break
                if channel.id not in self._probes:
                    self._probes[channel.id] = asyncio.create_task(self._probe(channel))
            await asyncio.sleep(LOOK_EVERY_S)

    async def _probe(self, channel: Channel) -> None:
        try:
            url, headers = DIALECTS[channel.dialect].probe(channel.base_url, channel.credential)
            status = await self._upstream.get(url, headers, PROBE_TIMEOUT_S)
            self._breakers.record_probe(channel, status, time.monotonic())
        except UpstreamError as error:
            # The library's words may quote the address, and some vendors' addresses hold the key.
            reason = f"a probe was {FAILURES[type(error)]}"
            self._breakers.record_probe_failure(channel, reason, time.monotonic())
        except Exception as error:
            logger.error("channel %s cannot be probed: %s", channel.label, type(error).__name__)
            self._breakers.let_one_try(channel)
        finally:
            del self._probes[channel.id]
