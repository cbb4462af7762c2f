"""OpenAI Chat Completions (OpenAI's API reference, "Chat"). Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import UNSET

from gateway.body import INT_MAX, take_count, take_flag
from gateway.envelopes import data_event, openai_envelope
from gateway.errors import BadRequest, GatewayError
from gateway.estimate import Media, inline_media, is_text_data
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

CHOICES_MAX = 128
# OpenAI's and xAI's names for a search by the provider.
SEARCH_FIELDS = ("web_search_options", "search_parameters")
# Other parts name what the provider fetches or keeps, whose size is not known here (Mistral's `document_url`).
PARTS = ("text", "refusal", "thinking", "reasoning", "image_url", "input_audio", "file")
LIMIT_FIELDS = OLD_LIMIT, NEW_LIMIT = ("max_tokens", "max_completion_tokens")


class Chat:
    """POST /v1/chat/completions."""

    name = "chat"
    endpoint = "chat/completions"
    path = "/v1/chat/completions"
    forwarded_headers: tuple[bytes, ...] = ()

    def read_request(self, body: dict[str, Any], *, stream: bool = False) -> Ask:
        if not isinstance(body.get("messages"), list) or not body["messages"]:
            raise BadRequest("'messages' must be a list of at least one message.", param="messages")
        for name in SEARCH_FIELDS:
            if body.get(name) is not None:
                raise refusal(name, "is billed per search and cannot be metered here")
        _refuse_kept(body.get("extra_body"))
        options = body.get("stream_options")
        if options is not None and not isinstance(options, dict):
            raise BadRequest("'stream_options' must be an object.", param="stream_options")
        stream = stream or take_flag(body, "stream")
        prediction = body.get("prediction")
        return Ask(
            stream=stream,
            include_usage=stream
            and take_flag(options or {}, "include_usage", "stream_options.include_usage"),
            output_tokens=_asked_limit(body),
            choices=take_count(body, "n", 1, CHOICES_MAX) or 1,
            extra_output_tokens=0 if prediction is None else len(msgspec.json.encode(prediction)),
            audio_output=_wants_audio(body),
            service_tier=body.get("service_tier"),
            media=tuple(_media(body["messages"])),
        )

    def changes(
        self, body: Mapping[str, Any], upstream_name: str, limit: int | None, limit_field: str
    ) -> dict[str, Any]:
        changed: dict[str, Any] = {}
        if body["model"] != upstream_name:
            changed["model"] = upstream_name
        options = body.get("stream_options") or {}
        if body.get("stream") and options.get("include_usage") is not True:
            # Streams are always asked for their usage; the client sees it only if he asked himself.
            changed["stream_options"] = {**options, "include_usage": True}
        named = [name for name in LIMIT_FIELDS if body.get(name) is not None]
        if limit_field == OLD_LIMIT and NEW_LIMIT in named:
            # A vendor that does not know the field would pass over it, and generate beyond what is held.
            changed[NEW_LIMIT] = UNSET
            changed[OLD_LIMIT] = body[NEW_LIMIT]
            named = [OLD_LIMIT]
        if limit is not None:
            changed.update(dict.fromkeys(named or [limit_field], limit))
        return changed

    def watch(self, read_usage: UsageReader, ask: Ask) -> Watcher:
        return ChatWatcher(read_usage, ask.include_usage)

    def read_answer(self, body: bytes, read_usage: UsageReader) -> PlainAnswer | None:
        completion = decode(body, _completion_decoder)
        if completion is None:
            return None
        if completion.error is None and not isinstance(completion.choices, list):
            return None
        return read_plain(
            read_usage(completion.usage),
            _texts(completion.choices),
            completion.error,
            tier=completion.service_tier,
        )

    def error_event(self, error: GatewayError, request_id: str, events: int) -> bytes:
        return data_event(openai_envelope(error, request_id))


def _asked_limit(body: dict[str, Any]) -> int | None:
    limits = {}
    for name in LIMIT_FIELDS:
        limit = take_count(body, name, 1, INT_MAX)
        if limit is not None:
            limits[name] = limit
    if len(set(limits.values())) > 1:
        raise BadRequest(
            f"{' and '.join(limits)} name two different limits.", param=LIMIT_FIELDS[0]
        )
    return min(limits.values()) if limits else None


def _refuse_kept(extra: Any) -> None:
    """Raise BadRequest for what Google's own part of a body may name beside how to think: `cached_content` is of the
    provider's account, and as long as it is (Google, "OpenAI compatibility")."""
    google = extra.get("google") if isinstance(extra, dict) else None
    for name in google if isinstance(google, dict) else ():
        if name not in ("thinking_config", "thinkingConfig"):
            raise refusal(f"extra_body.google.{name}"[:120], "cannot be metered here")


def _wants_audio(body: dict[str, Any]) -> bool:
    modalities = body.get("modalities")
    if modalities is not None and not isinstance(modalities, list):
        raise BadRequest("'modalities' must be a list.", param="modalities")
    return "audio" in (modalities or ())


def _refuse_unbounded(message: dict[str, Any]) -> None:
    """Raise BadRequest for what is not in the body: answers and files that the provider keeps or fetches."""
    if message.get("audio") is not None:
        raise refusal(
            "messages.audio", "names an answer that the provider keeps; send its transcript"
        )
    for part in parts_of(message.get("content")):
        kind = part.get("type")
        if isinstance(kind, str) and kind not in PARTS:
            raise refusal("messages.content.type", "names a part that cannot be metered here")
        if part.get("file_id") is not None:
            raise refusal("messages.content.file_id", "names a file of the provider's account")
        audio = part.get("input_audio")
        data = audio.get("data") if isinstance(audio, dict) else audio
        if text_of(data)[:6].lower().startswith(("http:", "https:")):
            raise refusal("messages.content.input_audio", "must hold the sound itself")


def _media(messages: list[Any]) -> Iterator[Media]:
    for message in messages:
        if not isinstance(message, dict):
            continue
        _refuse_unbounded(message)
        for part in parts_of(message.get("content")):
            image, audio, file = (part.get(name) for name in ("image_url", "input_audio", "file"))
            if image is not None:
                yield inline_media("image", image.get("url") if isinstance(image, dict) else image)
            elif audio is not None:
                yield inline_media("audio", audio.get("data") if isinstance(audio, dict) else audio)
            elif isinstance(file, dict):
                if file.get("file_id") is not None:
                    raise refusal(
                        "messages.content.file.file_id",
                        "names a file of the provider's account; send 'file_data' instead",
                    )
                if not is_text_data(file.get("file_data")):
                    yield inline_media("document", file.get("file_data"))


class _Delta(msgspec.Struct):
    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    refusal: Any = None
    tool_calls: Any = None
    function_call: Any = None


class _Choice(msgspec.Struct):
    index: Any = 0
    delta: _Delta | None = None
    finish_reason: Any = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: Any = None
    error: Any = None
    service_tier: Any = None


_decoder = msgspec.json.Decoder(_Chunk)


class ChatWatcher(Watcher):
    """Follows one stream of chunks. `include_usage`: the client asked for the usage event himself."""

    def __init__(self, read_usage: UsageReader, include_usage: bool) -> None:
        super().__init__()
        self._read_usage = read_usage
        self._include_usage = include_usage
        self._seen: set[Any] = set()
        self._finished: set[Any] = set()

    @property
    def has_finished(self) -> bool:
        """Whether `[DONE]` came, or every choice that began has given its reason to end."""
        return self.is_done or (bool(self._seen) and self._seen == self._finished)

    def _look_at(self, event: bytes) -> bytes:
        data = data_of(event)
        if data is None:
            return event
        if data == b"[DONE]":
            self.is_done = True
            self.kept_back.append(event)
            return b""
        chunk = decode(data, _decoder)
        if chunk is None:
            # Not a shape that we know: the client gets it as it is, and it counts as output by its size.
            self.generated.add(data.decode("latin-1"))
            return event
        if chunk.error is not None:
            self.error = chunk.error
            return b""
        if isinstance(chunk.service_tier, str):
            self.service_tier = chunk.service_tier
        for choice in chunk.choices or ():
            self._count(choice)
        if chunk.usage is None:
            return event
        self.usage = self._read_usage(chunk.usage)
        if chunk.choices:
            return event  # the report rides on a chunk that the client needs
        if self._include_usage:
            self.kept_back.append(event)
        return b""

    def _count(self, choice: _Choice) -> None:
        index = choice.index if isinstance(choice.index, int) else 0
        self._seen.add(index)
        if choice.finish_reason is not None:
            self._finished.add(index)
        delta = choice.delta
        if delta is None:
            return
        for text in (delta.content, delta.reasoning_content or delta.reasoning, delta.refusal):
            if isinstance(text, str):
                self.generated.add(text)
        calls = delta.tool_calls if isinstance(delta.tool_calls, list) else []
        for call in (*calls, {"function": delta.function_call}):
            function = call.get("function") if isinstance(call, dict) else None
            if isinstance(function, dict):
                self.generated.add(str(function.get("name") or ""))
                self.generated.add(str(function.get("arguments") or ""))


class _Completion(msgspec.Struct):
    choices: Any = None
    usage: Any = None
    error: Any = None
    service_tier: Any = None


_completion_decoder = msgspec.json.Decoder(_Completion)


def _texts(choices: Any) -> Iterator[str]:
    for choice in parts_of(choices):
        message = choice.get("message")
        if not isinstance(message, dict):
            continue
        yield text_of(message.get("content"))
        yield text_of(message.get("reasoning_content") or message.get("reasoning"))
        yield text_of(message.get("refusal"))
        for call in parts_of(message.get("tool_calls")):
            function = call.get("function")
            if isinstance(function, dict):
                yield text_of(function.get("name"))
                yield text_of(function.get("arguments"))
