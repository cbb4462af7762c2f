"""Anthropic Messages."""

import msgspec

from simulator.chat_request import ChatBody
from simulator.connection import Request
from simulator.dialect import Answer, Dialect, Order, bearer_of, scripted_message
from simulator.errors import ApiError, ErrorBody, anthropic_envelope
from simulator.log import Totals
from simulator.messages_encoding import MessagesAnswer
from simulator.messages_request import MessagesBody, parse_messages, read_messages
from simulator.replies import Reply
from simulator.script import Script


class Messages(Dialect):
    """POST /v1/messages."""

    name = "messages"
    id_prefix = "msg_"

    def key(self, request: Request) -> bytes | None:
        return request.headers.get(b"x-api-key") or bearer_of(request)

    def unauthorized(self, key: bytes | None) -> ApiError:
        if key is None:
            return ApiError(401, "x-api-key header is required")
        return ApiError(401, "invalid x-api-key")

    def parse(self, request: Request) -> MessagesBody:
        return parse_messages(request.body)

    def read(self, request: Request, body: MessagesBody) -> ChatBody:
        _check_version(request)
        return read_messages(body)

    def totals(self, script: Script, reply: Reply) -> Totals:
        totals = super().totals(script, reply)
        totals.cache_write_1h = script.cache_write_1h_tokens or 0
        return totals

    def answer(self, order: Order, totals: Totals) -> Answer:
        return MessagesAnswer(order, totals)

    def header_lines(self, serial: str, elapsed_ms: int) -> bytes:
        return b"request-id: req_%b\r\n" % serial.encode()

    def refusal(self, problem: ApiError, serial: str) -> bytes:
        return anthropic_envelope(problem.status, problem.named(), f"req_{serial}")

    def failure(self, status: int, given: ErrorBody | None, serial: str) -> bytes:
        kind = given.type if given is not None else None
        message = scripted_message(status, given)
        return anthropic_envelope(status, message, f"req_{serial}", kind)


class MessagesCount(Messages):
    """POST /v1/messages/count_tokens: the same request, counted and not served."""

    def read(self, request: Request, body: MessagesBody) -> ChatBody:
        _check_version(request)
        return read_messages(body, is_counted_only=True)

    def encode_count(self, tokens: int) -> bytes:
        return msgspec.json.encode({"input_tokens": tokens})


def _check_version(request: Request) -> None:
    if not request.headers.get(b"anthropic-version"):
        raise ApiError(400, "anthropic-version: header is required")
