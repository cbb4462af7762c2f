"""An upscaler as Topaz Labs has it: a form with a picture, polls for its state, a link.

Paths, fields and states are those of the vendor's API reference (developer.topazlabs.com); the words
of its errors are this vendor's own.
"""

import hashlib
import math
import re
import time
from typing import Any, ClassVar

import msgspec

from simulator.chat_request import ChatBody
from simulator.checks import missing
from simulator.connection import Request
from simulator.dialect import Answer, Order, scripted_message
from simulator.errors import ApiError, ErrorBody
from simulator.jobs import Job, JobAnswer, JobAsk, JobDialect, Jobs, Plain, base_of, link_of
from simulator.log import Totals
from simulator.multipart import Upload, parse_form
from simulator.pictures import Size, measure
from simulator.png import MOST_PIXELS, PngError, check_png, decode_png, enlarge, read_comment

SUBMIT_PATH = b"/image/v1/enhance/async"
STATUS_PREFIX = b"/image/v1/status/"
DOWNLOAD_PREFIX = b"/image/v1/download/"
_DEFAULT_MODEL = "Standard V2"
_SCALE_FIELDS = ("output_scale_factor", "scale")
_EDGE_FIELDS = ("output_width", "output_height")
_MOST_EDGE = 32_000
_MOST_SCALE = 16
_ETA_S = 5
_STATES = {
    "done": "Completed",
    "failed": "Failed",
    "refused": "Failed",
    "cancelled": "Cancelled",
}


class TopazBody(msgspec.Struct):
    """The form's fields that are read, as texts; any other is ignored."""

    stream: ClassVar[bool] = False

    model: str
    base: str
    images: list[Upload]
    texts: dict[str, str]
    simulate: msgspec.Raw = msgspec.Raw()


class TopazAnswer(JobAnswer):
    """The id of an accepted job, and when it should be done."""

    def accepted(self, job: Job, base: str) -> bytes:
        return msgspec.json.encode({"process_id": job.id, "eta": _eta_of(job)})


class Topaz(JobDialect):
    """POST /image/v1/enhance/async, GET /image/v1/status/{id} and /image/v1/download/{id}."""

    name = "topaz"
    key_header = b"x-api-key"

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def parse(self, request: Request) -> TopazBody:
        form = parse_form(request.headers.get(b"content-type", b""), request.body)
        texts = form.texts
        script = msgspec.Raw(texts.pop("simulate", "").encode())
        model = texts.get("model") or _DEFAULT_MODEL
        return TopazBody(model, base_of(request), form.take_files("image"), texts, script)

    def read_size(self, body: TopazBody) -> Size:
        return _read_size(body)

    def read(self, request: Request, body: TopazBody) -> ChatBody:
        size = _read_size(body)
        picture = body.images[0].data
        try:
            check_png(picture)
            # A form without a prompt has one text that every gateway passes on: the picture's own.
            comment = read_comment(picture)
        except PngError as problem:
            raise ApiError(400, f"The picture cannot be read: {problem}.", param="image") from None
        messages = [{"role": "user", "content": comment}]
        return JobAsk(model=body.model, messages=messages, size=size, source=picture)

    def answer(self, order: Order, totals: Totals) -> Answer:
        ask: Any = order.ask
        size, source, upload = ask.size, ask.source, order.body.images[0]
        job = Job(
            id=order.id,
            dialect=self.name,
            model=ask.model,
            script=order.script,
            size=size,
            created=time.time(),
            source=source,
            make=lambda: enlarge(decode_png(source), *size),
            details={"filename": upload.name, "source": measure(source)},
        )
        given = msgspec.json.encode(sorted(order.body.texts.items()))
        digest = hashlib.sha256(given + source).digest()
        return TopazAnswer(order, self._jobs, job, digest)

    def refusal(self, problem: ApiError, serial: str) -> bytes:
        return msgspec.json.encode({"message": problem.named()})

    def failure(self, status: int, given: ErrorBody | None, serial: str) -> bytes:
        return msgspec.json.encode({"message": scripted_message(status, given)})

    def report(self, request: Request) -> Plain:
        """How a job stands. Raises ApiError(404) for an unknown one."""
        job = self._jobs.poll(_id_in(request, STATUS_PREFIX), self)
        if job is None:
            raise _unknown()
        return job if isinstance(job, Plain) else Plain(msgspec.json.encode(_shown(job)))

    def link(self, request: Request) -> Plain:
        """The link to a finished picture, which lasts from now on. Raises ApiError(404)."""
        job = self._jobs.find(_id_in(request, DOWNLOAD_PREFIX), self)
        if job is None or job.script.job_lost or job.state != "done":
            raise _unknown()
        job.link_until = time.time() + job.script.link_lifetime_s
        url, until = link_of(job, base_of(request)), int(job.link_until)
        # The vendor's own names are the first two.
        return Plain(
            msgspec.json.encode(
                {"download_url": url, "expiry": until, "url": url, "expires": until}
            )
        )


def _shown(job: Job) -> dict[str, Any]:
    source: Size = job.details["source"]
    progress = round(100 * job.progress(time.time()))
    waiting = "Processing" if progress else "Pending"
    shown = {
        "process_id": job.id,
        "filename": job.details["filename"],
        "input_format": "png",
        "input_height": source.height,
        "input_width": source.width,
        "output_format": "png",
        "output_height": job.size.height,
        "output_width": job.size.width,
        "category": "Enhance",
        "model": job.model,
        "status": _STATES.get(job.state, waiting),
        "progress": progress,
        "eta": _eta_of(job),
        "creation_time": int(job.created),
        "modification_time": int(job.ended or job.created),
    }
    if job.state in ("failed", "refused"):
        shown["message"] = job.script.job_fails or "The picture was refused."
    return shown


def _eta_of(job: Job) -> int:
    """Epoch seconds."""
    return int(job.created + (job.script.job_delay_s or _ETA_S))


def _id_in(request: Request, prefix: bytes) -> str:
    return request.target[len(prefix) :].decode("latin-1")


def _unknown() -> ApiError:
    return ApiError(404, "No such process, or its picture is not there.")


def _read_size(body: TopazBody) -> Size:
    """The size of the enlarged picture; of two edges the one not given follows from the other."""
    if len(body.images) != 1:
        raise missing("image") if not body.images else _wrong("image", "expected one file")
    if body.texts.get("output_format", "png") != "png":
        raise _wrong("output_format", "the simulator draws PNG alone")
    source = measure(body.images[0].data)
    if source is None:
        raise _wrong("image", "expected a picture")
    scales = [_scale(name, body.texts[name]) for name in _SCALE_FIELDS if name in body.texts]
    edges = [_edge(name, body.texts.get(name)) for name in _EDGE_FIELDS]
    if len(scales) + any(edges) != 1:
        raise _wrong("output_scale_factor", "expected either a scale or edges")
    if scales:
        size = Size(*(max(1, round(edge * scales[0])) for edge in source))
    else:
        width, height = edges
        size = Size(
            width or max(1, round(height * source.width / source.height)),
            height or max(1, round(width * source.height / source.width)),
        )
    if size.pixels > MOST_PIXELS:
        raise _wrong("output_width", f"the simulator enlarges to {MOST_PIXELS} pixels at most")
    return size


def _scale(name: str, text: str) -> float:
    found = re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,6})?", text)
    scale = float(text) if found is not None else math.nan
    if not 1 <= scale <= _MOST_SCALE:
        raise _wrong(name, f"expected a number from 1 to {_MOST_SCALE}")
    return scale


def _edge(name: str, text: str | None) -> int:
    """An edge in pixels; 0: not given."""
    if text is None:
        return 0
    edge = int(text) if re.fullmatch(r"[0-9]{1,5}", text) else 0
    if not 1 <= edge <= _MOST_EDGE:
        raise _wrong(name, f"expected an integer from 1 to {_MOST_EDGE}")
    return edge


def _wrong(name: str, problem: str) -> ApiError:
    return ApiError(400, f"Invalid '{name}': {problem}.", param=name)
