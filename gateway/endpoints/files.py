"""POST /v1/files, and GET and DELETE /v1/files/{id}: pictures that callers send as sources of tasks, for an hour."""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

import msgspec

from accounts.ids import uuid7
from gateway.call import Caller, clean
from gateway.errors import (
    BadRequest,
    GatewayError,
    NotFound,
    RateLimited,
    TooLarge,
    Unavailable,
)
from gateway.images.pictures import NotAPicture, PictureFacts, read_picture
from gateway.images.retention import UPLOAD_GRACE_S, UPLOAD_S
from gateway.images.shape import parse_file_id, public_file_id
from gateway.multipart import Form, FormFile, parse_form
from gateway.services import Services
from gateway.wire import Wire

GROUP_BYTES_MAX = 512 * 1024 * 1024
"""What one group may have stored at a time: disks are not endless, and a file stays a while after its hour."""
PURPOSES = ("vision", "user_data", "assistants")
"""Purposes of OpenAI's Files that a picture can have; none is treated apart."""
FILENAME_CHARS_MAX = 200


async def create_file(wire: Wire, services: Services) -> None:
    """POST /v1/files: a form with `file` and, as OpenAI's clients send it, `purpose`."""
    caller = await services.authenticator.authenticate(wire)
    form = await read_form(wire, services)
    for name in form.texts:
        if name != "purpose":
            raise BadRequest(f"'{name[:60]}' is unknown here.", param=name[:60])
    purpose = form.texts.get("purpose", PURPOSES[0])
    if purpose not in PURPOSES:
        raise BadRequest(f"'purpose' must be one of {', '.join(PURPOSES)}.", param="purpose")
    if len(form.files) != 1 or form.files[0].field != "file":
        raise BadRequest("The form must have one file, named 'file'.", param="file")
    (upload,) = await store_uploads({uuid7(): form.files[0]}, caller, services, purpose)
    await wire.send_json(200, msgspec.json.encode(_as_object(upload)))


async def get_file(wire: Wire, services: Services, name: str) -> None:
    """What is known of an upload; what is in it, its owner has."""
    caller = await services.authenticator.authenticate(wire)
    file_id = parse_file_id(name)
    found = await services.tasks.uploads(caller.group_id, [file_id]) if file_id else []
    if not found:
        raise _unknown(name)
    await wire.send_json(200, msgspec.json.encode(_as_object(found[0])))


async def delete_file(wire: Wire, services: Services, name: str) -> None:
    """Ends an upload before its hour is over."""
    caller = await services.authenticator.authenticate(wire)
    file_id = parse_file_id(name)
    if file_id is None or not await services.tasks.expire_upload(caller.group_id, file_id):
        raise _unknown(name)
    answer = {"id": name, "object": "file", "deleted": True}
    await wire.send_json(200, msgspec.json.encode(answer))


async def read_form(wire: Wire, services: Services) -> Form:
    """The request's form. Parsing goes on beside other calls: a form may be built to take long."""
    raw = await wire.read_body(services.configuration.body_bytes_max)
    return await asyncio.to_thread(parse_form, wire.header(b"content-type"), raw)


async def store_uploads(
    files: Mapping[UUID, FormFile], caller: Caller, services: Services, purpose: str
) -> list[dict[str, Any]]:
    """Keep files under their ids, once each of them is known to be a picture, and answer their rows: all or none.
    Raises BadRequest, TooLarge, RateLimited or Unavailable."""
    size_bytes = sum(len(file.data) for file in files.values())
    if await services.tasks.uploaded_bytes(caller.group_id) + size_bytes > GROUP_BYTES_MAX:
        raise _stored_enough()
    facts = [await _check_picture(file, services) for file in files.values()]
    try:
        return [
            await _store(file_id, file, fact, caller, services, purpose)
            for (file_id, file), fact in zip(files.items(), facts, strict=True)
        ]
    except GatewayError:
        await drop_uploads(files, caller, services)
        raise


async def drop_uploads(file_ids: Iterable[UUID], caller: Caller, services: Services) -> None:
    """End uploads that no task will ask for; those that are not there are fine."""
    for file_id in file_ids:
        await services.tasks.expire_upload(caller.group_id, file_id)


async def _store(
    file_id: UUID,
    file: FormFile,
    facts: PictureFacts,
    caller: Caller,
    services: Services,
    purpose: str,
) -> dict[str, Any]:
    outside = services.outside.files
    try:
        name = await asyncio.to_thread(outside.save_upload, UUID(caller.group_id), file.data, facts)
    except Exception as error:
        raise Unavailable("The file cannot be stored right now. Try again shortly.") from error
    upload = {
        "id": file_id,
        "group_id": caller.group_id,
        "api_key_id": caller.key_id,
        "name": name,
        "filename": clean(file.filename)[:FILENAME_CHARS_MAX],
        "purpose": purpose,
        "content_type": facts.content_type,
        "width": facts.width,
        "height": facts.height,
        "size_bytes": len(file.data),
        "lifetime_s": UPLOAD_S,
    }
    times = await services.tasks.add_upload(upload, GROUP_BYTES_MAX)
    if times is None:
        with contextlib.suppress(Exception):  # a file without a row is found by the cleanup
            await asyncio.to_thread(outside.delete, [name])
        raise _stored_enough()
    return upload | times


def _stored_enough() -> RateLimited:
    hours = (UPLOAD_S + UPLOAD_GRACE_S) // 3600
    return RateLimited(
        f"This group has {GROUP_BYTES_MAX >> 20} MiB of files stored; each of them is deleted after {hours} hours.",
        retry_after_s=60,
    )


async def _check_picture(file: FormFile, services: Services) -> PictureFacts:
    configuration = services.configuration
    if len(file.data) > configuration.picture_bytes_max:
        raise TooLarge(f"'{file.field}' is over {configuration.picture_bytes_max} bytes.")
    try:
        return await asyncio.to_thread(
            read_picture,
            file.data,
            configuration.picture_bytes_max,
            configuration.source_pixels_max,
        )
    except NotAPicture as error:
        raise BadRequest(f"'{file.field}': {error}", param=file.field) from None


def _unknown(name: str) -> NotFound:
    return NotFound(f"The file '{name[:60]}' does not exist.", code="file_not_found")


def _as_object(upload: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": public_file_id(upload["id"]),
        "object": "file",
        "bytes": upload["size_bytes"],
        "created_at": int(upload["created_at"].timestamp()),
        "expires_at": int(upload["expires_at"].timestamp()),
        "filename": upload["filename"],
        "purpose": upload["purpose"],
        "content_type": upload["content_type"],
        "status": "processed",
    }
