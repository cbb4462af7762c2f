"""The data plane's ASGI vocabulary: read a body under a limit, answer JSON, answer a stream."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

from gateway.errors import BadRequest, TooLarge

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

JSON_TYPE = (b"content-type", b"application/json")
STREAM_TYPE = (b"content-type", b"text/event-stream; charset=utf-8")
BODY_RECEIVE_TIMEOUT_S = 60.0


class ClientLeft(Exception):
    """The client closed its connection before its request was read."""


class Wire:
    """One request and its answer. Its id goes into every answer as `x-request-id`."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, call_id: UUID) -> None:
        self.scope = scope
        self._receive = receive
        self._send = send
        self.call_id = call_id
        self.request_id = f"call_{call_id.hex}"
        self.started = False
        self.has_read_body = False
        self.status = 0

    @property
    def method(self) -> str:
        return str(self.scope["method"])

    def header(self, name: bytes) -> bytes | None:
        """The first header of that (lower case) name."""
        for key, value in self.scope["headers"]:
            if key == name:
                return bytes(value)
        return None

    def client_address(self, trust_proxy: bool) -> str | None:
        """Where the request comes from, as text; None where nobody knows.

        Behind a proxy of ours it is what that proxy appended to `X-Forwarded-For`: the last entry. What stands before
        it, the client may have written himself.
        """
        if trust_proxy:
            forwarded = self.header(b"x-forwarded-for")
            if forwarded is not None:
                return forwarded.decode("latin-1").rpartition(",")[2].strip()
        client = self.scope.get("client")
        return str(client[0]) if client else None

    def query(self) -> dict[str, str]:
        """Query parameters; one given twice is refused, since it could mean either."""
        pairs = parse_qsl(self.scope["query_string"].decode("latin-1"), keep_blank_values=True)
        found: dict[str, str] = {}
        for name, value in pairs:
            if name in found:
                raise BadRequest(f"'{name}' is given twice.", param=name)
            found[name] = value
        return found

    async def read_body(self, bytes_max: int) -> bytes:
        """The whole body. TooLarge beyond `bytes_max`, before the rest is read; BadRequest if it comes too slowly."""
        declared = self.header(b"content-length")
        if declared is not None and declared.isdigit() and int(declared) > bytes_max:
            raise TooLarge(f"The request body is over {bytes_max} bytes.")
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(BODY_RECEIVE_TIMEOUT_S):
                while True:
                    message = await self._receive()
                    if message["type"] == "http.disconnect":
                        raise ClientLeft
                    part = message.get("body", b"")
                    size += len(part)
                    if size > bytes_max:
                        raise TooLarge(f"The request body is over {bytes_max} bytes.")
                    parts.append(part)
                    if not message.get("more_body", False):
                        self.has_read_body = True
                        return parts[0] if len(parts) == 1 else b"".join(parts)
        except TimeoutError:
            raise BadRequest(
                "The request body did not arrive in time.", code="request_timeout"
            ) from None

    async def wait_until_client_left(self) -> None:
        """Returns when the client closes its connection. Only after the body has been read."""
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                return

    async def send_json(self, status: int, body: bytes, headers: Headers | None = None) -> None:
        """A whole answer."""
        self.started = True
        self.status = status
        fields = [JSON_TYPE, (b"content-length", str(len(body)).encode()), *self._own(headers)]
        await self._send({"type": "http.response.start", "status": status, "headers": fields})
        await self._send({"type": "http.response.body", "body": body})

    async def send_text(self, body: bytes, content_type: str) -> None:
        """A whole answer that is not JSON."""
        self.started = True
        self.status = 200
        fields = [
            (b"content-type", content_type.encode()),
            (b"content-length", str(len(body)).encode()),
            *self._own(None),
        ]
        await self._send({"type": "http.response.start", "status": 200, "headers": fields})
        await self._send({"type": "http.response.body", "body": body})

    async def start_json(self, headers: Headers | None = None) -> None:
        """Begin an answer with JSON that follows in chunks: it is too large to be held whole."""
        self.started = True
        self.status = 200
        fields = [JSON_TYPE, *self._own(headers)]
        await self._send({"type": "http.response.start", "status": 200, "headers": fields})

    async def start_stream(self, headers: Headers | None = None) -> None:
        """Begin an event stream: from here on an error can only be an event."""
        self.started = True
        self.status = 200
        fields = [
            STREAM_TYPE,
            (b"cache-control", b"no-cache"),
            (b"x-accel-buffering", b"no"),
            *self._own(headers),
        ]
        await self._send({"type": "http.response.start", "status": 200, "headers": fields})

    async def send_chunk(self, chunk: bytes) -> None:
        """Bytes of the stream. Waits while the client reads slower than we send."""
        await self._send({"type": "http.response.body", "body": chunk, "more_body": True})

    async def end_stream(self, chunk: bytes = b"") -> None:
        """Last bytes of the stream, and its end."""
        await self._send({"type": "http.response.body", "body": chunk})

    async def hand_over(
        self, application: Callable[[Any, Any, Any], Awaitable[None]], body: bytes
    ) -> None:
        """Let another ASGI application answer. It is given the body once more, which has been read here."""
        unread = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Message:
            return unread.pop() if unread else await self._receive()

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.started = True
                self.status = message["status"]
                message = {**message, "headers": [*message["headers"], *self._own(None)]}
            await self._send(message)

        await application(self.scope, receive, send)

    def _own(self, headers: Headers | None) -> Headers:
        request_id = self.request_id.encode()
        own = [(b"x-request-id", request_id)]
        if str(self.scope["path"]).startswith("/v1/messages"):
            own.append((b"request-id", request_id))  # where Anthropic's clients look for it
        return [*own, *(headers or [])]


def is_google_client(wire: Wire) -> bool:
    """Whether the client speaks Google's dialect on a path that others have too: only Google's signs in like this."""
    return wire.header(b"x-goog-api-key") is not None
