"""Pictures and uploads in a folder: stored, read, and deleted in time."""

import os
import stat
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import FileSystemStorage
from django.utils import timezone
from PIL import Image

from accounts.ids import uuid7
from accounts.key_services import issue_key
from accounts.models import APIKey
from config.pictures import pictures_storage
from gateway import picture_store
from gateway.images.pictures import NotAPicture
from gateway.models import Picture, Upload
from gateway.picture_store import PicturePort, delete_files, delete_overdue, read_file
from tests.gateway.task_pictures import (
    encode_picture,
    facts_of,
    make_task,
    store_picture,
    store_upload,
)
from tests.people import make_people

RED = encode_picture("red")


@pytest.fixture(autouse=True)
def folder(settings: Any, tmp_path: Path) -> Path:
    found = tmp_path / "pictures"
    settings.STORAGES = settings.STORAGES | {"pictures": pictures_storage("", found)}
    return found


@pytest.fixture
def key(db: None) -> APIKey:
    people = make_people()
    return issue_key(people.group, people.alice, "ci")[0]


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def days_ago(days: float) -> str:
    return str((timezone.now() - timedelta(days=days)).date())


def put(folder: Path, name: str) -> str:
    """A file of that name, as a killed process would have left it."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"half a pict")
    return name


def test_a_picture_and_its_thumbnail_are_stored_as_they_are(tmp_path: Path) -> None:
    large = encode_picture("navy", edge=1200)
    stored = picture_store.save_picture(uuid7(), 3, large, facts_of(large))
    assert read_file(stored.name) == large
    with picture_store.open_file(stored.thumbnail) as file, Image.open(file) as thumbnail:
        assert (thumbnail.format, thumbnail.size) == ("WEBP", (512, 512))


def test_names_tell_day_and_task_and_cannot_be_guessed() -> None:
    task = uuid7()
    one, other = (picture_store.save_picture(task, 0, RED, facts_of(RED)) for _ in range(2))
    head = f"pictures/{days_ago(0)}/{task.hex}/0-"
    assert one.name.startswith(head)
    assert one.name.endswith(".png")
    token = one.name.removeprefix(head).removesuffix(".png")
    assert len(bytes.fromhex(token)) == 16
    assert one.thumbnail == f"{head}{token}-thumbnail.webp"
    assert one.name != other.name


def test_only_our_own_account_can_read_what_is_stored(folder: Path) -> None:
    before = os.umask(0)
    try:
        name = picture_store.save_picture(uuid7(), 0, RED, facts_of(RED)).name
    finally:
        os.umask(before)
    path = folder / name
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for parent in (folder, *[p for p in path.parents if folder in p.parents]):
        assert stat.S_IMODE(parent.stat().st_mode) == 0o700, parent


def test_of_what_is_no_picture_nothing_is_stored(folder: Path) -> None:
    with pytest.raises(NotAPicture):
        picture_store.save_picture(uuid7(), 0, b"<html>", facts_of(RED))
    assert not folder.exists()


def test_what_is_stored_is_on_the_disk_before_anybody_is_told(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    flushed: list[str] = []
    flush = os.fsync

    def watch(descriptor: int) -> None:
        flushed.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", watch)
    stored = picture_store.save_picture(uuid7(), 0, RED, facts_of(RED))
    paths = [folder / name for name in stored]
    assert {str(path) for path in paths} | {str(paths[0].parent)} <= set(flushed)


def test_deleting_what_is_not_there_is_no_error(folder: Path) -> None:
    stored = picture_store.save_picture(uuid7(), 0, RED, facts_of(RED))
    delete_files([*stored, "pictures/2026-01-01/none.png", ""])
    delete_files(stored)
    assert files_in(folder) == []
    with pytest.raises(FileNotFoundError):
        read_file(stored.name)


def test_the_data_plane_stores_reads_and_deletes_through_its_port(folder: Path) -> None:
    port, group = PicturePort(), uuid7()
    name = port.save_upload(group, RED, facts_of(RED))
    assert name.startswith(f"uploads/{days_ago(0)}/{group.hex}-")
    assert port.read(name) == RED
    port.delete([name])
    assert files_in(folder) == []


def test_a_picture_is_deleted_once_its_links_have_expired(key: APIKey, folder: Path) -> None:
    task = make_task(key)
    past = timezone.now() - timedelta(seconds=1)
    gone = store_picture(task, RED, 0, expires_at=past)
    kept = store_picture(task, RED, 1)
    assert delete_overdue(10) == 1
    assert files_in(folder) == sorted([kept.name, kept.thumbnail])
    assert Picture.objects.get(pk=gone.pk).deleted_at is not None
    assert Picture.objects.get(pk=kept.pk).deleted_at is None
    assert delete_overdue(10) == 0


def test_an_upload_stays_two_hours_longer_than_it_can_be_named(key: APIKey, folder: Path) -> None:
    now = timezone.now()
    gone = store_upload(key, RED, expires_at=now - timedelta(hours=2, seconds=1))
    kept = store_upload(key, RED, expires_at=now - timedelta(hours=1, minutes=59))
    assert delete_overdue(10) == 1
    assert files_in(folder) == [kept.name]
    assert Upload.objects.get(pk=gone.pk).deleted_at is not None
    assert Upload.objects.get(pk=kept.pk).deleted_at is None


def test_an_upload_stays_as_long_as_a_task_may_need_it(
    key: APIKey, folder: Path, settings: Any
) -> None:
    settings.TASK_TIMEOUT_S = 5 * 3600.0
    upload = store_upload(key, RED, expires_at=timezone.now() - timedelta(hours=4))
    assert delete_overdue(10) == 0
    assert files_in(folder) == [upload.name]


def test_a_run_deletes_no_more_than_its_share_and_the_oldest_first(
    key: APIKey, folder: Path
) -> None:
    task, now = make_task(key), timezone.now()
    rows = [
        store_picture(task, RED, n, expires_at=now - timedelta(hours=hours))
        for n, hours in enumerate((1, 3, 2))
    ]
    assert delete_overdue(2) == 2
    assert files_in(folder) == sorted([rows[0].name, rows[0].thumbnail])


def test_a_run_that_was_killed_between_file_and_row_is_made_good(
    key: APIKey, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    past = timezone.now() - timedelta(hours=1)
    picture = store_picture(make_task(key), RED, expires_at=past)

    class Killed(BaseException):
        pass

    def die(storage: FileSystemStorage, name: str) -> None:
        os.remove(storage.path(name))
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(FileSystemStorage, "delete", die)
        with pytest.raises(Killed):
            delete_overdue(10)
    assert files_in(folder) == [picture.thumbnail]
    assert Picture.objects.get().deleted_at is None
    assert delete_overdue(10) == 1
    assert files_in(folder) == []
    assert Picture.objects.get().deleted_at is not None


def move_to_day(row: Picture | Upload, folder: Path, day: str) -> None:
    """As if it had been stored on that day."""
    for field in ("name", "thumbnail"):
        if name := getattr(row, field, ""):
            moved = name.replace(days_ago(0), day)
            (folder / moved).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).rename(folder / moved)
            setattr(row, field, moved)
    row.save()


def test_files_that_were_never_recorded_are_deleted_and_recorded_ones_stay(
    key: APIKey, folder: Path
) -> None:
    day, task = days_ago(9.1), make_task(key)
    picture, upload = store_picture(task, RED), store_upload(key, RED)
    move_to_day(picture, folder, day)
    move_to_day(upload, folder, day)
    put(folder, f"pictures/{day}/{task.pk.hex}/0-torn.png")
    put(folder, f"pictures/{day}/{uuid7().hex}/0-lost.png")
    put(folder, f"uploads/{day}/{key.group_id.hex}-lost.png")
    assert delete_overdue(10) == 3
    assert files_in(folder) == sorted([picture.name, picture.thumbnail, upload.name])


@pytest.mark.parametrize(("kind", "kept", "gone"), [("pictures", 8, 9.1), ("uploads", 1, 2.2)])
@pytest.mark.django_db
def test_a_file_counts_as_never_recorded_when_every_recorded_one_of_its_day_is_gone(
    folder: Path, kind: str, kept: float, gone: float
) -> None:
    inside = f"{uuid7().hex}/0-a.png" if kind == "pictures" else "a.png"
    young = put(folder, f"{kind}/{days_ago(kept)}/{inside}")
    put(folder, f"{kind}/{days_ago(gone)}/{inside}")
    assert delete_overdue(10) == 1
    assert files_in(folder) == [young]


@pytest.mark.django_db
def test_of_unrecorded_files_too_a_run_deletes_no_more_than_its_share(folder: Path) -> None:
    for n in range(5):
        put(folder, f"uploads/{days_ago(3)}/{n}.png")
    assert [delete_overdue(3), delete_overdue(3), delete_overdue(3)] == [3, 2, 0]


@pytest.mark.django_db
def test_folders_are_removed_with_their_last_file_and_foreign_files_stay(folder: Path) -> None:
    old, task = days_ago(20), uuid7().hex
    put(folder, f"pictures/{old}/{task}/0-a.png")
    put(folder, f"uploads/{old}/a.png")
    (folder / "pictures" / days_ago(19) / uuid7().hex).mkdir(parents=True)
    foreign = [put(folder, name) for name in ("lost+found/a.png", "pictures/old/a.png", "a.png")]
    foreign.append(put(folder, f"pictures/{old}/notes/mine.txt"))
    assert delete_overdue(10) == 2
    assert files_in(folder) == sorted(foreign)
    assert sorted(p.name for p in (folder / "pictures").iterdir()) == [old, "old"]
    assert not (folder / "pictures" / old / task).exists()
    assert list((folder / "uploads").iterdir()) == []


@pytest.mark.django_db
def test_where_nothing_was_ever_stored_there_is_nothing_to_do(folder: Path) -> None:
    assert delete_overdue(10) == 0
    assert not folder.exists()


def test_looking_for_unrecorded_files_costs_the_same_however_many_pictures_are_kept(
    key: APIKey, django_assert_num_queries: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    task = make_task(key)
    for n in range(5):
        store_picture(task, RED, n)
    listed: list[str] = []
    listdir = FileSystemStorage.listdir

    def watch(storage: FileSystemStorage, path: str) -> Any:
        listed.append(path)
        return listdir(storage, path)

    monkeypatch.setattr(FileSystemStorage, "listdir", watch)
    with django_assert_num_queries(2):
        assert delete_overdue(10) == 0
    assert listed == ["pictures", "uploads"]
