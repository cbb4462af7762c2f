"""What a run stores and what it works on: a storage that goes away, uploads, links and limits of sources."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings as django_settings

from gateway import task_run
from gateway.picture_store import save_picture
from gateway.task_queue import claim_task
from gateway.tasks import run_next_task
from simulator.pictures import Size, draw
from tests.gateway.task_runs import bring_to_end, files_of, in_thread, submissions, wait_for
from tests.image_tasks import (
    FLUX,
    GPT,
    TOPAZ,
    add_upload,
    count_pictures,
    order_task,
    read_record,
    read_task,
    scripted_png,
)
from tests.world import Tenant, World


class Storage:
    """The folder of pictures, which can be replaced by a file."""

    def __init__(self) -> None:
        self._folder = Path(django_settings.TOLLGATE_HOME, "pictures", "pictures")
        self._kept = self._folder.with_name("pictures.kept")
        self._folder.mkdir(parents=True, exist_ok=True)

    def go_away(self) -> None:
        self._folder.rename(self._kept)
        self._folder.touch()

    def come_back(self) -> None:
        if self._folder.is_file():
            self._folder.unlink()
            self._kept.rename(self._folder)


@pytest.fixture
def storage() -> Iterator[Storage]:
    made = Storage()
    yield made
    made.come_back()


@pytest.fixture
def storage_away(storage: Storage) -> Storage:
    storage.go_away()
    return storage


@pytest.mark.parametrize(("model", "count"), [(GPT, 2), (FLUX, 1)])
def test_pictures_wait_for_a_storage_that_is_away(
    world: World,
    alice: Tenant,
    settings: Any,
    storage_away: Storage,
    caplog: pytest.LogCaptureFixture,
    model: str,
    count: int,
) -> None:
    settings.TASK_LEASE_S = 0.6
    task_id = order_task(world, alice, model, count=count)
    claim = claim_task()
    assert claim is not None
    thread = in_thread(claim)
    wait_for(lambda: caplog.text.count("was not stored") >= 2)
    assert claim_task() is None
    storage_away.come_back()
    thread.join()
    row = read_task(world, task_id)
    assert (row["status"], row["attempts"]) == ("completed", 1)
    assert len(submissions(world, task_id)) == 1
    assert len(files_of(task_id)) == 2 * count


@pytest.mark.usefixtures("storage_away")
def test_pictures_that_cannot_be_stored_end_the_task_with_the_truth(
    world: World, alice: Tenant
) -> None:
    task_id = order_task(world, alice, timeout_s=4)
    row = bring_to_end(world, task_id, claims_max=1)
    assert (row["error_code"], row["amount_nanos"]) == ("storage_unavailable", 0)
    assert "stored" in row["error_message"]
    assert row["ended_at"] < row["deadline_at"]
    (trial,) = row["trials"]
    assert (trial["status"], trial["error"], "used" in trial) == (200, "storage_unavailable", False)
    assert read_record(world, task_id)["status"] == "upstream_failed"
    assert len(submissions(world, task_id)) == 1
    world.audit()


def test_a_storage_that_goes_away_between_two_pictures_ends_the_task_as_well(
    world: World, alice: Tenant, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even the first picture can be deleted: its file is found later."""
    asked: list[int] = []

    def save_first(task_id: UUID, position: int, *picture: Any) -> Any:
        asked.append(position)
        if asked == [0, 1]:
            storage.go_away()
        return save_picture(task_id, position, *picture)

    monkeypatch.setattr(task_run, "save_picture", save_first)
    task_id = order_task(world, alice, count=2, timeout_s=4)
    row = bring_to_end(world, task_id, claims_max=1)
    assert (row["error_code"], row["amount_nanos"]) == ("storage_unavailable", 0)
    assert count_pictures(world, task_id) == 0


def test_a_stopping_worker_does_not_wait_for_the_storage(
    world: World,
    alice: Tenant,
    storage_away: Storage,
    caplog: pytest.LogCaptureFixture,
) -> None:
    stop = threading.Event()
    task_id = order_task(world, alice, FLUX)
    claim = claim_task()
    assert claim is not None
    thread = in_thread(claim, stop.is_set)
    wait_for(lambda: caplog.text.count("was not stored") >= 2)
    stop.set()
    thread.join(2)
    assert not thread.is_alive()
    storage_away.come_back()
    row = bring_to_end(world, task_id, claims_max=1)
    assert (row["status"], len(row["trials"])) == ("completed", 1)
    assert len(submissions(world, task_id)) == 1


def test_who_ends_a_task_of_a_group_that_had_its_share_starts_the_next(
    world: World, alice: Tenant, settings: Any
) -> None:
    """Nobody else is woken here, and the messages of the others came while they could not be claimed."""
    settings.TASKS_PER_GROUP_MAX = 1
    made = [order_task(world, alice, FLUX) for _ in range(3)]
    assert run_next_task()
    assert {read_task(world, task_id)["status"] for task_id in made} == {"completed"}
    assert not run_next_task()


def test_an_upload_of_the_own_group_is_sent_along(world: World, alice: Tenant) -> None:
    source = add_upload(world, alice, scripted_png({}, edge=48))
    task_id = order_task(world, alice, FLUX, request={"action": "edit_image", "sources": [source]})
    row = bring_to_end(world, task_id, claims_max=1)
    assert row["status"] == "completed", row["error_message"]


def test_an_edit_beyond_1k_has_the_ratio_of_its_first_source(world: World, alice: Tenant) -> None:
    tall, wide = (draw("source", size, transparent=False) for size in (Size(96, 128), Size(64, 32)))
    sources = [add_upload(world, alice, picture) for picture in (tall, wide)]
    request = {"action": "edit_image", "sources": sources, "aspect_ratio": "auto"}
    task_id = order_task(world, alice, GPT, key="2k", request=request | {"output_resolution": "2k"})
    assert bring_to_end(world, task_id, claims_max=1)["status"] == "completed"
    (sent,) = submissions(world, task_id)
    assert sent["resolution"] == "1728x2304"


def test_an_upscale_that_could_not_be_kept_is_not_ordered(
    world: World, alice: Tenant, settings: Any
) -> None:
    settings.PICTURE_PIXELS_MAX = 128 * 128 - 1
    task_id = order_task(world, alice, TOPAZ, key="4")
    row = bring_to_end(world, task_id, claims_max=1)
    assert (row["error_code"], row["amount_nanos"]) == ("source_refused", 0)
    assert "32 x 32" in row["error_message"]
    assert submissions(world, task_id) == []


def test_a_source_with_too_many_pixels_is_not_ordered(
    world: World, alice: Tenant, settings: Any
) -> None:
    source = add_upload(world, alice, scripted_png({}, edge=48))
    settings.SOURCE_PIXELS_MAX = 48 * 48 - 1
    task_id = order_task(world, alice, FLUX, request={"action": "edit_image", "sources": [source]})
    row = bring_to_end(world, task_id, claims_max=1)
    assert (row["error_code"], submissions(world, task_id)) == ("source_not_an_image", [])


def test_sources_that_are_not_there_end_the_task(
    world: World, alice: Tenant, charlie: Tenant
) -> None:
    foreign = add_upload(world, charlie, scripted_png({}))
    old = add_upload(world, alice, scripted_png({}), ends_in_s=-1)
    for source in (foreign, old, "file_" + "0" * 32):
        task_id = order_task(
            world, alice, FLUX, request={"action": "edit_image", "sources": [source]}
        )
        row = bring_to_end(world, task_id, claims_max=1)
        assert (row["error_code"], row["amount_nanos"]) == ("source_unreachable", 0)
        assert submissions(world, task_id) == []


def test_an_upload_that_ends_while_its_task_waits_is_still_used(
    world: World, alice: Tenant
) -> None:
    source = add_upload(world, alice, scripted_png({}))
    task_id = order_task(world, alice, FLUX, request={"action": "edit_image", "sources": [source]})
    world.database.query("UPDATE gateway_upload SET expires_at = now()")
    assert bring_to_end(world, task_id, claims_max=1)["status"] == "completed"


@pytest.mark.parametrize(
    ("link", "allow", "code"),
    [
        ("https://169.254.169.254/latest/meta-data", False, "source_refused"),
        ("http://127.0.0.1:1/a.png", False, "source_refused"),
        ("http://127.0.0.1:1/a.png", True, "source_unreachable"),
        ("{root}/samples/none.png", True, "source_unreachable"),
        ("{root}/__simulator/state", True, "source_not_an_image"),
    ],
)
def test_links_to_sources_are_guarded_and_checked(
    world: World,
    alice: Tenant,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    link: str,
    allow: bool,
    code: str,
) -> None:
    settings.ALLOW_LOOPBACK_URLS = allow
    monkeypatch.setattr("gateway.task_sources.RETRY_AFTER_S", (0.01, 0.01))
    source = link.format(root=world.simulator.root_url)
    task_id = order_task(world, alice, FLUX, request={"action": "edit_image", "sources": [source]})
    row = bring_to_end(world, task_id, claims_max=1)
    assert row["error_code"] == code, row["error_message"]
    assert submissions(world, task_id) == []
