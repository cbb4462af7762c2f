"""A world with channels to image vendors, Django on its database, and quick polls."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections

from gateway import task_queue, task_run
from tests.billing.bank import orm_on
from tests.image_tasks import (
    put_image_channels,
)
from tests.world import World


@pytest.fixture(scope="module")
def world(world: World) -> World:
    put_image_channels(world)
    return world


@pytest.fixture(autouse=True)
def _orm(world: World, django_db_blocker: Any, settings: Any) -> Iterator[None]:
    kept = connections["default"]
    del connections["default"]
    with orm_on(world.database, django_db_blocker):
        yield
        world.database.query("UPDATE gateway_task SET deadline_at = now() WHERE ended_at IS NULL")
        task_queue.expire_tasks()
        connections["default"].close()
    connections["default"] = kept


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_run, "POLL_LEAST_S", 0.05)
    monkeypatch.setattr(task_run, "POLL_MOST_S", 0.05)
