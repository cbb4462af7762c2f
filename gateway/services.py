"""What the endpoints work with: made once in the lifespan, passed to each of them."""

import asyncio
import random
from datetime import UTC, datetime

import msgspec

from gateway.auth import Authenticator
from gateway.batch import Batcher
from gateway.breaker import Breakers
from gateway.catalog import Catalog
from gateway.configuration import Configuration
from gateway.endings import Endings
from gateway.metrics.board import Board
from gateway.metrics.counting import Metrics
from gateway.metrics.gauges import DatabaseGauges
from gateway.outside import Outside
from gateway.store import Store
from gateway.task_store import TaskStore
from gateway.upstream import Upstream


class Drains:
    """Counts the streams that are read on after their client left."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.running = 0

    @property
    def has_room(self) -> bool:
        return self.running < self.most


class Services(msgspec.Struct, kw_only=True):
    """One gateway process's parts. `catalog` is replaced as a whole when the database says that it changed."""

    configuration: Configuration
    store: Store
    batcher: Batcher
    authenticator: Authenticator
    upstream: Upstream
    drains: Drains
    catalog: Catalog
    breakers: Breakers
    chance: random.Random
    tasks: TaskStore
    endings: Endings
    outside: Outside
    metrics: Metrics
    board: Board
    gauges: DatabaseGauges
    draining: bool = False

    def now(self) -> datetime:
        return datetime.now(UTC)

    def nudge(self) -> None:
        """Wake a worker for a new task, without waiting for it."""
        asyncio.get_running_loop().run_in_executor(None, self.outside.nudge)
