"""The pictures that a task works on: fetched from where the caller says, or read from his uploads, and checked."""

import time
from typing import NamedTuple

from django.conf import settings
from django.db import close_old_connections

from gateway import outbound
from gateway.addresses import Policy, UnsafeAddress
from gateway.images.pictures import NotAPicture, read_picture
from gateway.images.shape import parse_file_id
from gateway.images.vendors.base import SourcePicture
from gateway.models import Upload
from gateway.picture_store import read_file
from gateway.task_queue import Claim

FETCH_TIMEOUT_S = 30.0
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


def load_sources(claim: Claim) -> Sources:
    """Every source of the task and its mask. Raises SourceFailed."""
    request, room = claim.request, settings.PICTURE_BYTES_MAX
    pictures = []
    for position, source in enumerate(request.sources, 1):
        name = f"source {position}"
        data = _load(claim, source, name, room)
        room -= len(data)
        picture = _check(data, name, f"source-{position}")
        _refuse_oversized(picture, name, request.upscale_factor)
        pictures.append(picture)
    mask = None
    if request.mask:
        mask = _check(_load(claim, request.mask, "the mask", room), "the mask", "mask")
    return Sources(tuple(pictures), mask)


def _load(claim: Claim, source: str, name: str, room: int) -> bytes:
    """The bytes, at most `room`: all sources of one task together have to fit into one picture's limit."""
    file_id = parse_file_id(source)
    if file_id is None:
        return _fetch(source, name, room)
    upload = Upload.objects.filter(id=file_id, group_id=claim.group_id, deleted_at=None).first()
    # One that has ended since the task was made is kept for it.
    if upload is None or upload.expires_at.timestamp() <= claim.created_at:
        raise SourceFailed("source_unreachable", f"There is no file {source} ({name}).")
    if upload.size_bytes > room:
        raise _too_large(name)
    try:
        return read_file(upload.name)
    except FileNotFoundError:
        raise SourceFailed(
            "source_unreachable", f"There is no file {source} ({name}) any more."
        ) from None


def _fetch(url: str, name: str, room: int) -> bytes:
    close_old_connections()  # a slow server shall not keep one
    policy = Policy(allow_loopback=settings.ALLOW_LOOPBACK_URLS)
    for pause_s in (*RETRY_AFTER_S, None):
        try:
            return outbound.fetch(url, policy, outbound.Limits(room, FETCH_TIMEOUT_S)).data
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
            time.sleep(pause_s)
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
        facts = read_picture(data, settings.PICTURE_BYTES_MAX, settings.PICTURE_PIXELS_MAX)
    except NotAPicture as error:
        raise SourceFailed("source_not_an_image", f"{name.capitalize()}: {error.reason}") from None
    return SourcePicture(
        data=data,
        content_type=facts.content_type,
        width=facts.width,
        height=facts.height,
        name=f"{stem}.{facts.extension}",
    )
