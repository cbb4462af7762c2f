"""HTTP/1.1 over asyncio, just enough for a vendor that may also break its connections on purpose.

Written by hand because no ASGI server hands out the transport, and only the transport can reset a
TCP connection; it also costs a fraction of the CPU.
"""

import asyncio
import contextlib
import re
import socket
import struct
from collections.abc import Callable
from typing import Protocol, cast

_MOST_HEAD = 64 * 1024
_MOST_BODY = 64 * 1024 * 1024
_MOST_AHEAD = 1024 * 1024  # bytes of further requests kept while one is being served
_REQUEST_LINE = re.compile(rb"([A-Z]+) ([!-~]+) HTTP/1\.([01])")
_FIELD_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)

REASONS = {
    100: b"Continue",
    200: b"OK",
    400: b"Bad Request",
    401: b"Unauthorized",
    402: b"Payment Required",
    403: b"Forbidden",
    404: b"Not Found",
    409: b"Conflict",
    413: b"Content Too Large",
    422: b"Unprocessable Content",
    429: b"Too Many Requests",
    431: b"Request Header Fields Too Large",
    500: b"Internal Server Error",
    501: b"Not Implemented",
    502: b"Bad Gateway",
    503: b"Service Unavailable",
    504: b"Gateway Timeout",
    529: b"Overloaded",
}


class ClientGone(Exception):
    """The caller closed the connection before the answer was whole."""


class Exchange(Protocol):
    """A request being served, as its connection sees it."""

    def client_gone(self) -> None:
        """The caller left: stop at once. Called at most once."""


class Request:
    """One request. Header names are lower case; `target` is the path as sent, without the query."""

    __slots__ = (
        "body",
        "chunked",
        "headers",
        "keep_alive",
        "length",
        "method",
        "old",
        "query",
        "target",
    )

    def __init__(self, method: bytes, target: bytes, headers: dict[bytes, bytes]) -> None:
        path, _, query = target.partition(b"?")
        self.method = method
        self.target = path
        self.query = query
        self.headers = headers
        self.body = b""
        self.keep_alive = True
        self.old = False  # HTTP/1.0, which knows no chunks
        self.chunked = False
        self.length = 0

    def header(self, name: bytes) -> str | None:
        """A header as text, or None."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")


class _BadRequest(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def _parse_head(head: bytes) -> Request:
    lines = head.split(b"\r\n")
    first = _REQUEST_LINE.fullmatch(lines[0])
    if first is None:
        raise _BadRequest(400)
    headers: dict[bytes, bytes] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        if not colon or _FIELD_NAME.fullmatch(name) is None:
            raise _BadRequest(400)
        name, value = name.lower(), value.strip()
        # Two lengths that differ, or a length beside chunks, split one request into two.
        if name == b"content-length" and headers.get(name, value) != value:
            raise _BadRequest(400)
        headers[name] = value
    request = Request(first[1], first[2], headers)
    connection = headers.get(b"connection", b"").lower()
    request.old = first[3] == b"0"
    request.keep_alive = connection != b"close" and not request.old
    coding, length = headers.get(b"transfer-encoding"), headers.get(b"content-length")
    if coding is not None:
        if length is not None or coding.lower() != b"chunked":
            raise _BadRequest(400 if length is not None else 501)
        request.chunked = True
    elif length is not None:
        if not length.isdigit():
            raise _BadRequest(400)
        request.length = int(length)
        if request.length > _MOST_BODY:
            raise _BadRequest(413)
    return request


class Connection(asyncio.Protocol):
    """One caller's connection: `serve` gets whole requests, answers them and calls `finish`."""

    def __init__(
        self,
        serve: Callable[["Connection", Request], None],
        forget: Callable[["Connection"], None],
    ) -> None:
        self.closed = False
        self.exchange: Exchange | None = None
        self.paused = False
        self.peer = ""
        self._serve = serve
        self._forget = forget
        self._pending = bytearray()
        self._request: Request | None = None
        self._chunks: list[bytes] = []
        self._chunks_size = 0
        self._busy = False
        self._advancing = False
        self._ended = False
        self._reading = True
        self._writable: asyncio.Future[None] | None = None

    # what the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the peer, which control requests are judged by."""
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self.peer = peer[0] if isinstance(peer, tuple) else ""

    def data_received(self, data: bytes) -> None:
        """Serve every request that is complete; keep the rest."""
        if self._ended:
            return
        if self._pending or self._busy:
            self._pending += data
            if not self._busy:
                self._advance()
            elif self._reading and len(self._pending) > _MOST_AHEAD:
                self._reading = False
                self._transport.pause_reading()
            return
        # The usual case, one whole request in one read, is parsed without copying it to the buffer.
        used = self._take(data)
        if used < len(data):
            self._pending += data[used:]
            self._advance()

    def eof_received(self) -> bool | None:
        """A caller that closes its side while it is owed an answer has left."""
        if self._busy:
            self._transport.abort()
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the exchange, if there is one, that nobody listens any more."""
        self.closed = True
        self._forget(self)
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.client_gone()

    def pause_writing(self) -> None:
        """The caller reads more slowly than we write."""
        self.paused = True
        self._writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """The caller caught up."""
        self.paused = False
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)

    # what the exchange calls

    def write(self, data: bytes) -> None:
        """Hand bytes to the socket. Raises ClientGone."""
        if self.closed:
            raise ClientGone
        self._transport.write(data)

    async def drain(self) -> None:
        """Wait while the caller is behind. Raises ClientGone."""
        while self.paused and not self.closed and self._writable is not None:
            await self._writable
        if self.closed:
            raise ClientGone

    async def flush(self) -> None:
        """Wait until the kernel has every byte written so far. Raises ClientGone."""
        # A transport tells when its buffer is low, never when it is empty.
        while not self.closed and self._transport.get_write_buffer_size():  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        if self.closed:
            raise ClientGone

    def finish(self) -> None:
        """The answer is whole: go on with the next request, or close if the caller wants that."""
        self.exchange = None
        self._busy = False
        if self.closed:
            return
        if self._ended:
            self._transport.close()
        elif not self._advancing:
            if not self._reading:
                self._reading = True
                self._transport.resume_reading()
            self._advance()

    def close(self) -> None:
        """Close after what was written, even in the middle of an answer."""
        self._ended = True
        self._transport.close()

    def reset(self) -> None:
        """Close with a TCP reset; what the kernel has not sent is lost."""
        self._ended = True
        if self.closed:
            return
        wrapped = self._transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            wrapped.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._transport.abort()

    # reading requests

    def _advance(self) -> None:
        if self._advancing:
            return
        self._advancing = True
        try:
            while self._pending and not self._busy and not self._ended:
                used = self._take(self._pending)
                if not used:
                    break
                del self._pending[:used]
        finally:
            self._advancing = False

    def _take(self, data: bytes | bytearray) -> int:
        """Consume what is complete at the start of data; returns how many bytes that was."""
        try:
            if self._request is not None:
                return self._take_body(self._request, data, 0)
            end = data.find(b"\r\n\r\n")
            if end < 0:
                if len(data) > _MOST_HEAD:
                    raise _BadRequest(431)
                return 0
            if end > _MOST_HEAD:
                raise _BadRequest(431)
            request = _parse_head(bytes(data[:end]))
            self._request = request
            if request.headers.get(b"expect") == b"100-continue":
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            return self._take_body(request, data, end + 4)
        except _BadRequest as problem:
            self._refuse(problem.status)
            return len(data)

    def _take_body(self, request: Request, data: bytes | bytearray, start: int) -> int:
        if request.chunked:
            return self._take_chunks(request, data, start)
        end = start + request.length
        if len(data) < end:
            return start
        request.body = bytes(data[start:end])
        self._dispatch(request)
        return end

    def _take_chunks(self, request: Request, data: bytes | bytearray, start: int) -> int:
        while True:
            line_end = data.find(b"\r\n", start)
            if line_end < 0:
                if len(data) - start > 1024:
                    raise _BadRequest(400)
                return start
            size_text = bytes(data[start:line_end]).partition(b";")[0].strip()
            if re.fullmatch(rb"[0-9A-Fa-f]{1,8}", size_text) is None:
                raise _BadRequest(400)
            size = int(size_text, 16)
            self._chunks_size += size
            if self._chunks_size > _MOST_BODY:
                raise _BadRequest(413)
            end = line_end + 2 + size
            if size and len(data) < end + 2:
                self._chunks_size -= size  # counted again when the chunk is whole
                return start
            if not size:
                return self._take_trailer(request, data, start, line_end)
            if data[end : end + 2] != b"\r\n":
                raise _BadRequest(400)
            self._chunks.append(bytes(data[line_end + 2 : end]))
            start = end + 2

    def _take_trailer(
        self, request: Request, data: bytes | bytearray, start: int, line_end: int
    ) -> int:
        if data[line_end : line_end + 4] == b"\r\n\r\n":
            end = line_end + 4
        else:
            found = data.find(b"\r\n\r\n", line_end)
            if found < 0:
                return start
            end = found + 4
        request.body = b"".join(self._chunks)
        self._chunks = []
        self._chunks_size = 0
        self._dispatch(request)
        return end

    def _dispatch(self, request: Request) -> None:
        self._request = None
        self._busy = True
        self._ended = not request.keep_alive
        self._serve(self, request)

    def _refuse(self, status: int) -> None:
        """Answer bytes that are no request, and close: where the next one starts is unknown."""
        self._transport.write(
            b"HTTP/1.1 %d %b\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            % (status, REASONS[status])
        )
        self.close()
