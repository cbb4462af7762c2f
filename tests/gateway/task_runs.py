"""Tools of the tests that run tasks in this process."""

import threading
import time
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings as django_settings
from django.db import connections

from gateway.task_queue import Claim, claim_task
from gateway.task_run import run_task
from tests.image_tasks import (
    read_task,
)
from tests.world import World

TICK_S = 0.02


def go_on() -> bool:
    return False


def bring_to_end(world: World, task_id: UUID, claims_max: int = 12) -> dict[str, Any]:
    """Run it as often as it takes, without its waits; the row."""
    for _ in range(claims_max):
        claim = claim_task()
        assert claim is not None
        run_task(claim, go_on)
        row = read_task(world, task_id)
        if row["ended_at"] is not None:
            return row
        world.database.query("UPDATE gateway_task SET next_at = now() WHERE id = %s", task_id)
    raise AssertionError(f"it has not ended: {row}")


def submissions(world: World, task_id: UUID, event: str = "received") -> list[dict[str, Any]]:
    """What the provider's log says of the task."""
    entries = world.simulator.entries(event)
    return [entry for entry in entries if str(entry["call_id"]).startswith(f"tsk_{task_id.hex}-")]


def in_thread(claim: Claim, stopping: Any = go_on) -> threading.Thread:
    def run() -> None:
        run_task(claim, stopping)
        connections["default"].close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def wait_for(condition: Any, timeout_s: float = 10) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(TICK_S)


def files_of(task_id: UUID) -> list[Path]:
    home = Path(django_settings.TOLLGATE_HOME)
    return [path for path in home.rglob("*") if path.is_file() and task_id.hex in str(path)]
