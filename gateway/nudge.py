"""Messages that wake workers. None of them matters: what is to be done stands in the database, and a sweep sees it.

`config.celery` must have been imported by the process, so that the messages go to our broker.
"""

import functools
import logging
import threading
import time
from collections.abc import Callable

from celery import current_app

logger = logging.getLogger(__name__)

COMPLAIN_AFTER_S = 60.0
# A nudge that nobody took for so long has been replaced by the sweep's.
LIFETIME_S = 60


def send_nudge(job: str) -> None:
    """Have some worker run a job without arguments. Raises what the broker's client raises; blocks for a second or so
    where the broker is away."""
    current_app.send_task(job, expires=LIFETIME_S, expiration=LIFETIME_S, retry=False)


class Nudger:
    """Sends one kind of nudge. Whoever nudges while another one is being sent leaves it to that thread: a burst is a
    few messages, and a broker that is away blocks one thread."""

    def __init__(self, send: Callable[[], None]) -> None:
        self._send = send
        self._wanted = threading.Event()
        self._sending = threading.Lock()
        self._complained_at = float("-inf")

    def nudge(self) -> None:
        """Send, unless another thread does. Raises nothing."""
        self._wanted.set()
        # Looked at again after letting go: who came in between has been turned away.
        while self._wanted.is_set() and self._sending.acquire(blocking=False):
            try:
                self._wanted.clear()
                self._try()
            finally:
                self._sending.release()

    def _try(self) -> None:
        try:
            self._send()
        except Exception as error:
            now = time.monotonic()
            if now - self._complained_at >= COMPLAIN_AFTER_S:
                self._complained_at = now
                logger.warning("no worker can be woken, the sweep has to do: %s", error)


def nudge_tasks() -> None:
    """Wake a worker for a task that was made. Blocks, raises nothing."""
    _task_nudger().nudge()


def nudge_deliveries() -> None:
    """Wake a worker for a callback that is due. Blocks, raises nothing."""
    _delivery_nudger().nudge()


@functools.cache
def _task_nudger() -> Nudger:
    return Nudger(lambda: send_nudge("gateway.tasks.run_next_task"))


@functools.cache
def _delivery_nudger() -> Nudger:
    return Nudger(lambda: send_nudge("gateway.tasks.send_next_delivery"))
