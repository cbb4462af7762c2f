"""POST /v1/images/generations and /v1/images/edits, as OpenAI's clients know them: the same tasks, waited for."""

import asyncio
import base64
import contextlib
import hashlib
from typing import Any
from uuid import UUID

import msgspec

from accounts.ids import uuid7
from billing.money import format_usd
from gateway.body import parse_object
from gateway.call import Call, Caller
from gateway.endpoints.files import drop_uploads, read_form, store_uploads
from gateway.endpoints.tasks import view_tasks
from gateway.errors import (
    BadRequest,
    Conflict,
    GatewayError,
    Unavailable,
    UpstreamFailed,
    UpstreamRefused,
    UpstreamTimedOut,
)
from gateway.images.openai_request import (
    parse_edit,
    parse_generation,
    take_model,
    take_response_format,
)
from gateway.images.shape import public_file_id, public_task_id
from gateway.limits import rate_headers
from gateway.multipart import Form, FormFile
from gateway.ordering import Order, place_order, read_idempotency_key, read_order
from gateway.services import Services
from gateway.settle import recorded_refusals
from gateway.store import DISCONNECTED
from gateway.task_store import Created
from gateway.wire import Headers, Wire

LOOK_EVERY_S = 2.0
"""How often a waiting call looks at its task, should the announcement of its end be lost."""
GRACE_S = 30.0
"""How long after the task's own deadline it must have ended, whatever happened to its worker."""
IMAGE_FIELDS = ("image", "image[]")


class _PaidFor(Unavailable):
    """The pictures are paid for, or will be. OpenAI's clients would order and pay for others unless told not to."""

    def headers(self) -> list[tuple[bytes, bytes]]:
        return [*super().headers(), (b"x-should-retry", b"false")]


async def create_image(wire: Wire, services: Services) -> None:
    """POST /v1/images/generations."""
    caller = await services.authenticator.authenticate(wire)
    raw = await wire.read_body(services.configuration.body_bytes_max)
    call = Call(wire.call_id, caller, "images/generations", source="task")
    async with recorded_refusals(call, services):
        body = parse_object(raw)
        call.requested_model = take_model(body)
        form = take_response_format(body)
        order = read_order(
            call, "text_to_image", services, lambda offer: parse_generation(body, offer)
        )
        created = await place_order(call, order, wire, services)
    await _answer(created, form, caller, wire, services)


async def edit_image(wire: Wire, services: Services) -> None:
    """POST /v1/images/edits: a form with the pictures."""
    caller = await services.authenticator.authenticate(wire)
    call = Call(wire.call_id, caller, "images/edits", source="task")
    async with recorded_refusals(call, services):
        form = await read_form(wire, services)
        call.requested_model = take_model(form.texts)
        response_format = take_response_format(form.texts)
        uploads = _name_files(form)
        order = _read_edit(call, form, uploads, services)
        await store_uploads(uploads, caller, services, "vision")
        try:
            created = await place_order(call, order, wire, services, content=_digest(form))
        except GatewayError:
            await drop_uploads(uploads, caller, services)
            raise
        if created.outcome == "replayed":
            await drop_uploads(uploads, caller, services)
    await _answer(created, response_format, caller, wire, services)


def _name_files(form: Form) -> dict[UUID, FormFile]:
    """An id for each picture of the form. They are stored only once the request is known to be good."""
    for file in form.files:
        if file.field not in (*IMAGE_FIELDS, "mask"):
            raise BadRequest(f"'{file.field[:60]}' is no file here.", param=file.field[:60])
    if sum(file.field == "mask" for file in form.files) > 1:
        raise BadRequest("'mask' is given twice.", param="mask")
    return {uuid7(): file for file in form.files}


def _digest(form: Form) -> bytes:
    """What tells one form's pictures from another's: each of them, in order, the mask last."""
    files = sorted(form.files, key=lambda file: file.field == "mask")
    return b"".join(
        (b"mask" if file.field == "mask" else b"") + hashlib.sha256(file.data).digest()
        for file in files
    )


def _read_edit(call: Call, form: Form, uploads: dict[UUID, FormFile], services: Services) -> Order:
    names = {public_file_id(file_id): file.field for file_id, file in uploads.items()}
    sources = tuple(name for name, field in names.items() if field != "mask")
    mask = next((name for name, field in names.items() if field == "mask"), "")
    return read_order(
        call, "edit_image", services, lambda offer: parse_edit(form.texts, sources, mask, offer)
    )


async def _answer(
    created: Created, form: str, caller: Caller, wire: Wire, services: Services
) -> None:
    task = await _wait(created, caller, wire, services)
    if task is None:
        return  # the client left; what was begun goes on, and is found at /v1/tasks
    headers: Headers = [
        *rate_headers(created.hold.rate),
        (b"x-tollgate-task", public_task_id(task["id"]).encode()),
    ]
    if task["status"] != "completed":
        raise _failure(task)
    headers.append((b"x-tollgate-charge", format_usd(task["amount_nanos"]).encode()))
    created_s = int(task["created_at"].timestamp())
    if form == "url":
        view = (await view_tasks([task], wire, services))[0]
        data = [{"url": picture.url} for picture in view.pictures]
        answer = {"created": created_s, "output_format": "png", "data": data}
        await wire.send_json(200, msgspec.json.encode(answer), headers)
    else:
        await _send_pictures(task, created_s, headers, wire, services)


async def _send_pictures(
    task: dict[str, Any], created_s: int, headers: Headers, wire: Wire, services: Services
) -> None:
    """The pictures in base64, one after another: ten large ones are more than a process should hold at a time."""
    try:
        pictures = await services.tasks.pictures([task["id"]])
        encoded = await _encode(pictures[0]["name"], services)
    except Exception as error:
        raise _PaidFor(
            f"The pictures cannot be read right now; they are at /v1/tasks/{public_task_id(task['id'])}."
        ) from error
    patience_s = services.configuration.between_bytes_timeout_s
    await wire.start_json(headers)
    start = b'{"created":%d,"output_format":"png","data":[' % created_s
    for number, picture in enumerate(pictures):
        if number:
            start = b","
            encoded = await _encode(picture["name"], services)
        async with asyncio.timeout(patience_s):
            await wire.send_chunk(b'%b{"b64_json":"%b"}' % (start, encoded))
    await wire.end_stream(b"]}")


async def _encode(name: str, services: Services) -> bytes:
    content = await asyncio.to_thread(services.outside.files.read, name)
    return await asyncio.to_thread(base64.b64encode, content)


async def _wait(
    created: Created, caller: Caller, wire: Wire, services: Services
) -> dict[str, Any] | None:
    """The task once it has ended; None where the client left before. Leaving cancels
    a task that still waits, unless its maker can come back for it, or has come back: by a key of idempotency."""
    task_id = created.task_id
    assert task_id is not None
    left = asyncio.create_task(wire.wait_until_client_left())
    try:
        async with asyncio.timeout(services.configuration.task_timeout_s + GRACE_S):
            with services.endings.expect(str(task_id)) as ended:
                while True:
                    try:
                        task = await services.tasks.find(caller.group_id, task_id)
                        if task is None:
                            raise UpstreamFailed("The task is gone.")
                        if task["status"] in ("completed", "failed"):
                            return task
                        if left.done():
                            if not read_idempotency_key(wire):
                                await services.tasks.cancel(caller.group_id, task_id)
                            return None
                    except DISCONNECTED:
                        # What the task makes is paid for, whoever was away meanwhile.
                        await asyncio.sleep(LOOK_EVERY_S)
                        continue
                    await _wait_for_either(ended, left)
                    ended.clear()
    except TimeoutError:
        raise _PaidFor(
            f"The pictures are not ready; look at /v1/tasks/{public_task_id(task_id)}."
        ) from None
    finally:
        left.cancel()
        await asyncio.gather(left, return_exceptions=True)


async def _wait_for_either(ended: asyncio.Event, left: "asyncio.Task[None]") -> None:
    announced = asyncio.create_task(ended.wait())
    try:
        await asyncio.wait(
            {announced, left}, timeout=LOOK_EVERY_S, return_when=asyncio.FIRST_COMPLETED
        )
    finally:
        announced.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await announced


def _failure(task: dict[str, Any]) -> GatewayError:
    """A failed task as the error of a call that waited for it."""
    code, message = task["error_code"], task["error_message"]
    if code == "content_refused":
        return UpstreamRefused(
            422, message, code=code, type_="image_generation_user_error", param=None
        )
    if code == "invalid_request" or code.startswith("source_"):
        return BadRequest(message, code=code)
    if code in ("expired", "upstream_timeout"):
        return UpstreamTimedOut(message, code=code)
    if code == "cancelled":
        return Conflict(message, code=code)
    if code in ("no_channel_available", "storage_unavailable"):
        return Unavailable(message, code=code)
    return UpstreamFailed(message, code=code)
