"""Topaz Labs (developer.topazlabs.com): a form with a picture, polls of its status, then a link to the larger one."""

import time
from typing import Annotated, Any
from urllib.parse import quote

import msgspec

from gateway.images.vendors.base import (
    Access,
    Delivered,
    Job,
    Order,
    Running,
    percent,
)
from gateway.images.vendors.http import Reply, ask, decode, job_failed, send
from gateway.providers.topaz import TOPAZ

POLL_AFTER_S = 1.0
# What the vendor calls the model that the catalog names by its purpose.
_MODELS = (("topaz-upscale-image", "Standard V2"),)

_JobId = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9._:-]{1,128}\Z")]


class _Accepted(msgspec.Struct):
    process_id: _JobId


class _Status(msgspec.Struct):
    status: str
    progress: Any = None
    message: Any = None


class _Download(msgspec.Struct):
    download_url: str


class Topaz:
    """A driver."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._root = TOPAZ.root(access.base_url) + "/image/v1"
        self._headers = TOPAZ.headers("images", access.credential)

    def start(self, order: Order) -> Running:
        source, factor = order.sources[0], order.request.upscale_factor
        reply = send(
            self._access,
            "POST",
            f"{self._root}/enhance/async",
            headers=[*self._headers, ("x-client-request-id", order.call_id)],
            data={
                "model": dict(_MODELS).get(order.model, order.model),
                "output_format": "png",
                "output_width": str(source.width * factor),
                "output_height": str(source.height * factor),
            },
            files=[("image", (source.name, source.data, source.content_type))],
            timeout_s=min(self._access.limits.start_timeout_s, order.deadline - time.time()),
        )
        accepted = decode(reply.body, _Accepted)
        return Running(Job(accepted.process_id), 0, POLL_AFTER_S)

    def poll(self, job: Job) -> Delivered | Running:
        said = decode(self._ask("status", job).body, _Status)
        if said.status == "Completed":
            link = decode(self._ask("download", job).body, _Download).download_url
            return Delivered((self._access.fetch(link),), job.id)
        if said.status in ("Failed", "Cancelled"):
            raise job_failed(self._access, said.message)
        return Running(job, percent(said.progress, 100), POLL_AFTER_S)

    def _ask(self, what: str, job: Job) -> Reply:
        url = f"{self._root}/{what}/{quote(job.id, safe='')}"
        return ask(self._access, url, self._headers)
