"""Who waits for tasks to end: calls of this process, woken by the database's announcement."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Endings:
    """An event for each task that a call waits for. Announcements may be lost (the listening connection breaks):
    whoever waits looks at the task from time to time as well."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = {}

    @contextmanager
    def expect(self, task_id: str) -> Iterator[asyncio.Event]:
        """An event that is set whenever the task (its id as a UUID text) is announced."""
        event = asyncio.Event()
        self._waiting.setdefault(task_id, set()).add(event)
        try:
            yield event
        finally:
            self._waiting[task_id].discard(event)
            if not self._waiting[task_id]:
                del self._waiting[task_id]

    def announce(self, task_id: str) -> None:
        """Wake those who wait for the task."""
        for event in self._waiting.get(task_id, ()):
            event.set()
