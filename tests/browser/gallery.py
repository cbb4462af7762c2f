"""Image tasks for the scenery: in every state, with pictures of many shapes in the storage.

As the rest of the scenery, they hold in the audit: ended tasks are captured or released, unfinished ones hold.
"""

import io
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import F
from django.utils import timezone
from PIL import Image, ImageDraw, ImageOps

from accounts.ids import first_id_at, uuid7
from accounts.models import APIKey
from billing.models import Account, Hold, Price, Transfer
from billing.picture_pricing import charge_pictures
from billing.pricing import Charge
from gateway.images.pictures import read_picture
from gateway.models import CallRecord, Delivery, Picture, Task
from gateway.picture_store import save_picture

CALLBACK = "https://hooks.example.com/tollgate/pictures?token=7f3a"
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>"
STATUSES = {
    "content_refused": "refused",
    "source_unreachable": "refused",
    "cancelled": "client_gone",
}
STATUSES |= {"expired": "timed_out", "upstream_timeout": "timed_out"}
SIZE_MAX = 64 * 1024 * 1024


class Sketch(NamedTuple):
    """A task to be made. `sizes`: of its pictures, in pixels; `error`: code and message of one that failed."""

    minutes_ago: float
    prompt: str
    sizes: tuple[tuple[int, int], ...] = ()
    status: str = "completed"
    model: str = "openai/gpt-image-2"
    price_key: str = "1k"
    request: dict[str, Any] = {}
    action: str = "text_to_image"
    error: tuple[str, str] = ("", "")
    progress: int = 0
    is_expired: bool = False
    seconds: float = 14.2
    callback: str = ""


FOX = "A red fox asleep in fresh snow at first light, 85 mm, shallow depth of field, quiet colours"
POSTER = (
    "Poster for a chamber music festival in Busan: three cellos as mountains, risograph, two inks"
)
SKETCHES = (
    Sketch(0.1, "A tea house on stilts above a lake, evening mist, ink wash on rice paper", status="pending",
           request={"output_resolution": "2k", "aspect_ratio": "16:9"}, price_key="2k"),
    Sketch(0.4, "Product photo of a ceramic pour-over set on oak, soft window light, three-quarter view",
           status="processing", progress=62, request={"output_resolution": "1k", "output_count": 4}),
    Sketch(0.7, "", status="processing", model="topaz/topaz-upscale-image", action="upscale_image", price_key="4",
           request={"upscale_factor": 4, "sources": ["https://example.com/pictures/harbour.jpg"]}),
    Sketch(2, FOX, ((1024, 1024),), request={"output_resolution": "1k", "aspect_ratio": "auto"},
           callback="waiting"),
    Sketch(6, POSTER, ((768, 1024), (768, 1024), (768, 1024), (768, 1024)), price_key="2k",
           request={"output_resolution": "2k", "aspect_ratio": "3:4", "output_count": 4}, seconds=41.87,
           callback="delivered"),
    Sketch(11, "Something that the rules of the provider do not allow", status="failed",
           error=("content_refused", "Your request was rejected by the safety system. Safety violations: violence.")),
    Sketch(19, "A brass compass, cut out, transparent background, museum catalogue", ((1024, 1024),),
           request={"output_resolution": "1k", "background": "transparent", "aspect_ratio": "1:1"}),
    Sketch(26, "Panorama of terraced rice fields after rain, seen from a drone", ((1512, 648),), price_key="4k",
           request={"output_resolution": "4k", "aspect_ratio": "21:9"}, seconds=63.4),
    Sketch(34, "부산 항구의 새벽, 어선들이 돌아오는 모습, 수채화", ((1024, 683),) * 2, model="openai/gpt-4o-image",
           price_key="2", request={"output_resolution": "1k", "output_count": 2, "aspect_ratio": "3:2"}),
    Sketch(48, "A queue of umbrellas", status="failed", error=("cancelled", "The task was cancelled before it began.")),
    Sketch(57, "Replace the sky by a thunderstorm, keep the boats", ((1024, 768),), action="edit_image", price_key="",
           model="black-forest-labs/flux-kontext-pro",
           request={"output_resolution": "1k", "aspect_ratio": "4:3", "sources": ["file_" + "5e" * 16]}),
    Sketch(75, "Put the logo onto the mug", status="failed", action="edit_image", error=(
        "source_unreachable", "https://assets.example.com/logo-final-final.png answered 404."), request={
        "output_resolution": "1k", "sources": ["https://assets.example.com/logo-final-final.png"]}),
    Sketch(130, HOSTILE, ((640, 640),), request={"output_resolution": "1k"}),
    Sketch(60 * 26, "A tall lighthouse in a storm, woodcut", ((512, 1024),), price_key="2k",
           request={"output_resolution": "2k", "aspect_ratio": "1:2"}),
    Sketch(60 * 30, "A map of a town that does not exist, engraved, 1780", status="failed",
           error=("expired", "The task was not done before its deadline."), seconds=900),
    Sketch(60 * 24 * 9, "Isometric greenhouse full of orchids, clay render", ((1024, 1024), (1024, 1024)),
           request={"output_resolution": "1k", "output_count": 2}, is_expired=True),
)  # fmt: skip
# Enough small ones, long ago, for a second page.
OLDER = tuple(
    Sketch(60 * 24 * 10 + 90 * number, f"Study {number} of waves, gouache", ((256, 256),), is_expired=True,
           request={"output_resolution": "1k"})
    for number in range(14)
)  # fmt: skip


def hang(keys: list[APIKey]) -> None:
    """All the sketches, by these keys in turn, from their group's wallet."""
    for number, sketch in enumerate(SKETCHES + OLDER):
        hang_one(keys[number % len(keys)], sketch)


def hang_one(key: APIKey, sketch: Sketch) -> Task:
    """The task with its hold, and where it has ended its record, its capture and its pictures."""
    wallet = Account.objects.wallet_of(key.group)
    price = Price.objects.prefetch_related("rates").filter(model=sketch.model, group=None)
    frozen = price.latest("effective_from").frozen()
    count = int(sketch.request.get("output_count", 1))
    charge = charge_pictures(frozen, count, sketch.price_key)
    began = timezone.now() - timedelta(minutes=sketch.minutes_ago)
    task = _paint(key, sketch, began, count)
    task.account_id, task.price_id, task.hold_nanos = wallet.pk, frozen.id, charge.amount_nanos
    task.amount_nanos = charge.amount_nanos if sketch.status == "completed" else 0
    task.save(force_insert=True)
    _hold(task, wallet, sketch)
    if task.is_ended:
        _settle(task, wallet, charge, sketch)
    for position, size in enumerate(sketch.sizes):
        _frame(task, position, size, sketch)
    if sketch.callback:
        _deliver(task, sketch.callback)
    return task


def _paint(key: APIKey, sketch: Sketch, began: datetime, count: int) -> Task:
    task_id = UUID(int=first_id_at(began).int | uuid7().int & (2**62 - 1))
    started = began + timedelta(seconds=0.31)
    ended = began + timedelta(seconds=sketch.seconds)
    is_ended, has_started = sketch.status in ("completed", "failed"), sketch.status != "pending"
    has_started = has_started and sketch.error[0] != "cancelled"
    events: list[dict[str, Any]] = [{"at": began.timestamp(), "what": "created", "detail": ""}]
    if has_started:
        events.append({"at": started.timestamp(), "what": "started", "detail": ""})
    if is_ended:
        what = "cancelled" if sketch.error[0] == "cancelled" else sketch.status
        events.append({"at": ended.timestamp(), "what": what, "detail": sketch.error[1]})
    return Task(
        id=task_id,
        organization_id=key.group.organization_id,
        group=key.group,
        api_key=key,
        action=sketch.action,
        endpoint=sketch.action,
        requested_model=sketch.model.partition("/")[2],
        model=sketch.model,
        request={"action": sketch.action, "prompt": sketch.prompt} | sketch.request,
        count=count,
        price_key=sketch.price_key,
        base_url="http://localhost",
        callback_url=CALLBACK if sketch.callback else "",
        request_digest="",
        status=sketch.status,
        progress=100 if sketch.status == "completed" else sketch.progress,
        error_code=sketch.error[0],
        error_message=sketch.error[1],
        created_at=began,
        updated_at=ended,
        started_at=started if has_started else None,
        ended_at=ended if is_ended else None,
        deadline_at=began + timedelta(minutes=15),
        attempts=int(has_started),
        trials=[
            {
                "id": "1",
                "channel": "openai: main",
                "at": began.timestamp(),
                "status": 200,
                "ms": 13_800,
            }
        ]
        if has_started
        else [],
        events=events,
    )


def _hold(task: Task, wallet: Account, sketch: Sketch) -> None:
    state = "open" if not task.is_ended else "captured" if task.amount_nanos else "released"
    Hold.objects.create(
        id=task.pk,
        account=wallet,
        owner_id=0,
        amount_nanos=task.hold_nanos,
        state=state,
        memo="" if task.is_ended else "task",
        created_at=task.created_at,
        resolved_at=task.ended_at,
    )
    if state == "open":
        Account.objects.filter(pk=wallet.pk).update(held_nanos=F("held_nanos") + task.hold_nanos)


def _settle(task: Task, wallet: Account, charge: Charge, sketch: Sketch) -> None:
    done = task.status == "completed"
    CallRecord.objects.create(
        id=task.pk,
        organization_id=task.organization_id,
        group_id=task.group_id,
        api_key_id=task.api_key_id,
        source="task",
        endpoint=task.endpoint,
        model=task.model,
        status="completed" if done else STATUSES.get(task.error_code, "upstream_failed"),
        created_at=task.created_at,
        duration_ms=round(sketch.seconds * 1000),
        images=task.count if done else 0,
        price_key=task.price_key if done else "",
        basis="reported" if done else "",
        price_id=task.price_id,
        hold_nanos=task.hold_nanos,
        list_nanos=charge.list_nanos if done else 0,
        amount_nanos=task.amount_nanos,
        error_code=task.error_code,
        error_message=task.error_message,
        attempts=[{"channel": "openai: main", "status": 200, "error": None, "ms": 13_800}],
    )
    if not task.amount_nanos:
        return
    revenue = Account.objects.get(
        organization=task.organization_id, group=None, kind=Account.Kind.REVENUE
    )
    Transfer.objects.create(
        id=task.pk,
        kind="capture",
        debit_account=wallet,
        credit_account=revenue,
        amount_nanos=task.amount_nanos,
        call_id=task.pk,
        created_at=task.ended_at,
    )
    for account, change in ((wallet, -task.amount_nanos), (revenue, task.amount_nanos)):
        Account.objects.filter(pk=account.pk).update(balance_nanos=F("balance_nanos") + change)


def _deliver(task: Task, state: str) -> None:
    """A message that did not arrive at once, or has not yet."""
    assert task.ended_at is not None
    at = task.ended_at.timestamp()
    log = [{"at": at + 0.4, "status": 503, "ms": 212, "error": "The receiver answered 503."}]
    if state == "delivered":
        log.append({"at": at + 6.1, "status": 200, "ms": 87, "error": ""})
    Delivery.objects.create(
        group_id=task.group_id,
        api_key_id=task.api_key_id,
        task=task,
        url=CALLBACK,
        state=state,
        attempts=len(log),
        log=log,
        created_at=task.ended_at,
        next_at=timezone.now() + timedelta(minutes=4),
        ended_at=task.ended_at + timedelta(seconds=6) if state == "delivered" else None,
    )


def _frame(task: Task, position: int, size: tuple[int, int], sketch: Sketch) -> None:
    data = draw_picture(
        size, task.pk.int % 97 + position * 31, sketch.request.get("background") == "transparent"
    )
    facts = read_picture(data, SIZE_MAX, SIZE_MAX)
    names = save_picture(task.pk, position, data, facts)
    assert task.ended_at is not None
    Picture.objects.create(
        task=task,
        position=position,
        name=names.name,
        thumbnail=names.thumbnail,
        **facts._asdict(),
        size_bytes=len(data),
        expires_at=task.ended_at + timedelta(days=7),
        deleted_at=task.ended_at + timedelta(days=7, minutes=4) if sketch.is_expired else None,
    )


INKS = ("#16324f", "#5b2a3c", "#20453a", "#3b2f63", "#5a3b1c", "#1d3c63")
PAPERS = ("#f2d9b1", "#f5c6b8", "#cfe3d4", "#d8d2ee", "#f0e2c4", "#bfd9ea")


def draw_picture(size: tuple[int, int], seed: int, is_cut_out: bool = False) -> bytes:
    """A landscape of sorts, as PNG: a sun and hills between two colours; cut out, a disc on nothing."""
    ink, paper = INKS[seed % 6], PAPERS[seed // 2 % 6]
    width, height = size
    sky = Image.linear_gradient("L").resize(size)
    image = ImageOps.colorize(sky, ink, paper).convert("RGBA")
    brush = ImageDraw.Draw(image)
    radius, at = min(size) // 7, (width * (2 + seed % 5) // 8, height // 3)
    brush.ellipse((at[0] - radius, at[1] - radius, at[0] + radius, at[1] + radius), fill=paper)
    for step in range(3):
        top = height * (5 + step) // 8
        shift = (seed * 53 + step * 211) % width
        hill = [(shift - width, top - height // 6), (shift + width, top + height)]
        brush.ellipse(
            (*hill[0], *hill[1]),
            fill=Image.blend(
                Image.new("RGB", (1, 1), ink), Image.new("RGB", (1, 1), paper), 0.45 - step * 0.18
            ).getpixel((0, 0)),
        )
    if is_cut_out:
        mask = Image.new("L", size, 0)
        ImageDraw.Draw(mask).ellipse(
            (width // 8, height // 8, width * 7 // 8, height * 7 // 8), fill=255
        )
        image.putalpha(mask)
    else:
        image = image.convert("RGB")
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()
