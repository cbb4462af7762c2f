"""Tasks and their pages as tests want them."""

import re
from datetime import timedelta
from typing import Any

from django.urls import reverse
from django.utils import timezone

from accounts.models import APIKey
from gateway.models import Picture, Task
from tests.gateway.task_pictures import make_task
from tests.people import People

HTMX = {"HX-Request": "true"}
HOSTILE = "<script>alert(1)</script>"
FOX = "A red fox asleep in the snow"


def add_task(key: APIKey, **fields: Any) -> Task:
    """A completed task of just now, `fields` being otherwise."""
    task = make_task(key)
    Task.objects.filter(pk=task.pk).delete()
    now = timezone.now()
    values = {
        "created_at": now - timedelta(seconds=20),
        "started_at": now - timedelta(seconds=18),
        "request": {"action": "text_to_image", "prompt": FOX, "output_resolution": "1k"},
        "events": [{"at": now.timestamp() - 20, "what": "created", "detail": ""}],
    }
    for name, value in (values | fields).items():
        setattr(task, name, value)
    if task.status in ("pending", "processing"):
        task.ended_at = None
    task.save(force_insert=True)
    return task


def add_picture(task: Task, position: int = 0, **fields: Any) -> Picture:
    """A picture without a file."""
    return Picture.objects.create(
        **{
            "task": task, "position": position, "name": f"{task.pk}/{position}", "thumbnail": "t", "extension": "png",
            "content_type": "image/png", "width": 1024, "height": 768, "size_bytes": 123_456,
            "expires_at": timezone.now() + timedelta(days=7),
        }
        | fields
    )  # fmt: skip


def gallery_url(people: People) -> str:
    return reverse("group_tasks", args=[people.group.pk])


def task_url(task: Task) -> str:
    return reverse("task", args=[task.group_id, task.public_id])


def cards_of(html: str) -> list[str]:
    return re.findall(r'<li class="task-card[^"]*" id="(tsk_[0-9a-f]{32})"', html)


def poll_url(html: str) -> str:
    [address] = re.findall(r'id="live" hidden hx-get="([^"]+)"', html)
    return str(address).replace("&amp;", "&")


def text_of(html: str) -> str:
    """What a reader sees of it, roughly."""
    body = html.partition("<main")[2].partition("</main>")[0]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body))
