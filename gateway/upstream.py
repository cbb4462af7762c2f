"""The HTTP client towards providers: one pool per process, exact errors, bytes as they come.

UpstreamError
├── NotReached   no connection was made: the provider cannot have served the call, another channel may
├── Broken       anything after that: the provider may have served it
└── TooSlow      a deadline passed (`phase`: connect, first_byte, between_bytes, call)

pyreqwest reports a refused connection and a server that hung up after reading the request both as ConnectError; only
the cause chain tells them apart, and whatever is not a proven failure to connect counts as sent.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from datetime import timedelta
from types import TracebackType

from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import (
    BuilderError,
    ConnectError,
    ConnectTimeoutError,
    PyreqwestError,
    RequestTimeoutError,
)
from pyreqwest.request import StreamRequest
from pyreqwest.response import Response

from gateway.configuration import Configuration

ANSWER_BYTES_MAX = 64 * 1024 * 1024
POOL_IDLE_S = 30
FINISH_TIMEOUT_S = 0.5


class UpstreamError(Exception):
    """A try that gave no whole answer."""


class NotReached(UpstreamError):
    """No connection was made."""


class Broken(UpstreamError):
    """The connection failed after the request may have been sent."""


class TooSlow(UpstreamError):
    """A deadline passed."""

    def __init__(self, phase: str) -> None:
        super().__init__(f"deadline passed: {phase}")
        self.phase = phase


class Answer:
    """A provider's answer whose head has arrived. Use as an async context manager: leaving it early closes the
    connection, which is how a provider learns that nobody listens any more."""

    def __init__(
        self, request: StreamRequest, response: Response, between_bytes_timeout_s: float
    ) -> None:
        self._request = request
        self._response = response
        self._timeout_s = between_bytes_timeout_s
        self.status = response.status

    def header(self, name: str) -> str | None:
        return self._response.get_header(name)

    async def chunk(self) -> bytes | None:
        """The next bytes, None at the end. Raises Broken or TooSlow."""
        try:
            async with asyncio.timeout(self._timeout_s):
                asked = _cancellations()
                chunk = await self._response.body_reader.read_chunk()
                _heed_cancellation(asked)
        except TimeoutError:
            raise TooSlow("between_bytes") from None
        except PyreqwestError as error:
            raise Broken(_causes(error)) from error
        return None if chunk is None else bytes(chunk)

    async def read(self, bytes_max: int = ANSWER_BYTES_MAX) -> bytes:
        """The whole body. Raises Broken (also beyond `bytes_max`) or TooSlow."""
        parts: list[bytes] = []
        size = 0
        while (part := await self.chunk()) is not None:
            size += len(part)
            if size > bytes_max:
                raise Broken(f"answer over {bytes_max} bytes")
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def finish(self) -> None:
        """Read what is left after the last event, shortly: only a connection read to its end can be used again."""
        try:
            async with asyncio.timeout(FINISH_TIMEOUT_S):
                while await self.chunk() is not None:
                    pass
        except (UpstreamError, TimeoutError):
            pass  # everything that counts has arrived; the connection is closed instead

    async def __aenter__(self) -> "Answer":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._request.__aexit__(kind, error, trace)


class Upstream:
    """The pool. `open` sends one request and waits for the head of its answer."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._client: Client = (
            ClientBuilder()
            .follow_redirects(False)  # a redirect would carry our credential to a host nobody chose
            .no_proxy()
            .http1_only()
            .referer(False)
            .user_agent("tollgate")
            .connect_timeout(timedelta(seconds=configuration.connect_timeout_s))
            # A call given up before its head arrived goes on inside the library until this ends it.
            .read_timeout(
                timedelta(
                    seconds=max(
                        configuration.first_byte_timeout_s, configuration.between_bytes_timeout_s
                    )
                )
            )
            .pool_idle_timeout(timedelta(seconds=POOL_IDLE_S))
            .pool_max_idle_per_host(1024)
            .gzip(False)
            .brotli(False)
            .zstd(False)
            .deflate(False)
            .build()
        )

    async def close(self) -> None:
        await self._client.close()

    async def open(self, url: str, headers: list[tuple[str, str]], body: bytes) -> Answer:
        """POST `body`. Raises NotReached, Broken or TooSlow."""
        with _refusals_named():
            request = (
                self._client.post(url)
                .headers(headers)
                .body_bytes(body)
                # Else first bytes wait for a buffer, and leaving early does not close the connection.
                .streamed_read_buffer_limit(0)
                .build_streamed()
            )
        response = await _await_head(request, self._configuration.first_byte_timeout_s)
        return Answer(request, response, self._configuration.between_bytes_timeout_s)

    async def get(self, url: str, headers: list[tuple[str, str]], timeout_s: float) -> int:
        """The status that a GET is answered with; nothing of the body is read. Raises as `open` does."""
        with _refusals_named():
            request = (
                self._client.get(url)
                .headers(headers)
                # Given up before its head arrived, it would else go on inside the library.
                .timeout(timedelta(seconds=timeout_s))
                .streamed_read_buffer_limit(0)
                .build_streamed()
            )
        response = await _await_head(request, timeout_s)
        await request.__aexit__(None, None, None)
        return int(response.status)


@contextlib.contextmanager
def _refusals_named() -> Iterator[None]:
    """Only the library's first look at a request raises ValueError; its words quote what they refuse, which may be
    the credential."""
    try:
        yield
    except ValueError:
        raise NotReached("the channel's address or credential cannot be sent") from None


async def _await_head(request: StreamRequest, timeout_s: float) -> Response:
    try:
        async with asyncio.timeout(timeout_s):
            asked = _cancellations()
            response = await request.__aenter__()
            if _cancellations() > asked:
                await request.__aexit__(None, None, None)
            _heed_cancellation(asked)
    except TimeoutError as error:
        if isinstance(error, ConnectTimeoutError) and _is_connect(error):
            raise NotReached("connect timeout") from error
        raise TooSlow("first_byte") from error
    except BuilderError:
        raise NotReached("the channel's address cannot be called") from None
    except ConnectError as error:
        raise (NotReached if _is_connect(error) else Broken)(_causes(error)) from error
    except PyreqwestError as error:
        raise Broken(_causes(error)) from error
    return response


def _cancellations() -> int:
    """How often the running task has been asked to end."""
    task = asyncio.current_task()
    return task.cancelling() if task is not None else 0


def _heed_cancellation(asked: int) -> None:
    """Raise what the library swallows when an answer arrives in the very moment of the cancellation: a deadline asks
    once, and a call that missed it would go on for as long as its provider does."""
    if _cancellations() > asked:
        raise asyncio.CancelledError


def _is_connect(error: ConnectError | RequestTimeoutError) -> bool:
    causes = error.details.get("causes") or []
    return any("(Connect)" in cause["message"] for cause in causes)


def _causes(error: PyreqwestError) -> str:
    details = getattr(error, "details", None) or {}
    causes = details.get("causes") or []
    return "; ".join([error.message, *(cause["message"] for cause in causes)])[:300]
