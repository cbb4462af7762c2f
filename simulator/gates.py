"""Named gates that hold calls back until a test opens them."""

import asyncio


class Gates:
    """Every gate is closed until it is opened, and stays open until it is closed again."""

    def __init__(self) -> None:
        self._open: set[str] = set()
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}

    async def wait(self, name: str) -> None:
        """Return once the gate is open."""
        if name in self._open:
            return
        ticket: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue = self._waiting.setdefault(name, set())
        queue.add(ticket)
        try:
            await ticket
        finally:
            queue.discard(ticket)
            if not queue and self._waiting.get(name) is queue:
                del self._waiting[name]

    def open(self, name: str) -> None:
        """Let through those who wait and those who come later."""
        self._open.add(name)
        for ticket in self._waiting.get(name, ()):
            if not ticket.done():
                ticket.set_result(None)

    def close(self, name: str) -> None:
        """Hold back those who come from now on."""
        self._open.discard(name)

    def is_open(self, name: str) -> bool:
        """Whether a gate lets through now."""
        return name in self._open

    def waiting(self) -> dict[str, int]:
        """How many calls wait at each gate; gates without any are left out."""
        return {name: len(queue) for name, queue in self._waiting.items()}
