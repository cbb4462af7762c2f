"""Black Forest Labs (docs.bfl.ai): FLUX by submission, polls of its result, and a link to the picture."""

import base64
import re
import time
from typing import Annotated, Any
from urllib.parse import quote

import httpx
import msgspec

from gateway.images.vendors.base import (
    Access,
    Delivered,
    Failed,
    Job,
    JobLost,
    Order,
    Refused,
    Running,
    percent,
)
from gateway.images.vendors.http import ask, decode, job_failed, send
from gateway.providers.black_forest_labs import BLACK_FOREST_LABS

POLL_AFTER_S = 1.0
POLL_URL_CHARS_MAX = 500
# The vendor's own domain: its global address hands jobs to regional ones, which alone know them ("Integration
# guidelines": always use the polling_url).
_VENDORS_HOST = re.compile(r"(?:[a-z0-9-]+\.)*bfl\.ai")
_MODERATED = frozenset({"Request Moderated", "Content Moderated"})

_JobId = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9._:-]{1,128}\Z")]


class _Accepted(msgspec.Struct):
    id: _JobId
    polling_url: Any = None


class _Result(msgspec.Struct):
    status: str
    result: Any = None
    progress: Any = None
    details: Any = None


class Flux:
    """A driver."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._root = BLACK_FOREST_LABS.root(access.base_url)
        self._headers = BLACK_FOREST_LABS.headers("images", access.credential)

    def start(self, order: Order) -> Running:
        asked = order.request
        body = {"prompt": asked.prompt, "output_format": "png"}
        if asked.aspect_ratio not in ("", "auto"):
            body["aspect_ratio"] = asked.aspect_ratio
        if order.sources:
            body["input_image"] = base64.b64encode(order.sources[0].data).decode()
        reply = send(
            self._access,
            "POST",
            f"{self._root}/v1/{quote(order.model, safe='')}",
            headers=[*self._headers, ("x-client-request-id", order.call_id)],
            json=body,
            timeout_s=min(self._access.limits.start_timeout_s, order.deadline - time.time()),
        )
        accepted = decode(reply.body, _Accepted)
        url = accepted.polling_url
        trusted = isinstance(url, str) and len(url) <= POLL_URL_CHARS_MAX and self._trusts(url)
        return Running(Job(accepted.id, url if trusted else ""), 0, POLL_AFTER_S)

    def poll(self, job: Job) -> Delivered | Running:
        # Looked at again: the channel may have another address by now.
        url = job.poll_url if self._trusts(job.poll_url) else ""
        url = url or f"{self._root}/v1/get_result?id={quote(job.id, safe='')}"
        reply = ask(self._access, url, self._headers)
        return self._read(job, decode(reply.body, _Result))

    def _read(self, job: Job, said: _Result) -> Delivered | Running:
        if said.status == "Ready":
            return Delivered((self._fetch(said.result),), job.id)
        if said.status in _MODERATED:
            raise Refused(
                "The provider's safety system refused the request.", code="content_refused"
            )
        if said.status == "Error":
            details = said.details
            raise job_failed(
                self._access, details.get("message") if isinstance(details, dict) else None
            )
        if said.status == "Task not found":
            raise JobLost
        return Running(job, percent(said.progress, 1), POLL_AFTER_S)

    def _fetch(self, result: Any) -> bytes:
        link = result.get("sample") if isinstance(result, dict) else None
        if not isinstance(link, str):
            raise Failed("The provider answered without pictures.", transient=True)
        return self._access.fetch(link)

    def _trusts(self, url: str) -> bool:
        """Whether our credential may be sent there: to the channel's own origin, or from one address of the vendor to
        another. Read by the very parser that the client sends by."""
        try:
            there, here = httpx.URL(url), httpx.URL(self._root)
        except httpx.InvalidURL:
            return False
        if there.userinfo:
            return False
        if _origin(there) == _origin(here):
            return True
        are_vendors = all(_VENDORS_HOST.fullmatch(one.host) for one in (there, here))
        return are_vendors and (there.scheme, there.port) == ("https", None)


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port
