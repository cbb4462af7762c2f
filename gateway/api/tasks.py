"""/api/v1/groups/{id}/tasks: image tasks, one of them, and giving one up."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import Http404
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.errors import Problem
from accounts.api.paging import CursorPages
from accounts.api.serializers import StrictSerializer
from accounts.api.views import ManagementView
from accounts.models import APIKey, Group
from gateway import task_services
from gateway.api.queries import names_of, page_of, read_query
from gateway.api.schemas import FaultSerializer, KeyNameSerializer, UsdText
from gateway.images.links import PicturePath, derive_link_key, sign_link
from gateway.images.shape import (
    PictureView,
    TaskView,
    parse_task_id,
    public_task_id,
    task_as_object,
)
from gateway.models import Picture, Task
from gateway.pages.forms import NAME_CHARS_MAX
from gateway.pages.task_history import CANCELLED, TaskFilter, find_tasks

TAGS = ["Tasks"]


class TaskQuery(StrictSerializer):
    """Which tasks. One that was cancelled has the status `failed`; here it can be asked for by itself."""

    status = serializers.ChoiceField(choices=[*Task.Status.values, CANCELLED], required=False)
    action = serializers.ChoiceField(choices=Task.Action.values, required=False)
    model = serializers.CharField(max_length=NAME_CHARS_MAX, required=False)
    key = serializers.UUIDField(required=False, help_text="A key of the group.")


class PictureSerializer(serializers.Serializer[Any]):
    """A picture with its link, which is good until `expires_at`."""

    url = serializers.CharField()
    expires_at = serializers.DateTimeField()
    width = serializers.IntegerField()
    height = serializers.IntegerField()
    content_type = serializers.CharField()


class TaskBillingSerializer(serializers.Serializer[Any]):
    """What was charged of what was reserved."""

    reserved = UsdText()
    charged = UsdText()
    refunded = UsdText()
    currency = serializers.CharField()


class TaskSerializer(serializers.Serializer[Any]):
    """A task, as GET /v1/tasks answers it, with its key and its prompt."""

    task_id = serializers.CharField()
    id = serializers.CharField()
    object = serializers.CharField()
    status = serializers.CharField()
    model = serializers.CharField()
    action = serializers.CharField()
    progress = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
    images = PictureSerializer(many=True, required=False)
    billing = TaskBillingSerializer(required=False)
    error = FaultSerializer(required=False)
    key = KeyNameSerializer()
    prompt = serializers.CharField(allow_blank=True)


def describe_tasks(tasks: Sequence[Task], base_url: str) -> list[dict[str, Any]]:
    """The tasks as the API answers them; links to pictures begin with `base_url`."""
    link_key = derive_link_key(settings.SECRET_KEY)
    done = [task.pk for task in tasks if task.status == Task.Status.COMPLETED]
    pictures: dict[UUID, list[PictureView]] = {}
    for one in Picture.objects.filter(task__in=done).order_by("task", "position"):
        pictures.setdefault(one.task_id, []).append(_view_picture(one, link_key, base_url))
    key_ids = {task.api_key_id for task in tasks}
    names = dict(APIKey.objects.filter(pk__in=key_ids).values_list("pk", "name"))
    fields = [name for name in TaskView.__struct_fields__ if name != "pictures"]
    found = []
    for task in tasks:
        view = TaskView(
            pictures=tuple(pictures.get(task.pk, ())),
            **{name: getattr(task, name) for name in fields},
        )
        key = {"id": str(task.api_key_id), "name": names.get(task.api_key_id, "")}
        prompt = str(task.request.get("prompt", ""))
        found.append(task_as_object(view) | {"key": key, "prompt": prompt})
    return found


def _view_picture(picture: Picture, link_key: bytes, base_url: str) -> PictureView:
    path = PicturePath(picture.task_id, picture.position, picture.extension)
    return PictureView(
        url=sign_link(link_key, base_url, path, int(picture.expires_at.timestamp())),
        expires_at=picture.expires_at,
        width=picture.width,
        height=picture.height,
        content_type=picture.content_type,
    )


class TaskViews(ManagementView):
    """What the views of tasks share."""

    def describe(self, tasks: Sequence[Task]) -> list[dict[str, Any]]:
        """With links that begin where this request was sent to, unless the installation knows its address."""
        base_url = settings.PUBLIC_URL or self.request.build_absolute_uri("/")
        return describe_tasks(tasks, base_url)

    def find_task(self, group: Group, task_id: str) -> Task:
        """Raises Http404."""
        parsed = parse_task_id(task_id)
        if parsed is None:
            raise Http404
        return get_object_or_404(Task.objects.of_group(group), pk=parsed)


@extend_schema_view(
    get=extend_schema(
        operation_id="list_tasks",
        tags=TAGS,
        parameters=[TaskQuery],
        responses={200: TaskSerializer(many=True)},
    )
)
class Tasks(TaskViews):
    """Lists the tasks of a group."""

    pagination_class = CursorPages
    query_names = names_of(TaskQuery)

    def get(self, request: Request, group_id: UUID) -> Response:
        """Tasks of the group, newest first, by any of its keys."""
        group = self.find_group(group_id)
        values = read_query(request, TaskQuery)
        wanted = TaskFilter(
            state=values.get("status", ""),
            model=values.get("model", ""),
            key_id=values.get("key"),
            action=values.get("action", ""),
        )
        rows = page_of(self, find_tasks(group, wanted).defer("trials", "events", "job"))
        return self.get_paginated_response(self.describe(rows))

    def parse_cursor(self, text: str) -> UUID:
        """Raises ValueError."""
        parsed = parse_task_id(text)
        if parsed is None:
            raise ValueError(text)
        return parsed

    def cursor_of(self, row: Task) -> str:
        return public_task_id(row.pk)


@extend_schema_view(get=extend_schema(operation_id="get_task", tags=TAGS, responses=TaskSerializer))
class TaskDetail(TaskViews):
    """One task."""

    def get(self, request: Request, group_id: UUID, task_id: str) -> Response:
        """One task of the group."""
        task = self.find_task(self.find_group(group_id), task_id)
        return Response(self.describe([task])[0])


@extend_schema_view(
    post=extend_schema(
        operation_id="cancel_task", tags=TAGS, request=None, responses={200: TaskSerializer}
    )
)
class TaskCancel(TaskViews):
    """Gives a task up."""

    def post(self, request: Request, group_id: UUID, task_id: str) -> Response:
        """End a task that has not begun, and release what is held for it.

        A manager may cancel every task of the group, a member those of his own keys.
        """
        group = self.find_group(group_id)
        task = self.find_task(group, task_id)
        mine = APIKey.objects.manageable_by(self.user, group)
        if not mine.filter(pk=task.api_key_id).exists():
            raise Problem(403, "forbidden", "This task was made with a key of somebody else.")
        task_services.cancel_task(task)
        task.refresh_from_db()
        if task.error_code != CANCELLED:
            message = f"The task is {task.status}: only a pending one can be cancelled."
            raise Problem(409, "task_not_cancellable", message)
        return Response(self.describe([task])[0])
