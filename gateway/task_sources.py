"""The pictures that a task works on: fetched from where the caller says, or read from his uploads, and checked."""

import time
from collections.abc import Callable
from typing import NamedTuple

from django.conf import settings
from django.db import close_old_connections

from gateway import outbound
from gateway.addresses import Policy, UnsafeAddress
from gateway.images.links import BadLink, derive_link_key, read_link
from gateway.images.pictures import NotAPicture, read_picture
from gateway.images.shape import parse_file_id
from gateway.images.vendors.base import SourcePicture
from gateway.models import Picture, Upload
from gateway.picture_store import read_file
from gateway.task_queue import Claim

FETCH_TIMEOUT_S = 30.0
SOURCES_TIMEOUT_S = 60.0
"""For all sources of a task together: whoever names slow servers shall not keep a worker for long."""
RETRY_AFTER_S = (1.0, 2.0)


class SourceFailed(Exception):
    """`code` and `message` of the task that cannot be done."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Sources(NamedTuple):
    """What is sent along with the order."""

    pictures: tuple[SourcePicture, ...] = ()
    mask: SourcePicture | None = None


class Watch(NamedTuple):
    """What the run knows of its time. `pause` waits so many seconds; it raises, at once, where the run has to end.
    `left_s`: seconds to the task's deadline."""

    pause: Callable[[float], None]
    left_s: Callable[[], float]


class Patience:
    """How long the sources of one task may take, from now on."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._until = time.monotonic() + SOURCES_TIMEOUT_S

    def next_timeout_s(self, name: str) -> float:
        """How long the next fetch may take. Raises SourceFailed past the time, and what `Watch.pause` raises."""
        self._watch.pause(0)
        left_s = self._until - time.monotonic()
        if left_s <= 0:
            raise SourceFailed(
                "source_unreachable",
                f"{name.capitalize()} could not be fetched: the sources of a task may take {SOURCES_TIMEOUT_S:g} s.",
            )
        return min(FETCH_TIMEOUT_S, left_s, self._watch.left_s())

    def pause(self, seconds: float) -> None:
        self._watch.pause(max(0.0, min(seconds, self._until - time.monotonic())))


def load_sources(claim: Claim, watch: Watch) -> Sources:
    """Every source of the task and its mask. Raises SourceFailed, and what `watch` raises."""
    request, room, patience = claim.request, settings.PICTURE_BYTES_MAX, Patience(watch)
    pictures = []
    for position, source in enumerate(request.sources, 1):
        name = f"source {position}"
        data = _load(claim, source, name, room, patience)
        room -= len(data)
        picture = _check(data, name, f"source-{position}")
        _refuse_oversized(picture, name, request.upscale_factor)
        pictures.append(picture)
    mask = None
    if request.mask:
        mask = _check(_load(claim, request.mask, "the mask", room, patience), "the mask", "mask")
    return Sources(tuple(pictures), mask)


class _Stored(NamedTuple):
    """A source that is ours to read. `name`: in the storage; empty where there is nothing any more."""

    name: str
    size_bytes: int = 0


def _load(claim: Claim, source: str, name: str, room: int, patience: Patience) -> bytes:
    """The bytes, at most `room`: all sources of one task together have to fit into one picture's limit."""
    stored = _find_upload(claim, source) or _find_picture(claim, source)
    close_old_connections()  # reading and decoding take long, and there are fewer connections than runs
    if stored is None:
        return _fetch(source, name, room, patience)
    if stored.size_bytes > room:
        raise _too_large(name)
    gone = SourceFailed("source_unreachable", f"There is no file {source} ({name}).")
    if not stored.name:
        raise gone
    try:
        return read_file(stored.name)
    except FileNotFoundError:
        raise gone from None


def _find_upload(claim: Claim, source: str) -> _Stored | None:
    """The upload of the task's group that a file id names; None for what is no file id."""
    file_id = parse_file_id(source)
    if file_id is None:
        return None
    upload = Upload.objects.filter(id=file_id, group_id=claim.group_id, deleted_at=None).first()
    # One that has ended since the task was made is kept for it.
    if upload is None or upload.expires_at.timestamp() <= claim.created_at:
        return _Stored("")
    return _Stored(upload.name, upload.size_bytes)


def _find_picture(claim: Claim, source: str) -> _Stored | None:
    """The picture that a signed link of ours names: whoever has the link may have it. None for any other URL."""
    try:
        path = read_link(derive_link_key(settings.SECRET_KEY), source, claim.created_at)
    except BadLink:
        return _Stored("")
    if path is None:
        return None
    found = Picture.objects.filter(task_id=path.task_id, position=path.position, deleted_at=None)
    picture = found.first()
    if picture is None:
        return _Stored("")
    if path.variant:
        return _Stored(picture.thumbnail)
    return _Stored(picture.name, picture.size_bytes)


def _fetch(url: str, name: str, room: int, patience: Patience) -> bytes:
    policy = Policy(allow_loopback=settings.ALLOW_LOOPBACK_URLS)
    for pause_s in (*RETRY_AFTER_S, None):
        limits = outbound.Limits(room, patience.next_timeout_s(name))
        try:
            return outbound.fetch(url, policy, limits).data
        except UnsafeAddress as error:
            raise SourceFailed("source_refused", f"{name.capitalize()}: {error}") from None
        except outbound.TooLarge:
            raise _too_large(name) from None
        except outbound.FetchFailed as error:
            if pause_s is None or not error.transient:
                raise SourceFailed(
                    "source_unreachable",
                    f"{name.capitalize()} could not be fetched: {error.reason}.",
                ) from None
            patience.pause(pause_s)
    raise AssertionError("the last try either returns or raises")


def _too_large(name: str) -> SourceFailed:
    most = settings.PICTURE_BYTES_MAX
    return SourceFailed(
        "source_refused", f"With {name} the sources of this task have more than {most} bytes."
    )


def _refuse_oversized(picture: SourcePicture, name: str, factor: int) -> None:
    """Raise SourceFailed for a picture that we could not keep once it is enlarged: it would be made and paid for."""
    pixels, most = picture.width * picture.height * factor**2, settings.PICTURE_PIXELS_MAX
    if pixels > most:
        raise SourceFailed(
            "source_refused",
            f"{name.capitalize()} has {picture.width} x {picture.height} pixels; {factor} times as large it would have "
            f"more than {most}.",
        )


def _check(data: bytes, name: str, stem: str) -> SourcePicture:
    try:
        facts = read_picture(data, settings.PICTURE_BYTES_MAX, settings.SOURCE_PIXELS_MAX)
    except NotAPicture as error:
        raise SourceFailed("source_not_an_image", f"{name.capitalize()}: {error.reason}") from None
    return SourcePicture(
        data=data,
        content_type=facts.content_type,
        width=facts.width,
        height=facts.height,
        name=f"{stem}.{facts.extension}",
    )
