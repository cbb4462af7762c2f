"""Black Forest Labs: a submission, polls for its result, and a link to the picture.

Paths, fields and states are those of the vendor's API reference (docs.bfl.ai).
"""

import base64
import binascii
import hashlib
import re
import time
import zlib
from typing import Any, ClassVar
from urllib.parse import parse_qs

import msgspec

from simulator.chat_request import ChatBody
from simulator.checks import check_integer, decode_body, missing, wrong_member, wrong_type
from simulator.connection import Request
from simulator.dialect import Answer, Order, scripted_message
from simulator.errors import ApiError, ErrorBody
from simulator.jobs import Job, JobAnswer, JobAsk, JobDialect, Jobs, Plain, base_of, link_of
from simulator.log import Totals
from simulator.pictures import Size, draw, measure

MODELS = ("flux-kontext-pro", "flux-kontext-max", "flux-pro-1.1")
RESULT_PATH = b"/v1/get_result"
_PLAIN_MODEL = "flux-pro-1.1"  # takes a width and a height where the others take a ratio
_PLAIN_SIZE = Size(1024, 768)
_PLAIN_STEP, _LEAST_EDGE, _MOST_EDGE = 32, 256, 1_440
_PIXELS, _STEP = 1024 * 1024, 16  # the area of a picture, whatever its ratio
_RATIO = re.compile(r"([1-9][0-9]?):([1-9][0-9]?)")
_MOST_RATIO = 21 / 9
_MOST_TOLERANCE = 6
_MOST_SEED = 2**63 - 1
_INVALID = 422  # a wrong field, as FastAPI has it


class FluxBody(msgspec.Struct):
    """The fields that are read; any other is ignored, `webhook_url` among them.

    `model` and `base` come from the path and from the host header.
    """

    stream: ClassVar[bool] = False

    model: str = ""
    base: str = ""
    prompt: Any = None
    input_image: Any = None
    aspect_ratio: Any = None
    width: Any = None
    height: Any = None
    seed: Any = None
    output_format: Any = None
    safety_tolerance: Any = None
    simulate: msgspec.Raw = msgspec.Raw()


_DECODER = msgspec.json.Decoder(FluxBody)


class FluxAnswer(JobAnswer):
    """The id of an accepted job and where to ask after it."""

    def accepted(self, job: Job, base: str) -> bytes:
        url = f"{base}{RESULT_PATH.decode()}?id={job.id}"
        return msgspec.json.encode({"id": job.id, "polling_url": url})


class Flux(JobDialect):
    """POST /v1/flux-..., and GET /v1/get_result."""

    name = "flux"
    key_header = b"x-key"

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def parse(self, request: Request) -> FluxBody:
        body = decode_body(request.body, _DECODER)
        body.model = request.target.rpartition(b"/")[2].decode()
        body.base = base_of(request)
        return body

    def read_size(self, body: FluxBody) -> Size:
        try:
            return _read_size(body)
        except ApiError as wrong:
            raise ApiError(_INVALID, str(wrong), param=wrong.param, code=wrong.code) from None

    def read(self, request: Request, body: FluxBody) -> ChatBody:
        size = self.read_size(body)
        messages = [{"role": "user", "content": body.prompt}]
        return JobAsk(model=body.model, messages=messages, size=size, source=request.body)

    def answer(self, order: Order, totals: Totals) -> Answer:
        ask: Any = order.ask
        prompt = ask.messages[0]["content"]
        seed = order.body.seed
        if seed is None:
            seed = zlib.crc32(prompt.encode("utf-8", "replace"))
        size: Size = ask.size
        given = hashlib.sha256(str(order.body.input_image).encode("utf-8", "replace")).hexdigest()
        drawn = f"{ask.model}\n{seed}\n{prompt}\n{given}"
        job = Job(
            id=order.id,
            dialect=self.name,
            model=ask.model,
            script=order.script,
            size=size,
            created=time.time(),
            source=b"",
            make=lambda: draw(drawn, size, transparent=False),
            details={"prompt": prompt, "seed": seed},
        )
        digest = hashlib.sha256(ask.model.encode() + b"\n" + ask.source).digest()
        return FluxAnswer(order, self._jobs, job, digest)

    def refusal(self, problem: ApiError, serial: str) -> bytes:
        """FastAPI's envelope: `{"detail": text}`, or a list of what is wrong with which field."""
        if problem.status != _INVALID:
            return msgspec.json.encode({"detail": problem.named()})
        where = ["body", problem.param or "body"]
        wrong = {"loc": where, "msg": str(problem), "type": problem.code or "value_error"}
        return msgspec.json.encode({"detail": [wrong]})

    def failure(self, status: int, given: ErrorBody | None, serial: str) -> bytes:
        return msgspec.json.encode({"detail": scripted_message(status, given)})

    def report(self, request: Request) -> Plain:
        """The answer to a poll. Raises ApiError(422) without an id."""
        job_id = parse_qs(request.query.decode("latin-1")).get("id", [""])[-1]
        if not job_id:
            raise ApiError(_INVALID, "Field required", param="id", code="missing")
        job = self._jobs.poll(job_id, self)
        if isinstance(job, Plain):
            return job
        status, details, result = "Task not found", None, None
        if job is not None:
            status, details = _status_of(job)
            result = _result_of(job, base_of(request)) if job.state == "done" else None
        progress = None if job is None else round(job.progress(time.time()), 2)
        return Plain(
            msgspec.json.encode(
                {
                    "id": job_id,
                    "status": status,
                    "result": result,
                    "progress": progress,
                    "details": details,
                }
            )
        )


def _status_of(job: Job) -> tuple[str, dict[str, Any] | None]:
    if job.state in ("failed", "cancelled"):
        return "Error", {"message": job.script.job_fails or "The task was cancelled."}
    if job.state == "refused":
        if job.script.job_refused == "request":
            return "Request Moderated", {"Moderation Reasons": ["Safety Filter"]}
        return "Content Moderated", {"Moderation Reasons": ["Derivative Works Filter"]}
    return ("Ready" if job.state == "done" else "Pending"), None


def _result_of(job: Job, base: str) -> dict[str, Any]:
    ended = job.ended or job.created
    return {
        "sample": link_of(job, base),
        **job.details,
        "start_time": job.created,
        "end_time": ended,
        "duration": ended - job.created,
    }


def _read_size(body: FluxBody) -> Size:
    if body.prompt is None:
        raise missing("prompt")
    if not isinstance(body.prompt, str):
        raise wrong_type("prompt", "a string", body.prompt)
    if body.seed is not None:
        check_integer("seed", body.seed, 0, _MOST_SEED)
    if body.safety_tolerance is not None:
        check_integer("safety_tolerance", body.safety_tolerance, 0, _MOST_TOLERANCE)
    if body.output_format not in (None, "png", "jpeg"):
        raise wrong_member("output_format", body.output_format, ("png", "jpeg"))
    if body.output_format == "jpeg":
        raise ApiError(400, "The simulator draws PNG alone, not jpeg.", param="output_format")
    if body.model == _PLAIN_MODEL:
        return Size(_edge("width", body.width), _edge("height", body.height))
    source = None if body.input_image is None else _measure_input(body.input_image)
    if body.aspect_ratio is None:
        return _fit(1.0 if source is None else source.width / source.height)
    found = _RATIO.fullmatch(body.aspect_ratio) if isinstance(body.aspect_ratio, str) else None
    ratio = 0.0 if found is None else int(found[1]) / int(found[2])
    if not 1 / _MOST_RATIO <= ratio <= _MOST_RATIO:
        raise ApiError(400, "Aspect ratio must be between 21:9 and 9:21.", param="aspect_ratio")
    return _fit(ratio)


def _edge(name: str, value: Any) -> int:
    if value is None:
        return int(getattr(_PLAIN_SIZE, name))
    check_integer(name, value, _LEAST_EDGE, _MOST_EDGE)
    if value % _PLAIN_STEP:
        raise ApiError(400, f"'{name}' must be a multiple of {_PLAIN_STEP}.", param=name)
    return int(value)


def _fit(ratio: float) -> Size:
    """About a megapixel of this ratio, which is kept within the bounds."""
    ratio = min(_MOST_RATIO, max(1 / _MOST_RATIO, ratio))
    width = (_PIXELS * ratio) ** 0.5
    return Size(*(round(edge / _STEP) * _STEP for edge in (width, width / ratio)))


def _measure_input(given: Any) -> Size:
    """The size of a picture in base64. URLs, which the vendor takes too, are not fetched here."""
    if not isinstance(given, str):
        raise wrong_type("input_image", "a string", given)
    text = given.partition(",")[2] if given.startswith("data:") else given
    try:
        size = measure(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        size = None
    if size is None:
        raise ApiError(400, "Expected a PNG, JPEG or WebP picture in base64.", param="input_image")
    return size
