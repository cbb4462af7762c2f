"""Serves the pictures of tasks to whoever holds their link. No session, no cookie: the link is all it takes."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Mapping
from types import MappingProxyType
from uuid import UUID

from django.conf import settings
from django.core.files import File
from django.db import connection
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.http import parse_etags
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from accounts.anonymous import knows_nobody
from gateway.images.links import BadLink, PicturePath, check_link, derive_link_key
from gateway.images.retention import PICTURE_DAYS
from gateway.models import Picture
from gateway.picture_store import open_file

logger = logging.getLogger(__name__)

PIECE_BYTES = 256 * 1024
THUMBNAIL = "thumbnail"
THUMBNAIL_TYPE = "image/webp"
# Nothing else is ever sent, whatever a row says: these cannot run anything in a browser.
EXTENSIONS: Mapping[str, str] = MappingProxyType(
    {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}
)
# Customers may embed pictures in their own pages; opened as a page of its own, it may do nothing.
PROTECTION: Mapping[str, str] = MappingProxyType(
    {
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cross-Origin-Resource-Policy": "cross-origin",
        "X-Content-Type-Options": "nosniff",
    }
)


class _Pieces:
    """An open file, read piece by piece as the client takes them, each in a thread; the first is read already."""

    def __init__(self, file: File[bytes]) -> None:
        self._file = file
        # Here, in the request's own thread: from a bucket this fetches the whole.
        self._next: bytes | None = file.read(PIECE_BYTES)

    def __aiter__(self) -> _Pieces:
        return self

    async def __anext__(self) -> bytes:
        piece, self._next = self._next, None
        if piece is None:
            piece = await asyncio.to_thread(self._file.read, PIECE_BYTES)
        if not piece:
            raise StopAsyncIteration
        return piece

    def close(self) -> None:
        """Called by Django at the end of the response, also where the client left."""
        self._file.close()


@knows_nobody
@require_safe
def picture(request: HttpRequest, task: str, position: str, extension: str) -> HttpResponseBase:
    """A picture of a task, or with `variant=thumbnail` a small one.

    404 for every link that was not signed here; 410 for one that has expired, or whose picture is deleted.
    """
    path = PicturePath(UUID(task), int(position), extension, request.GET.get("variant", ""))
    expires, now = request.GET.get("expires", ""), time.time()
    key = derive_link_key(settings.SECRET_KEY)
    try:
        check_link(key, path, expires, request.GET.get("signature", ""), now)
    except BadLink as error:
        return _gone() if error.is_expired else _not_found()
    found = Picture.objects.filter(task_id=path.task_id, position=path.position).first()
    _give_connection_back()
    if found is None or found.deleted_at is not None:
        return _gone()
    small = path.variant == THUMBNAIL
    name = found.thumbnail if small else found.name
    content_type = THUMBNAIL_TYPE if small else found.content_type
    if content_type not in EXTENSIONS:
        logger.error("picture %s is of type %r, which is not served", found.pk, content_type)
        return _not_found()
    # A name is used for one content alone.
    etag = f'"{hashlib.sha256(name.encode()).hexdigest()[:32]}"'
    response: HttpResponseBase
    if _is_known(request, etag):
        response = HttpResponse(status=304)
        del response["Content-Type"]
    else:
        try:
            response = _file_response(request, name, content_type)
        except FileNotFoundError:
            logger.warning("picture %s is not in the storage", found.pk)
            return _gone()
        filename = f"{path.task_id.hex}-{path.position}.{EXTENSIONS[content_type]}"
        response["Content-Disposition"] = f'inline; filename="{filename}"'
    response["ETag"] = etag
    response["Cache-Control"] = f"private, max-age={int(expires) - int(now)}, immutable"
    return _protected(response)


def _give_connection_back() -> None:
    """Now, and not at the end of the answer: clients that take their time would hold all the connections there are.
    Only a transaction around the request needs it longer."""
    if not connection.in_atomic_block:
        connection.close()


def _is_known(request: HttpRequest, etag: str) -> bool:
    """Whether the client has it already (RFC 9110, 13.1.2: weak comparison)."""
    named = parse_etags(request.headers.get("If-None-Match", ""))
    return any(each == "*" or each.removeprefix("W/") == etag for each in named)


def _file_response(request: HttpRequest, name: str, content_type: str) -> HttpResponseBase:
    file = open_file(name)
    length = file.size
    response: HttpResponseBase
    if request.method == "HEAD":
        file.close()
        response = HttpResponse(content_type=content_type)
    else:
        response = StreamingHttpResponse(_Pieces(file), content_type=content_type)
    response["Content-Length"] = str(length)
    return response


def _not_found() -> HttpResponseBase:
    return _refusal(404, _("Not found."))


def _gone() -> HttpResponseBase:
    text = ngettext(
        "This picture is gone: pictures are kept for %(days)d day.",
        "This picture is gone: pictures are kept for %(days)d days.",
        PICTURE_DAYS,
    )
    return _refusal(410, text % {"days": PICTURE_DAYS})


def _refusal(status: int, text: str) -> HttpResponseBase:
    response = HttpResponse(f"{text}\n", status=status, content_type="text/plain; charset=utf-8")
    response["Cache-Control"] = "no-store"
    return _protected(response)


def _protected(response: HttpResponseBase) -> HttpResponseBase:
    for name, value in PROTECTION.items():
        response[name] = value
    return response
