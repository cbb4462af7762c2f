"""Providers that do exactly what a test says, byte by byte: one in the test's own event loop, one in a thread."""

import asyncio
import contextlib
import socket
import socketserver
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import NamedTuple, cast


class Seen(NamedTuple):
    """A request as it arrived: `lines` are its head, header names in lower case in `headers`."""

    lines: list[str]
    headers: dict[str, str]
    body: bytes


def read_head(head: bytes) -> tuple[list[str], dict[str, str]]:
    lines = head.decode("latin-1").split("\r\n")[:-2]
    fields = (line.partition(":") for line in lines[1:])
    return lines, {name.lower(): value.strip() for name, _, value in fields}


def chunked(*parts: bytes) -> bytes:
    """The parts in chunked coding, with the end."""
    return b"".join([b"%x\r\n%b\r\n" % (len(part), part) for part in parts]) + b"0\r\n\r\n"


def head(status: str = "200 OK", *lines: str) -> bytes:
    """A status line and headers."""
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode("latin-1")


def whole(body: bytes, kind: str = "application/json", status: str = "200 OK") -> bytes:
    """A whole answer of a known length."""
    return head(status, f"content-type: {kind}", f"content-length: {len(body)}") + body


def stream(*parts: bytes) -> bytes:
    """A whole event stream."""
    return head(
        "200 OK", "content-type: text/event-stream", "transfer-encoding: chunked"
    ) + chunked(*parts)


Play = Callable[[Seen, asyncio.Transport], Awaitable[None]]


class AsyncFarEnd:
    """A server in this event loop. `play` answers each request; by closing its transport it ends the connection."""

    def __init__(self, play: Play) -> None:
        self.play = play
        self.url = ""
        self.connections: list[_Connection] = []
        self.requests: list[Seen] = []

    async def wait_until_left(self, connection: int = 0, timeout_s: float = 2.0) -> float:
        """The moment at which the caller closed that connection."""
        async with asyncio.timeout(timeout_s):
            return await self.connections[connection].left


class _Connection(asyncio.Protocol):
    def __init__(self, far: AsyncFarEnd) -> None:
        self._far = far
        self._received = bytearray()
        self._arrived = asyncio.Event()
        self.left: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._far.connections.append(self)
        self.task = asyncio.get_running_loop().create_task(self._serve())

    def data_received(self, data: bytes) -> None:
        self._received += data
        self._arrived.set()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.left.done():
            self.left.set_result(time.monotonic())
        self.task.cancel()

    async def _serve(self) -> None:
        while True:
            head = await self._take(
                lambda data: data.find(b"\r\n\r\n") + 4 if b"\r\n\r\n" in data else None
            )
            lines, headers = read_head(head)
            size = int(headers.get("content-length", "0"))
            body = await self._take(lambda data: size if len(data) >= size else None)  # noqa: B023
            seen = Seen(lines, headers, body)
            self._far.requests.append(seen)
            await self._far.play(seen, self._transport)

    async def _take(self, measure: Callable[[bytearray], int | None]) -> bytes:
        while (size := measure(self._received)) is None:
            self._arrived.clear()
            await self._arrived.wait()
        taken = bytes(self._received[:size])
        del self._received[:size]
        return taken


@contextlib.asynccontextmanager
async def far_end(play: Play) -> AsyncIterator[AsyncFarEnd]:
    """Such a server; what it broke over is raised at the end."""
    far = AsyncFarEnd(play)
    server = await asyncio.get_running_loop().create_server(
        lambda: _Connection(far), "127.0.0.1", 0
    )
    far.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield far
    finally:
        server.close()
        for _ in range(50):
            await asyncio.sleep(0.001)  # one that was accepted meanwhile shows itself
            open_ones = [one for one in far.connections if not one.left.done()]
            if not open_ones:
                break
            for connection in open_ones:
                connection.task.cancel()
                connection._transport.abort()
            await asyncio.wait([one.left for one in open_ones], timeout=0.1)
        for connection in far.connections:
            connection.task.cancel()
        ended = await asyncio.gather(*(one.task for one in far.connections), return_exceptions=True)
        await asyncio.sleep(0)
    for error in ended:
        if isinstance(error, Exception):
            raise error


class ThreadedFarEnd:
    """A provider in a thread that answers every chat call with `answer`, in the given pieces.

    `requests` are what it saw. After an answer the connection stays open unless `hang_up` is set.
    """

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.hang_up = False
        self.requests: list[Seen] = []
        far = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    while far._serve(self):
                        pass

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self.base_url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), daemon=True
        )
        self._thread.start()

    def answer_with(self, *pieces: bytes, hang_up: bool = False) -> None:
        """What is sent from now on."""
        self.pieces, self.hang_up = list(pieces), hang_up

    def _serve(self, handler: socketserver.StreamRequestHandler) -> bool:
        raw = bytearray()
        while not raw.endswith(b"\r\n\r\n"):
            line = handler.rfile.readline()
            if not line:
                return False
            raw += line
        lines, headers = read_head(bytes(raw))
        body = handler.rfile.read(int(headers.get("content-length", "0")))
        self.requests.append(Seen(lines, headers, body))
        handler.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in self.pieces:
            handler.wfile.write(piece)
            handler.wfile.flush()
            time.sleep(0.002)
        return not self.hang_up

    def close(self) -> None:
        """Stop listening; connections end with their callers."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


@contextlib.contextmanager
def threaded_far_end() -> Iterator[ThreadedFarEnd]:
    far = ThreadedFarEnd()
    try:
        yield far
    finally:
        far.close()
