"""A Chat Completions request as a Responses request. Pure.

OpenAI's API reference, "Create chat completion" and "Create a model response".
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from gateway.translate.chat_over_responses_input import translate_messages
from gateway.translate.shapes import (
    given,
    misfit,
    need_list,
    need_object,
    need_text,
    object_of,
    objects_of,
    refusal,
)

_NOWHERE = "is not offered for this model, which OpenAI serves by its Responses API alone"
_RESPONSES = "/v1/responses takes it"
_REFUSED: Mapping[str, str] = MappingProxyType(
    {
        "stop": _NOWHERE,
        "logit_bias": _NOWHERE,
        "frequency_penalty": _NOWHERE,
        "presence_penalty": _NOWHERE,
        "audio": _NOWHERE,
        "prediction": _NOWHERE,
        "functions": "has given way to 'tools'",
        "function_call": "has given way to 'tool_choice'",
        "web_search_options": f"{_NOWHERE}; {_RESPONSES} as a tool of type 'web_search'",
        # Fields of Responses with which a body could go past what was read of it as Chat Completions.
        "input": f"is 'messages' here; {_RESPONSES}",
        "instructions": f"is a message of role 'developer' here; {_RESPONSES}",
        "max_output_tokens": f"is 'max_completion_tokens' here; {_RESPONSES}",
        "text": f"is 'response_format' and 'verbosity' here; {_RESPONSES}",
        "previous_response_id": f"belongs to Responses; {_RESPONSES}",
        "conversation": f"belongs to Responses; {_RESPONSES}",
        "prompt": f"belongs to Responses; {_RESPONSES}",
        "background": f"belongs to Responses; {_RESPONSES}",
        "include": f"belongs to Responses; {_RESPONSES}",
        "truncation": f"belongs to Responses; {_RESPONSES}",
        "max_tool_calls": f"belongs to Responses; {_RESPONSES}",
        "context_management": f"belongs to Responses; {_RESPONSES}",
    }
)
_TRANSLATED = frozenset(
    (
        *("messages", "max_tokens", "max_completion_tokens", "response_format", "verbosity"),
        *("reasoning", "reasoning_effort", "tools", "tool_choice", "logprobs", "top_logprobs"),
        *("modalities", "n", "seed", "store", "stream_options"),
        *_REFUSED,
    )
)


def translate_request(body: dict[str, Any]) -> dict[str, Any]:
    """The Responses body that asks for the same; `body` stays as it is.

    Nothing is stored unless asked for. Raises BadRequest for what cannot be carried over or has a wrong shape.
    """
    _refuse(body)
    asked = {
        name: value for name, value in body.items() if name not in _TRANSLATED and value is not None
    }
    asked["input"] = translate_messages(body.get("messages"))
    asked["store"] = body.get("store") is True
    for name in ("max_completion_tokens", "max_tokens"):
        if body.get(name) is not None:
            asked["max_output_tokens"] = body[name]
            break
    asked |= _text_fields(body)
    asked |= _reasoning_fields(body)
    tools = _tools(body.get("tools"))
    if tools:
        asked["tools"] = tools
    if body.get("tool_choice") is not None:
        asked["tool_choice"] = _tool_choice(body["tool_choice"])
    asked |= _logprob_fields(body)
    if body.get("stream") is True:
        # Padding of events against eavesdroppers: a chat stream would not carry it on.
        asked["stream_options"] = {"include_obfuscation": False}
    return asked


def _refuse(body: dict[str, Any]) -> None:
    # Empty lists, zero penalties and false flags ask for nothing.
    for name, reason in _REFUSED.items():
        if body.get(name):
            raise refusal(name, reason)
    choices = body.get("n")
    if choices is not None and (type(choices) is not int or choices != 1):
        raise refusal("n", f"can only be 1: more choices are {_NOWHERE.removeprefix('is ')}")
    modalities = body.get("modalities")
    if modalities is not None and modalities != ["text"]:
        raise refusal("modalities", "can only be ['text'] for this model")


def _text_fields(body: dict[str, Any]) -> dict[str, Any]:
    text: dict[str, Any] = given(body, "verbosity")
    format_ = need_object(body.get("response_format"), "response_format")
    kind = format_.get("type")
    if kind == "json_schema":
        schema = need_object(format_.get("json_schema"), "response_format.json_schema")
        fields = given(schema, "name", "description", "schema", "strict")
        text["format"] = {"type": "json_schema", **fields}
    elif kind in ("json_object", "text"):
        text["format"] = {"type": kind}
    elif kind is not None:
        raise refusal("response_format.type", f"{_NOWHERE}")
    return {"text": text} if text else {}


def _reasoning_fields(body: dict[str, Any]) -> dict[str, Any]:
    # Not Chat Completions as OpenAI has it, but what agents send that also speak to other gateways.
    effort = object_of(body.get("reasoning")).get("effort")
    if body.get("reasoning_effort") is not None:
        effort = body["reasoning_effort"]
    return {} if effort is None else {"reasoning": {"effort": effort}}


def _tools(value: Any) -> list[dict[str, Any]]:
    found = []
    for index, entry in enumerate(need_list(value, "tools")):
        path = f"tools[{index}]"
        tool = need_object(entry, path)
        kind = tool.get("type")
        if kind == "function":
            function = need_object(tool.get("function"), f"{path}.function")
            found.append(
                {
                    "type": "function",
                    "name": need_text(function, "name", f"{path}.function"),
                    **given(function, "description"),
                    "parameters": function.get("parameters")
                    or {"type": "object", "properties": {}},
                    # Absent means false here and true there.
                    "strict": function.get("strict") is True,
                }
            )
        elif kind == "custom":
            custom = need_object(tool.get("custom"), f"{path}.custom")
            name = need_text(custom, "name", f"{path}.custom")
            fields = {**given(custom, "description"), **_custom_format(custom)}
            found.append({"type": "custom", "name": name, **fields})
        else:
            raise refusal(f"{path}.type", f"must be 'function' or 'custom'; {_RESPONSES}")
    return found


def _custom_format(custom: dict[str, Any]) -> dict[str, Any]:
    format_ = object_of(custom.get("format"))
    if not format_:
        return {}
    if format_.get("type") != "grammar":
        return {"format": format_}
    grammar = object_of(format_.get("grammar"))
    return {"format": {"type": "grammar", **given(grammar, "syntax", "definition")}}


def _tool_choice(choice: Any) -> Any:
    if choice in ("none", "auto", "required"):
        return choice
    fields = need_object(choice, "tool_choice")
    kind = fields.get("type")
    if kind in ("function", "custom"):
        return _flat_choice(fields, "tool_choice")
    if kind == "allowed_tools":
        path = "tool_choice.allowed_tools"
        allowed = need_object(fields.get("allowed_tools"), path)
        tools = [_flat_choice(tool, f"{path}.tools") for tool in objects_of(allowed.get("tools"))]
        return {"type": "allowed_tools", "mode": allowed.get("mode") or "auto", "tools": tools}
    raise refusal("tool_choice.type", f"{_NOWHERE}; {_RESPONSES}")


def _flat_choice(choice: dict[str, Any], path: str) -> dict[str, Any]:
    kind = "custom" if choice.get("type") == "custom" else "function"
    named = need_object(choice.get(kind), f"{path}.{kind}")
    return {"type": kind, "name": need_text(named, "name", f"{path}.{kind}")}


def _logprob_fields(body: dict[str, Any]) -> dict[str, Any]:
    top = body.get("top_logprobs")
    if body.get("logprobs") is not True:
        if top:
            raise misfit("logprobs", "true where 'top_logprobs' is given")
        return {}
    fields = {} if top is None else {"top_logprobs": top}
    return {"include": ["message.output_text.logprobs"], **fields}
