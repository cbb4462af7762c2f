"""What stands in the events of a Chat Completions stream, and what the end of one means. Pure.

The watcher sees each event as it passes. It decides which bytes may go to the client now, which are kept back until
the settlement is written (the usage report and `[DONE]`), and which are not the client's (usage nobody asked for).
"""

import json
from typing import Any, TypeVar

import msgspec

from billing.pricing import Usage
from gateway.providers.base import Dialect
from gateway.sse import data_of
from gateway.usage import Generated


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


T = TypeVar("T")
_decoder = msgspec.json.Decoder(_Chunk)


def _decode(data: bytes, decoder: "msgspec.json.Decoder[T]") -> T | None:
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


class StreamWatcher:
    """Follows one stream. `include_usage`: the client asked for the usage event himself."""

    def __init__(self, dialect: Dialect, include_usage: bool) -> None:
        self._dialect = dialect
        self._include_usage = include_usage
        self.generated = Generated()
        self.usage: Usage | None = None
        self.service_tier: str | None = None
        self.is_done = False
        self._seen: set[Any] = set()
        self._finished: set[Any] = set()
        self.error: Any = None
        self.kept_back: list[bytes] = []

    @property
    def has_finished(self) -> bool:
        """Whether every choice that began has given its reason to end."""
        return bool(self._seen) and self._seen == self._finished

    def pass_event(self, event: bytes) -> bytes:
        """The bytes of this event that the client gets now; empty if they are kept back or not for him."""
        passed = self._look_at(event)
        if passed and self.kept_back:
            # What follows bytes that are kept back waits too, or their order would change.
            self.kept_back.append(passed)
            return b""
        return passed

    def _look_at(self, event: bytes) -> bytes:
        data = data_of(event)
        if data is None:
            return event
        if data == b"[DONE]":
            self.is_done = True
            self.kept_back.append(event)
            return b""
        chunk = _decode(data, _decoder)
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
        self.usage = self._dialect.read_usage(chunk.usage)
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


class PlainAnswer(msgspec.Struct, frozen=True):
    """What is read from a whole answer. `generated` counts its text, for the case that usage is missing."""

    usage: Usage | None
    service_tier: str | None
    error: Any
    output_tokens: int


def read_plain_answer(body: bytes, dialect: Dialect) -> PlainAnswer | None:
    """The parts of a Chat Completions answer that matter to us; None for what is none (HTML, cut JSON, an array)."""
    completion = _decode(body, _completion_decoder)
    if completion is None:
        return None
    if completion.error is None and not isinstance(completion.choices, list):
        return None
    usage = dialect.read_usage(completion.usage)
    generated = Generated()
    if usage is None:
        for text in _texts(completion.choices):
            generated.add(text)
    tier = completion.service_tier if isinstance(completion.service_tier, str) else None
    return PlainAnswer(usage, tier, completion.error, generated.tokens)


def _texts(choices: Any) -> list[str]:
    found = []
    for choice in choices if isinstance(choices, list) else ():
        message = choice.get("message") if isinstance(choice, dict) else None
        if not isinstance(message, dict):
            continue
        found += [message.get(name) for name in ("content", "reasoning_content", "refusal")]
        calls = message.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            function = call.get("function") if isinstance(call, dict) else None
            if isinstance(function, dict):
                found += [function.get("name"), function.get("arguments")]
    return [text for text in found if isinstance(text, str)]
