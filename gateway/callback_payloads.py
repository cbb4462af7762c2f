"""What a callback says: the task as a poll answers it (gateway/images/shape.py)."""

from uuid import UUID

import msgspec
from django.conf import settings
from django.utils import timezone

from gateway.images.links import PicturePath, derive_link_key, sign_link
from gateway.images.shape import PictureView, TaskView, task_as_object
from gateway.models import Task

EXAMPLE_ID = UUID(int=0)


def task_payload(task: Task) -> str:
    """The body of the message about a task, as it stands."""
    return _encode(view_task(task))


def example_payload() -> str:
    """The body of a test: a task that never was, completed, without pictures and free."""
    return _encode(_example_task())


def view_task(task: Task) -> TaskView:
    """The task as it stands, with links to its pictures."""
    key = derive_link_key(settings.SECRET_KEY)
    pictures = []
    for picture in task.pictures.all():
        path = PicturePath(task.pk, picture.position, picture.extension)
        url = sign_link(key, task.base_url, path, int(picture.expires_at.timestamp()))
        pictures.append(
            PictureView(
                url=url,
                expires_at=picture.expires_at,
                width=picture.width,
                height=picture.height,
                content_type=picture.content_type,
            )
        )
    return TaskView(
        id=task.pk,
        requested_model=task.requested_model,
        action=task.action,
        status=task.status,
        progress=task.progress,
        created_at=task.created_at,
        updated_at=task.updated_at,
        hold_nanos=task.hold_nanos,
        amount_nanos=task.amount_nanos,
        pictures=tuple(pictures),
        error_code=task.error_code,
        error_message=task.error_message,
    )


def _example_task() -> TaskView:
    now = timezone.now()
    return TaskView(
        id=EXAMPLE_ID,
        requested_model="gpt-image-2",
        action=Task.Action.TEXT_TO_IMAGE.value,
        status=Task.Status.COMPLETED.value,
        progress=100,
        created_at=now,
        updated_at=now,
        hold_nanos=0,
    )


def _encode(task: TaskView) -> str:
    return msgspec.json.encode(task_as_object(task)).decode()
