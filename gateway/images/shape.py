"""A task as callers see it, in answers and in callbacks, and the ids that they see. Pure."""

import re
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from billing.money import format_usd

_HEX = re.compile("[0-9a-f]{32}")
_TASK, _FILE, _MESSAGE = "tsk_", "file_", "msg_"


class PictureView(msgspec.Struct, frozen=True, kw_only=True):
    """A picture of a task; `url` is its signed link, `expires_at` (with time zone) when that ends."""

    url: str
    expires_at: datetime
    width: int
    height: int
    content_type: str


class TaskView(msgspec.Struct, frozen=True, kw_only=True):
    """A task as it stands. Times have a time zone. `requested_model`: the name that the caller used."""

    id: UUID
    requested_model: str
    action: str
    status: str
    progress: int
    created_at: datetime
    updated_at: datetime
    hold_nanos: int
    amount_nanos: int = 0
    pictures: tuple[PictureView, ...] = ()
    error_code: str = ""
    error_message: str = ""


def task_as_object(task: TaskView) -> dict[str, Any]:
    """The object that a poll answers and a callback posts: pictures once it is completed, the reason if it failed, and
    what was charged of what was reserved once it has ended."""
    shown: dict[str, Any] = {
        "task_id": public_task_id(task.id),
        "id": public_task_id(task.id),
        "object": "task",
        "status": task.status,
        "model": task.requested_model,
        "action": task.action,
        "progress": task.progress,
        "created_at": _moment(task.created_at),
        "updated_at": _moment(task.updated_at),
    }
    if task.status == "completed":
        shown["images"] = [_picture(picture) for picture in task.pictures]
    if task.status in ("completed", "failed"):
        shown["billing"] = {
            "reserved": format_usd(task.hold_nanos),
            "charged": format_usd(task.amount_nanos),
            "refunded": format_usd(task.hold_nanos - task.amount_nanos),
            "currency": "USD",
        }
    if task.status == "failed":
        shown["error"] = {"code": task.error_code, "message": task.error_message}
    return shown


def public_task_id(task_id: UUID) -> str:
    """The task's id as callers see it."""
    return _TASK + task_id.hex


def parse_task_id(text: str) -> UUID | None:
    """The UUID inside `tsk_<32 lower-case hexadecimal digits>`, None for anything else."""
    return _parse(text, _TASK)


def public_file_id(file_id: UUID) -> str:
    """An upload's id as callers see it."""
    return _FILE + file_id.hex


def parse_file_id(text: str) -> UUID | None:
    """The UUID inside `file_<32 lower-case hexadecimal digits>`, None for anything else."""
    return _parse(text, _FILE)


def public_message_id(delivery_id: UUID) -> str:
    """The id of a callback's message as receivers see it."""
    return _MESSAGE + delivery_id.hex


def parse_message_id(text: str) -> UUID | None:
    """The UUID inside `msg_<32 lower-case hexadecimal digits>`, None for anything else."""
    return _parse(text, _MESSAGE)


def _parse(text: str, prefix: str) -> UUID | None:
    digits = text.removeprefix(prefix)
    if digits == text or not _HEX.fullmatch(digits):
        return None
    return UUID(hex=digits)


def _picture(picture: PictureView) -> dict[str, Any]:
    return {
        "url": picture.url,
        "expires_at": _moment(picture.expires_at),
        "width": picture.width,
        "height": picture.height,
        "content_type": picture.content_type,
    }


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()
