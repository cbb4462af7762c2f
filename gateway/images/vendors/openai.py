"""OpenAI Images (API reference): generations as JSON, edits as a form; the pictures come with the answer."""

import time
from typing import Any

import msgspec

from gateway.images.vendors.base import MIB, Access, Delivered, Failed, Job, JobLost, Order
from gateway.images.vendors.http import Reply, decode, report_error, send
from gateway.providers.openai import OPENAI

UPSTREAM_ID_CHARS_MAX = 128


class _Picture(msgspec.Struct):
    b64_json: bytes | None = None


class _Answer(msgspec.Struct):
    data: list[_Picture] | None = None
    error: Any = None


class OpenAIImages:
    """A driver. There are no jobs to ask after."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def start(self, order: Order) -> Delivered:
        limits, count = self._access.limits, order.request.output_count
        url = OPENAI.root(self._access.base_url) + "/images/"
        headers = [
            *OPENAI.headers("images", self._access.credential),
            ("idempotency-key", order.idempotency_key),
            ("x-client-request-id", order.call_id),
        ]
        timeout_s = min(limits.start_timeout_s, order.deadline - time.time())
        bytes_max = count * limits.picture_bytes_max * 4 // 3 + MIB  # base64 and what stands around
        fields = _fields(order)
        if order.sources:
            form = {name: str(value) for name, value in fields.items()}
            reply = send(
                self._access, "POST", url + "edits", headers=headers, data=form,
                files=_files(order), timeout_s=timeout_s, bytes_max=bytes_max,
            )  # fmt: skip
        else:
            reply = send(
                self._access, "POST", url + "generations", headers=headers, json=fields,
                timeout_s=timeout_s, bytes_max=bytes_max,
            )  # fmt: skip
        return self._read(reply, count)

    def poll(self, job: Job) -> Delivered:
        raise JobLost

    def _read(self, reply: Reply, count: int) -> Delivered:
        answer = decode(reply.body, _Answer)
        if answer.error is not None:
            raise report_error(self._access, reply.body)
        pictures = tuple(one.b64_json for one in answer.data or () if one.b64_json)
        if not pictures:
            raise Failed("The provider answered without pictures.", transient=True)
        name = reply.headers.get("x-request-id", "")[:UPSTREAM_ID_CHARS_MAX]
        return Delivered(pictures[:count], name)


def _fields(order: Order) -> dict[str, str | int]:
    fields: dict[str, str | int] = {
        "model": order.model,
        "prompt": order.request.prompt,
        "n": order.request.output_count,
        "size": "auto" if order.size is None else f"{order.size[0]}x{order.size[1]}",
        "background": order.request.background,
        "quality": order.quality,
        "output_format": "png",
    }
    return {name: value for name, value in fields.items() if value != ""}


def _files(order: Order) -> list[tuple[str, tuple[str, bytes, str]]]:
    sources = [("image[]", source) for source in order.sources]
    if order.mask is not None:
        sources.append(("mask", order.mask))
    return [(field, (one.name, one.data, one.content_type)) for field, one in sources]
