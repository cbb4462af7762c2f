"""A gateway with workers that make pictures, and looking at what came of them."""

import io
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from PIL import Image

from tests.flows.task_processes import BEAT, CALLBACK_WORKER, CLOCK_WORKER, TASK_WORKER, Crew
from tests.image_tasks import put_image_channels
from tests.world import GatewayProcess, World

PATIENCE_S = 60.0
TASK_TIMEOUT_S = 90
"""Enough for five trials; and a call that no worker serves is not waited for longer."""


class Works(NamedTuple):
    """What makes pictures."""

    gateway: GatewayProcess
    crew: Crew


class Picture(NamedTuple):
    """What its bytes say."""

    format: str | None
    size: tuple[int, int]
    mode: str
    least_alpha: int


@contextmanager
def open_works(world: World, home: Path, **settings: str) -> Iterator[Works]:
    """A gateway and its workers on the world's database; what they share is in `home`."""
    put_image_channels(world)
    settings = {"TOLLGATE_TASK_TIMEOUT_S": str(TASK_TIMEOUT_S), **settings}
    Path(os.environ["TOLLGATE_HOME"], "pictures").mkdir(mode=0o700, exist_ok=True)
    with Crew(world, home, 8, **settings) as crew:
        crew.start(CLOCK_WORKER, CALLBACK_WORKER, TASK_WORKER, BEAT)
        gateway = world.start_gateway(
            TOLLGATE_HOME=str(home), CELERY_BROKER_URL="filesystem://", **settings
        )
        assert crew.ended() == [], crew.log
        yield Works(gateway, crew)


def look_at(data: bytes) -> Picture:
    """A picture as another program than ours reads it."""
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        alpha = image.convert("RGBA").getchannel("A").getextrema()
        return Picture(image.format, image.size, image.mode, int(alpha[0]))  # type: ignore[arg-type]


def wait_until_ended(http: httpx.Client, task_id: str, crew: Crew) -> dict[str, Any]:
    """The task as a poll answers it once it is completed or failed."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        answer = http.get(f"/v1/tasks/{task_id}")
        assert answer.status_code == 200, answer.text
        task: dict[str, Any] = answer.json()
        if task["status"] in ("completed", "failed"):
            return task
        assert time.monotonic() < deadline, crew.log[-4000:]
        time.sleep(min(float(answer.headers["retry-after"]), 0.2))
