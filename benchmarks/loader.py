"""A closed-loop HTTP load of one kind of request, cheap enough to share two cores with what it measures."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from typing import cast

import msgspec


class Result(msgspec.Struct):
    """`latencies_s` of answered requests, and how many answers had each status (0: connection broken)."""

    seconds: float
    latencies_s: list[float]
    statuses: Counter[int]

    @property
    def rate(self) -> float:
        """Answers per second."""
        return len(self.latencies_s) / self.seconds

    def percentile_ms(self, percent: float) -> float:
        ordered = sorted(self.latencies_s)
        return ordered[min(int(len(ordered) * percent / 100), len(ordered) - 1)] * 1000


class _Client(asyncio.Protocol):
    """One connection that sends its next request when the answer to the last is whole."""

    def __init__(self, request: bytes, result: Result, until: float) -> None:
        self._request = request
        self._result = result
        self._until = until
        self._buffer = b""
        self._sent_at = 0.0
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self._send()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head_end = self._buffer.find(b"\r\n\r\n")
        if head_end < 0:
            return
        head = self._buffer[:head_end].lower()
        at = head.find(b"content-length:")
        if at < 0:
            raise ValueError("an answer without content-length")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0])
        if len(self._buffer) < head_end + 4 + length:
            return
        now = time.perf_counter()
        self._result.statuses[int(head[9:12])] += 1
        self._result.latencies_s.append(now - self._sent_at)
        self._buffer = b""
        if now < self._until:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if error is not None:
            self._result.statuses[0] += 1
        if not self.done.done():
            self.done.set_result(None)

    def _send(self) -> None:
        self._sent_at = time.perf_counter()
        self._transport.write(self._request)


def encode_request(port: int, path: str, key: str, body: bytes) -> bytes:
    """A POST as it goes over the wire."""
    return (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nauthorization: Bearer {key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    ).encode() + body


async def run_load(port: int, requests: Sequence[bytes], clients: int, seconds: float) -> Result:
    """Load 127.0.0.1:port with that many clients; they take the requests in turn, one for each client."""
    loop = asyncio.get_running_loop()
    result = Result(0.0, [], Counter())
    began = time.perf_counter()
    made = []
    for index in range(clients):
        request = requests[index % len(requests)]
        _, client = await loop.create_connection(
            lambda request=request: _Client(request, result, began + seconds),  # type: ignore[misc]
            "127.0.0.1",
            port,
        )
        made.append(client.done)
    await asyncio.gather(*made)
    result.seconds = time.perf_counter() - began
    return result
