"""GET /v1/tasks and /v1/tasks/{id}, and its cancellation: the tasks of the caller's group."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec

from gateway.endpoints.calls import read_limit
from gateway.endpoints.images import POLL_AFTER_S
from gateway.errors import BadRequest, Conflict, NotFound
from gateway.images.links import PicturePath, sign_link
from gateway.images.shape import (
    PictureView,
    TaskView,
    parse_task_id,
    public_task_id,
    task_as_object,
)
from gateway.ordering import base_url_of
from gateway.services import Services
from gateway.wire import Headers, Wire

STATUSES = ("pending", "processing", "completed", "failed")
CANCEL = "/cancel"


async def list_tasks(wire: Wire, services: Services) -> None:
    """Newest first; `after` is the id of the last task of the page before."""
    caller = await services.authenticator.authenticate(wire)
    query = wire.query()
    limit = read_limit(query.pop("limit", None))
    after = _read_after(query.pop("after", None))
    status = query.pop("status", None)
    if status is not None and status not in STATUSES:
        raise BadRequest(f"'status' must be one of {', '.join(STATUSES)}.", param="status")
    for name in query:
        raise BadRequest(f"'{name[:60]}' is unknown here.", param=name[:60])
    rows = await services.tasks.latest(caller.group_id, after, status, limit + 1)
    page = rows[:limit]
    more = len(rows) > limit
    answer = {
        "object": "list",
        "data": [task_as_object(view) for view in await view_tasks(page, wire, services)],
        "has_more": more,
        "next": public_task_id(page[-1]["id"]) if more else None,
    }
    await wire.send_json(200, msgspec.json.encode(answer))


async def get_task(wire: Wire, services: Services, name: str) -> None:
    """One task, whichever key of the group made it."""
    caller = await services.authenticator.authenticate(wire)
    await _send(await find_task(caller.group_id, name, services), wire, services)


async def cancel_task(wire: Wire, services: Services, name: str) -> None:
    """POST /v1/tasks/{id}/cancel: ends a task that no worker has begun, and releases what is held for it."""
    caller = await services.authenticator.authenticate(wire)
    if not name.endswith(CANCEL):
        raise NotFound(f"No such path: {wire.method} {str(wire.scope['path'])[:200]}.")
    name = name.removesuffix(CANCEL)
    task = await find_task(caller.group_id, name, services)
    await services.tasks.cancel(caller.group_id, task["id"])
    task = await find_task(caller.group_id, name, services)
    if task["error_code"] != "cancelled":
        raise Conflict(
            f"The task is {task['status']}: only a pending one can be cancelled.",
            code="task_not_cancellable",
        )
    await _send(task, wire, services)


async def find_task(group_id: str, name: str, services: Services) -> dict[str, Any]:
    """The row of the group's task of that public id. Raises NotFound."""
    task_id = parse_task_id(name)
    task = await services.tasks.find(group_id, task_id) if task_id else None
    if task is None:
        raise NotFound(f"The task '{name[:60]}' does not exist.", code="task_not_found")
    return task


async def view_tasks(
    tasks: Sequence[dict[str, Any]], wire: Wire, services: Services
) -> list[TaskView]:
    """The tasks as callers see them, with links to their pictures."""
    key, base_url = services.configuration.link_key, base_url_of(wire, services)
    done = [task["id"] for task in tasks if task["status"] == "completed"]
    pictures: dict[UUID, list[PictureView]] = {}
    for row in await services.tasks.pictures(done):
        path = PicturePath(row["task_id"], row["position"], row["extension"])
        view = PictureView(
            url=sign_link(key, base_url, path, int(row["expires_at"].timestamp())),
            expires_at=row["expires_at"],
            width=row["width"],
            height=row["height"],
            content_type=row["content_type"],
        )
        pictures.setdefault(row["task_id"], []).append(view)
    return [
        TaskView(
            pictures=tuple(pictures.get(task["id"], ())),
            **{name: task[name] for name in TaskView.__struct_fields__ if name != "pictures"},
        )
        for task in tasks
    ]


async def _send(task: dict[str, Any], wire: Wire, services: Services) -> None:
    view = (await view_tasks([task], wire, services))[0]
    headers: Headers = []
    if view.status not in ("completed", "failed"):
        headers.append((b"retry-after", str(POLL_AFTER_S).encode()))
    await wire.send_json(200, msgspec.json.encode(task_as_object(view)), headers)


def _read_after(text: str | None) -> UUID | None:
    if text is None:
        return None
    after = parse_task_id(text)
    if after is None:
        raise BadRequest("'after' must be the id of a task.", param="after")
    return after
