"""Moves the bytes of one call between its client and a provider, and says how it ended.

`relay` never raises for what a provider or a client does: it answers exactly one Outcome. The client's last bytes
(the whole of a plain answer, the end of a stream) are in the Outcome and are sent after the settlement is written:
a client that has its whole answer has a settled call, whatever happens to this process.
"""

import asyncio
import re
import time
from typing import Any

import msgspec

from billing.pricing import Usage
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

# Keys and the ids of organizations and projects, in the forms that vendors give them.
_OUR_SECRETS = re.compile(
    r"\b(?:sk|org|proj|key|acct|user|AIza)[-_][A-Za-z0-9*_.-]*[A-Za-z0-9*]|\bAIza[\w-]+"
)
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
    remaining_s = services.configuration.call_timeout_s - request.call.age_s
    try:
        async with asyncio.timeout(max(remaining_s, 0)):
            if request.call.stream:
                return await _watch_client(request, wire, services)
            return await _try_channels(request, wire, services, Progress())
    except TimeoutError:
        error = UpstreamTimedOut("The call took longer than is allowed.")
        return Outcome(status="timed_out", error=error)


class Progress:
    """How far a stream has come, for whoever must end it: its watcher, once there is one, and whether its client
    has left."""

    def __init__(self) -> None:
        self.watcher: StreamWatcher | None = None
        self.client_left = False


async def _watch_client(request: Request, wire: Wire, services: Services) -> Outcome:
    """Carry a stream with an eye on its client.

    When he leaves, the provider is read on for a bounded time, since its own report of usage comes last. Where that
    takes too long, or too many such streams are read already, the connection is closed, and what was generated so far
    is counted.
    """
    progress = Progress()
    work = asyncio.ensure_future(_try_channels(request, wire, services, progress))
    client = asyncio.ensure_future(wire.wait_until_client_left())
    try:
        await asyncio.wait((work, client), return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            progress.client_left = True
            await _drain(work, services)
        if not progress.client_left:
            return work.result()
    finally:
        # Whatever ends this call (its deadline, a stop of the process), nothing of it may go on unseen.
        for task in (work, client):
            task.cancel()
        await asyncio.gather(work, client, return_exceptions=True)
    watcher = progress.watcher
    return Outcome(
        status="client_gone",
        usage=_usage_of_stream(watcher, request) if watcher else None,
        service_tier=watcher.service_tier if watcher else None,
    )


async def _drain(work: "asyncio.Future[Outcome]", services: Services) -> None:
    drains = services.drains
    if not drains.has_room:
        return
    drains.running += 1
    try:
        await asyncio.wait((work,), timeout=services.configuration.drain_timeout_s)
    finally:
        drains.running -= 1


def _usage_of_stream(watcher: StreamWatcher, request: Request) -> Usage | None:
    counted = watcher.generated.tokens
    return watcher.usage or estimated_usage(
        len(request.body), counted, request.call.input_tokens_max
    )


async def _try_channels(
    request: Request, wire: Wire, services: Services, progress: Progress
) -> Outcome:
    call = request.call
    assert call.model is not None
    channels = services.catalog.channels.get(call.model.provider, ())
    failure: GatewayError = Unavailable(
        f"No channel is available for '{call.requested_model}' right now.",
        code="no_channel_available",
    )
    for channel in order_channels(channels, services.chance):
        carrier = _Carrier(request, channel, wire, services, progress)
        answered = await carrier.try_channel()
        if isinstance(answered, Outcome):
            return answered
        failure = answered
    return Outcome(status="upstream_failed", error=failure)


class _Carrier:
    """One attempt on one channel."""

    def __init__(
        self, request: Request, channel: Channel, wire: Wire, services: Services, progress: Progress
    ) -> None:
        self._request = request
        self._call = request.call
        self._channel = channel
        self._dialect = DIALECTS[channel.dialect]
        self._wire = wire
        self._services = services
        self._progress = progress
        self._attempt = Attempt(channel=f"{channel.provider}:{channel.name}")
        request.call.attempts.append(self._attempt)

    async def try_channel(self) -> Outcome | GatewayError:
        """An Outcome ends the call; an error means that this channel provably served nothing: another may be tried."""
        began = time.perf_counter()
        attempt = self._attempt
        headers = [
            ("content-type", "application/json"),
            ("accept", "text/event-stream" if self._call.stream else "application/json"),
            ("x-client-request-id", self._wire.request_id),
            *self._dialect.headers(self._channel.credential),
        ]
        url = self._channel.base_url + self._dialect.chat_path
        try:
            answer = await self._services.upstream.open(url, headers, self._request.body)
            attempt.status = answer.status
            async with answer:
                if answer.status != 200:
                    return await _refusal(answer)
                return await (
                    self._carry_stream(answer) if self._call.stream else self._carry_plain(answer)
                )
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
            return _failed("The provider's answer broke off.")
        finally:
            attempt.ms = int((time.perf_counter() - began) * 1000)

    async def _carry_plain(self, answer: Answer) -> Outcome:
        body = await answer.read()
        self._call.first_token_at = time.perf_counter()
        read = read_plain_answer(body, self._dialect)
        if read is None:
            return _failed("The provider answered with something else than JSON.")
        if read.error is not None:
            return _failed("The provider answered with an error.")
        usage = read.usage or estimated_usage(
            len(self._request.body), read.output_tokens, self._call.input_tokens_max
        )
        return Outcome(
            status="completed", usage=usage, service_tier=read.service_tier, closing=body
        )

    async def _carry_stream(self, answer: Answer) -> Outcome:
        content_type = answer.header("content-type") or ""
        if not content_type.startswith("text/event-stream"):
            return _failed("The provider answered with something else than a stream.")
        watcher = self._progress.watcher = StreamWatcher(self._dialect, self._call.include_usage)
        failure = await self._pump(answer, watcher)
        usage = _usage_of_stream(watcher, self._request)
        if failure is not None:
            status = "timed_out" if isinstance(failure, UpstreamTimedOut) else "upstream_failed"
            return Outcome(status=status, usage=usage, error=failure)
        return Outcome(
            status="completed",
            usage=usage,
            service_tier=watcher.service_tier,
            closing=b"".join(watcher.kept_back),
        )

    async def _pump(self, answer: Answer, watcher: StreamWatcher) -> GatewayError | None:
        """Pass events on until the stream ends. Answers what went wrong upstream, if anything."""
        splitter = EventSplitter()
        try:
            while not watcher.is_done and watcher.error is None:
                chunk = await answer.chunk()
                # A last event may end with the stream instead of with a blank line.
                events = [splitter.rest] if chunk is None else splitter.feed(chunk)
                passed = b"".join([watcher.pass_event(event) for event in events])
                if passed:
                    await self._send(passed)
                if chunk is None:
                    break
            await answer.finish()
        except EventTooLong:
            return UpstreamFailed("The provider sent an event without end.")
        except TooSlow as error:
            self._attempt.error = str(error)
            return UpstreamTimedOut("The provider stopped sending.")
        except Broken as error:
            self._attempt.error = str(error)
            return UpstreamFailed("The provider's stream broke off.")
        if watcher.error is not None:
            fields = _error_fields({"error": watcher.error})
            return UpstreamFailed(
                fields.get("message") or "The provider reported an error.", code=fields.get("code")
            )
        if not watcher.is_done and not watcher.has_finished:
            return UpstreamFailed("The provider's stream ended early.")
        return None

    async def _send(self, data: bytes) -> None:
        if self._call.first_token_at is None:
            self._call.first_token_at = time.perf_counter()
        if self._progress.client_left:
            return
        if not self._wire.started:
            await self._wire.start_stream(self._request.headers)
        await self._wire.send_chunk(data)


def _failed(message: str) -> Outcome:
    return Outcome(status="upstream_failed", error=UpstreamFailed(message))


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
    """The texts of an error in a provider's answer, without what speaks of our keys and accounts there."""
    if isinstance(answer, list) and len(answer) == 1:
        answer = answer[0]
    error = answer.get("error") if isinstance(answer, dict) else None
    if isinstance(error, str):
        error = {"message": error}
    if not isinstance(error, dict):
        return {}
    texts = {name: str(value) for name, value in error.items() if type(value) in (str, int)}
    if type(error.get("message")) is not str:
        texts.pop("message", None)
    return {name: _OUR_SECRETS.sub("…", value)[:2000] for name, value in texts.items()}


def _seconds(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() and len(text) < 6 else None
