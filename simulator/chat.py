"""OpenAI Chat Completions, and the same API as Google serves it for Gemini."""

from collections.abc import Iterator

from simulator.catalog import vendor_of
from simulator.chat_request import ChatBody, check, parse_body
from simulator.chat_usage import encode_chat_usage
from simulator.connection import Request
from simulator.dialect import Answer, Dialect, Order, scripted_message
from simulator.encoding import EventWriter, encode_plain, make_stamp
from simulator.errors import ApiError, ErrorBody, google_envelope, scripted_envelope
from simulator.log import Totals
from simulator.script import Vendor


class ChatAnswer(Answer):
    """One chat completion."""

    def __init__(self, order: Order, totals: Totals, vendor: Vendor) -> None:
        body, self._script, self._reply = order.ask, order.script, order.reply
        self._stamp = make_stamp(order.id, order.created, body.model, body.service_tier)
        self._top_logprobs = (body.top_logprobs or 0) if body.logprobs else None
        self.reports_usage = body.wants_usage
        self.usage = self._script.report(encode_chat_usage(vendor, totals, self._script))
        self._reply.usage = self.usage

    def plain(self) -> bytes:
        return encode_plain(self._stamp, self._reply, self._top_logprobs)

    def opening(self) -> Iterator[bytes]:
        self._writer = EventWriter(
            self._stamp, self._script, self._top_logprobs, include_usage=self.reports_usage
        )
        return self._writer.opening(self._reply)

    def content(self) -> Iterator[tuple[bytes, int]]:
        return self._writer.content(self._reply)

    def closing(self) -> Iterator[bytes]:
        return self._writer.closing(self._reply)

    def error(self) -> bytes:
        return self._writer.error(scripted_envelope(500, self._script.error))


class Chat(Dialect):
    """POST /v1/chat/completions."""

    name = "chat"
    id_prefix = "chatcmpl-"

    def parse(self, request: Request) -> ChatBody:
        return parse_body(request.body)

    def read(self, request: Request, body: ChatBody) -> ChatBody:
        check(body)
        return body

    def answer(self, order: Order, totals: Totals) -> Answer:
        vendor = order.script.dialect or vendor_of(order.ask.model)
        return ChatAnswer(order, totals, vendor)


class GoogleCompatible(Dialect):
    """What the paths under /v1beta/openai share: errors are Google's, within a list."""

    def refusal(self, problem: ApiError, serial: str) -> bytes:
        return b"[" + google_envelope(problem.status, problem.named()) + b"]"

    def failure(self, status: int, given: ErrorBody | None, serial: str) -> bytes:
        kind = given.type if given is not None else None
        return b"[" + google_envelope(status, scripted_message(status, given), kind) + b"]"

    def header_lines(self, serial: str, elapsed_ms: int) -> bytes:
        return b"server-timing: gfet4t7; dur=%d\r\n" % elapsed_ms


class GeminiChat(GoogleCompatible, Chat):
    """POST /v1beta/openai/chat/completions."""

    def answer(self, order: Order, totals: Totals) -> Answer:
        return ChatAnswer(order, totals, order.script.dialect or "gemini")
