"""Pictures and uploads in the storage `pictures`: a folder, or a bucket (config/pictures.py).

    pictures/<day>/<task>/<position>-<token>.<extension>, and the same with -thumbnail.webp
    uploads/<day>/<group>-<token>.<extension>

The day (UTC) is the one on which it is stored. A file is stored first and its row is written afterwards, so a
process that dies in between, or in the middle of a file, leaves a file that no row names and nobody ever reads:
`delete_overdue` finds it. So there is no need to write elsewhere and rename.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, timedelta
from itertools import chain, islice
from typing import NamedTuple
from uuid import UUID

from django.conf import settings
from django.core.files import File
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, Storage, storages
from django.utils import timezone

from gateway.images.pictures import PictureFacts, make_thumbnail
from gateway.images.retention import PICTURE_DAYS, UPLOAD_GRACE_S, UPLOAD_S
from gateway.models import Picture, Upload

TOKEN_BYTES = 16
# A day after the last file of a day must have gone, what is left there was never recorded.
ORPHANED_AFTER = timedelta(days=1)
DAY = re.compile(r"\d{4}-\d\d-\d\d")
TASK = re.compile(r"[0-9a-f]{32}")


class StoredNames(NamedTuple):
    """A picture's names in the storage."""

    name: str
    thumbnail: str


def save_picture(task_id: UUID, position: int, data: bytes, facts: PictureFacts) -> StoredNames:
    """Store a picture and its thumbnail, under names that nobody can guess. Raises NotAPicture."""
    thumbnail = make_thumbnail(data)
    stem = f"pictures/{_today()}/{task_id.hex}/{position}-{secrets.token_hex(TOKEN_BYTES)}"
    return StoredNames(
        _save(f"{stem}.{facts.extension}", data), _save(f"{stem}-thumbnail.webp", thumbnail)
    )


def save_upload(group_id: UUID, data: bytes, facts: PictureFacts) -> str:
    """Store a caller's picture; its name."""
    token = secrets.token_hex(TOKEN_BYTES)
    return _save(f"uploads/{_today()}/{group_id.hex}-{token}.{facts.extension}", data)


def open_file(name: str) -> File[bytes]:
    """The file, open for reading; whoever asks closes it. Raises FileNotFoundError. From a bucket the first read
    fetches the whole."""
    return _storage().open(name)


def read_file(name: str) -> bytes:
    """The file's bytes. Raises FileNotFoundError."""
    with open_file(name) as file:
        return bytes(file.read())


def delete_files(names: Iterable[str]) -> None:
    """Delete those that are there."""
    storage = _storage()
    for name in filter(None, names):
        storage.delete(name)


class PicturePort:
    """The storage as the data plane sees it, which knows no Django. Each method blocks, uses no database, and may be
    called from any thread."""

    def save_upload(self, group_id: UUID, data: bytes, facts: PictureFacts) -> str:
        return save_upload(group_id, data, facts)

    def read(self, name: str) -> bytes:
        """Raises FileNotFoundError."""
        return read_file(name)

    def delete(self, names: Iterable[str]) -> None:
        delete_files(names)


def delete_overdue(limit: int) -> int:
    """Delete the files of up to `limit` pictures whose links have expired, and of as many uploads that no task can
    need any more, and as many files that were never recorded. How many rows and files that were.

    Each file is deleted before its row says so. Whoever dies in between leaves a row that the next run finds again, and
    deleting what is not there is no error; the other way round the file would stay. Two runs at once are no harm.
    """
    count = 0
    for picture in Picture.objects.overdue().order_by("expires_at")[:limit]:
        delete_files([picture.name, picture.thumbnail])
        kept = Picture.objects.filter(pk=picture.pk, deleted_at=None)
        count += kept.update(deleted_at=timezone.now())
    # A task that may take long may need its sources that long.
    grace_s = max(UPLOAD_GRACE_S, settings.TASK_TIMEOUT_S)
    for upload in Upload.objects.overdue(grace_s).order_by("expires_at")[:limit]:
        delete_files([upload.name])
        kept_uploads = Upload.objects.filter(pk=upload.pk, deleted_at=None)
        count += kept_uploads.update(deleted_at=timezone.now())
    return count + _delete_orphans(limit)


def _delete_orphans(limit: int) -> int:
    """Delete files that no row names, of days whose recorded files are gone by now: looking there costs as much as
    there are orphans, however many pictures are kept."""
    storage = _storage()
    grace_s = max(UPLOAD_GRACE_S, settings.TASK_TIMEOUT_S)
    pictures_kept = timedelta(days=PICTURE_DAYS, seconds=settings.TASK_TIMEOUT_S)
    uploads_kept = timedelta(seconds=UPLOAD_S + grace_s)
    picture_days = list(_old_days(storage, "pictures", pictures_kept))
    upload_days = list(_old_days(storage, "uploads", uploads_kept))
    found = list(
        islice(chain(_pictures_of(storage, picture_days), _uploads_of(storage, upload_days)), limit)
    )
    orphans = set(found) - _recorded(found)
    delete_files(orphans)
    _remove_empty_folders(storage, picture_days + upload_days)
    return len(orphans)


def _old_days(storage: Storage, kind: str, kept: timedelta) -> Iterator[str]:
    """The folders of days that ended so long ago that none of their files can be in use, oldest first."""
    first = str((timezone.now() - kept - ORPHANED_AFTER).astimezone(UTC).date())
    for day in sorted(_listed(storage, kind)[0]):
        if DAY.fullmatch(day) and day < first:
            yield f"{kind}/{day}"


def _pictures_of(storage: Storage, days: Iterable[str]) -> Iterator[str]:
    for day in days:
        for task in filter(TASK.fullmatch, _listed(storage, day)[0]):
            for name in _listed(storage, f"{day}/{task}")[1]:
                yield f"{day}/{task}/{name}"


def _uploads_of(storage: Storage, days: Iterable[str]) -> Iterator[str]:
    for day in days:
        for name in _listed(storage, day)[1]:
            yield f"{day}/{name}"


def _recorded(names: Iterable[str]) -> set[str]:
    """Those that a row names whose file was not deleted."""
    uploads = [name for name in names if name.startswith("uploads/")]
    tasks = {UUID(name.split("/")[2]) for name in names if name.startswith("pictures/")}
    pictures = Picture.objects.filter(task_id__in=tasks, deleted_at=None)
    kept = set(chain.from_iterable(pictures.values_list("name", "thumbnail")))
    rows = Upload.objects.filter(name__in=uploads, deleted_at=None)
    return kept | set(rows.values_list("name", flat=True))


def _listed(storage: Storage, path: str) -> tuple[list[str], list[str]]:
    """The folders and the files there; none where there is no such folder."""
    try:
        return storage.listdir(path)
    except FileNotFoundError:
        return [], []


def _remove_empty_folders(storage: Storage, days: Iterable[str]) -> None:
    """A bucket has no folders. Nobody writes to these any more."""
    if not isinstance(storage, FileSystemStorage):
        return
    for day in days:
        for folder, _, _ in os.walk(storage.path(day), topdown=False):
            with suppress(OSError):  # not empty
                os.rmdir(folder)


def _save(name: str, data: bytes) -> str:
    """Store it so that it outlives a power failure: what refers to it is committed next, and charged."""
    storage = _storage()
    saved = storage.save(name, ContentFile(data))
    if isinstance(storage, FileSystemStorage):
        path = storage.path(saved)
        _flush(path)
        _flush(os.path.dirname(path))
    return saved


def _flush(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _today() -> str:
    return str(timezone.now().astimezone(UTC).date())


def _storage() -> Storage:
    return storages["pictures"]
