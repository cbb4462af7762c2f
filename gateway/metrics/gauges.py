"""What only the database knows of tasks, deliveries and jobs, as gauges: a few bounded queries, seldom."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

from accounts.ids import first_id_at
from gateway.metrics.counting import Key
from gateway.rows import Pool, fetch_rows
from gateway.store import DISCONNECTED

KEPT_S = 5.0
PATIENCE_S = 2.0
ROWS_MAX = 10_000
OPEN_TASKS = """
    SELECT t.provider, t.status, count(*) AS number
    FROM (SELECT split_part(model, '/', 1) AS provider, status FROM gateway_task
          WHERE status IN ('pending', 'processing') LIMIT %(most)s) t
    GROUP BY t.provider, t.status
"""
ENDED_TASKS = """
    SELECT t.provider, t.status, count(*) AS number
    FROM (SELECT split_part(model, '/', 1) AS provider, status FROM gateway_task
          WHERE id >= %(hour_ago)s ORDER BY id DESC LIMIT %(most)s) t
    WHERE t.status IN ('completed', 'failed') GROUP BY t.provider, t.status
"""
# A task that is being worked on is due again only if its worker is not heard of.
FIGURES = """
    SELECT (SELECT coalesce(extract(epoch FROM clock_timestamp() - min(next_at)), 0)::float8 FROM gateway_task
            WHERE status IN ('pending', 'processing')
              AND (lease_until IS NULL OR lease_until < clock_timestamp())) AS task_overdue_s,
           (SELECT coalesce(extract(epoch FROM clock_timestamp() - min(next_at)), 0)::float8 FROM gateway_delivery
            WHERE state = 'waiting'
              AND (lease_until IS NULL OR lease_until < clock_timestamp())) AS delivery_overdue_s,
           (SELECT count(*) FROM (SELECT 1 FROM gateway_delivery
                                  WHERE state = 'waiting' LIMIT %(most)s) d) AS deliveries,
           (SELECT count(*) FROM (SELECT 1 FROM gateway_uncounted LIMIT %(most)s) u) AS notes
"""


class DatabaseGauges:
    """The gauges, asked for at most once in five seconds, however many ask."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._gauges: dict[Key, float] = {}
        self._asked_at = float("-inf")
        self._asking = asyncio.Lock()

    async def read(self) -> dict[Key, float]:
        """As of five seconds ago at most. Without a database they are missing: an old figure would look like a good
        one."""
        async with self._asking:
            if time.monotonic() - self._asked_at >= KEPT_S:
                try:
                    async with asyncio.timeout(PATIENCE_S):
                        self._gauges = await self._ask()
                except DISCONNECTED:
                    self._gauges = {("tollgate_database_up",): 0}
                self._asked_at = time.monotonic()
            return self._gauges

    async def _ask(self) -> dict[Key, float]:
        hour_ago = datetime.now(UTC) - timedelta(hours=1)
        asked = {"most": ROWS_MAX, "hour_ago": first_id_at(hour_ago)}
        gauges: dict[Key, float] = {("tollgate_database_up",): 1}
        for name, query in (
            ("tollgate_tasks", OPEN_TASKS),
            ("tollgate_tasks_ended_last_hour", ENDED_TASKS),
        ):
            for row in await fetch_rows(self._pool, query, asked):
                gauges[name, row["provider"], row["status"]] = row["number"]
        figures = (await fetch_rows(self._pool, FIGURES, asked))[0]
        gauges["tollgate_task_overdue_seconds",] = max(figures["task_overdue_s"], 0)
        gauges["tollgate_delivery_overdue_seconds",] = max(figures["delivery_overdue_s"], 0)
        gauges["tollgate_deliveries_waiting",] = figures["deliveries"]
        gauges["tollgate_usage_notes_waiting",] = figures["notes"]
        return gauges
