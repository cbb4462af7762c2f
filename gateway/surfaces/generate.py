"""Gemini's generateContent (Google's Gemini API reference, "Generating content"). Pure.

Google's API takes field names in camel case and in snake case; both are read. The model stands in the path.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from gateway.body import INT_MAX, take_count
from gateway.envelopes import data_event, google_envelope
from gateway.errors import BadRequest, GatewayError
from gateway.estimate import Media, inline_media
from gateway.sse import data_of
from gateway.surfaces.base import (
    Ask,
    PlainAnswer,
    Watcher,
    decode,
    parts_of,
    read_plain,
    refusal,
    text_of,
)
from gateway.usage import UsageReader

CANDIDATES_MAX = 8
# Grounding is billed by query, and what these tools read is billed as input that nobody can bound beforehand.
REFUSED_TOOLS = (
    ("googleSearch", "google_search"),
    ("googleSearchRetrieval", "google_search_retrieval"),
    ("googleMaps", "google_maps"),
    ("enterpriseWebSearch", "enterprise_web_search"),
    ("urlContext", "url_context"),
    ("fileSearch", "file_search"),
    ("codeExecution", "code_execution"),
    ("mcpServers", "mcp_servers"),
)
CONFIG = ("generationConfig", "generation_config")
LIMIT = ("maxOutputTokens", "max_output_tokens")


class Generate:
    """POST /v1beta/models/{model}:generateContent and :streamGenerateContent."""

    name = "generate"
    endpoint = "generateContent"
    path = "/v1beta/models/{model}:generateContent"
    forwarded_headers: tuple[bytes, ...] = ()

    def read_request(self, body: dict[str, Any], *, stream: bool = False) -> Ask:
        contents = body.get("contents")
        if not isinstance(contents, list | dict) or not contents:
            raise BadRequest("'contents' must be a list of at least one content.", param="contents")
        if _take(body, ("cachedContent", "cached_content")) is not None:
            raise refusal("cachedContent", "names an object of the provider's account")
        if _take(body, ("continuationToken", "continuation_token")) is not None:
            raise refusal("continuationToken", "stands for an answer that the provider keeps")
        _refuse_tools(body)
        config = _take(body, CONFIG)
        if config is not None and not isinstance(config, dict):
            raise BadRequest("'generationConfig' must be an object.", param="generationConfig")
        config = config or {}
        return Ask(
            stream=stream,
            output_tokens=_count(config, LIMIT, INT_MAX),
            choices=_count(config, ("candidateCount", "candidate_count"), CANDIDATES_MAX) or 1,
            audio_output=_wants_audio(config),
            service_tier=_tier(body),
            media=tuple(_media(body)),
        )

    def changes(
        self, body: Mapping[str, Any], upstream_name: str, limit: int | None, limit_field: str
    ) -> dict[str, Any]:
        if limit is None:
            return {}
        name = CONFIG[1] if body.get(CONFIG[1]) is not None else CONFIG[0]
        config = dict(body.get(name) or {})
        field = LIMIT[1] if config.get(LIMIT[1]) is not None else LIMIT[0]
        return {name: {**config, field: limit}}

    def watch(self, read_usage: UsageReader, ask: Ask) -> Watcher:
        return GenerateWatcher(read_usage)

    def read_answer(self, body: bytes, read_usage: UsageReader) -> PlainAnswer | None:
        answer = decode(body, _decoder)
        if answer is None or (answer.error is None and not answer.has_content):
            return None
        return read_plain(
            read_usage(answer.usageMetadata),
            _texts(answer.candidates),
            answer.error,
            tier=_served_tier(answer.usageMetadata),
        )

    def error_event(self, error: GatewayError, request_id: str, events: int) -> bytes:
        return data_event(google_envelope(error, request_id))


MODALITIES = ("responseModalities", "response_modalities")


def _take(body: Mapping[str, Any], names: tuple[str, str]) -> Any:
    """The field under either of its spellings. Raises BadRequest where both are given: they could differ."""
    first, second = (body.get(name) for name in names)
    if first is not None and second is not None:
        raise BadRequest(f"'{names[0]}' is given twice, as '{names[1]}' too.", param=names[0])
    return first if first is not None else second


def _count(config: Mapping[str, Any], names: tuple[str, str], most: int) -> int | None:
    value = _take(config, names)
    return take_count({names[0]: value}, names[0], 1, most)


def _wants_audio(config: Mapping[str, Any]) -> bool:
    modalities = _take(config, MODALITIES)
    if modalities is not None and not isinstance(modalities, list):
        raise BadRequest("'responseModalities' must be a list.", param="responseModalities")
    for modality in modalities or ():
        # As in all JSON made of protobuf, an enum may be given as its number: which of them is sound is not known here.
        if not isinstance(modality, str):
            raise BadRequest(
                "'responseModalities' must be a list of names.", param="responseModalities"
            )
    return any(modality.upper() == "AUDIO" for modality in modalities or ())


def _tier(body: Mapping[str, Any]) -> Any:
    """The tier that is asked for; None for the standard one. Google reads its enums in any case."""
    asked = _take(body, ("serviceTier", "service_tier"))
    if not isinstance(asked, str):
        return asked
    tier = asked.lower()
    return None if tier in ("standard", "unspecified") else tier


def _served_tier(reported: Any) -> str | None:
    """The tier that served the call, which Google reports with the usage."""
    tier = text_of(reported.get("serviceTier")) if isinstance(reported, dict) else ""
    return tier.lower() or None


def _refuse_tools(body: dict[str, Any]) -> None:
    tools = body.get("tools")
    if tools is not None and not isinstance(tools, list):
        raise BadRequest("'tools' must be a list.", param="tools")
    for index, tool in enumerate(tools or ()):
        for names in REFUSED_TOOLS:
            if isinstance(tool, dict) and any(name in tool for name in names):
                raise refusal(f"tools[{index}].{names[0]}", "cannot be metered here")


def _parts(body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The parts of all contents, with what the answers of functions bring along."""
    for given in (body.get("contents"), _take(body, ("systemInstruction", "system_instruction"))):
        for content in [given] if isinstance(given, dict) else parts_of(given):
            parts = content.get("parts")
            for part in [parts] if isinstance(parts, dict) else parts_of(parts):
                yield part
                answer = _take(part, ("functionResponse", "function_response"))
                yield from parts_of(answer.get("parts") if isinstance(answer, dict) else None)


def _media(body: Mapping[str, Any]) -> Iterator[Media]:
    for part in _parts(body):
        if _take(part, ("fileData", "file_data")) is not None:
            raise refusal(
                "contents.parts.fileData",
                "names a file whose size is not known here; send 'inlineData'",
            )
        inline = _take(part, ("inlineData", "inline_data"))
        if not isinstance(inline, dict):
            continue
        kind = text_of(_take(inline, ("mimeType", "mime_type")))
        if kind.lower().startswith("image/"):
            yield inline_media("image", inline.get("data"))
        elif kind == "application/pdf":
            yield inline_media("document", inline.get("data"))
        elif not kind.lower().startswith("text/"):
            # Silence and still pictures pack hours into few bytes, and tables are zipped.
            yield inline_media("film", inline.get("data"))


class _Answer(msgspec.Struct):
    candidates: Any = None
    promptFeedback: Any = None
    usageMetadata: Any = None
    error: Any = None

    @property
    def has_content(self) -> bool:
        """Whether this is an answer at all: candidates, or the reason why there are none."""
        return isinstance(self.candidates, list) or isinstance(self.promptFeedback, dict)


_decoder = msgspec.json.Decoder(_Answer)


class GenerateWatcher(Watcher):
    """Follows one stream of answers. It has no mark of its end but its last candidates' reasons to end."""

    def __init__(self, read_usage: UsageReader) -> None:
        super().__init__()
        self._read_usage = read_usage
        self._seen: set[int] = set()
        self._finished: set[int] = set()
        self._is_blocked = False

    @property
    def has_finished(self) -> bool:
        return self._is_blocked or (bool(self._seen) and self._seen == self._finished)

    def _look_at(self, event: bytes) -> bytes:
        data = data_of(event)
        if data is None:
            return event
        answer = decode(data, _decoder)
        if answer is None:
            self.generated.add(data.decode("latin-1"))
            return event
        if answer.error is not None:
            self.error = answer.error
            return b""
        for candidate in parts_of(answer.candidates):
            index = candidate.get("index")
            number = index if isinstance(index, int) else 0
            self._seen.add(number)
            if candidate.get("finishReason") is not None:
                self._finished.add(number)
        for text in _texts(answer.candidates):
            self.generated.add(text)
        feedback = answer.promptFeedback
        if isinstance(feedback, dict) and feedback.get("blockReason") is not None:
            self._is_blocked = True
        if answer.usageMetadata is not None:
            # Each report is of all there was so far; one that cannot be true spoils the ones before it too.
            self.usage = self._read_usage(answer.usageMetadata)
            self.service_tier = _served_tier(answer.usageMetadata) or self.service_tier
        if self.has_finished:
            self.kept_back.append(event)
            return b""
        return event


def _texts(candidates: Any) -> Iterator[str]:
    for candidate in parts_of(candidates):
        content = candidate.get("content")
        for part in parts_of(content.get("parts") if isinstance(content, dict) else None):
            yield text_of(part.get("text"))
            call = part.get("functionCall")
            if isinstance(call, dict):
                yield text_of(call.get("name"))
                if call.get("args") is not None:
                    yield msgspec.json.encode(call["args"]).decode()
