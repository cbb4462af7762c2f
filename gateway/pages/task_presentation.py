"""Image tasks as their pages show them: cards of the gallery, pictures with their links, timeline and facts."""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from accounts.templatetags.moments import relatively
from gateway.images.links import PicturePath, derive_link_key, sign_link
from gateway.images.pictures import THUMBNAIL_EDGE
from gateway.images.request import ImageRequest
from gateway.models import Picture, Task
from gateway.pages.task_history import CANCELLED, state_of

CARD_PROMPT_CHARS = 280


class Look(NamedTuple):
    """How a state is shown: in words, a tone of the style sheet, and an icon's template."""

    label: object
    tone: str
    icon: str


LOOKS: Mapping[str, Look] = {
    Task.Status.PENDING: Look(gettext_lazy("Pending"), "plain", "icons/clock.svg"),
    Task.Status.PROCESSING: Look(gettext_lazy("Processing"), "accent", "icons/spinner.svg"),
    Task.Status.COMPLETED: Look(gettext_lazy("Completed"), "good", "icons/check.svg"),
    Task.Status.FAILED: Look(gettext_lazy("Failed"), "bad", "icons/warning.svg"),
    CANCELLED: Look(gettext_lazy("Cancelled"), "plain", "icons/close.svg"),
}
# The codes of failed tasks.
REASONS: Mapping[str, object] = {
    "content_refused": gettext_lazy("The provider refused the content of this request."),
    "invalid_request": gettext_lazy("The provider refused the request."),
    "source_refused": gettext_lazy("A source picture cannot be used."),
    "source_unreachable": gettext_lazy("A source picture could not be fetched."),
    "source_not_an_image": gettext_lazy("A source is not a picture that can be used."),
    "upstream_error": gettext_lazy("The provider failed."),
    "upstream_timeout": gettext_lazy("The provider did not answer in time."),
    "expired": gettext_lazy("It was not finished in time."),
    "no_channel_available": gettext_lazy("No provider could be reached."),
    "storage_unavailable": gettext_lazy("The pictures were made, but could not be stored."),
    CANCELLED: gettext_lazy("Cancelled before it began."),
}
# What the timeline says for the events that the queue writes (gateway/task_queue.py, gateway/task_run.py).
STEPS: Mapping[str, object] = {
    "created": gettext_lazy("Created"),
    "started": gettext_lazy("Started"),
    "submitted": gettext_lazy("Accepted by the provider"),
    "trial failed": gettext_lazy("An attempt failed"),
    "waited": gettext_lazy("Put back to wait"),
    "interrupted": gettext_lazy("Interrupted"),
    "completed": gettext_lazy("Completed"),
    "failed": gettext_lazy("Failed"),
    CANCELLED: gettext_lazy("Cancelled"),
}
STARTED_AGAIN = gettext_lazy("Started again")
# What a provider answered may speak of our account there.
FOR_OPERATORS = ("trial failed",)
TONES: Mapping[str, str] = {
    "completed": "good",
    "failed": "bad",
    "trial failed": "warn",
    "interrupted": "warn",
}


class ShownPicture(NamedTuple):
    """A picture with its links, which are empty once they have expired. `number` counts from 1."""

    number: int
    url: str
    thumbnail_url: str
    picture: Picture

    @property
    def is_gone(self) -> bool:
        return not self.url

    @property
    def thumbnail_width(self) -> int:
        """In pixels: browsers choose by it between the thumbnail and the whole."""
        width, height = self.picture.width, self.picture.height
        edge = max(width, height)
        return max(width * min(THUMBNAIL_EDGE, edge) // edge, 1)


class Card(NamedTuple):
    """A task in the gallery. `reason` and `message`: why it failed, in our words and in those of who refused.
    `price_nanos` was charged, or is reserved while the task runs. `version` changes when anything shown does."""

    task: Task
    look: Look
    title: str
    details: str
    cover: ShownPicture | None
    pictures: int
    is_transparent: bool
    reason: str
    message: str
    price_nanos: int
    version: str


class Step(NamedTuple):
    """An entry of the timeline; `after_ms` since the entry before, None for the first."""

    label: str
    detail: str
    at: datetime
    after_ms: int | None
    tone: str


class Fact(NamedTuple):
    """Something that was asked for."""

    label: str
    value: str


def look_of(task: Task) -> Look:
    """How the task's state is shown."""
    return LOOKS[state_of(task)]


def reason_of(task: Task) -> str:
    """Why the task failed, in words; its code where there are none. Empty for one that did not fail."""
    return str(REASONS.get(task.error_code, task.error_code))


def request_of(task: Task) -> ImageRequest:
    """What the task was asked to make."""
    return msgspec.convert({"action": task.action} | task.request, ImageRequest)


def show_pictures(task: Task, pictures: Iterable[Picture], now: datetime) -> list[ShownPicture]:
    """The pictures with links of this origin, whatever address callers know it by: the pages show no other's."""
    key = derive_link_key(settings.SECRET_KEY)
    return [_show_picture(task, picture, key, now) for picture in pictures]


def _show_picture(task: Task, picture: Picture, key: bytes, now: datetime) -> ShownPicture:
    url = thumbnail_url = ""
    if picture.deleted_at is None and picture.expires_at > now:
        path = PicturePath(task.id, picture.position, picture.extension)
        expires_at = int(picture.expires_at.timestamp())
        url = sign_link(key, "", path, expires_at)
        thumbnail_url = sign_link(key, "", path._replace(variant="thumbnail"), expires_at)
    return ShownPicture(picture.position + 1, url, thumbnail_url, picture)


def draw_card(task: Task, now: datetime) -> Card:
    """The task as a card; its pictures must be prefetched."""
    request = request_of(task)
    pictures = show_pictures(task, task.pictures.all(), now)
    cover = pictures[0] if pictures else None
    price_nanos = task.amount_nanos if task.is_ended else task.hold_nanos
    shown = (
        state_of(task), task.progress, relatively(task.created_at, now), price_nanos, len(pictures),
        cover is not None and cover.is_gone,
    )  # fmt: skip
    return Card(
        task=task,
        look=look_of(task),
        title=title_of(request)[:CARD_PROMPT_CHARS],
        details=" · ".join(_describe(task, request)),
        cover=cover,
        pictures=len(pictures),
        is_transparent=request.background == "transparent",
        reason=reason_of(task),
        message=task.error_message,
        price_nanos=price_nanos,
        version=_digest(repr(shown)),
    )


def title_of(request: ImageRequest) -> str:
    """The prompt; what is done where there is none."""
    if request.prompt or not request.upscale_factor:
        return request.prompt
    return _("Upscale, %(factor)d×") % {"factor": request.upscale_factor}


def _describe(task: Task, request: ImageRequest) -> list[str]:
    parts = [request.size or request.output_resolution]
    if request.aspect_ratio not in ("", "auto") and not request.size:
        parts.append(request.aspect_ratio)
    if request.upscale_factor:
        parts.append(_("%(factor)d×") % {"factor": request.upscale_factor})
    parts.append(
        ngettext("%(count)d image", "%(count)d images", task.count) % {"count": task.count}
    )
    return [part for part in parts if part]


def fingerprint(versions: Iterable[str]) -> str:
    """Changes when one of the parts of a page does, or their order."""
    return _digest(" ".join(versions))


def task_version(task: Task, parts: Iterable[object]) -> str:
    """Changes when the page of the task does; `parts`: what else it shows."""
    own = (task.status, task.progress, task.attempts, task.events, task.trials)
    return _digest(repr((own, *parts)))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def trace(task: Task, *, for_operator: bool) -> list[Step]:
    """The timeline, oldest first. What went wrong in between is told to operators alone."""
    steps: list[Step] = []
    has_started = False
    for event in task.events:
        what, at = str(event["what"]), datetime.fromtimestamp(event["at"], UTC)
        after_ms = round((at - steps[-1].at).total_seconds() * 1000) if steps else None
        label = STARTED_AGAIN if what == "started" and has_started else STEPS.get(what, what)
        has_started = has_started or what == "started"
        detail = str(event.get("detail") or "")
        if what in FOR_OPERATORS and not for_operator:
            detail = ""
        steps.append(Step(str(label), detail, at, after_ms, TONES.get(what, "")))
    return steps


def waited_ms(task: Task) -> int | None:
    """From creation to the first start, or to the end where it never started; None while it waits."""
    until = task.started_at or task.ended_at
    return None if until is None else _span_ms(task.created_at, until)


def ran_ms(task: Task) -> int | None:
    """From the first start to the end; None where one of them is not there."""
    if task.started_at is None or task.ended_at is None:
        return None
    return _span_ms(task.started_at, task.ended_at)


def elapsed_s(task: Task, now: datetime) -> int:
    """Whole seconds since it was created."""
    return _span_ms(task.created_at, now) // 1000


def _span_ms(start: datetime, end: datetime) -> int:
    return max(round((end - start).total_seconds() * 1000), 0)


def list_facts(task: Task, request: ImageRequest) -> list[Fact]:
    """What was asked for, without what the model has no choice of."""
    facts = [
        (_("Action"), task.get_action_display()),
        (_("Model"), task.model),
        (_("Asked for as"), task.requested_model if task.requested_model != task.model else ""),
        (_("Resolution"), request.output_resolution),
        (_("Size"), request.size.replace("x", " × ")),
        (_("Aspect ratio"), "" if request.size else request.aspect_ratio),
        (_("Images"), str(task.count)),
        (_("Background"), request.background),
        (_("Quality"), request.quality),
        (_("Factor"), f"{request.upscale_factor}×" if request.upscale_factor else ""),
        (_("Endpoint"), f"/v1/{task.endpoint}"),
    ]
    return [Fact(label, str(value)) for label, value in facts if value]
