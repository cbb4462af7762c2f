"""Tools for tests of the upstream client: clients with short deadlines, and providers that play their part."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.configuration import Configuration
from gateway.upstream import Answer, Upstream, UpstreamError
from tests.gateway.far_end import AsyncFarEnd, Seen, far_end, head

Play = Callable[[Seen, asyncio.Transport], Awaitable[None]]
BODY = b'{"model":"x"}'
SECRET = "sk-provider-secret"
HEADERS = [("content-type", "application/json"), ("authorization", f"Bearer {SECRET}")]
STREAM_HEAD = head("200 OK", "content-type: text/event-stream", "transfer-encoding: chunked")


def configuration(**limits: float) -> Configuration:
    within: dict[str, Any] = {
        "connect_timeout_s": 1.0,
        "first_byte_timeout_s": 2.0,
        "between_bytes_timeout_s": 2.0,
        **limits,
    }
    return Configuration(database_url="", key_pepper=b"", credential_keys=(), **within)


@asynccontextmanager
async def upstream(**limits: float) -> AsyncIterator[Upstream]:
    made = Upstream(configuration(**limits))
    try:
        yield made
    finally:
        await made.close()


def sends(*answers: bytes, close: bool = False) -> Play:
    """Plays these bytes for each request."""

    async def play(seen: Seen, out: asyncio.Transport) -> None:
        for answer in answers:
            out.write(answer)
            await asyncio.sleep(0.01)
        if close:
            out.close()

    return play


async def never(seen: Seen, out: asyncio.Transport) -> None:
    await asyncio.Event().wait()


@asynccontextmanager
async def answered(play: Play, **limits: float) -> AsyncIterator[tuple[AsyncFarEnd, Answer]]:
    """A provider that plays so, and its answer as far as its head."""
    async with (
        far_end(play) as far,
        upstream(**limits) as client,
        await client.open(far.url, HEADERS, BODY) as answer,
    ):
        yield far, answer


async def post(client: Upstream, url: str) -> tuple[int, bytes]:
    """The status and body of one call that is read to its end."""
    async with await client.open(url, HEADERS, BODY) as answer:
        return answer.status, await answer.read()


async def failure(url: str, **limits: float) -> UpstreamError:
    """What the call of that URL raises."""
    async with upstream(**limits) as client:
        with pytest.raises(UpstreamError) as caught:
            await post(client, url)
        assert SECRET not in str(caught.value)
        return caught.value


async def failure_of(play: Play, **limits: float) -> UpstreamError:
    """What a call of a provider that plays so raises; it must have been asked exactly once."""
    async with far_end(play) as far:
        error = await failure(far.url, **limits)
        assert len(far.requests) == 1
        return error


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
