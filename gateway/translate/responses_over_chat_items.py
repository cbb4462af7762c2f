"""Output items of a Response while they grow: the events that tell a client of them, without their numbers. Pure.

OpenAI's API reference, "Streaming events". An event here is its data without `sequence_number`.
"""

import json
import re
from typing import Any

import msgspec

from gateway.translate.responses_over_chat_tools import Tool
from gateway.translate.shapes import Joint

Event = dict[str, Any]
_INPUT_BEGIN = re.compile(r'\s*\{\s*"input"\s*:\s*"')
# Up to the string's end, or to an escape that is not whole yet. One that can never be whole is text.
_INPUT_TEXT = re.compile(
    r'(?:[^"\\]++|\\u[0-9a-fA-F]{4}|\\u(?=[0-9a-fA-F]{0,3}[^0-9a-fA-F])|\\[^u])*+', re.DOTALL
)


class TextKind(msgspec.Struct, frozen=True):
    """One of the kinds of text that an item consists of."""

    item: str
    prefix: str
    part: str
    field: str
    event: str


TEXT = TextKind("message", "msg", "output_text", "text", "response.output_text")
REFUSAL = TextKind("message", "msg", "refusal", "refusal", "response.refusal")
REASONING = TextKind("reasoning", "rs", "reasoning_text", "text", "response.reasoning_text")


class TextItem:
    """A message, or reasoning, with one part of text. `sealed` is its `encrypted_content`, set before its end."""

    def __init__(self, kind: TextKind, hex_: str, index: int) -> None:
        self.kind = kind
        self.sealed: str | None = None
        self._id = f"{kind.prefix}_{hex_}{index:02x}"
        self._index = index
        self._joint = Joint()
        self._logprobs: list[dict[str, Any]] = []
        self._status = "in_progress"

    @property
    def text(self) -> str:
        return self._joint.text

    def open(self) -> list[Event]:
        """The events before its first text."""
        return [
            _item_event("added", self._index, self._item([])),
            self._part_event("added", self._part("")),
        ]

    def add(self, text: str, logprobs: list[dict[str, Any]]) -> list[Event]:
        """The event for some more text."""
        self._logprobs += logprobs
        return self._deltas(self._joint.add(text), logprobs)

    def close(self, status: str) -> list[Event]:
        """The events after its last text."""
        events = self._deltas(self._joint.end(), [])
        self._status = status
        done: Event = {**self._at(f"{self.kind.event}.done"), self.kind.field: self.text}
        if self.kind is TEXT:
            done["logprobs"] = self._logprobs
        part = self._part_event("done", self._part(self.text))
        return [*events, done, part, _item_event("done", self._index, self.whole())]

    def whole(self) -> dict[str, Any]:
        """The item as it stands."""
        return self._item([self._part(self.text)])

    def _deltas(self, delta: str, logprobs: list[dict[str, Any]]) -> list[Event]:
        if not delta:
            return []
        event: Event = {**self._at(f"{self.kind.event}.delta"), "delta": delta}
        if self.kind is TEXT:
            event["logprobs"] = logprobs
        return [event]

    def _at(self, type_: str) -> Event:
        return {
            "type": type_,
            "item_id": self._id,
            "output_index": self._index,
            "content_index": 0,
        }

    def _part_event(self, end: str, part: dict[str, Any]) -> Event:
        return {**self._at(f"response.content_part.{end}"), "part": part}

    def _part(self, text: str) -> dict[str, Any]:
        part: dict[str, Any] = {"type": self.kind.part, self.kind.field: text}
        if self.kind is TEXT:
            part |= {"annotations": [], "logprobs": list(self._logprobs)}
        return part

    def _item(self, content: list[dict[str, Any]]) -> dict[str, Any]:
        item = {"id": self._id, "type": self.kind.item, "status": self._status, "content": content}
        if self.kind is REASONING:
            return {**item, "summary": [], "encrypted_content": self.sealed}
        return {**item, "role": "assistant"}


class SealItem:
    """Reasoning that only the provider reads again: an item without text."""

    def __init__(self, sealed: str, hex_: str, index: int) -> None:
        self._index = index
        self._item = {
            "id": f"rs_{hex_}{index:02x}",
            "type": "reasoning",
            "status": "completed",
            "content": [],
            "summary": [],
            "encrypted_content": sealed,
        }

    def open(self) -> list[Event]:
        """Its beginning and its end."""
        return [
            _item_event("added", self._index, {**self._item, "status": "in_progress"}),
            _item_event("done", self._index, self._item),
        ]

    def whole(self) -> dict[str, Any]:
        return self._item


class CallItem:
    """A call of one of the client's tools. `upstream_id`: what the provider calls it, empty if nothing."""

    def __init__(self, tool: Tool, upstream_id: str, hex_: str, index: int) -> None:
        self._tool = tool
        self.upstream_id = upstream_id
        self._id = f"{'ctc' if tool.is_custom else 'fc'}_{hex_}{index:02x}"
        self._call_id = upstream_id or f"call_{hex_[:24]}{index:02x}"
        self._index = index
        self._joint = Joint()
        self._wrapped = _WrappedInput()
        self._status = "in_progress"
        kind = "custom_tool_call_input" if tool.is_custom else "function_call_arguments"
        self._event = f"response.{kind}"
        self._field = "input" if tool.is_custom else "arguments"

    def open(self) -> list[Event]:
        """The event before its arguments."""
        return [_item_event("added", self._index, self.whole())]

    def add(self, arguments: str) -> list[Event]:
        """The event for some more of its arguments."""
        if self._tool.is_custom:
            arguments = self._wrapped.add(arguments)
        return self._deltas(self._joint.add(arguments))

    def close(self, status: str) -> list[Event]:
        """The events after the last of its arguments."""
        rest = self._wrapped.end() if self._tool.is_custom else ""
        events = self._deltas(self._joint.add(rest) + self._joint.end())
        self._status = status
        done = {**self._at("done"), self._field: self._joint.text}
        return [*events, done, _item_event("done", self._index, self.whole())]

    def whole(self) -> dict[str, Any]:
        """The item as it stands."""
        item = {
            "id": self._id,
            "type": "custom_tool_call" if self._tool.is_custom else "function_call",
            "status": self._status,
            "call_id": self._call_id,
            "name": self._tool.name,
            self._field: self._joint.text,
        }
        if self._tool.namespace:
            item["namespace"] = self._tool.namespace
        return item

    def _deltas(self, delta: str) -> list[Event]:
        return [{**self._at("delta"), "delta": delta}] if delta else []

    def _at(self, end: str) -> Event:
        return {
            "type": f"{self._event}.{end}",
            "item_id": self._id,
            "output_index": self._index,
        }


class _WrappedInput:
    """The text inside `{"input": "..."}`, read while it comes."""

    def __init__(self) -> None:
        self._unread = ""
        self._has_begun = False

    def add(self, fragment: str) -> str:
        """What of the text is new."""
        self._unread += fragment
        start = 0
        if not self._has_begun:
            begin = _INPUT_BEGIN.match(self._unread)
            if begin is None:
                return ""
            self._has_begun = True
            start = begin.end()
        found = _INPUT_TEXT.match(self._unread, start)
        end = start if found is None else found.end()
        text, self._unread = self._unread[start:end], self._unread[end:]
        return _unescaped(text)

    def end(self) -> str:
        """What is left when nothing follows: all of it, if the model wrapped it in another way or not at all."""
        if self._has_begun:
            return ""
        try:
            value = json.loads(self._unread)
        except (ValueError, RecursionError):
            return self._unread
        text = value.get("input") if isinstance(value, dict) else None
        return text if isinstance(text, str) else self._unread


def _unescaped(text: str) -> str:
    try:
        return str(json.loads(f'"{text}"', strict=False))
    except ValueError:  # an escape that JSON does not have
        return text


def _item_event(end: str, index: int, item: dict[str, Any]) -> Event:
    return {"type": f"response.output_item.{end}", "output_index": index, "item": item}
