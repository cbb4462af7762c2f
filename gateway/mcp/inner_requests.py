"""Requests that are made inside the process: for a client who came by another door, through the same application.

Whatever is known of keys, limits, money and errors is known there, so the other door needs no second opinion of them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from urllib.parse import urlencode

import msgspec

from gateway.wire import Headers, Message, Receive, Scope, Send

Application = Callable[[Scope, Receive, Send], Awaitable[None]]

PASSED_ON: Mapping[bytes, bytes] = MappingProxyType(
    {
        b"authorization": b"authorization",
        b"x-api-key": b"x-api-key",
        # Under its own name it would ask for answers in Google's dialect.
        b"x-goog-api-key": b"x-api-key",
        b"host": b"host",
        b"x-forwarded-for": b"x-forwarded-for",
        b"x-forwarded-proto": b"x-forwarded-proto",
    }
)
"""Headers of the client's own request that say who he is and how he reached us."""


class InnerRequest(msgspec.Struct, frozen=True, kw_only=True):
    """`path` is as it stands in an address: quoted where needed. `body` is JSON, None for a GET."""

    method: str
    path: str
    query: Mapping[str, str] = {}
    body: bytes | None = None
    headers: Headers = []


class InnerAnswer(msgspec.Struct, kw_only=True):
    """What came back, whole."""

    status: int = 500
    headers: Headers = []
    body: bytes = b""

    def header(self, name: bytes) -> str | None:
        """The first header of that (lower case) name."""
        return next((value.decode("latin-1") for key, value in self.headers if key == name), None)


async def send_inner(application: Application, outer: Scope, request: InnerRequest) -> InnerAnswer:
    """Ask the application on behalf of the client whose request has the scope `outer`: his key, his address."""
    answer = InnerAnswer()
    parts: list[bytes] = []
    unread = [{"type": "http.request", "body": request.body or b"", "more_body": False}]

    async def receive() -> Message:
        if unread:
            return unread.pop()
        # The client is the outer request's concern.
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = list(message.get("headers", ()))
        else:
            parts.append(message.get("body", b""))

    await application(_scope_of(request, outer), receive, send)
    answer.body = b"".join(parts)
    return answer


def _scope_of(request: InnerRequest, outer: Scope) -> Scope:
    passed = [
        (PASSED_ON[name], value) for name, value in outer["headers"] if bytes(name) in PASSED_ON
    ]
    own: Headers = [*request.headers]
    if request.body is not None:
        own.append((b"content-type", b"application/json"))
        own.append((b"content-length", str(len(request.body)).encode()))
    return {
        **outer,
        "method": request.method,
        "path": request.path,
        "raw_path": request.path.encode(),
        "query_string": urlencode(request.query).encode(),
        "headers": [*passed, *own],
    }
