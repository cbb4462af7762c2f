"""One chat call from reception to its last log line, faults included."""

import asyncio
import hashlib
import random
import sys
import time
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from simulator.chat_request import ChatBody, check, parse_body
from simulator.connection import REASONS, ClientGone, Connection, Request
from simulator.encoding import EventWriter, Stamp, encode_plain, make_stamp
from simulator.errors import ApiError, scripted_envelope
from simulator.log import Ended, Received
from simulator.replies import Reply
from simulator.script import NO_SCRIPT, parse_script

if TYPE_CHECKING:
    from simulator.server import Vendor

_NO_USAGE = msgspec.Raw(b"null")
_AT_ONCE = 4_096  # tokens of an unscripted stream that are written without giving way to others
_TURN = 128  # chunks written before others get a turn: a fast reader never makes us wait
_PAGE = b"<!doctype html><html><head><title>Welcome</title></head><body>It works.</body></html>"
_EVENT_STREAM = b"text/event-stream; charset=utf-8"


class Call:
    """A POST /v1/chat/completions. `begin` starts it; `ended` is logged exactly once."""

    __slots__ = (
        "_body",
        "_call_id",
        "_connection",
        "_ended",
        "_finale",
        "_fingerprint",
        "_generated",
        "_hanging",
        "_id",
        "_input_tokens",
        "_parting",
        "_request",
        "_script",
        "_sent",
        "_started",
        "_status",
        "_task",
        "_usage",
        "_vendor",
    )

    def __init__(self, vendor: "Vendor", connection: Connection, request: Request) -> None:
        self._vendor = vendor
        self._connection = connection
        self._request = request
        self._id = f"chatcmpl-{random.getrandbits(116):029x}"
        self._call_id = request.header(b"x-client-request-id")
        self._fingerprint = _fingerprint(request)
        self._started = time.time()
        self._body = ChatBody()
        self._script = NO_SCRIPT
        self._task: asyncio.Task[None] | None = None
        self._hanging = False
        self._ended = False
        self._finale = b""
        self._parting: Callable[[], None] | None = None
        self._status: int | None = None
        self._usage: bytes | None = None
        self._generated = 0
        self._input_tokens: int | None = None
        self._sent = 0

    def begin(self) -> None:
        """Log the reception, then answer now or start the task that will."""
        problem: ApiError | None = None
        try:
            self._vendor.authorize(self._request)
            self._body = parse_body(self._request.body)
        except ApiError as refused:
            problem = refused
        model = self._body.model if isinstance(self._body.model, str) else None
        stream = self._body.stream is True
        self._vendor.call_received(
            Received(self._id, self._call_id, model, stream, self._started, self._fingerprint),
            self._request,
        )
        try:
            if problem is not None:
                raise problem
            check(self._body)
            self._script = self._vendor.default_script
            if self._body.simulate:
                self._script = parse_script(self._body.simulate)
            reply = self._vendor.composer.compose(self._body, self._script)
        except ApiError as refused:
            self._answer(refused.status, refused.body())
            self._end("error")
            return
        except Exception as failed:
            # Out of here it would tear down the connection and leave the call in flight for ever.
            traceback.print_exception(failed, file=sys.stderr)
            self._answer(500, scripted_envelope(500, None))
            self._end("error")
            return
        self._input_tokens = reply.prompt_tokens
        if self._script is NO_SCRIPT and reply.completion_tokens <= _AT_ONCE:
            self._answer_at_once(reply)
            return
        self._connection.exchange = self
        self._task = asyncio.get_running_loop().create_task(self._run(reply))
        self._task.add_done_callback(self._close_books)

    def client_gone(self) -> None:
        """The caller left: stop generating at once."""
        if self._task is not None:
            self._task.cancel()

    # a call without a script: no waiting, so no task

    def _answer_at_once(self, reply: Reply) -> None:
        if not self._body.stream:
            self._answer(200, self._plain_body(reply))
        else:
            writer = self._writer()
            parts = [self._stream_head()]
            parts += [self._frame(event) for event in writer.opening(reply)]
            parts += [self._frame(event) for event, _ in writer.content(reply)]
            parts += [self._frame(event) for event in writer.closing(reply)]
            parts.append(self._stream_end())
            self._generated = reply.completion_tokens
            self._usage = reply.usage if self._body.wants_usage else None
            self._finale = b"".join(parts)
        self._end("completed")

    # a scripted call

    async def _run(self, reply: Reply) -> None:
        self._end(await self._perform(reply))

    async def _perform(self, reply: Reply) -> str:
        """Do what the script says; returns the outcome."""
        script = self._script
        if script.gate is not None:
            await self._vendor.gates.wait(script.gate)
        delay = script.first_byte_delay_s
        if not self._body.stream:
            delay = max(delay, script.total_delay_s)
        if delay:
            await asyncio.sleep(delay)
        if script.hang_before_headers:
            await self._hang()
        if script.reset_before_headers:
            self._parting = self._connection.reset
            return "reset"
        if script.close_before_headers:
            self._parting = self._connection.close
            return "reset"
        if script.status is not None:
            self._answer(script.status, scripted_envelope(script.status, script.error))
            return "error"
        if script.html:
            self._answer(200, _PAGE, b"text/html; charset=utf-8")
            return "error"
        if script.body_error_200:
            self._answer(200, scripted_envelope(500, script.error))
            return "error"
        return await (self._stream(reply) if self._body.stream else self._plain(reply))

    async def _plain(self, reply: Reply) -> str:
        cut = self._script.cut
        body = self._plain_body(reply)
        if cut is None or cut[0] == "error_event":
            self._answer(200, body)
            return "completed"
        self._usage = None
        self._send(self._head(200, b"application/json", len(body)) + body[: len(body) // 2])
        return await self._fault(cut[0], None)

    async def _stream(self, reply: Reply) -> str:
        script, cut = self._script, self._script.cut
        writer = self._writer()
        self._send(self._stream_head())
        for event in writer.opening(reply):
            self._send(self._frame(event))
        self._generated = reply.reasoning_tokens
        for sent, (event, tokens) in enumerate(writer.content(reply)):
            if cut is not None and sent == cut[1]:
                break
            if sent and script.chunk_delay_s:
                await asyncio.sleep(script.chunk_delay_s)
            elif sent % _TURN == _TURN - 1:
                await asyncio.sleep(0)
            if self._connection.paused:
                await self._connection.drain()
            self._send(self._frame(event))
            self._generated += tokens
        if cut is not None:
            return await self._fault(cut[0], writer)
        self._usage = reply.usage if self._body.wants_usage else None
        self._finale = b"".join(self._frame(event) for event in writer.closing(reply))
        self._finale += self._stream_end()
        return "completed"

    async def _fault(self, name: str, writer: EventWriter | None) -> str:
        """Break the answer off. A plain answer has half its body out by now."""
        if name == "hang":
            await self._hang()
        if name == "error_event" and writer is not None:
            body = scripted_envelope(500, self._script.error)
            self._finale = self._frame(writer.error(body)) + self._stream_end()
            return "error"
        if name == "truncate":
            if writer is None:
                self._parting = self._connection.close
            else:
                self._finale = self._stream_end()
            return "truncated"
        # A reset drops what is still in our own buffer.
        await self._connection.flush()
        self._parting = self._connection.reset
        return "reset"

    async def _hang(self) -> None:
        self._hanging = True
        await asyncio.get_running_loop().create_future()

    def _close_books(self, task: asyncio.Task[None]) -> None:
        """Log the end of a call whose task did not reach its own: cancelled or broken."""
        problem = None if task.cancelled() else task.exception()
        if self._ended:
            return
        if problem is not None and not isinstance(problem, ClientGone):
            traceback.print_exception(problem, file=sys.stderr)
            self._parting = self._connection.reset
            self._end("error")
        elif self._vendor.stopping:
            self._parting = self._connection.reset
            self._end("reset")
        else:
            self._end("hung" if self._hanging else "client_gone")

    # bytes

    def _stamp(self) -> Stamp:
        body = self._body
        return make_stamp(self._id, int(self._started), body.model, body.service_tier)

    def _top_logprobs(self) -> int | None:
        return (self._body.top_logprobs or 0) if self._body.logprobs else None

    def _writer(self) -> EventWriter:
        return EventWriter(
            self._stamp(),
            self._script,
            self._top_logprobs(),
            include_usage=self._body.wants_usage,
        )

    def _plain_body(self, reply: Reply) -> bytes:
        self._generated = reply.completion_tokens
        self._usage = reply.usage
        return encode_plain(self._stamp(), reply, self._top_logprobs())

    def _head(self, status: int, kind: bytes, length: int | None) -> bytes:
        """The status line and headers; without a length the body comes in chunks."""
        retry = self._script.retry_after
        extra = b"" if retry is None else b"retry-after: %b\r\n" % str(retry).encode()
        if not self._request.keep_alive:
            extra += b"connection: close\r\n"
        if length is not None:
            extra += b"content-length: %d\r\n" % length
        elif not self._request.old:
            extra += b"transfer-encoding: chunked\r\n"
        self._status = status
        return (
            b"HTTP/1.1 %d %b\r\ndate: %b\r\ncontent-type: %b\r\nopenai-version: 2020-10-01\r\n"
            b"openai-processing-ms: %d\r\nx-request-id: req_%b\r\n%b\r\n"
            % (
                status,
                REASONS.get(status, b"Unknown"),
                self._vendor.http_date(self._started),
                kind,
                int((time.time() - self._started) * 1000),
                self._id[9:].encode(),
                extra,
            )
        )

    def _answer(self, status: int, body: bytes, kind: bytes = b"application/json") -> None:
        self._finale = self._head(status, kind, len(body)) + body

    def _stream_head(self) -> bytes:
        return self._head(200, _EVENT_STREAM, None)

    def _frame(self, event: bytes) -> bytes:
        return event if self._request.old else b"%x\r\n%b\r\n" % (len(event), event)

    def _stream_end(self) -> bytes:
        return b"" if self._request.old else b"0\r\n\r\n"

    def _send(self, data: bytes) -> None:
        self._connection.write(data)
        self._sent += len(data)

    def _end(self, outcome: str) -> None:
        """Log the end and then send the last bytes: what a caller has got is in the log."""
        self._ended = True
        model = self._body.model if isinstance(self._body.model, str) else None
        usage = _NO_USAGE if self._usage is None else msgspec.Raw(self._usage)
        self._vendor.call_ended(
            Ended(
                self._id,
                self._call_id,
                model,
                self._body.stream is True,
                time.time(),
                self._fingerprint,
                outcome,
                self._status,
                usage,
                self._generated,
                self._input_tokens,
                self._sent + len(self._finale),
            )
        )
        if self._finale:
            self._send(self._finale)
        if self._parting is not None:
            self._parting()
        self._connection.finish()


def _fingerprint(request: Request) -> str | None:
    """The first 8 hex digits of the bearer's SHA-256: tells keys apart without keeping them."""
    given = request.headers.get(b"authorization", b"")
    if given[:7].lower() != b"bearer ":
        return None
    return hashlib.sha256(given[7:]).hexdigest()[:8]
