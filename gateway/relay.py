"""Moves the bytes of one call between its client and a provider, and says how it ended.

`relay` never raises for what a provider or a client does: it answers exactly one Outcome. The client's last bytes
(the whole of a plain answer, the end of a stream) are in the Outcome and are sent after the settlement is written:
a client that has its whole answer has a settled call, whatever happens to this process.
"""

import asyncio
import time
from typing import Any

import msgspec

from gateway.call import Attempt, Call, Outcome
from gateway.catalog import Channel
from gateway.errors import (
    GatewayError,
    Unavailable,
    UpstreamFailed,
    UpstreamRefused,
    UpstreamTimedOut,
)
from gateway.providers import DIALECTS
from gateway.routing import order_channels
from gateway.services import Services
from gateway.sse import EventSplitter, EventTooLong
from gateway.stream import StreamWatcher, read_plain_answer
from gateway.upstream import Answer, Broken, NotReached, TooSlow, UpstreamError
from gateway.usage import estimated_usage
from gateway.wire import Headers, Wire

ERROR_BYTES_MAX = 64 * 1024
RETRIED_STATUSES = frozenset({429, 500, 502, 503, 504, 529})
OUR_ACCOUNT_STATUSES = frozenset({401, 402, 403, 407})


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What goes upstream: the body as bytes, and the headers that our answer carries from its start."""

    call: Call
    body: bytes
    headers: Headers


async def relay(request: Request, wire: Wire, services: Services) -> Outcome:
    """Try the model's channels in order and carry the answer of the first that gives one."""
    call = request.call
    assert call.model is not None
    channels = order_channels(
        services.catalog.channels.get(call.model.provider, ()), services.chance
    )
    failure: GatewayError = Unavailable(
        f"No channel is available for '{call.requested_model}' right now.",
        code="no_channel_available",
    )
    remaining = services.configuration.call_timeout_s - call.deadline_s
    try:
        async with asyncio.timeout(max(remaining, 0)):
            for channel in channels:
                answered = await _try_channel(request, channel, wire, services)
                if isinstance(answered, Outcome):
                    return answered
                failure = answered
    except TimeoutError:
        return Outcome(
            status="timed_out", error=UpstreamTimedOut("The call took longer than is allowed.")
        )
    return Outcome(status="upstream_failed", error=failure)


async def _try_channel(
    request: Request, channel: Channel, wire: Wire, services: Services
) -> Outcome | GatewayError:
    """An Outcome ends the call; an error means that this channel provably served nothing and another may be tried."""
    call = request.call
    attempt = Attempt(channel=f"{channel.provider}:{channel.name}")
    call.attempts.append(attempt)
    began = time.perf_counter()
    dialect = DIALECTS[channel.dialect]
    headers = [
        ("content-type", "application/json"),
        ("accept", "text/event-stream" if call.stream else "application/json"),
        ("x-client-request-id", wire.request_id),
        *dialect.headers(channel.credential),
    ]
    try:
        answer = await services.upstream.open(
            channel.base_url + dialect.chat_path, headers, request.body
        )
        attempt.status = answer.status
        async with answer:
            if answer.status != 200:
                return await _refusal(answer)
            if call.stream:
                return await _Stream(request, answer, wire, services, dialect).carry()
            return await _carry_plain(call, answer, dialect, len(request.body))
    except NotReached as error:
        attempt.error = str(error)
        return UpstreamFailed("The provider could not be reached.")
    except TooSlow as error:
        attempt.error = str(error)
        return Outcome(
            status="timed_out", error=UpstreamTimedOut("The provider did not answer in time.")
        )
    except Broken as error:
        attempt.error = str(error)
        return Outcome(
            status="upstream_failed", error=UpstreamFailed("The provider's answer broke off.")
        )
    finally:
        attempt.ms = int((time.perf_counter() - began) * 1000)


async def _refusal(answer: Answer) -> Outcome | GatewayError:
    """A provider's answer other than 200. What speaks of our own account there is not the caller's business."""
    status = answer.status
    retry_after = _seconds(answer.header("retry-after"))
    try:
        fields = _error_fields(msgspec.json.decode(await answer.read(ERROR_BYTES_MAX)))
    except (UpstreamError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        fields = {}
    if status in OUR_ACCOUNT_STATUSES or not 400 <= status < 500:
        error: GatewayError = UpstreamFailed(
            "The provider failed to answer.", retry_after_s=retry_after
        )
    else:
        message = fields.get("message") or f"The provider refused the request with status {status}."
        error = UpstreamRefused(
            status,
            message,
            code=fields.get("code"),
            type_=fields.get("type"),
            param=fields.get("param"),
        )
        error.retry_after_s = retry_after
    if status in RETRIED_STATUSES or status in OUR_ACCOUNT_STATUSES:
        return error
    return Outcome(status="upstream_failed", error=error)


def _error_fields(answer: Any) -> dict[str, str]:
    error = answer.get("error") if isinstance(answer, dict) else None
    if isinstance(error, str):
        return {"message": error[:2000]}
    if not isinstance(error, dict):
        return {}
    return {name: value[:2000] for name, value in error.items() if isinstance(value, str)}


def _seconds(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() and len(text) < 6 else None


async def _carry_plain(call: Call, answer: Answer, dialect: Any, body_bytes: int) -> Outcome:
    body = await answer.read()
    call.first_token_at = time.perf_counter()
    read = read_plain_answer(body, dialect)
    if read is None:
        return Outcome(
            status="upstream_failed",
            error=UpstreamFailed("The provider answered with something else than JSON."),
        )
    if read.error is not None:
        return Outcome(
            status="upstream_failed", error=UpstreamFailed("The provider answered with an error.")
        )
    usage = read.usage or estimated_usage(body_bytes, read.output_tokens, call.input_tokens_max)
    return Outcome(status="completed", usage=usage, service_tier=read.service_tier, closing=body)


class _Stream:
    """One event stream on its way from a provider to a client.

    The client is watched all the time. When he leaves, the provider is read on for a bounded time, since its own
    report of usage comes last; where that takes too long, or too many such streams are read already, the connection
    is closed and what was generated so far is counted.
    """

    def __init__(
        self, request: Request, answer: Answer, wire: Wire, services: Services, dialect: Any
    ) -> None:
        self._call = request.call
        self._headers = request.headers
        self._body_bytes = len(request.body)
        self._answer = answer
        self._wire = wire
        self._services = services
        self._watcher = StreamWatcher(dialect, request.call.include_usage)
        self._splitter = EventSplitter()
        self._client_left = False

    async def carry(self) -> Outcome:
        content_type = self._answer.header("content-type") or ""
        if not content_type.startswith("text/event-stream"):
            return Outcome(
                status="upstream_failed",
                error=UpstreamFailed("The provider answered with something else than a stream."),
            )
        pump = asyncio.ensure_future(self._pump())
        client = asyncio.ensure_future(self._wire.wait_until_client_left())
        try:
            await asyncio.wait((pump, client), return_when=asyncio.FIRST_COMPLETED)
            if not pump.done():
                self._client_left = True
                await self._drain(pump)
            failure = pump.result() if pump.done() and not pump.cancelled() else None
        finally:
            # Whatever ends this call (its deadline, a stop of the process), nothing of it may go on unseen.
            for task in (pump, client):
                task.cancel()
            await asyncio.gather(pump, client, return_exceptions=True)
        return self._outcome(failure)

    async def _drain(self, pump: "asyncio.Future[GatewayError | None]") -> None:
        drains = self._services.drains
        if not drains.has_room:
            return
        drains.running += 1
        try:
            await asyncio.wait((pump,), timeout=self._services.configuration.drain_timeout_s)
        finally:
            drains.running -= 1

    async def _pump(self) -> GatewayError | None:
        """Pass events on until the stream ends. Answers what went wrong upstream, if anything."""
        watcher = self._watcher
        try:
            while not watcher.is_done and watcher.error is None:
                chunk = await self._answer.chunk()
                if chunk is None:
                    break
                events = self._splitter.feed(chunk)
                passed = b"".join([watcher.pass_event(event) for event in events])
                if passed:
                    await self._send(passed)
            await self._answer.finish()
        except EventTooLong:
            return UpstreamFailed("The provider sent an event without end.")
        except TooSlow:
            return UpstreamTimedOut("The provider stopped sending.")
        except Broken as error:
            self._call.attempts[-1].error = str(error)
            return UpstreamFailed("The provider's stream broke off.")
        if watcher.error is not None:
            return _stream_error(watcher.error)
        if not watcher.is_done and not watcher.has_finished:
            return UpstreamFailed("The provider's stream ended early.")
        return None

    async def _send(self, data: bytes) -> None:
        if self._call.first_token_at is None:
            self._call.first_token_at = time.perf_counter()
        if self._client_left:
            return
        if not self._wire.started:
            await self._wire.start_stream(self._headers)
        await self._wire.send_chunk(data)

    def _outcome(self, failure: GatewayError | None) -> Outcome:
        watcher = self._watcher
        usage = watcher.usage or estimated_usage(
            self._body_bytes, watcher.generated.tokens, self._call.input_tokens_max
        )
        if failure is not None and not self._client_left:
            status = "timed_out" if isinstance(failure, UpstreamTimedOut) else "upstream_failed"
            return Outcome(status=status, usage=usage, error=failure)
        return Outcome(
            status="client_gone" if self._client_left else "completed",
            usage=usage,
            service_tier=watcher.service_tier,
            closing=b"".join(watcher.kept_back),
        )


def _stream_error(error: Any) -> GatewayError:
    fields = _error_fields({"error": error})
    return UpstreamFailed(
        fields.get("message") or "The provider reported an error.", code=fields.get("code")
    )
