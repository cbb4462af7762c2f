"""Google's Gemini API: generateContent, streamGenerateContent, countTokens."""

from typing import Any
from urllib.parse import parse_qs, unquote

from simulator.chat_request import ChatBody
from simulator.connection import Request
from simulator.dialect import EVENT_STREAM, Answer, Dialect, Order, scripted_message
from simulator.errors import ApiError, ErrorBody, google_envelope
from simulator.generate_encoding import GenerateAnswer, encode_details
from simulator.generate_request import GenerateBody, parse_generate, read_generate
from simulator.log import Totals
from simulator.replies import Composer, Reply
from simulator.script import Script

# Google serves the same under both of its versions; its Python client asks for v1.
PREFIXES = (b"/v1beta/models/", b"/v1/models/")


class Google(Dialect):
    """What Google's own paths share: the key and the words of errors."""

    def key(self, request: Request) -> bytes | None:
        given = request.headers.get(b"x-goog-api-key")
        return given or "".join(_query(request).get("key", [])[-1:]).encode() or None

    def unauthorized(self, key: bytes | None) -> ApiError:
        if key is None:
            return ApiError(
                401, "Method doesn't allow unregistered callers. Please use an API key."
            )
        return ApiError(401, "API key not valid. Please pass a valid API key.")

    def header_lines(self, serial: str, elapsed_ms: int) -> bytes:
        return b"server-timing: gfet4t7; dur=%d\r\n" % elapsed_ms

    def refusal(self, problem: ApiError, serial: str) -> bytes:
        return google_envelope(problem.status, problem.named())

    def failure(self, status: int, given: ErrorBody | None, serial: str) -> bytes:
        kind = given.type if given is not None else None
        return google_envelope(status, scripted_message(status, given), kind)


class Generate(Google):
    """POST /v1beta/models/{model}:generateContent and :streamGenerateContent; also under /v1."""

    name = "generate"
    methods: tuple[str, ...] = ("generateContent", "streamGenerateContent")

    def parse(self, request: Request) -> GenerateBody:
        model, method = split_target(request)
        return parse_generate(
            model,
            request.body,
            stream=method == "streamGenerateContent",
            is_event_stream=asks_for_events(request),
        )

    def read(self, request: Request, body: GenerateBody) -> ChatBody:
        return read_generate(body)

    def answer(self, order: Order, totals: Totals) -> Answer:
        return GenerateAnswer(
            order, totals, order.reply.media, is_event_stream=order.body.is_event_stream
        )

    def compose(self, composer: Composer, ask: ChatBody, script: Script) -> Reply:
        reply = super().compose(composer, ask, script)
        reply.media = composer.count_media(ask)
        return reply

    def stream_type(self, request: Request) -> bytes:
        return EVENT_STREAM if asks_for_events(request) else b"application/json; charset=UTF-8"


class GenerateCount(Generate):
    """POST /v1beta/models/{model}:countTokens: the same request, counted and not served."""

    methods = ("countTokens",)

    def parse(self, request: Request) -> GenerateBody:
        body = super().parse(request)
        wrapped: Any = body.fields.get("generateContentRequest")
        if isinstance(wrapped, dict):
            body.fields = wrapped
        return body

    def encode_count(self, tokens: int) -> bytes:
        details = encode_details(tokens, {})
        return b'{"totalTokens":%d,"promptTokensDetails":%b}' % (tokens, details)


def split_target(request: Request) -> tuple[str, str]:
    """The model and the method of a target `PREFIX + model:method`, both empty for any other."""
    for prefix in PREFIXES:
        if request.target.startswith(prefix):
            path = unquote(request.target[len(prefix) :].decode("latin-1"))
            model, _, method = path.rpartition(":")
            return model, method
    return "", ""


def asks_for_events(request: Request) -> bool:
    """Whether a stream is to come as server-sent events."""
    return _query(request).get("alt", [""])[-1] == "sse"


def _query(request: Request) -> dict[str, list[str]]:
    return parse_qs(request.query.decode("latin-1"))
