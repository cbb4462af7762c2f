"""One call from reception to its last log line, faults included, whatever its dialect."""

import asyncio
import hashlib
import random
import sys
import time
import traceback
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from simulator.chat_request import ChatBody
from simulator.connection import REASONS, ClientGone, Connection, Request
from simulator.dialect import Answer, Dialect, Order
from simulator.errors import ApiError
from simulator.log import Ended, Received, Totals, Work
from simulator.markers import MARK_BYTES, cut_scripts
from simulator.replies import Reply
from simulator.script import NO_SCRIPT, Script, parse_script

if TYPE_CHECKING:
    from simulator.server import Vendor

_NO_USAGE = msgspec.Raw(b"null")
_NO_ANSWER = Answer()
_AT_ONCE = 4_096  # tokens of an unscripted stream that are written without giving way to others
_TURN = 128  # chunks written before others get a turn: a fast reader never makes us wait
_PAGE = b"<!doctype html><html><head><title>Welcome</title></head><body>It works.</body></html>"


class Call:
    """A call that would be billed. `begin` starts it; `ended` is logged exactly once."""

    __slots__ = (
        "_answers",
        "_call_id",
        "_connection",
        "_dialect",
        "_ended",
        "_finale",
        "_fingerprint",
        "_generated",
        "_hanging",
        "_id",
        "_input_tokens",
        "_is_serving",
        "_is_stream",
        "_key",
        "_model",
        "_parting",
        "_request",
        "_script",
        "_sent",
        "_serial",
        "_started",
        "_status",
        "_task",
        "_totals",
        "_usage",
        "_vendor",
    )

    def __init__(
        self, vendor: "Vendor", dialect: Dialect, connection: Connection, request: Request
    ) -> None:
        self._vendor = vendor
        self._dialect = dialect
        self._connection = connection
        self._request = request
        self._serial = f"{random.getrandbits(116):029x}"
        self._id = dialect.make_id(self._serial)
        self._call_id = request.header(b"x-client-request-id")
        self._key = dialect.key(request)
        self._fingerprint = _fingerprint(self._key)
        self._started = time.time()
        self._model: str | None = None
        self._is_stream = False
        self._script = NO_SCRIPT
        self._answers = _NO_ANSWER
        self._totals: Totals | None = None
        self._task: asyncio.Task[None] | None = None
        self._hanging = False
        self._ended = False
        self._is_serving = False
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
        body: Any = None
        try:
            self._vendor.authorize(self._dialect, self._key)
            body = self._dialect.parse(self._request)
            self._model = body.model if isinstance(body.model, str) else None
            self._is_stream = body.stream is True
        except ApiError as refused:
            problem = refused
        line = Received(
            self._id,
            self._call_id,
            self._model,
            self._is_stream,
            self._started,
            self._fingerprint,
            self._dialect.name,
        )
        if problem is None:
            _note_work(line, self._dialect.plan(body, self._id))
        self._vendor.call_received(line, self._request)
        try:
            if problem is not None:
                raise problem
            reply = self._prepare(body)
        except ApiError as refused:
            self._answer(refused.status, self._dialect.refusal(refused, self._serial))
            self._end("error")
            return
        except Exception as failed:
            # Out of here it would tear down the connection and leave the call in flight for ever.
            traceback.print_exception(failed, file=sys.stderr)
            self._answer(500, self._dialect.failure(500, None, self._serial))
            self._end("error")
            return
        self._input_tokens = reply.prompt_tokens
        if self._script is NO_SCRIPT and reply.completion_tokens <= _AT_ONCE:
            self._answer_at_once(reply)
            return
        self._connection.exchange = self
        self._task = asyncio.get_running_loop().create_task(self._run(reply))
        self._task.add_done_callback(self._close_books)

    def _prepare(self, body: Any) -> Reply:
        """Everything that may be refused: the request, its script, figures that cannot be."""
        dialect = self._dialect
        ask = dialect.read(self._request, body)
        given = find_script(self._request, body, ask)
        self._script = self._vendor.default_script if given is None else given
        reply = dialect.compose(self._vendor.composer, ask, self._script)
        order = Order(self._id, self._serial, int(self._started), body, ask, self._script, reply)
        self._totals = dialect.totals(self._script, reply)
        self._answers = dialect.answer(order, self._totals)
        return reply

    def client_gone(self) -> None:
        """The caller left: stop generating at once."""
        if self._task is not None:
            self._task.cancel()

    # a call without a script: no waiting, so no task

    def _answer_at_once(self, reply: Reply) -> None:
        if not self._is_stream:
            self._answer(200, self._plain_body(reply))
        else:
            answer = self._answers
            parts = [self._stream_head()]
            parts += [self._frame(event) for event in answer.opening()]
            parts += [self._frame(event) for event, _ in answer.content()]
            parts += [self._frame(event) for event in answer.closing()]
            parts.append(self._stream_end())
            self._generated = reply.completion_tokens
            self._usage = answer.usage if answer.reports_usage else None
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
        if not self._is_stream:
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
            self._answer(script.status, self._failure(script.status))
            return "error"
        if script.html:
            self._answer(200, _PAGE, b"text/html; charset=utf-8")
            return "error"
        if script.body_error_200:
            self._answer(200, self._answers.failed() or self._failure(500))
            return "error"
        return await (self._stream(reply) if self._is_stream else self._plain(reply))

    async def _plain(self, reply: Reply) -> str:
        cut = self._script.cut
        body = self._plain_body(reply)
        if cut is None or cut[0] == "error_event":
            self._answer(200, body)
            return "completed"
        self._usage = None
        self._send(self._head(200, b"application/json", len(body)) + body[: len(body) // 2])
        return await self._fault(cut[0])

    async def _stream(self, reply: Reply) -> str:
        script, cut = self._script, self._script.cut
        answer = self._answers
        self._send(self._stream_head())
        for event in answer.opening():
            self._send(self._frame(event))
        self._generated = reply.reasoning_tokens
        wanted = answer.content() if cut is None else islice(answer.content(), cut[1])
        for sent, (event, tokens) in enumerate(wanted):
            if sent and script.chunk_delay_s:
                await asyncio.sleep(script.chunk_delay_s)
            elif sent % _TURN == _TURN - 1:
                await asyncio.sleep(0)
            if self._connection.paused:
                await self._connection.drain()
            self._send(self._frame(event))
            self._generated += tokens
        if cut is not None:
            return await self._fault(cut[0])
        self._usage = answer.usage if answer.reports_usage else None
        self._finale = b"".join(self._frame(event) for event in answer.closing())
        self._finale += self._stream_end()
        return "completed"

    async def _fault(self, name: str) -> str:
        """Break the answer off. A plain answer has half its body out by now."""
        if name == "hang":
            await self._hang()
        if name == "error_event":
            self._finale = self._frame(self._answers.error()) + self._stream_end()
            return "error"
        if name == "truncate":
            if self._is_stream:
                self._finale = self._stream_end()
            else:
                self._parting = self._connection.close
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

    def _plain_body(self, reply: Reply) -> bytes:
        self._is_serving = True
        self._generated = reply.completion_tokens
        self._usage = self._answers.usage
        return self._answers.plain()

    def _failure(self, status: int) -> bytes:
        return self._dialect.failure(status, self._script.error, self._serial)

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
        return b"HTTP/1.1 %d %b\r\ndate: %b\r\ncontent-type: %b\r\n%b%b\r\n" % (
            status,
            REASONS.get(status, b"Unknown"),
            self._vendor.http_date(self._started),
            kind,
            self._dialect.header_lines(self._serial, int((time.time() - self._started) * 1000)),
            extra,
        )

    def _answer(self, status: int, body: bytes, kind: bytes = b"application/json") -> None:
        self._finale = self._head(status, kind, len(body)) + body

    def _stream_head(self) -> bytes:
        self._is_serving = True
        return self._head(200, self._dialect.stream_type(self._request), None)

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
        if outcome == "completed":
            self._answers.complete()
        line = Ended(
            self._id,
            self._call_id,
            self._model,
            self._is_stream,
            time.time(),
            self._fingerprint,
            self._dialect.name,
            outcome,
            self._status,
            _NO_USAGE if self._usage is None else msgspec.Raw(self._usage),
            self._generated,
            self._input_tokens,
            self._sent + len(self._finale),
            self._served(),
        )
        if self._is_serving:
            _note_work(line, self._answers.work)
        self._vendor.call_ended(line)
        if self._finale:
            self._send(self._finale)
        if self._parting is not None:
            self._parting()
        self._connection.finish()

    def _served(self) -> Totals | None:
        """The totals of what was served up to now; None if no answer began."""
        totals = self._totals
        if totals is None or not self._is_serving:
            return None
        totals.cut(self._generated)
        return totals


def find_script(request: Request, body: Any, ask: ChatBody) -> Script | None:
    """The script a request brings, in its body or in its last user text; markers are cut out.

    Raises ApiError(400) for a wrong one, or for two.
    """
    raw: bytes | msgspec.Raw | None = body.simulate or None
    if MARK_BYTES in request.body:
        marked = cut_scripts(ask.messages)
        if marked is not None and raw is not None:
            raise ApiError(
                400,
                "Invalid 'simulate': the script stands in the body and in the text.",
                param="simulate",
                code="invalid_script",
            )
        raw = marked or raw
    return None if raw is None else parse_script(raw)


def _note_work(line: Received | Ended, work: Work | None) -> None:
    if work is not None:
        line.pictures, line.pixels = work.pictures, work.pixels
        line.resolution, line.job = work.resolution, work.job


def _fingerprint(key: bytes | None) -> str | None:
    """The first 8 hex digits of the key's SHA-256: tells keys apart without keeping them."""
    return None if key is None else hashlib.sha256(key).hexdigest()[:8]
