"""How long the sources of a task may take: real servers on this machine that are slow."""

import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, connections

from gateway import task_sources
from gateway.picture_store import read_file
from gateway.task_queue import Claim, claim_task
from gateway.task_sources import SourceFailed, Watch, load_sources
from tests.billing.bank import orm_on
from tests.gateway.far_end import whole
from tests.gateway.receivers import Receiver, receiver
from tests.image_tasks import FLUX, add_upload, order_task, scripted_png
from tests.world import Tenant, World

BUSY = whole(b"", status="503 Busy")


class Ended(Exception):
    """What a run raises that has to end."""


class FakeRun:
    """A run whose deadline is `left_s` away, and that has to end after `looks` looks."""

    def __init__(self, left_s: float = 60, looks: float = float("inf")) -> None:
        self._deadline = time.monotonic() + left_s
        self._looks = looks
        self.pauses: list[float] = []

    @property
    def watch(self) -> Watch:
        return Watch(self._pause, self._left_s)

    def _left_s(self) -> float:
        return self._deadline - time.monotonic()

    def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        if len(self.pauses) > self._looks or self._left_s() <= 0:
            raise Ended
        time.sleep(seconds)


@pytest.fixture(autouse=True)
def _loopback(settings: Any) -> None:
    settings.ALLOW_LOOPBACK_URLS = True


@pytest.fixture(autouse=True)
def _orm(world: World, django_db_blocker: Any) -> Iterator[None]:
    """Models on the world's database, over a connection of the test's own."""
    kept = connections["default"]
    del connections["default"]
    with orm_on(world.database, django_db_blocker):
        yield
        connections["default"].close()
    connections["default"] = kept


@pytest.fixture
def slow() -> Iterator[Receiver]:
    with receiver() as made:
        made.answers = [None]
        yield made


def claim_of(*sources: str) -> Claim:
    """As much of a claim as sources need."""
    return Claim(
        id=uuid4(),
        fence=1,
        organization_id="",
        group_id=str(uuid4()),
        api_key_id="",
        endpoint="edit_image",
        requested_model="m",
        model=FLUX,
        asked={"action": "edit_image", "sources": sources},
        count=1,
        callback_url="",
        price_id=1,
        price_key="",
        hold_nanos=1,
        job=None,
        trials=[],
        events=(),
        progress=0,
        created_at=0,
        now=0,
        left_s=60,
    )


def timed(load: Callable[[], object], error: type[Exception]) -> tuple[float, Exception]:
    began = time.monotonic()
    with pytest.raises(error) as caught:
        load()
    return time.monotonic() - began, caught.value


def test_all_sources_together_have_one_time(
    slow: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each comes at the second try; the third one's comes too late."""
    monkeypatch.setattr(task_sources, "SOURCES_TIMEOUT_S", 0.8)
    monkeypatch.setattr(task_sources, "RETRY_AFTER_S", (0.35,))
    slow.answers = [BUSY, whole(scripted_png({}), kind="image/png")] * 16
    claim = claim_of(*[slow.url] * 16)
    took_s, failure = timed(lambda: load_sources(claim, FakeRun().watch), SourceFailed)
    assert 0.7 < took_s < 1.2
    assert len(slow.received) == 5
    assert isinstance(failure, SourceFailed)
    assert failure.code == "source_unreachable"
    assert failure.message.startswith("Source 3 could not be fetched: the sources of a task may")


def test_no_fetch_outlasts_what_is_left_of_that_time(
    slow: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_sources, "SOURCES_TIMEOUT_S", 0.7)
    monkeypatch.setattr(task_sources, "FETCH_TIMEOUT_S", 3)
    monkeypatch.setattr(task_sources, "RETRY_AFTER_S", (0.4, 0.4))
    slow.answers = [BUSY, None]
    took_s, failure = timed(lambda: load_sources(claim_of(slow.url), FakeRun().watch), SourceFailed)
    assert 0.6 < took_s < 1.2
    assert isinstance(failure, SourceFailed)
    assert failure.code == "source_unreachable"


def test_no_fetch_outlasts_the_deadline(slow: Receiver) -> None:
    run = FakeRun(left_s=0.5)
    took_s, _ = timed(lambda: load_sources(claim_of(slow.url), run.watch), Ended)
    assert 0.4 < took_s < 1.5


def test_a_run_that_has_to_end_does_not_try_again(slow: Receiver) -> None:
    slow.answers = [BUSY]
    run = FakeRun(looks=1)
    took_s, _ = timed(lambda: load_sources(claim_of(slow.url, slow.url), run.watch), Ended)
    assert took_s < 0.5
    assert len(slow.received) == 1
    assert run.pauses == [0, task_sources.RETRY_AFTER_S[0]]


def test_a_run_that_has_to_end_fetches_no_other_source(slow: Receiver) -> None:
    slow.answers = [whole(scripted_png({}), kind="image/png")]
    run = FakeRun(looks=2)
    timed(lambda: load_sources(claim_of(*[slow.url] * 3), run.watch), Ended)
    assert len(slow.received) == 2


def test_an_upload_is_read_without_a_database_connection(
    world: World, alice: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[bool] = []

    def read(name: str) -> bytes:
        held.append(connection.connection is not None)
        return read_file(name)

    monkeypatch.setattr(task_sources, "read_file", read)
    source = add_upload(world, alice, scripted_png({}))
    order_task(world, alice, FLUX, request={"action": "edit_image", "sources": [source]})
    claim = claim_task()
    assert claim is not None
    assert load_sources(claim, FakeRun().watch).pictures
    assert held == [False]
