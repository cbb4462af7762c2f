"""A provider's Response as a chat completion. Pure."""

import time
from typing import Any

from gateway.translate.shapes import (
    count_of,
    hex_of,
    logprobs_of,
    object_of,
    objects_of,
    seconds_of,
    text_of,
)

_TIERS = ("auto", "default", "flex", "scale", "priority", "fast")


class Completion:
    """What every chunk, and the whole, says of the answer: read from the Response as the provider tells of it."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.model = text_of(request.get("model"))
        self._hex = ""
        self._created: int | None = None
        self._tier: Any = None
        self._cut_reason = ""
        self.usage: dict[str, Any] | None = None

    def read(self, response: dict[str, Any]) -> None:
        """Take what a Response object says, be it at its beginning or its end."""
        # The first identity stays: chunks of two would belong to two answers.
        self._hex = self._hex or hex_of(response.get("id"))
        if self._created is None:
            self._created = seconds_of(response.get("created_at"))
        self.model = text_of(response.get("model")) or self.model
        self._tier = response.get("service_tier") or self._tier
        if response.get("status") == "incomplete":
            details = object_of(response.get("incomplete_details"))
            self._cut_reason = text_of(details.get("reason")) or "max_output_tokens"
        if isinstance(response.get("usage"), dict):
            self.usage = _usage(response["usage"])

    def finish_reason(self, has_calls: bool) -> str:
        """Why the answer ended, in the words of Chat Completions."""
        if self._cut_reason:
            return "content_filter" if self._cut_reason == "content_filter" else "length"
        return "tool_calls" if has_calls else "stop"

    def envelope(self, kind: str) -> dict[str, Any]:
        """The fields around the choices."""
        if self._created is None:
            self._created = int(time.time())
        self._hex = self._hex or hex_of(None)
        return {
            "id": f"chatcmpl-{self._hex}",
            "object": kind,
            "created": self._created,
            "model": self.model,
            "service_tier": self._tier if self._tier in _TIERS else None,
            "system_fingerprint": None,
        }


def translate_answer(answer: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
    """The chat completion for a whole Response, one that completed or was cut. `request` is the client's own body."""
    completion = Completion(request)
    completion.read(answer)
    message, logprobs = _message(objects_of(answer.get("output")))
    choice = {
        "index": 0,
        "message": message,
        "logprobs": {"content": logprobs, "refusal": None}
        if request.get("logprobs") is True
        else None,
        "finish_reason": completion.finish_reason("tool_calls" in message),
    }
    whole = {**completion.envelope("chat.completion"), "choices": [choice]}
    return whole if completion.usage is None else {**whole, "usage": completion.usage}


def tool_call(item: dict[str, Any]) -> dict[str, Any] | None:
    """The tool call in an output item; None if it is none."""
    kind = item.get("type")
    call_id = text_of(item.get("call_id")) or text_of(item.get("id"))
    name = text_of(item.get("name"))
    if kind == "function_call":
        function = {"name": name, "arguments": text_of(item.get("arguments"))}
        return {"id": call_id, "type": "function", "function": function}
    if kind == "custom_tool_call":
        custom = {"name": name, "input": text_of(item.get("input"))}
        return {"id": call_id, "type": "custom", "custom": custom}
    return None


def _message(output: list[dict[str, Any]]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    texts: list[str] = []
    refusals: list[str] = []
    reasoning: list[str] = []
    calls: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    logprobs: list[dict[str, Any]] = []
    for item in output:
        call = tool_call(item)
        if call is not None:
            calls.append(call)
        elif item.get("type") == "reasoning":
            told = objects_of(item.get("summary")) or objects_of(item.get("content"))
            reasoning += [text_of(part.get("text")) for part in told]
        elif item.get("type") == "message":
            for part in objects_of(item.get("content")):
                refusals.append(text_of(part.get("refusal")))
                logprobs += logprobs_of(part.get("logprobs"))
                offset = sum(map(len, texts))
                annotations += _annotations(part, offset)
                texts.append(text_of(part.get("text")))
    content, refused = "".join(texts), "".join(refusals)
    message: dict[str, Any] = {
        "role": "assistant",
        "content": content or (None if calls or refused else ""),
        "refusal": refused or None,
        "annotations": annotations,
    }
    thought = "\n\n".join(text for text in reasoning if text)
    if thought:
        message["reasoning_content"] = thought
    if calls:
        message["tool_calls"] = calls
    return message, logprobs


def _annotations(part: dict[str, Any], offset: int) -> list[dict[str, Any]]:
    """Citations of the web; their places are counted in the joined text."""
    return [
        {
            "type": "url_citation",
            "url_citation": {
                "start_index": count_of(note.get("start_index")) + offset,
                "end_index": count_of(note.get("end_index")) + offset,
                "title": text_of(note.get("title")),
                "url": text_of(note.get("url")),
            },
        }
        for note in objects_of(part.get("annotations"))
        if note.get("type") == "url_citation"
    ]


def _usage(usage: dict[str, Any]) -> dict[str, Any]:
    inside = object_of(usage.get("input_tokens_details"))
    outside = object_of(usage.get("output_tokens_details"))
    prompt = count_of(usage.get("input_tokens"))
    completion = count_of(usage.get("output_tokens"))
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": count_of(usage.get("total_tokens")) or prompt + completion,
        "prompt_tokens_details": {
            "cached_tokens": count_of(inside.get("cached_tokens")),
            "cache_write_tokens": count_of(inside.get("cache_write_tokens")),
            "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": count_of(outside.get("reasoning_tokens")),
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
