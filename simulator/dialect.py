"""What tells one API from another: how a request is read, an answer written, a refusal worded.

Everything else about a call is the same for all of them (`calls.py`). What a dialect does not say
otherwise is as OpenAI has it.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from simulator.chat_request import ChatBody
from simulator.connection import Request
from simulator.errors import ApiError, ErrorBody, scripted_envelope, scripted_fields
from simulator.log import Totals, Work
from simulator.replies import Composer, Reply
from simulator.script import Script

EVENT_STREAM = b"text/event-stream; charset=utf-8"


class Order(msgspec.Struct):
    """One call as it was understood: `body` in the dialect's words, `ask` the same as a chat body.

    `serial` is the part of the id after its prefix; `created` in epoch seconds.
    """

    id: str
    serial: str
    created: int
    body: Any
    ask: ChatBody
    script: Script
    reply: Reply


class Answer:
    """The bytes of one call's answer. `usage` is the final report, or None for no report.

    A stream is opening, content and closing, each event complete with its framing; `content` gives
    the tokens each event stands for.
    """

    usage: bytes | None = None
    reports_usage = True  # whether a stream reports its usage, too
    work: Work | None = None  # the pictures of an answer that began, if it is about pictures

    def plain(self) -> bytes:
        """The body of an answer that is not streamed."""
        raise NotImplementedError

    def opening(self) -> Iterator[bytes]:
        """Events before the content, thinking included."""
        raise NotImplementedError

    def content(self) -> Iterator[tuple[bytes, int]]:
        """Content events with their tokens."""
        raise NotImplementedError

    def closing(self) -> Iterator[bytes]:
        """Events after the content."""
        raise NotImplementedError

    def error(self) -> bytes:
        """The event of a scripted error within a stream."""
        raise NotImplementedError

    def failed(self) -> bytes | None:
        """The body of a 200 that holds a scripted error; None: the dialect's error envelope."""
        return None

    def complete(self) -> None:
        """The answer goes out whole. Most vendors then forget it."""


class Dialect:
    """One API. Instances keep nothing of a call. `name` is what the log says."""

    name = ""
    id_prefix = ""

    def make_id(self, serial: str) -> str:
        """The id of a reply, from what makes it different from any other: 29 hex digits."""
        return self.id_prefix + serial

    # who calls

    def key(self, request: Request) -> bytes | None:
        """The credential a request carries, None without one."""
        return bearer_of(request)

    def unauthorized(self, key: bytes | None) -> ApiError:
        """The refusal of a missing or wrong credential."""
        if key is None:
            return ApiError(
                401,
                "You didn't provide an API key. You need to provide your API key in an "
                "Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
            )
        return ApiError(
            401,
            f"Incorrect API key provided: {_masked(key)}. You can find your API key at "
            "https://platform.openai.com/account/api-keys.",
            code="invalid_api_key",
        )

    # what is asked

    def parse(self, request: Request) -> Any:
        """The body, with `model`, `stream` and `simulate`. Raises ApiError(400) if it is no object."""
        raise NotImplementedError

    def read(self, request: Request, body: Any) -> ChatBody:
        """The body checked and turned into a chat body. Raises ApiError as the vendor refuses."""
        raise NotImplementedError

    def plan(self, body: Any, call: str) -> Work | None:
        """The pictures that a body asks of a call, None for a call of another kind or a wrong body."""
        return None

    def compose(self, composer: Composer, ask: ChatBody, script: Script) -> Reply:
        """The reply to a checked body. Raises ApiError(400)."""
        return composer.compose(ask, script)

    def totals(self, script: Script, reply: Reply) -> Totals:
        """What the whole reply uses."""
        return Totals(
            reply.prompt_tokens,
            script.cached_tokens or 0,
            script.cache_write_tokens or 0,
            0,
            reply.completion_tokens,
            reply.reasoning_tokens,
        )

    # what is answered

    def answer(self, order: Order, totals: Totals) -> Answer:
        """The writer of the answer. Raises ApiError(400) for figures the vendor cannot report."""
        raise NotImplementedError

    def encode_count(self, tokens: int) -> bytes:
        """The body of the answer to a request that only counts."""
        raise NotImplementedError

    def stream_type(self, request: Request) -> bytes:
        """The content type of a streamed answer."""
        return EVENT_STREAM

    def header_lines(self, serial: str, elapsed_ms: int) -> bytes:
        """The vendor's own headers, each line with its end."""
        return (
            b"openai-version: 2020-10-01\r\nopenai-processing-ms: %d\r\nx-request-id: req_%b\r\n"
            % (
                elapsed_ms,
                serial.encode(),
            )
        )

    def refusal(self, problem: ApiError, serial: str) -> bytes:
        """The body of a refusal."""
        return problem.body()

    def failure(self, status: int, given: ErrorBody | None, serial: str) -> bytes:
        """The body of a scripted failure."""
        return scripted_envelope(status, given)


def bearer_of(request: Request) -> bytes | None:
    """The bearer token, None without one."""
    scheme, _, given = request.headers.get(b"authorization", b"").partition(b" ")
    return given if given and scheme.lower() == b"bearer" else None


def scripted_message(status: int, given: ErrorBody | None) -> str:
    """The words of a scripted failure."""
    return str(scripted_fields(status, given)["message"])


def _masked(key: bytes) -> str:
    text = key.decode("latin-1")
    return text[:8] + "*" * 12 + text[-4:] if len(text) > 16 else "*" * len(text)
