"""Tasks with pictures, for tests of what becomes of them."""

import io
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone
from PIL import Image

from accounts.ids import uuid7
from accounts.models import APIKey
from gateway.images.links import PicturePath, derive_link_key, sign_link
from gateway.images.pictures import PictureFacts, read_picture
from gateway.images.retention import PICTURE_DAYS, UPLOAD_S
from gateway.models import Picture, Task, Upload
from gateway.picture_store import save_picture, save_upload

SIZE_MAX = 64 * 1024 * 1024


def encode_picture(color: str = "red", edge: int = 64, kind: str = "PNG", noise: int = 0) -> bytes:
    """A square of one colour, or of that much noise, which cannot be compressed."""
    out = io.BytesIO()
    size = (edge, edge)
    image = Image.effect_noise(size, noise) if noise else Image.new("RGB", size, color)
    image.save(out, kind)
    return out.getvalue()


def facts_of(data: bytes) -> PictureFacts:
    return read_picture(data, SIZE_MAX, SIZE_MAX)


def make_task(key: APIKey) -> Task:
    """A completed task of the key's group."""
    now = timezone.now()
    return Task.objects.create(
        id=uuid7(),
        organization_id=key.group.organization_id,
        group=key.group,
        api_key=key,
        account_id=1,
        action="text_to_image",
        endpoint="text_to_image",
        requested_model="gpt-image-2",
        model="openai/gpt-image-2",
        request={},
        price_id=1,
        hold_nanos=1,
        base_url="http://localhost",
        request_digest="",
        status="completed",
        deadline_at=now,
        ended_at=now,
    )


def store_picture(task: Task, data: bytes, position: int = 0, **fields: Any) -> Picture:
    """A picture of the task as its run would have left it, `fields` being otherwise."""
    facts = facts_of(data)
    names = save_picture(task.pk, position, data, facts)
    return Picture.objects.create(
        **{
            "task": task,
            "position": position,
            "name": names.name,
            "thumbnail": names.thumbnail,
            **facts._asdict(),
            "size_bytes": len(data),
            "expires_at": timezone.now() + timedelta(days=PICTURE_DAYS),
        }
        | fields
    )


def store_upload(key: APIKey, data: bytes, **fields: Any) -> Upload:
    """A file that a caller sent, `fields` being otherwise."""
    facts = facts_of(data)
    return Upload.objects.create(
        **{
            "id": uuid7(),
            "group": key.group,
            "api_key": key,
            "name": save_upload(key.group_id, data, facts),
            "filename": "mine.png",
            "purpose": "vision",
            "content_type": facts.content_type,
            "width": facts.width,
            "height": facts.height,
            "size_bytes": len(data),
            "expires_at": timezone.now() + timedelta(seconds=UPLOAD_S),
        }
        | fields
    )


def link_to(picture: Picture, variant: str = "", expires_in_s: float = PICTURE_DAYS * 86400) -> str:
    """The link as a caller gets it, without scheme and host."""
    path = PicturePath(picture.task_id, picture.position, picture.extension, variant)
    expires_at = int(timezone.now().timestamp() + expires_in_s)
    return sign_link(derive_link_key(settings.SECRET_KEY), "", path, expires_at)
