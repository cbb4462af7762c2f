"""A Responses request as a Chat Completions request. Pure.

OpenAI's API reference, "Create a model response" and "Create chat completion".
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from gateway.translate.responses_over_chat_input import translate_input
from gateway.translate.responses_over_chat_tools import choose_tools, translate_tools
from gateway.translate.shapes import given, misfit, need_list, need_object, refusal

_NO_STATE = "needs a provider that keeps state, and this model's provider keeps none: send the whole input instead"
_STATEFUL = ("previous_response_id", "conversation", "prompt")
# Fields of Chat Completions with which a Responses body could go past what was read of it (or mean nothing).
_CHAT_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "messages": "input",
        "max_tokens": "max_output_tokens",
        "max_completion_tokens": "max_output_tokens",
        "response_format": "text.format",
        "reasoning_effort": "reasoning.effort",
        "verbosity": "text.verbosity",
        "functions": "tools",
        "function_call": "tool_choice",
        "logprobs": "include",
        "n": "",
        "modalities": "",
        "audio": "",
        "prediction": "",
        "web_search_options": "",
    }
)
_INCLUDED_ELSEWHERE = (
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
)
_LOGPROBS = "message.output_text.logprobs"
_LEFT_OUT = (
    "client_metadata",
    "max_tool_calls",
    "context_management",
    "access_programs",
    "image",
    "stream_options",
)
_TRANSLATED = frozenset(
    (
        *("input", "instructions", "tools", "tool_choice", "parallel_tool_calls"),
        *("max_output_tokens", "text", "reasoning", "include", "top_logprobs"),
        *("truncation", "store", "background"),
        *_STATEFUL,
        *_LEFT_OUT,
    )
)


def translate_request(body: dict[str, Any]) -> dict[str, Any]:
    """The Chat Completions body that asks for the same; `body` stays as it is.

    A stream is asked to report its usage. Raises BadRequest for what cannot be carried over or has a wrong shape.
    """
    return _translate(body)[0]


def dropped_fields(body: dict[str, Any]) -> list[str]:
    """Paths of what the provider gets nothing of, such as `tools[3] (web_search)` or `reasoning.summary`.

    Raises what `translate_request` raises.
    """
    return _translate(body)[1]


def _translate(body: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    _refuse(body)
    dropped = [name for name in _LEFT_OUT if body.get(name) is not None]
    chat = {
        name: value
        for name, value in body.items()
        if name not in _TRANSLATED and name not in _CHAT_NAMES and value is not None
    }
    chat["messages"] = translate_input(body, dropped)
    chat |= _tool_fields(body, dropped)
    chat |= _text_fields(body)
    chat |= _reasoning_fields(body, dropped)
    chat |= _logprob_fields(body)
    if body.get("max_output_tokens") is not None:
        chat["max_tokens"] = body["max_output_tokens"]
    if body.get("store") is True:
        dropped.append("store")
    if body.get("stream") is True:
        chat["stream_options"] = {"include_usage": True}
    return chat, dropped


def _refuse(body: dict[str, Any]) -> None:
    for name in _STATEFUL:
        if body.get(name) is not None:
            raise refusal(name, _NO_STATE)
    if body.get("background"):
        raise refusal("background", _NO_STATE)
    truncation = body.get("truncation")
    if truncation not in (None, "disabled"):
        raise refusal("truncation", "is done by OpenAI itself; shorten the input instead")
    for name, place in _CHAT_NAMES.items():
        if body.get(name) is not None:
            instead = f"; here it is '{place}'" if place else "; /v1/chat/completions takes it"
            raise refusal(name, f"belongs to Chat Completions{instead}")


def _tool_fields(body: dict[str, Any], dropped: list[str]) -> dict[str, Any]:
    choice, tools = choose_tools(
        body.get("tool_choice"), translate_tools(body.get("tools"), dropped)
    )
    if not tools:
        # Without tools the other two are refused by vendors that check.
        return {}
    fields: dict[str, Any] = {"tools": tools, **given(body, "parallel_tool_calls")}
    if choice is not None:
        fields["tool_choice"] = choice
    return fields


def _text_fields(body: dict[str, Any]) -> dict[str, Any]:
    text = need_object(body.get("text"), "text")
    fields = given(text, "verbosity")
    format_ = need_object(text.get("format"), "text.format")
    kind = format_.get("type")
    if kind == "json_schema":
        schema = given(format_, "name", "description", "schema", "strict")
        fields["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif kind == "json_object":
        fields["response_format"] = {"type": "json_object"}
    elif kind not in (None, "text"):
        raise refusal("text.format.type", "is not a format that Chat Completions has")
    return fields


def _reasoning_fields(body: dict[str, Any], dropped: list[str]) -> dict[str, Any]:
    reasoning = need_object(body.get("reasoning"), "reasoning")
    dropped += [
        f"reasoning.{name}"
        for name, value in reasoning.items()
        if name != "effort" and value is not None
    ]
    effort = reasoning.get("effort")
    return {} if effort is None else {"reasoning_effort": effort}


def _logprob_fields(body: dict[str, Any]) -> dict[str, Any]:
    include = need_list(body.get("include"), "include")
    for index, name in enumerate(include):
        if name != _LOGPROBS and name not in _INCLUDED_ELSEWHERE:
            raise refusal(f"include[{index}]", "is nothing that this model's provider reports")
    top = body.get("top_logprobs")
    if top is not None and (type(top) is not int or top < 0):
        raise misfit("top_logprobs", "a count")
    if not top and _LOGPROBS not in include:
        return {}
    return {"logprobs": True, **({"top_logprobs": top} if top else {})}
