"""Answers of the Responses API: the response object, and its events (OpenAI's API reference)."""

import base64
import hashlib
from collections.abc import Iterator
from typing import Any

from simulator.conversations import Conversations
from simulator.dialect import Answer, Order
from simulator.errors import scripted_fields
from simulator.events import ENCODE, EventLines, cut_deltas
from simulator.log import Totals
from simulator.replies import Choice, ToolCall
from simulator.responses_request import ResponsesBody
from simulator.script import Script
from simulator.thoughts import summarize


def encode_responses_usage(totals: Totals, script: Script) -> bytes:
    """The usage object; `cache_write_tokens` is in it only if scripted."""
    written = b""
    if script.cache_write_tokens is not None:
        written = b',"cache_write_tokens":%d' % totals.cache_write
    return (
        b'{"input_tokens":%d,"input_tokens_details":{"cached_tokens":%d%b},"output_tokens":%d,'
        b'"output_tokens_details":{"reasoning_tokens":%d},"total_tokens":%d}'
        % (
            totals.input,
            totals.cached,
            written,
            totals.output,
            totals.reasoning,
            totals.input + totals.output,
        )
    )


class ResponsesAnswer(Answer):
    """One response. Its items in order: reasoning, then a message or the calls of functions."""

    def __init__(self, order: Order, totals: Totals, conversations: Conversations) -> None:
        self._order = order
        self._body: ResponsesBody = order.body
        self._script = order.script
        self._conversations = conversations
        self._choice: Choice = order.reply.choices[0]
        self._lines = EventLines(order.script)
        self._number = 0
        self._frame = self._make_frame()
        self._reasoning = self._reasoning_item()
        self.usage = self._script.report(encode_responses_usage(totals, self._script))

    def plain(self) -> bytes:
        return self._response(self._final_status, self._items())

    def opening(self) -> Iterator[bytes]:
        for kind in ("response.created", "response.in_progress"):
            yield self._event(kind, b'"response":' + self._response("in_progress", None))
        if self._reasoning is not None:
            yield from self._open_reasoning(self._reasoning)
        if self._has_message:
            item = self._message_item("in_progress", b"[]")
            yield self._item_event("added", self._first_index, item)
            yield self._event(
                "response.content_part.added",
                self._place(self._first_index) + b',"part":' + _text_part(b'""'),
            )

    def content(self) -> Iterator[tuple[bytes, int]]:
        place = self._place(self._first_index)
        for text, tokens in cut_deltas(self._choice.pieces, self._script):
            fields = b'%b,"delta":%b,"logprobs":[]' % (place, text)
            yield self._event("response.output_text.delta", fields), tokens
        for position, call in enumerate(self._choice.tool_calls or ()):
            index = self._first_index + position
            begun = self._item_event("added", index, _call_item(call, "in_progress"))
            if position:
                begun = self._close_call(position - 1) + begun
            yield begun, call.frame_tokens
            place = b'"item_id":"%b","output_index":%d' % (_call_item_id(call), index)
            for text, tokens in cut_deltas(call.pieces, self._script):
                fields = b'%b,"delta":%b' % (place, text)
                yield self._event("response.function_call_arguments.delta", fields), tokens

    def closing(self) -> Iterator[bytes]:
        if self._has_message:
            yield from self._close_message()
        if self._choice.tool_calls:
            yield self._close_call(len(self._choice.tool_calls) - 1)
        status = self._final_status
        whole = self._response(status, self._items())
        yield self._event(f"response.{status}", b'"response":' + whole)

    def error(self) -> bytes:
        if self._script.response_failed:
            return self._event("response.failed", b'"response":' + self._failed_response())
        said = scripted_fields(500, self._script.error)
        fields = {name: said[name] for name in ("code", "message", "param")}
        return self._event("error", ENCODE(fields)[1:-1])

    def failed(self) -> bytes | None:
        return self._failed_response() if self._script.response_failed else None

    def complete(self) -> None:
        """Remember the conversation, so that the next call can name it."""
        if not self._body.is_stored:
            return
        given = self._order.ask.messages
        messages = given[1:] if self._body.instructions is not None else list(given)
        said: dict[str, Any] = {"role": "assistant", "content": "".join(self._choice.pieces)}
        if self._choice.tool_calls:
            said["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": "".join(call.pieces)},
                }
                for call in self._choice.tool_calls
            ]
        self._conversations.keep(self._order.id, [*messages, said])

    # items

    @property
    def _final_status(self) -> str:
        return "incomplete" if self._choice.finish_reason == "length" else "completed"

    @property
    def _has_message(self) -> bool:
        # A limit that reasoning used up leaves nothing to say.
        starved = self._choice.finish_reason == "length" and not self._choice.pieces
        return not self._choice.tool_calls and not starved

    @property
    def _first_index(self) -> int:
        """The output index of the message or the first call."""
        return int(self._reasoning is not None)

    def _items(self) -> bytes:
        items = [] if self._reasoning is None else [ENCODE(self._reasoning)]
        status = self._final_status
        if self._has_message:
            part = _text_part(ENCODE("".join(self._choice.pieces)))
            items.append(self._message_item(status, b"[" + part + b"]"))
        calls = self._choice.tool_calls or []
        for call in calls:
            items.append(_call_item(call, status if call is calls[-1] else "completed"))
        return b"[" + b",".join(items) + b"]"

    def _message_item(self, status: str, content: bytes) -> bytes:
        return b'{"id":"msg_%b","type":"message","status":"%b","role":"assistant","content":%b}' % (
            self._order.serial.encode(),
            status.encode(),
            content,
        )

    def _reasoning_item(self) -> dict[str, Any] | None:
        if not self._choice.reasoning:
            return None
        item: dict[str, Any] = {
            "id": f"rs_{self._order.serial}",
            "type": "reasoning",
            "summary": [],
        }
        if self._body.wants_summary:
            text = "".join(summarize(self._choice.reasoning))
            item["summary"] = [{"type": "summary_text", "text": text}]
        if self._body.wants_encrypted_reasoning:
            digest = hashlib.sha512(self._order.serial.encode()).digest()
            item["encrypted_content"] = base64.b64encode(digest).decode()
        return item

    # events

    def _event(self, kind: str, fields: bytes) -> bytes:
        number, self._number = self._number, self._number + 1
        return self._lines.named(
            kind.encode(),
            b'{"type":"%b","sequence_number":%d,%b}' % (kind.encode(), number, fields),
        )

    def _item_event(self, verb: str, index: int, item: bytes) -> bytes:
        return self._event(
            f"response.output_item.{verb}", b'"output_index":%d,"item":%b' % (index, item)
        )

    def _place(self, index: int) -> bytes:
        return b'"item_id":"msg_%b","output_index":%d,"content_index":0' % (
            self._order.serial.encode(),
            index,
        )

    def _open_reasoning(self, item: dict[str, Any]) -> Iterator[bytes]:
        yield self._item_event("added", 0, ENCODE({**item, "summary": []}))
        if item["summary"]:
            place = b'"item_id":"%b","output_index":0,"summary_index":0' % item["id"].encode()
            stem = "response.reasoning_summary"
            empty, whole = ENCODE({"type": "summary_text", "text": ""}), ENCODE(item["summary"][0])
            yield self._event(f"{stem}_part.added", place + b',"part":' + empty)
            for piece in summarize(self._choice.reasoning):
                yield self._event(f"{stem}_text.delta", place + b',"delta":' + ENCODE(piece))
            text = ENCODE(item["summary"][0]["text"])
            yield self._event(f"{stem}_text.done", place + b',"text":' + text)
            yield self._event(f"{stem}_part.done", place + b',"part":' + whole)
        yield self._item_event("done", 0, ENCODE(item))

    def _close_message(self) -> Iterator[bytes]:
        index = self._first_index
        text = ENCODE("".join(self._choice.pieces))
        place, part = self._place(index), _text_part(text)
        yield self._event(
            "response.output_text.done", b'%b,"text":%b,"logprobs":[]' % (place, text)
        )
        yield self._event("response.content_part.done", place + b',"part":' + part)
        item = self._message_item(self._final_status, b"[" + part + b"]")
        yield self._item_event("done", index, item)

    def _close_call(self, position: int) -> bytes:
        calls = self._choice.tool_calls or []
        call, index = calls[position], self._first_index + position
        status = self._final_status if call is calls[-1] else "completed"
        fields = b'"item_id":"%b","output_index":%d,"arguments":%b' % (
            _call_item_id(call),
            index,
            ENCODE("".join(call.pieces)),
        )
        done = self._event("response.function_call_arguments.done", fields)
        return done + self._item_event("done", index, _call_item(call, status))

    # the response object

    def _make_frame(self) -> dict[str, Any]:
        """The fields that are the same in every state of the response."""
        body, order = self._body, self._order
        reasoning, text = body.reasoning or {}, body.text or {}
        tier = body.service_tier if body.service_tier not in (None, "auto") else "default"
        return {
            "background": False,
            "instructions": body.instructions,
            "max_output_tokens": body.max_output_tokens,
            "max_tool_calls": None,
            "model": order.ask.model,
            "parallel_tool_calls": body.parallel_tool_calls is not False,
            "previous_response_id": body.previous_response_id,
            "prompt_cache_key": None,
            "reasoning": {
                "effort": reasoning.get("effort"),
                "summary": reasoning.get("summary"),
            },
            "safety_identifier": None,
            "service_tier": tier,
            "store": body.is_stored,
            "temperature": 1.0 if body.temperature is None else body.temperature,
            "text": {"format": text.get("format") or {"type": "text"}, "verbosity": "medium"},
            "tool_choice": body.tool_choice or "auto",
            "tools": body.tools or [],
            "top_logprobs": 0,
            "top_p": 1.0 if body.top_p is None else body.top_p,
            "truncation": "disabled",
            "user": None,
            "metadata": body.metadata or {},
        }

    def _response(self, status: str, output: bytes | None) -> bytes:
        """The response object; `output` None while it is in progress."""
        incomplete = b"null"
        if status == "incomplete":
            incomplete = b'{"reason":"max_output_tokens"}'
        usage = b""
        if output is None or status == "failed":
            usage = b"" if self._script.no_usage else b',"usage":null'
        elif self.usage is not None:
            usage = b',"usage":' + self.usage
        error = b"null"
        if status == "failed":
            said = scripted_fields(500, self._script.error)
            code = said["code"] or "server_error"
            error = ENCODE({"code": code, "message": said["message"]})
        return (
            b'{"id":"%b","object":"response","created_at":%d,"status":"%b","error":%b,'
            b'"incomplete_details":%b,"output":%b%b,%b'
            % (
                self._order.id.encode(),
                self._order.created,
                status.encode(),
                error,
                incomplete,
                output or b"[]",
                usage,
                ENCODE(self._frame)[1:],
            )
        )

    def _failed_response(self) -> bytes:
        return self._response("failed", b"[]")


def _text_part(text: bytes) -> bytes:
    return b'{"type":"output_text","annotations":[],"logprobs":[],"text":%b}' % text


def _call_item_id(call: ToolCall) -> bytes:
    return b"fc_" + call.id.removeprefix("call_").encode()


def _call_item(call: ToolCall, status: str) -> bytes:
    """The item of a function's call; while it is in progress its arguments are still to come."""
    arguments = "" if status == "in_progress" else "".join(call.pieces)
    return ENCODE(
        {
            "id": _call_item_id(call).decode(),
            "type": "function_call",
            "status": status,
            "arguments": arguments,
            "call_id": call.id,
            "name": call.name,
        }
    )
