"""A provider's Responses stream as chunks of Chat Completions. Pure.

Providers that imitate OpenAI leave out deltas, or send none but the `done` events: what a `done` has and no delta
brought is passed on then.
"""

from collections.abc import Callable
from typing import Any

from gateway.translate.chat_over_responses_answer import Completion, tool_call
from gateway.translate.shapes import (
    Joint,
    data_event,
    logprobs_of,
    object_of,
    objects_of,
    text_of,
)

DONE = b"data: [DONE]\n\n"
Chunk = dict[str, Any]


class _Call:
    """A tool call that has begun."""

    def __init__(self, index: int, is_custom: bool) -> None:
        self.index = index
        self.kind = "custom" if is_custom else "function"
        self.field = "input" if is_custom else "arguments"
        self.joint = Joint()


class StreamTranslation:
    """Turns the events of one stream into chunks. `request` is the client's own body."""

    def __init__(self, request: dict[str, Any]) -> None:
        self._completion = Completion(request)
        self._include_usage = object_of(request.get("stream_options")).get("include_usage") is True
        self._logprobs = request.get("logprobs") is True
        self._is_open = False
        self._calls: list[_Call] = []
        self._calls_by_key: dict[int | str, _Call] = {}
        self._texts: dict[tuple[str, Any, Any], Joint] = {}
        self._readers: dict[str, Callable[[dict[str, Any]], list[Chunk]]] = {
            "response.output_text.delta": self._take_text,
            "response.output_text.done": self._take_text_end,
            "response.refusal.delta": self._take_refusal,
            "response.refusal.done": self._take_refusal_end,
            "response.reasoning_summary_text.delta": self._take_reasoning,
            "response.reasoning_text.delta": self._take_reasoning,
            "response.output_item.added": self._take_item,
            "response.output_item.done": self._take_item_end,
            "response.function_call_arguments.delta": self._take_arguments,
            "response.function_call_arguments.done": self._take_arguments_end,
            "response.custom_tool_call_input.delta": self._take_arguments,
            "response.custom_tool_call_input.done": self._take_arguments_end,
        }

    def feed(self, event: dict[str, Any]) -> list[bytes]:
        """The client's chunks for one event, at once. Never the end of the answer; never raises."""
        kind = object_of(event).get("type")
        if not isinstance(kind, str):
            return []
        if isinstance(event.get("response"), dict):
            self._completion.read(event["response"])
            return self._written(self._opened())
        read = self._readers.get(kind)
        return [] if read is None else self._written([*self._opened(), *read(event)])

    def finish(self) -> list[bytes]:
        """The reason to end, the usage if the client asked for it, and `[DONE]`."""
        chunks = [*self._opened(), *self._rests()]
        reason = self._completion.finish_reason(bool(self._calls))
        events = [*self._written(chunks), self._event([_choice({}, finish_reason=reason)])]
        if self._include_usage and self._completion.usage is not None:
            events.append(self._event([], self._completion.usage))
        return [*events, DONE]

    def _opened(self) -> list[Chunk]:
        if self._is_open:
            return []
        self._is_open = True
        return [_choice({"role": "assistant", "content": "", "refusal": None})]

    def _rests(self) -> list[Chunk]:
        chunks = []
        for (field, _, _), joint in self._texts.items():
            chunks += _delta(field, joint.end())
        for call in self._calls:
            chunks += _call_delta(call, call.joint.end())
        return chunks

    def _written(self, chunks: list[Chunk]) -> list[bytes]:
        return [self._event([choice]) for choice in chunks]

    def _event(self, choices: list[Chunk], usage: dict[str, Any] | None = None) -> bytes:
        chunk = {**self._completion.envelope("chat.completion.chunk"), "choices": choices}
        if self._include_usage:
            chunk["usage"] = usage
        return data_event(chunk)

    def _take_text(self, event: dict[str, Any]) -> list[Chunk]:
        chunks = self._add("content", event, event.get("delta"))
        logprobs = logprobs_of(event.get("logprobs")) if self._logprobs else []
        if chunks and logprobs:
            chunks[0]["logprobs"] = {"content": logprobs, "refusal": None}
        return chunks

    def _take_text_end(self, event: dict[str, Any]) -> list[Chunk]:
        return self._complete("content", event, event.get("text"))

    def _take_refusal(self, event: dict[str, Any]) -> list[Chunk]:
        return self._add("refusal", event, event.get("delta"))

    def _take_refusal_end(self, event: dict[str, Any]) -> list[Chunk]:
        return self._complete("refusal", event, event.get("refusal"))

    def _take_reasoning(self, event: dict[str, Any]) -> list[Chunk]:
        is_new = _place("reasoning_content", event) not in self._texts
        is_first = not any(field == "reasoning_content" for field, _, _ in self._texts)
        chunks = self._add("reasoning_content", event, event.get("delta"))
        if chunks and is_new and not is_first:
            return [*_delta("reasoning_content", "\n\n"), *chunks]
        return chunks

    def _add(self, field: str, event: dict[str, Any], delta: Any) -> list[Chunk]:
        if not isinstance(delta, str):
            return []
        joint = self._texts.setdefault(_place(field, event), Joint())
        return _delta(field, joint.add(delta))

    def _complete(self, field: str, event: dict[str, Any], text: Any) -> list[Chunk]:
        joint = self._texts.setdefault(_place(field, event), Joint())
        chunks = _delta(field, joint.end())
        if joint.text or not text_of(text):
            return chunks
        return [*chunks, *_delta(field, joint.add(text_of(text)))]

    def _take_item(self, event: dict[str, Any]) -> list[Chunk]:
        item = object_of(event.get("item"))
        begun = tool_call(item)
        if begun is None or not begun[begun["type"]]["name"]:
            return []
        call = _Call(len(self._calls), begun["type"] == "custom")
        self._calls.append(call)
        for key in _keys(event.get("output_index"), item.get("id")):
            self._calls_by_key[key] = call
        begun[call.kind][call.field] = call.joint.add(begun[call.kind][call.field])
        return [_choice({"tool_calls": [{"index": call.index, **begun}]})]

    def _take_item_end(self, event: dict[str, Any]) -> list[Chunk]:
        item = object_of(event.get("item"))
        if item.get("type") == "message":
            return self._take_message_end(event, item)
        ended = tool_call(item)
        if ended is None:
            return []
        call = self._find_call(event.get("output_index"), item.get("id"))
        if call is None:
            return self._take_item(event)
        return self._complete_call(call, ended[ended["type"]].get(call.field))

    def _take_message_end(self, event: dict[str, Any], item: dict[str, Any]) -> list[Chunk]:
        # Passed on only if nothing was: its deltas may have come under another key.
        said = {field for (field, _, _), joint in self._texts.items() if joint.text}
        chunks: list[Chunk] = []
        for index, part in enumerate(objects_of(item.get("content"))):
            place = {**event, "content_index": index}
            for field, name in (("content", "text"), ("refusal", "refusal")):
                if field not in said:
                    chunks += self._complete(field, place, part.get(name))
        return chunks

    def _take_arguments(self, event: dict[str, Any]) -> list[Chunk]:
        call = self._call_of(event)
        delta = event.get("delta")
        if call is None or not isinstance(delta, str):
            return []
        return _call_delta(call, call.joint.add(delta))

    def _take_arguments_end(self, event: dict[str, Any]) -> list[Chunk]:
        call = self._call_of(event)
        return [] if call is None else self._complete_call(call, event.get(call.field))

    def _complete_call(self, call: _Call, whole: Any) -> list[Chunk]:
        chunks = _call_delta(call, call.joint.end())
        if call.joint.text or not text_of(whole):
            return chunks
        return [*chunks, *_call_delta(call, call.joint.add(text_of(whole)))]

    def _call_of(self, event: dict[str, Any]) -> _Call | None:
        return self._find_call(event.get("output_index"), event.get("item_id"))

    def _find_call(self, index: Any, item_id: Any) -> _Call | None:
        keys = _keys(index, item_id)
        if not keys and self._calls:
            return self._calls[-1]
        return next((self._calls_by_key[key] for key in keys if key in self._calls_by_key), None)


def _keys(index: Any, item_id: Any) -> list[int | str]:
    """What tells output items apart: their place first, for there are providers whose ids change on the way."""
    keys: list[int | str] = [index] if type(index) is int else []
    return [*keys, item_id] if isinstance(item_id, str) and item_id else keys


def _place(field: str, event: dict[str, Any]) -> tuple[str, Any, Any]:
    keys = _keys(event.get("output_index"), event.get("item_id"))
    index = event.get("summary_index", event.get("content_index"))
    return field, keys[0] if keys else None, index if type(index) is int else 0


def _choice(delta: dict[str, Any], finish_reason: str | None = None) -> Chunk:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def _delta(field: str, text: str) -> list[Chunk]:
    return [_choice({field: text})] if text else []


def _call_delta(call: _Call, text: str) -> list[Chunk]:
    if not text:
        return []
    return [_choice({"tool_calls": [{"index": call.index, call.kind: {call.field: text}}]})]
