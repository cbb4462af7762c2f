"""POST /v1/text_to_image, /v1/edit_image and /v1/upscale_image: a task is made, and answered at once."""

from typing import Any

import msgspec

from gateway.body import parse_object
from gateway.call import Call, Caller
from gateway.errors import BadRequest
from gateway.images.request import ImageRequest, parse_image_request
from gateway.images.shape import parse_file_id, public_task_id
from gateway.limits import rate_headers
from gateway.ordering import (
    place_order,
    read_callback_url,
    read_idempotency_key,
    read_model_name,
    read_order,
    task_path,
)
from gateway.services import Services
from gateway.settle import recorded_refusals
from gateway.task_store import Created
from gateway.wire import Wire

POLL_AFTER_S = 2


async def create_text_to_image(wire: Wire, services: Services) -> None:
    """POST /v1/text_to_image."""
    await _create_task("text_to_image", wire, services)


async def create_edit_image(wire: Wire, services: Services) -> None:
    """POST /v1/edit_image."""
    await _create_task("edit_image", wire, services)


async def create_upscale_image(wire: Wire, services: Services) -> None:
    """POST /v1/upscale_image."""
    await _create_task("upscale_image", wire, services)


async def _create_task(action: str, wire: Wire, services: Services) -> None:
    caller = await services.authenticator.authenticate(wire)
    raw = await wire.read_body(services.configuration.body_bytes_max)
    call = Call(wire.call_id, caller, action, source="task")
    async with recorded_refusals(call, services):
        body = parse_object(raw)
        read_model_name(body, call)
        callback_url = read_callback_url(body, services)
        order = read_order(
            call, action, services, lambda offer: parse_image_request(action, body, offer)
        )
        if not await services.tasks.has_key(caller, read_idempotency_key(wire)):
            # The same request again may name files that have served by now.
            await check_uploads(order.request, caller, services)
        created = await place_order(call, order, wire, services, callback_url=callback_url)
    await _answer(created, call, wire, services)


async def check_uploads(request: ImageRequest, caller: Caller, services: Services) -> None:
    """Raise BadRequest for a file id that is not a file of the caller's group, or not any more."""
    ids = {source: file_id for source in request.sources if (file_id := parse_file_id(source))}
    found = {row["id"] for row in await services.tasks.uploads(caller.group_id, [*ids.values()])}
    for source, file_id in ids.items():
        if file_id not in found:
            raise BadRequest(
                f"'source_image_urls': the file '{source}' does not exist or has expired.",
                param="source_image_urls",
            )


async def _answer(created: Created, call: Call, wire: Wire, services: Services) -> None:
    assert created.task_id is not None
    answer: dict[str, Any] = {
        "task_id": public_task_id(created.task_id),
        "id": public_task_id(created.task_id),
        "object": "task",
        "status": "pending",
        "model": call.requested_model,
    }
    if created.outcome == "replayed":
        task = await services.tasks.find(call.caller.group_id, created.task_id)
        answer["status"] = task["status"] if task else "pending"
        answer["task_replayed"] = True
    headers = [
        (b"location", task_path(created.task_id).encode()),
        (b"retry-after", str(POLL_AFTER_S).encode()),
        *rate_headers(created.hold.rate),
    ]
    await wire.send_json(202, msgspec.json.encode(answer), headers)
