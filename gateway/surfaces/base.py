"""What is common to the API surfaces: Chat Completions, Responses, Messages, Embeddings and Gemini's generateContent.

A surface is spoken twice: by a client towards us (its request is read, its errors are worded) and by us towards a
provider (its answers and streams are read, for what they used and how they ended). Pure.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, TypeVar

import msgspec

from billing.pricing import Usage
from gateway.errors import BadRequest, GatewayError
from gateway.estimate import Media
from gateway.sse import EVENT_BYTES_MAX, EventTooLong
from gateway.usage import Generated, UsageReader

T = TypeVar("T")

KEPT_BYTES_MAX = 2 * EVENT_BYTES_MAX

# Fields by which a caller would name another provider, another credential or his own bill.
REFUSED_FIELDS = (
    "base_url",
    "api_base",
    "api_key",
    "api_version",
    "custom_llm_provider",
    "extra_headers",
    "usage",
    "cost",
)


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What a request asks for, as far as holds and routing need to know.

    `output_tokens`: the client's own limit for each of `choices` answers, None without one; `has_output` False: an
    answer that generates nothing. `rounds`: how often the provider may sample it all. `media`: parts whose tokens do
    not follow from their bytes.
    """

    stream: bool = False
    include_usage: bool = False
    output_tokens: int | None = None
    has_output: bool = True
    choices: int = 1
    rounds: int = 1
    extra_output_tokens: int = 0
    audio_output: bool = False
    service_tier: Any = None
    media: tuple[Media, ...] = ()
    previous_response: str | None = None
    dropped: tuple[str, ...] = ()


class PlainAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What is read from a whole answer. `output_tokens` counts its text where usage is missing; `delivered` says
    whether there is anything that a provider would bill."""

    usage: Usage | None
    service_tier: str | None = None
    error: Any = None
    output_tokens: int = 0
    delivered: bool = False
    upstream_id: str = ""


class Watcher(ABC):
    """Follows one provider's stream: which bytes the client gets now, which wait for the settlement, what was used.

    Bytes that end the client's answer are kept back until the settlement is written; what follows bytes that are kept
    back waits too, or their order would change. `usage` is the provider's own report, `input_usage` what it said of the
    input before the end.
    """

    def __init__(self) -> None:
        self.generated = Generated()
        self.usage: Usage | None = None
        self.input_usage: Usage | None = None
        self.service_tier: str | None = None
        self.upstream_id = ""
        self.is_done = False
        self.error: Any = None
        self.events = 0
        self.kept_back: list[bytes] = []
        self._kept_events = 0
        self._kept_bytes = 0

    @property
    def has_finished(self) -> bool:
        """Whether the stream said everything that a whole answer says."""
        return self.is_done

    def pass_event(self, event: bytes) -> bytes:
        """The bytes of this event that the client gets now; empty if they are kept back or not for him.

        Raises EventTooLong where more is kept back than any end of an answer is.
        """
        passed = self._look_at(event)
        if passed:
            self.events += 1
            if self.kept_back:
                self.kept_back.append(passed)
                passed = b""
        for kept in self.kept_back[self._kept_events :]:
            self._kept_bytes += len(kept)
        self._kept_events = len(self.kept_back)
        if self._kept_bytes > KEPT_BYTES_MAX:
            raise EventTooLong
        return passed

    def closing(self) -> bytes:
        """The client's last bytes, once the settlement is written."""
        return b"".join(self.kept_back)

    @abstractmethod
    def _look_at(self, event: bytes) -> bytes:
        """Take in one event. Answers its bytes for the client; what shall wait is put into `kept_back` instead."""


class Surface(Protocol):
    """One API. Instances are stateless. `endpoint` is what call records say; `path` is shown to callers."""

    name: str
    endpoint: str
    path: str
    forwarded_headers: tuple[bytes, ...]

    def read_request(self, body: dict[str, Any], *, stream: bool = False) -> Ask:
        """Check the client's body. Raises BadRequest naming the field. May take out what cannot be metered.

        `stream`: the path asks for a stream, whatever the body says.
        """
        ...

    def changes(
        self, body: Mapping[str, Any], upstream_name: str, limit: int | None, limit_field: str
    ) -> dict[str, Any]:
        """The top-level fields of the body that must differ towards the provider (UNSET: must not be there); empty: it
        goes as it came.

        `limit`: output tokens to be set, None leaves what is there; `limit_field`: the provider's name for it in Chat
        Completions.
        """
        ...

    def watch(self, read_usage: UsageReader, ask: Ask) -> Watcher:
        """A watcher for one stream of a provider."""
        ...

    def read_answer(self, body: bytes, read_usage: UsageReader) -> PlainAnswer | None:
        """What matters of a provider's whole answer; None for what is none (HTML, cut JSON, another shape)."""
        ...

    def error_event(self, error: GatewayError, request_id: str, events: int) -> bytes:
        """The last event of a client's stream that failed after `events` events."""
        ...


def read_plain(
    usage: Usage | None,
    texts: Iterable[str],
    error: Any,
    *,
    tier: Any = None,
    upstream_id: Any = "",
) -> PlainAnswer:
    """What matters of a whole answer; its texts are counted only where its usage is missing."""
    generated = Generated()
    if usage is None:
        for text in texts:
            generated.add(text)
    return PlainAnswer(
        usage=usage,
        service_tier=tier if isinstance(tier, str) else None,
        error=error,
        output_tokens=generated.tokens,
        delivered=generated.tokens > 0,
        upstream_id=text_of(upstream_id),
    )


def decode(data: bytes, decoder: "msgspec.json.Decoder[T]") -> T | None:
    """The JSON in `data` in the decoder's shape, None where it has another.

    Half of a surrogate pair, as vendors send when they cut a character in two, is no text for msgspec; the standard
    library takes it.
    """
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return msgspec.convert(json.loads(data), decoder.type)
    except (ValueError, RecursionError):
        return None


def refuse_fields(body: Mapping[str, Any]) -> None:
    """Raise BadRequest for a field that is not the caller's to set."""
    for name in REFUSED_FIELDS:
        if name in body:
            raise refusal(name, "cannot be set by the caller")


def refusal(path: str, reason: str) -> BadRequest:
    """The error for a field that cannot be served; `reason` continues "'<path>' ..."."""
    return BadRequest(f"'{path}' {reason}.", code="unsupported_parameter", param=path)


def parts_of(content: Any) -> list[dict[str, Any]]:
    """The objects among the parts of a message's content."""
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []


def text_of(value: Any) -> str:
    """The value if it is text, else nothing."""
    return value if isinstance(value, str) else ""
