"""Which path speaks which dialect, and what is answered beside the calls: models and counts."""

import random
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import unquote

from simulator import catalog, flux, generate, topaz
from simulator.calls import find_script
from simulator.chat import Chat, GeminiChat, GoogleCompatible
from simulator.connection import Request
from simulator.dialect import Dialect
from simulator.embeddings import Embeddings, GeminiEmbeddings
from simulator.errors import ApiError
from simulator.flux import Flux
from simulator.gates import Gates
from simulator.generate import Generate, GenerateCount, Google
from simulator.images import ImageEdits, ImageGenerations
from simulator.jobs import SAMPLES, JobDialect, Jobs, Plain
from simulator.messages import Messages, MessagesCount
from simulator.responses import Responses
from simulator.topaz import Topaz

if TYPE_CHECKING:
    from simulator.server import Vendor

_COMPATIBLE = b"/v1beta/openai/"
_CHAT = b"/v1/chat/completions"

_ModelList = tuple[str, Callable[[], bytes], Callable[[str], bytes | None]]


class Routes:
    """The dialects of one vendor. A call is what `find` knows; all else is answered by `answer`."""

    def __init__(self, gates: Gates) -> None:
        self.jobs = Jobs(gates)
        self._flux = Flux(self.jobs)
        self._topaz = Topaz(self.jobs)
        self._openai = Dialect()
        self._compatible = GoogleCompatible()
        self._google = Google()
        self._chat = Chat()
        self._messages = Messages()
        self._generate = Generate()
        self._counts = MessagesCount(), GenerateCount()
        self._calls: dict[bytes, Dialect] = {
            b"/v1/responses": Responses(),
            b"/v1/messages": self._messages,
            b"/v1/embeddings": Embeddings(),
            _COMPATIBLE + b"chat/completions": GeminiChat(),
            _COMPATIBLE + b"embeddings": GeminiEmbeddings(),
            b"/v1/images/generations": ImageGenerations(),
            b"/v1/images/edits": ImageEdits(),
            **{b"/v1/" + name.encode(): self._flux for name in flux.MODELS},
            topaz.SUBMIT_PATH: self._topaz,
        }

    def find(self, request: Request) -> Dialect | None:
        """The dialect of a request that would be billed, None for any other."""
        if request.method != b"POST":
            return None
        if request.target == _CHAT:
            return self._chat
        found = self._calls.get(request.target)
        if found is None and generate.split_target(request)[1] in self._generate.methods:
            return self._generate
        return found

    def answer(self, vendor: "Vendor", request: Request) -> Plain:
        """The answer to a request that is no call. Raises ApiError for a link without a picture."""
        if request.method == b"GET":
            if request.target.startswith(SAMPLES):
                return self.jobs.fetch(request)
            asked = self._find_job_answer(request)
            if asked is not None:
                return _tell(vendor, request, *asked)
        counted = self._find_count(request)
        dialect = counted or self._dialect_of(request)
        serial = f"{random.getrandbits(116):029x}"
        try:
            if counted is not None:
                return _count(vendor, counted, serial, request)
            return Plain(self._answer_models(vendor, dialect, request))
        except ApiError as refused:
            return Plain(dialect.refusal(refused, serial), refused.status)

    def _find_job_answer(
        self, request: Request
    ) -> tuple[JobDialect, Callable[[Request], Plain]] | None:
        """Whose job is asked after, and by what it is told."""
        if request.target == flux.RESULT_PATH:
            return self._flux, self._flux.report
        if request.target.startswith(topaz.STATUS_PREFIX):
            return self._topaz, self._topaz.report
        if request.target.startswith(topaz.DOWNLOAD_PREFIX):
            return self._topaz, self._topaz.link
        return None

    def _find_count(self, request: Request) -> Dialect | None:
        messages, generated = self._counts
        if request.method != b"POST":
            return None
        if request.target == b"/v1/messages/count_tokens":
            return messages
        return generated if generate.split_target(request)[1] in generated.methods else None

    def _dialect_of(self, request: Request) -> Dialect:
        """In whose words a request is answered that is no call: by its path, or by its key."""
        if request.target.startswith(_COMPATIBLE):
            return self._compatible
        if request.target.startswith(b"/v1beta/") or b"x-goog-api-key" in request.headers:
            return self._google
        is_anthropic = b"x-api-key" in request.headers or b"anthropic-version" in request.headers
        if request.target.startswith(b"/v1/messages") or is_anthropic:
            return self._messages
        return self._openai

    def _answer_models(self, vendor: "Vendor", dialect: Dialect, request: Request) -> bytes:
        path = unquote(request.target.decode("latin-1"))
        prefix, encode_every, encode_one = self._model_list(dialect, path)
        base, name = path[: len(prefix)], path[len(prefix) :]
        if request.method != b"GET" or base != prefix or (name and name[0] != "/"):
            shown = f"{request.method.decode()} {request.target.decode('latin-1')}"
            raise ApiError(404, f"Invalid URL ({shown})")
        vendor.authorize(dialect, dialect.key(request))
        if not name:
            return encode_every()
        found = encode_one(name[1:])
        if found is None:
            raise ApiError(
                404,
                f"The model '{name[1:]}' does not exist",
                param="model",
                code="model_not_found",
            )
        return found

    def _model_list(self, dialect: Dialect, path: str) -> _ModelList:
        """Where a dialect lists the models, and how it writes all of them or one."""
        if dialect is self._compatible:
            path = _COMPATIBLE.decode() + "models"
            return path, catalog.encode_compatible_list, catalog.encode_one
        if dialect is self._google:
            prefix = "/v1beta/models" if path.startswith("/v1beta") else "/v1/models"
            return prefix, catalog.encode_google_list, catalog.encode_google_one
        if dialect is self._messages:
            return "/v1/models", catalog.encode_anthropic_list, catalog.encode_anthropic_one
        return "/v1/models", catalog.encode_list, catalog.encode_one


def _tell(
    vendor: "Vendor", request: Request, dialect: JobDialect, tell: Callable[[Request], Plain]
) -> Plain:
    try:
        vendor.authorize(dialect, dialect.key(request))
        return tell(request)
    except ApiError as refused:
        return Plain(dialect.refusal(refused, ""), refused.status)


def _count(vendor: "Vendor", dialect: Dialect, serial: str, request: Request) -> Plain:
    """A prompt's tokens. Nothing is served, so nothing is logged; the request is remembered."""
    vendor.remember(f"count-{serial}", request.header(b"x-client-request-id"), request)
    vendor.authorize(dialect, dialect.key(request))
    body = dialect.parse(request)
    ask = dialect.read(request, body)
    script = find_script(request, body, ask) or vendor.default_script
    if script.status is not None:
        return Plain(dialect.failure(script.status, script.error, serial), script.status)
    tokens = script.input_tokens
    return Plain(dialect.encode_count(vendor.composer.count(ask) if tokens is None else tokens))
