"""Answers of the Messages API: the message, and its events (Anthropic, "Streaming messages")."""

import base64
import hashlib
from collections.abc import Iterator
from typing import Any

from simulator.dialect import Answer, Order, scripted_message
from simulator.errors import ApiError, anthropic_envelope
from simulator.events import ENCODE, EventLines, as_object, cut_deltas
from simulator.log import Totals
from simulator.replies import Choice, ToolCall
from simulator.thoughts import summarize

_STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}


class MessagesAnswer(Answer):
    """One message. Its blocks in order: thinking, then a text or the uses of tools."""

    def __init__(self, order: Order, totals: Totals) -> None:
        self._order = order
        self._script = order.script
        self._choice: Choice = order.reply.choices[0]
        self._lines = EventLines(order.script)
        self._thinking: list[str] = []
        if order.body.thinks:
            self._thinking = summarize(self._choice.reasoning)
        self._input, self._input_details = _split_input(totals)
        self.usage = self._report(totals.output, is_whole=not order.ask.stream)

    def plain(self) -> bytes:
        return self._message(self._blocks(), self._stop_fields(), self.usage)

    def opening(self) -> Iterator[bytes]:
        stop = b'"stop_reason":null,"stop_sequence":null'
        begun = self._message(b"[]", stop, self._report(1, is_whole=True))
        yield self._event(b"message_start", b'"message":' + begun)
        if self._thinking:
            block = {"type": "thinking", "thinking": "", "signature": ""}
            yield self._start(0, block) + self._ping()
            for piece in self._thinking:
                yield self._delta(0, b'"type":"thinking_delta","thinking":' + ENCODE(piece))
            signed = b'"type":"signature_delta","signature":' + ENCODE(self._signature)
            yield self._delta(0, signed)
            yield self._stop(0)
        if self._has_text:
            started = self._start(self._first_index, {"type": "text", "text": ""})
            yield started if self._thinking else started + self._ping()

    def content(self) -> Iterator[tuple[bytes, int]]:
        index = self._first_index
        for text, tokens in cut_deltas(self._choice.pieces, self._script):
            yield self._delta(index, b'"type":"text_delta","text":' + text), tokens
        for position, call in enumerate(self._choice.tool_calls or ()):
            index = self._first_index + position
            begun = self._start(index, _tool_use(call, {}))
            yield (self._stop(index - 1) if position else b"") + begun, call.frame_tokens
            for text, tokens in cut_deltas(call.pieces, self._script):
                fields = b'"type":"input_json_delta","partial_json":' + text
                yield self._delta(index, fields), tokens

    def closing(self) -> Iterator[bytes]:
        if self._has_text or self._choice.tool_calls:
            yield self._stop(self._first_index + max(len(self._choice.tool_calls or ()) - 1, 0))
        usage = b"" if self.usage is None else b',"usage":' + self.usage
        fields = b'"delta":{%b}%b' % (self._stop_fields(), usage)
        yield self._event(b"message_delta", fields)
        if not self._script.no_done:
            yield self._lines.named(b"message_stop", b'{"type":"message_stop"}')

    def error(self) -> bytes:
        given = self._script.error
        kind = given.type if given is not None else None
        # The stream's status is out: what kind of error it is must be said.
        body = anthropic_envelope(
            500, scripted_message(500, given), f"req_{self._order.serial}", kind
        )
        return self._lines.named(b"error", body)

    # the message

    @property
    def _has_text(self) -> bool:
        starved = self._choice.finish_reason == "length" and not self._choice.pieces
        return not self._choice.tool_calls and not starved

    @property
    def _first_index(self) -> int:
        """The index of the text or the first tool's use."""
        return int(bool(self._thinking))

    @property
    def _signature(self) -> str:
        return base64.b64encode(hashlib.sha512(self._order.serial.encode()).digest()).decode()

    def _blocks(self) -> bytes:
        blocks: list[dict[str, Any]] = []
        if self._thinking:
            text = "".join(self._thinking)
            blocks.append({"type": "thinking", "thinking": text, "signature": self._signature})
        if self._has_text:
            blocks.append({"type": "text", "text": "".join(self._choice.pieces)})
        for call in self._choice.tool_calls or ():
            blocks.append(_tool_use(call, as_object("".join(call.pieces))))
        return ENCODE(blocks)

    def _message(self, content: bytes, stop: bytes, usage: bytes | None) -> bytes:
        reported = b"" if usage is None else b',"usage":' + usage
        return b'{"id":"%b","type":"message","role":"assistant","model":%b,"content":%b,%b%b}' % (
            self._order.id.encode(),
            ENCODE(self._order.ask.model),
            content,
            stop,
            reported,
        )

    def _stop_fields(self) -> bytes:
        choice = self._choice
        reason = _STOP_REASONS[choice.finish_reason]
        if choice.stopped_by is not None:
            reason = "stop_sequence"
        return b'"stop_reason":"%b","stop_sequence":%b' % (
            reason.encode(),
            ENCODE(choice.stopped_by),
        )

    # usage

    def _report(self, output: int, *, is_whole: bool) -> bytes | None:
        """The usage; at the end of a stream without what its beginning said of the cache's lifetimes."""
        details = self._input_details if is_whole else b""
        return self._script.report(b'{%b,"output_tokens":%d%b}' % (self._input, output, details))

    # events

    def _event(self, kind: bytes, fields: bytes) -> bytes:
        return self._lines.named(kind, b'{"type":"%b",%b}' % (kind, fields))

    def _start(self, index: int, block: dict[str, Any]) -> bytes:
        fields = b'"index":%d,"content_block":%b' % (index, ENCODE(block))
        return self._event(b"content_block_start", fields)

    def _delta(self, index: int, delta: bytes) -> bytes:
        return self._event(b"content_block_delta", b'"index":%d,"delta":{%b}' % (index, delta))

    def _stop(self, index: int) -> bytes:
        return self._event(b"content_block_stop", b'"index":%d' % index)

    def _ping(self) -> bytes:
        return self._lines.named(b"ping", b'{"type":"ping"}')


def _split_input(totals: Totals) -> tuple[bytes, bytes]:
    """The input's part of the usage, and its details.

    Anthropic counts what is read from and written to the cache apart from `input_tokens`. Raises
    ApiError(400) if less than nothing would be left of them.
    """
    written = totals.cache_write + totals.cache_write_1h
    fresh = totals.input - totals.cached - written
    if fresh < 0:
        raise ApiError(
            400,
            "Invalid 'simulate': cached and written tokens are part of `input_tokens`, so cannot "
            f"exceed them ({totals.input}).",
            param="simulate",
            code="invalid_script",
        )
    counted = b'"input_tokens":%d,"cache_creation_input_tokens":%d,"cache_read_input_tokens":%d' % (
        fresh,
        written,
        totals.cached,
    )
    details = (
        b',"cache_creation":{"ephemeral_5m_input_tokens":%d,"ephemeral_1h_input_tokens":%d},'
        b'"service_tier":"standard"' % (totals.cache_write, totals.cache_write_1h)
    )
    return counted, details


def _tool_use(call: ToolCall, given: Any) -> dict[str, Any]:
    identity = "toolu_" + call.id.removeprefix("call_")
    return {"type": "tool_use", "id": identity, "name": call.name, "input": given}
