"""A provider's Chat Completions answer as a Response, whole or as its stream of events. Pure."""

from typing import Any

from gateway.translate.reasoning_seal import REASONING_FIELDS, seal
from gateway.translate.responses_over_chat_answer import ResponseFrame
from gateway.translate.responses_over_chat_items import (
    REASONING,
    REFUSAL,
    TEXT,
    CallItem,
    Event,
    SealItem,
    TextItem,
    TextKind,
)
from gateway.translate.responses_over_chat_tools import Tool, tools_by_name
from gateway.translate.shapes import (
    compact,
    logprobs_of,
    named_event,
    object_of,
    objects_of,
    text_of,
)

_ENCRYPTED = "reasoning.encrypted_content"


def translate_answer(answer: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
    """The Response for a whole chat completion. `request` is the client's own body, whose fields are echoed.

    The first choice alone counts: a Responses request cannot ask for more.
    """
    growing = _Growing(request)
    growing.open(answer)
    # A message says at once what deltas say bit by bit.
    choices = [
        {**choice, "delta": choice.get("message")} for choice in objects_of(answer.get("choices"))
    ]
    growing.take({**answer, "choices": choices[:1]})
    growing.close()
    return growing.response()


class StreamTranslation:
    """Turns the chunks of one stream into events. `request` is the client's own body."""

    def __init__(self, request: dict[str, Any]) -> None:
        self._growing = _Growing(request)
        self._is_open = False
        self._sequence = 0

    def feed(self, event: dict[str, Any]) -> list[bytes]:
        """The client's events for one chunk, at once. Never the end of the Response; never raises."""
        if not object_of(event):
            return []
        return self._numbered([*self._opened(event), *self._growing.take(event)])

    def finish(self) -> list[bytes]:
        """The events that end what is still open, and the Response."""
        events = [*self._opened({}), *self._growing.close()]
        response = self._growing.response()
        events.append({"type": f"response.{response['status']}", "response": response})
        return self._numbered(events)

    def _opened(self, event: dict[str, Any]) -> list[Event]:
        if self._is_open:
            return []
        self._is_open = True
        self._growing.open(event)
        running = self._growing.running()
        return [
            {"type": "response.created", "response": running},
            {"type": "response.in_progress", "response": running},
        ]

    def _numbered(self, events: list[Event]) -> list[bytes]:
        numbered = []
        for event in events:
            numbered.append(named_event({**event, "sequence_number": self._sequence}))
            self._sequence += 1
        return numbered


class _Growing:
    """A Response while it grows. Its methods give the events that tell of it."""

    def __init__(self, request: dict[str, Any]) -> None:
        self._frame = ResponseFrame(request)
        self._tools = tools_by_name(request)
        self._model = request.get("model")
        include = request.get("include")
        self._seals_reasoning = isinstance(include, list) and _ENCRYPTED in include
        self._reasoning_field = REASONING_FIELDS[0]
        self._items: list[TextItem | CallItem | SealItem] = []
        self._text: TextItem | None = None
        self._calls: list[CallItem] = []
        self._calls_by_index: dict[int, CallItem] = {}
        self._nameless: dict[int, dict[str, Any]] = {}

    def open(self, answer: dict[str, Any]) -> None:
        self._frame.open(answer)
        self._frame.read(answer)

    def running(self) -> dict[str, Any]:
        return self._frame.running()

    def response(self) -> dict[str, Any]:
        return self._frame.ended([item.whole() for item in self._items])

    def take(self, chunk: dict[str, Any]) -> list[Event]:
        """Add what a chunk brings."""
        self._frame.read(chunk)
        events: list[Event] = []
        for choice in objects_of(chunk.get("choices")):
            if choice.get("index") not in (None, 0):
                continue
            events += self._take_delta(object_of(choice.get("delta")), choice)
            self._frame.finish(choice.get("finish_reason"))
        return events

    def close(self) -> list[Event]:
        """End all that is open."""
        events: list[Event] = []
        for item in self._items:
            # Only the last item can have been cut.
            is_cut = self._frame.is_cut and item is self._items[-1]
            status = "incomplete" if is_cut else "completed"
            if item is self._text:
                events += self._close_text(status)
            elif isinstance(item, CallItem):
                # Calls stay open until now: some vendors send the fragments of several in turns.
                events += item.close(status)
        return events

    def _take_delta(self, delta: dict[str, Any], choice: dict[str, Any]) -> list[Event]:
        logprobs = logprobs_of(object_of(choice.get("logprobs")).get("content"))
        events: list[Event] = []
        for name in REASONING_FIELDS:
            reasoning = _text(delta.get(name))
            if reasoning:
                self._reasoning_field = name
                events += self._add(REASONING, reasoning, [])
                break
        events += self._add(TEXT, _text(delta.get("content")), logprobs)
        events += self._add(REFUSAL, _text(delta.get("refusal")), [])
        for call in objects_of(delta.get("tool_calls")):
            events += self._add_call(call)
        if isinstance(delta.get("function_call"), dict):
            events += self._add_call({"index": 0, "function": delta["function_call"]})
        return events

    def _add(self, kind: TextKind, text: str, logprobs: list[dict[str, Any]]) -> list[Event]:
        if not text:
            return []
        events: list[Event] = []
        if self._text is None or self._text.kind is not kind:
            events += self._close_text("completed")
            self._text = TextItem(kind, self._frame.hex, len(self._items))
            self._items.append(self._text)
            events += self._text.open()
        return events + self._text.add(text, logprobs)

    def _close_text(self, status: str) -> list[Event]:
        item, self._text = self._text, None
        if item is None:
            return []
        if item.kind is REASONING and self._seals_reasoning:
            item.sealed = seal(self._model, {"message": {self._reasoning_field: item.text}})
        return item.close(status)

    def _add_call(self, fragment: dict[str, Any]) -> list[Event]:
        function = object_of(fragment.get("function"))
        arguments = _arguments(function.get("arguments"))
        call = self._known_call(fragment, text_of(function.get("name")))
        if call is not None:
            return call.add(arguments)
        index = fragment.get("index")
        place = index if type(index) is int else -1
        waiting = self._nameless.pop(place, {})
        arguments = waiting.get("arguments", "") + arguments
        upstream_id = text_of(fragment.get("id")) or waiting.get("id", "")
        name = text_of(function.get("name"))
        if not name:
            # Its item cannot begin without a name; vendors send it first, but for a few that send an id before.
            self._nameless[place] = {"id": upstream_id, "arguments": arguments}
            return []
        tool = self._tools.get(name) or Tool(name)
        events = self._close_text("completed")
        events += self._add_seal(upstream_id, object_of(fragment.get("extra_content")))
        call = CallItem(tool, upstream_id, self._frame.hex, len(self._items))
        self._items.append(call)
        self._calls.append(call)
        self._calls_by_index[place] = call
        return [*events, *call.open(), *call.add(arguments)]

    def _known_call(self, fragment: dict[str, Any], name: str) -> CallItem | None:
        """The call that a fragment continues. Not every vendor numbers calls, and some number all of them 0."""
        upstream_id = text_of(fragment.get("id"))
        index = fragment.get("index")
        if type(index) is int:
            call = self._calls_by_index.get(index)
            if call is not None and name and upstream_id not in ("", call.upstream_id):
                return None
            return call
        if upstream_id:
            same = [call for call in self._calls if call.upstream_id == upstream_id]
            return same[-1] if same else None
        if name or not self._calls:
            return None
        return self._calls[-1]

    def _add_seal(self, upstream_id: str, extra: dict[str, Any]) -> list[Event]:
        if not extra or not upstream_id:
            return []
        sealed = seal(self._model, {"call_id": upstream_id, "extra_content": extra})
        item = SealItem(sealed, self._frame.hex, len(self._items))
        self._items.append(item)
        return item.open()


def _text(value: Any) -> str:
    """Text as it came: halves of characters are for the item to join. Some vendors send a list of parts."""
    if isinstance(value, str):
        return value
    return "".join(text for part in objects_of(value) if isinstance(text := part.get("text"), str))


def _arguments(value: Any) -> str:
    if isinstance(value, str):
        return value
    return compact(value) if isinstance(value, dict) else ""
