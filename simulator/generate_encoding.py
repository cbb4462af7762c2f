"""Answers of generateContent (Google's Gemini API reference, "Generating content")."""

import base64
import hashlib
from collections.abc import Iterator
from typing import Any

from simulator.dialect import Answer, Order, scripted_message
from simulator.errors import ApiError, google_envelope
from simulator.events import ENCODE, EventLines, as_object, cut_deltas
from simulator.log import Totals
from simulator.replies import Choice, ToolCall
from simulator.thoughts import summarize

_REASONS = {"stop": "STOP", "length": "MAX_TOKENS", "tool_calls": "STOP"}


class GenerateAnswer(Answer):
    """One generated answer; streamed as events, or as the elements of one JSON array.

    `media`: the prompt's tokens that are no text, by modality.
    """

    def __init__(
        self, order: Order, totals: Totals, media: dict[str, int], *, is_event_stream: bool
    ) -> None:
        self._order = order
        self._script = order.script
        self._totals = totals
        self._thoughts = totals.reasoning
        self._output = totals.output
        self._choices = order.reply.choices
        self._is_event_stream = is_event_stream
        self._lines = EventLines(order.script)
        self._has_begun = False
        self._spoken = 0
        self._tail = b',"modelVersion":%b,"responseId":"%b"}' % (
            ENCODE(order.ask.model.rpartition("/")[2]),
            order.id.encode(),
        )
        self._input = self._input_usage(media)
        self.usage = self._report(self._output - self._thoughts)

    def plain(self) -> bytes:
        candidates = [
            self._candidate(index, self._parts(choice), _REASONS[choice.finish_reason])
            for index, choice in enumerate(self._choices)
        ]
        return self._body(b",".join(candidates), self.usage)

    def opening(self) -> Iterator[bytes]:
        for index, choice in enumerate(self._choices):
            for piece in self._shown_thoughts(choice):
                part = b'{"text":%b,"thought":true}' % ENCODE(piece)
                yield self._chunk(index, part, 0)

    def content(self) -> Iterator[tuple[bytes, int]]:
        for index, choice in enumerate(self._choices):
            for text, tokens in cut_deltas(choice.pieces, self._script):
                yield self._chunk(index, b'{"text":%b}' % text, tokens), tokens
            for position, call in enumerate(choice.tool_calls or ()):
                tokens = call.frame_tokens + len(call.pieces)
                part = ENCODE(self._function_call(choice, position, call))
                yield self._chunk(index, part, tokens), tokens

    def closing(self) -> Iterator[bytes]:
        last = len(self._choices) - 1
        for index, choice in enumerate(self._choices):
            part = b"" if choice.tool_calls else b'{"text":""}'
            candidate = self._candidate(index, part, _REASONS[choice.finish_reason])
            usage = self.usage if index == last else self._report(self._spoken)
            yield self._framed(self._body(candidate, usage))
        if not self._is_event_stream:
            yield b"]"

    def error(self) -> bytes:
        given = self._script.error
        kind = given.type if given is not None else None
        body = google_envelope(500, scripted_message(500, given), kind)
        return self._framed(body) + (b"" if self._is_event_stream else b"]")

    # parts

    def _shown_thoughts(self, choice: Choice) -> list[str]:
        return summarize(choice.reasoning) if self._order.body.shows_thoughts else []

    def _parts(self, choice: Choice) -> bytes:
        parts: list[dict[str, Any]] = []
        thoughts = "".join(self._shown_thoughts(choice))
        if thoughts:
            parts.append({"text": thoughts, "thought": True})
        if choice.pieces:
            parts.append({"text": "".join(choice.pieces)})
        for position, call in enumerate(choice.tool_calls or ()):
            parts.append(self._function_call(choice, position, call))
        return ENCODE(parts)[1:-1]

    def _function_call(self, choice: Choice, position: int, call: ToolCall) -> dict[str, Any]:
        """The part of a call. Google streams calls whole; the first is signed if it was thought of."""
        arguments = as_object("".join(call.pieces))
        part: dict[str, Any] = {
            "functionCall": {"id": call.id, "name": call.name, "args": arguments}
        }
        if choice.reasoning and not position:
            digest = hashlib.sha256(self._order.serial.encode()).digest()
            part["thoughtSignature"] = base64.b64encode(digest).decode()
        return part

    def _candidate(self, index: int, parts: bytes, reason: str | None = None) -> bytes:
        finish = b"" if reason is None else b',"finishReason":"%b"' % reason.encode()
        return b'{"content":{"parts":[%b],"role":"model"}%b,"index":%d}' % (parts, finish, index)

    def _chunk(self, index: int, part: bytes, tokens: int) -> bytes:
        self._spoken += tokens
        return self._framed(self._body(self._candidate(index, part), self._report(self._spoken)))

    def _body(self, candidates: bytes, usage: bytes | None) -> bytes:
        reported = b"" if usage is None else b',"usageMetadata":' + usage
        return b'{"candidates":[%b]%b%b' % (candidates, reported, self._tail)

    def _framed(self, body: bytes) -> bytes:
        if self._is_event_stream:
            return self._lines.data(body)
        lead = b",\r\n" if self._has_begun else b"["
        self._has_begun = True
        return lead + body

    # usage

    def _input_usage(self, media: dict[str, int]) -> tuple[int, bytes]:
        """The prompt's tokens, and its part of the usage. What tools read is counted apart."""
        totals = self._totals
        tool_use = self._script.tool_use_prompt_tokens or 0
        prompt = totals.input - tool_use
        if prompt < 0:
            raise ApiError(
                400,
                "Invalid 'simulate': `tool_use_prompt_tokens` are part of `input_tokens`, so cannot "
                f"exceed them ({totals.input}).",
                param="simulate",
                code="invalid_script",
            )
        fields = b'"promptTokenCount":%d' % prompt
        if self._script.cached_tokens is not None:
            fields += b',"cachedContentTokenCount":%d' % totals.cached
            fields += b',"cacheTokensDetails":[{"modality":"TEXT","tokenCount":%d}]' % totals.cached
        if tool_use:
            fields += b',"toolUsePromptTokenCount":%d' % tool_use
        details = encode_details(prompt, media)
        return prompt + tool_use, fields + b',"promptTokensDetails":' + details

    def _report(self, spoken: int) -> bytes | None:
        size, fields = self._input
        if spoken:
            fields += b',"candidatesTokenCount":%d' % spoken
        if self._thoughts:
            fields += b',"thoughtsTokenCount":%d' % self._thoughts
        total = size + spoken + self._thoughts
        return self._script.report(b'{%b,"totalTokenCount":%d}' % (fields, total))


def encode_details(prompt: int, media: dict[str, int]) -> bytes:
    """A prompt's tokens by modality; media never exceed a figure that a script gave."""
    left = prompt
    details = []
    for modality, tokens in media.items():
        counted = min(tokens, left)
        left -= counted
        details.append({"modality": modality, "tokenCount": counted})
    return ENCODE([{"modality": "TEXT", "tokenCount": left}, *details])
