"""The Response object around what a provider's Chat Completions answered. Pure.

All fields that the Open Responses schema requires are there, with OpenAI's defaults.
"""

import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from gateway.translate.shapes import count_of, hex_of, object_of, objects_of, seconds_of, text_of

_TIERS = ("auto", "default", "flex", "scale", "priority", "fast")
_DEFAULTS: Mapping[str, Any] = MappingProxyType(
    {
        "instructions": None,
        "max_output_tokens": None,
        "max_tool_calls": None,
        "parallel_tool_calls": True,
        "prompt_cache_key": None,
        "safety_identifier": None,
        "temperature": 1.0,
        "tool_choice": "auto",
        "top_logprobs": 0,
        "top_p": 1.0,
        "truncation": "disabled",
        "user": None,
    }
)
_REASONS: Mapping[str, str] = MappingProxyType(
    {"length": "max_output_tokens", "content_filter": "content_filter"}
)


class ResponseFrame:
    """A Response without its output: the client's request echoed, and what the provider said of its answer."""

    def __init__(self, request: dict[str, Any]) -> None:
        self._echo = _echoed(request)
        self._model = text_of(request.get("model"))
        self._tier = request.get("service_tier")
        self._created = 0
        self._finish_reason = ""
        self.hex = ""
        self._usage: dict[str, Any] | None = None

    def open(self, answer: dict[str, Any]) -> None:
        """Take the identity from the provider's first words."""
        self.hex = hex_of(answer.get("id"))
        self._created = seconds_of(answer.get("created")) or int(time.time())

    def read(self, answer: dict[str, Any]) -> None:
        """Take what an answer, or a chunk of it, says of the whole."""
        self._model = text_of(answer.get("model")) or self._model
        self._tier = answer.get("service_tier") or self._tier
        usage = answer.get("usage")
        if isinstance(usage, dict) and usage:
            self._usage = usage

    def finish(self, reason: Any) -> None:
        """Take the reason why the answer ended, if there is one."""
        self._finish_reason = text_of(reason) or self._finish_reason

    @property
    def is_cut(self) -> bool:
        """Whether the answer ended before its natural end."""
        return self._finish_reason in _REASONS

    def running(self) -> dict[str, Any]:
        """The Response while nothing of it is there yet."""
        return self._whole("in_progress", [], None, None)

    def ended(self, output: list[dict[str, Any]]) -> dict[str, Any]:
        """The Response with its output."""
        usage = None if self._usage is None else _usage(self._usage)
        if self.is_cut:
            return self._whole(
                "incomplete", output, usage, {"reason": _REASONS[self._finish_reason]}
            )
        return self._whole("completed", output, usage, None)

    def _whole(
        self,
        status: str,
        output: list[dict[str, Any]],
        usage: dict[str, Any] | None,
        incomplete: dict[str, Any] | None,
    ) -> dict[str, Any]:
        is_over = status == "completed"
        return {
            "id": f"resp_{self.hex}",
            "object": "response",
            "created_at": self._created,
            "completed_at": max(int(time.time()), self._created) if is_over else None,
            "status": status,
            "error": None,
            "incomplete_details": incomplete,
            "model": self._model,
            "output": output,
            "usage": usage,
            "service_tier": self._tier if self._tier in _TIERS else "default",
            **self._echo,
        }


def _echoed(request: dict[str, Any]) -> dict[str, Any]:
    given = {name: request.get(name) for name in _DEFAULTS}
    return {
        **{name: _DEFAULTS[name] if value is None else value for name, value in given.items()},
        "background": False,
        "frequency_penalty": 0.0,
        "presence_penalty": 0.0,
        "metadata": object_of(request.get("metadata")),
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None, **object_of(request.get("reasoning"))},
        # Whatever was asked for: there is nothing to be fetched later.
        "store": False,
        "text": _text(object_of(request.get("text"))),
        "tools": [_tool(tool) for tool in objects_of(request.get("tools"))],
    }


def _text(text: dict[str, Any]) -> dict[str, Any]:
    return {
        **text,
        "format": object_of(text.get("format")) or {"type": "text"},
        "verbosity": text.get("verbosity") or "medium",
    }


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    if tool.get("type") != "function":
        return tool
    strict = tool.get("strict") is True
    return {"description": None, "parameters": None, **tool, "strict": strict}


def _usage(usage: dict[str, Any]) -> dict[str, Any]:
    inside = object_of(usage.get("prompt_tokens_details"))
    outside = object_of(usage.get("completion_tokens_details"))
    prompt = count_of(usage.get("prompt_tokens"))
    completion = count_of(usage.get("completion_tokens"))
    reasoning = count_of(outside.get("reasoning_tokens"))
    # Some vendors count reasoning beside the completion; what Gemini thought, the total alone has (gateway/usage.py).
    beside = max(count_of(usage.get("total_tokens")) - prompt - completion, 0)
    return {
        "input_tokens": prompt,
        "input_tokens_details": {
            "cached_tokens": count_of(inside.get("cached_tokens")),
            "cache_write_tokens": count_of(inside.get("cache_write_tokens")),
        },
        "output_tokens": completion + beside,
        "output_tokens_details": {"reasoning_tokens": reasoning or beside},
        "total_tokens": prompt + completion + beside,
    }
