"""One attempt: a call's request to one channel, and the answer on its way to the client."""

import asyncio
import time
from typing import NamedTuple

import msgspec

from billing.pricing import Usage
from gateway.breaker import Admission, read_retry_after
from gateway.call import Attempt, Outcome
from gateway.catalog import Channel
from gateway.errors import GatewayError, UpstreamFailed, UpstreamTimedOut
from gateway.exchange import make_watcher, translate_plain
from gateway.prepare import Way
from gateway.providers import DIALECTS
from gateway.refusals import ERROR_BYTES_MAX, error_fields, may_try_elsewhere, refusal_error
from gateway.reserve import Request
from gateway.services import Services
from gateway.sse import EventSplitter, EventTooLong
from gateway.surfaces.base import PlainAnswer, Watcher
from gateway.upstream import Answer, Broken, NotReached, TooSlow, UpstreamError
from gateway.usage import CHARS_PER_TOKEN
from gateway.wire import Wire

REFUSAL_TIMEOUT_S = 2.0


class Progress:
    """How far a call has come, for whoever must end it: the watcher of its stream, once there is one, whether its
    client has left, and whether we are waiting for him to read."""

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.watcher: Watcher | None = None
        self.sent_bytes = 0
        self.client_left = False
        self.is_sending = False
        self.sending_s = 0.0

    @property
    def is_held_up(self) -> bool:
        """Whether it is the client that kept the call from ending: we wait for him, or have for most of the time."""
        return self.is_sending or self.sending_s > (time.perf_counter() - self.began) / 2


class Chosen(NamedTuple):
    """A channel, with the leave to try it once."""

    channel: Channel
    admission: Admission


class Carrier:
    """One attempt on one channel."""

    def __init__(
        self, request: Request, chosen: Chosen, wire: Wire, services: Services, progress: Progress
    ) -> None:
        channel = chosen.channel
        self._request = request
        self._call = request.call
        self._channel = channel
        self._admission = chosen.admission
        self._dialect = DIALECTS[channel.dialect]
        self._way: Way = request.prepared.ways[channel.id]
        self._wire = wire
        self._services = services
        self._progress = progress
        self._attempt = Attempt(channel=channel.label)
        request.call.attempts.append(self._attempt)

    async def try_channel(self) -> Outcome | GatewayError:
        """An Outcome ends the call; an error means that this channel provably served nothing: another may be tried."""
        began = time.perf_counter()
        attempt, call, breakers = self._attempt, self._call, self._services.breakers
        outcome = "given_up"
        assert call.model is not None
        name = self._channel.upstream_name(call.model)
        body = self._request.prepared.encode(self._channel, name, self._request.limit)
        self._progress.sent_bytes = len(body)
        surface = self._way.exchange.surface
        url = self._dialect.url(self._channel.base_url, surface.name, name, stream=call.stream)
        try:
            answer = await self._services.upstream.open(url, self._headers(), body)
            attempt.status = answer.status
            outcome = _outcome_of(answer.status)
            async with answer:
                if answer.status != 200:
                    return await self._refuse(answer)
                return await (
                    self._carry_stream(answer) if call.stream else self._carry_plain(answer)
                )
        except NotReached as error:
            outcome = "not_reached"
            attempt.error = str(error)
            breakers.record_not_reached(self._admission, str(error), time.monotonic())
            return UpstreamFailed("The provider could not be reached.")
        except TooSlow as error:
            outcome = "timed_out"
            attempt.error = str(error)
            self._blame(str(error))
            return Outcome(
                status="timed_out", error=UpstreamTimedOut("The provider did not answer in time.")
            )
        except Broken as error:
            outcome = "broken"
            attempt.error = str(error)
            self._blame(str(error))
            return _failed("The provider's answer broke off.")
        finally:
            attempt.ms = int((time.perf_counter() - began) * 1000)
            if outcome == "answered" and attempt.error is not None:
                outcome = "broken"
            counters = self._services.metrics.counters
            counters["tollgate_attempts_total", self._channel.provider, outcome] += 1

    async def _refuse(self, answer: Answer) -> Outcome | GatewayError:
        """A provider's answer other than 200."""
        try:
            # Its words are worth little waiting: another channel may be asked meanwhile.
            async with asyncio.timeout(REFUSAL_TIMEOUT_S):
                body = await answer.read(ERROR_BYTES_MAX)
        except (UpstreamError, TimeoutError):
            body = b""
        wait_s = read_retry_after(answer.header("retry-after"), self._services.now())
        error = refusal_error(answer.status, body, wait_s)
        breakers = self._services.breakers
        breakers.record_status(self._admission, answer.status, wait_s, time.monotonic())
        # Some vendors say that our account is at fault under a caller's status. Their words may quote the caller, so
        # they never speak against the channel.
        is_ours = answer.status < 500 and isinstance(error, UpstreamFailed)
        if is_ours or may_try_elsewhere(answer.status):
            return error
        return Outcome(status="upstream_failed", error=error)

    def _praise(self) -> None:
        self._services.breakers.record_success(self._admission, time.monotonic())

    def _blame(self, reason: str) -> None:
        self._services.breakers.record_failure(self._admission, reason, time.monotonic())

    def _headers(self) -> list[tuple[str, str]]:
        own = self._dialect.headers(self._way.exchange.surface.name, self._channel.credential)
        forwarded = {} if self._way.exchange.translation else dict(self._request.prepared.forwarded)
        return [
            ("content-type", "application/json"),
            ("accept", "text/event-stream" if self._call.stream else "application/json"),
            ("x-client-request-id", self._wire.request_id),
            *((name, value) for name, value in own if name not in forwarded),
            *forwarded.items(),
        ]

    async def _carry_plain(self, answer: Answer) -> Outcome:
        body = await answer.read()
        self._call.first_token_at = time.perf_counter()
        exchange = self._way.exchange
        read_usage = self._dialect.usage[exchange.surface.name]
        read = exchange.surface.read_answer(body, read_usage)
        if read is None:
            self._blame("no answer in a 200")
            return _failed("The provider answered with something else than JSON.")
        self._praise()
        if read.error is not None:
            return _failed("The provider answered with an error.")
        return Outcome(
            status="completed",
            usage=read.usage or self._estimate(read),
            service_tier=read.service_tier,
            upstream_id=read.upstream_id if exchange.translation is None else "",
            closing=translate_plain(exchange, body, self._request.prepared.body),
        )

    def _estimate(self, read: PlainAnswer) -> Usage | None:
        if not read.delivered:
            return None
        return estimate_usage(self._request, self._progress.sent_bytes, read.output_tokens)

    async def _carry_stream(self, answer: Answer) -> Outcome:
        content_type = answer.header("content-type") or ""
        if not content_type.startswith("text/event-stream"):
            self._blame("no stream in a 200")
            return _failed("The provider answered with something else than a stream.")
        self._praise()
        prepared, exchange = self._request.prepared, self._way.exchange
        watcher = self._progress.watcher = make_watcher(
            exchange, self._dialect.usage[exchange.surface.name], prepared.ask, prepared.body
        )
        failure = await self._pump(answer, watcher)
        usage = usage_of_stream(watcher, self._request, self._progress)
        if failure is not None:
            status = "timed_out" if isinstance(failure, UpstreamTimedOut) else "upstream_failed"
            return Outcome(status=status, usage=usage, error=failure)
        return Outcome(
            status="completed",
            usage=usage,
            service_tier=watcher.service_tier,
            upstream_id=watcher.upstream_id if exchange.translation is None else "",
            closing=watcher.closing(),
        )

    async def _pump(self, answer: Answer, watcher: Watcher) -> GatewayError | None:
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
                # Neither reading nor sending need wait for anything: a fast provider would stop every other call,
                # and that its client has left would not be seen.
                await asyncio.sleep(0)
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
            fields = error_fields({"error": watcher.error})
            return UpstreamFailed(
                fields.get("message") or "The provider reported an error.", code=fields.get("code")
            )
        if not watcher.has_finished:
            return UpstreamFailed("The provider's stream ended early.")
        return None

    async def _send(self, data: bytes) -> None:
        if self._call.first_token_at is None:
            self._call.first_token_at = time.perf_counter()
        progress = self._progress
        if progress.client_left:
            return
        progress.is_sending = True
        began = time.perf_counter()
        if not self._wire.started:
            await self._wire.start_stream(self._request.headers)
        await self._wire.send_chunk(data)
        progress.is_sending = False
        progress.sending_s += time.perf_counter() - began


def _outcome_of(status: int) -> str:
    """What metrics call a provider's answer."""
    if status == 200:
        return "answered"
    if status == 429:
        return "limited"
    return "refused" if 400 <= status < 500 else "failed"


def usage_of_stream(watcher: Watcher, request: Request, progress: Progress) -> Usage | None:
    """What a stream used: as reported, or counted as far as it came, or None where nothing came.

    `counted`: the provider reported the input and we counted the output; `estimated`: we know neither from him.
    """
    if watcher.usage is not None:
        return watcher.usage
    counted = watcher.generated.tokens
    if watcher.input_usage is not None:
        return msgspec.structs.replace(
            watcher.input_usage,
            output_tokens=min(counted, request.call.output_tokens_max),
            reasoning_tokens=0,
            basis="counted",
        )
    return estimate_usage(request, progress.sent_bytes, counted) if counted else None


def estimate_usage(request: Request, sent_bytes: int, output_tokens: int) -> Usage:
    """Usage for an answer without any report: its input by the size of the body, its output as it was counted.

    What we count ourselves never costs more than what was held.
    """
    call = request.call
    return Usage(
        input_tokens=min(-(-sent_bytes // CHARS_PER_TOKEN), call.input_tokens_max),
        output_tokens=min(output_tokens, call.output_tokens_max),
        basis="estimated",
    )


def _failed(message: str) -> Outcome:
    return Outcome(status="upstream_failed", error=UpstreamFailed(message))
