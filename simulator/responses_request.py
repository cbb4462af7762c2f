"""The body of POST /v1/responses: reading it into a chat body, and refusing it as OpenAI does."""

from typing import Any

import msgspec

from simulator.catalog import find_card, serves_only
from simulator.chat_request import ChatBody
from simulator.checks import (
    check_integer,
    check_member,
    check_model,
    check_number,
    decode_body,
    missing,
    wrong_member,
    wrong_type,
)
from simulator.conversations import Conversations
from simulator.errors import ApiError

LEAST_OUTPUT_TOKENS = 16  # OpenAI's API reference, "max_output_tokens"
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_SUMMARIES = ("auto", "concise", "detailed")
_TIERS = ("auto", "default", "flex", "scale", "priority")
_ROLES = ("user", "assistant", "system", "developer")
_CALLS = {"function_call": "arguments", "custom_tool_call": "input"}
_OUTPUTS = ("function_call_output", "custom_tool_call_output")
_TEXTS = ("input_text", "output_text", "text", "summary_text")


class ResponsesBody(msgspec.Struct):
    """The fields that are read or shown again; any other is ignored."""

    model: Any = None
    input: Any = None
    instructions: Any = None
    stream: Any = None
    store: Any = None
    previous_response_id: Any = None
    tools: Any = None
    tool_choice: Any = None
    parallel_tool_calls: Any = None
    text: Any = None
    max_output_tokens: Any = None
    reasoning: Any = None
    include: Any = None
    temperature: Any = None
    top_p: Any = None
    service_tier: Any = None
    metadata: Any = None
    simulate: msgspec.Raw = msgspec.Raw()

    @property
    def is_stored(self) -> bool:
        """Whether the response can be gone on with later."""
        return self.store is not False

    @property
    def wants_summary(self) -> bool:
        """Whether a summary of the reasoning is to be shown."""
        return bool(self.reasoning and self.reasoning.get("summary"))

    @property
    def wants_encrypted_reasoning(self) -> bool:
        """Whether reasoning items are to carry their content, encrypted."""
        return "reasoning.encrypted_content" in (self.include or ())


_DECODER = msgspec.json.Decoder(ResponsesBody)


def parse_responses(raw: bytes) -> ResponsesBody:
    """Read the body. Raises ApiError(400) for what is not a JSON object."""
    return decode_body(raw, _DECODER)


def read_responses(body: ResponsesBody, conversations: Conversations) -> ChatBody:
    """The body as a chat body, what came before included. Raises ApiError(400 or 404)."""
    check_model(body.model)
    if serves_only(body.model) == "embeddings":
        raise ApiError(
            400, f"The model `{body.model}` cannot answer in the Responses API.", param="model"
        )
    _check_fields(body)
    messages: list[dict[str, Any]] = []
    if body.previous_response_id is not None:
        if not isinstance(body.previous_response_id, str):
            raise wrong_type("previous_response_id", "a string", body.previous_response_id)
        messages += conversations.recall(body.previous_response_id)
    messages += _read_input(body.input, messages)
    if body.instructions is not None:
        messages.insert(0, {"role": "system", "content": body.instructions})
    tools = _read_tools(body.tools)
    return ChatBody(
        model=body.model,
        messages=messages,
        stream=body.stream,
        max_completion_tokens=body.max_output_tokens,
        tools=tools or None,
        tool_choice=_read_choice(body.tool_choice) if tools else None,
        parallel_tool_calls=body.parallel_tool_calls,
        response_format=_read_format(body.text),
        reasoning_effort=(body.reasoning or {}).get("effort"),
        service_tier=body.service_tier,
    )


def _check_fields(body: ResponsesBody) -> None:
    for name in ("stream", "store", "parallel_tool_calls"):
        if not isinstance(getattr(body, name), bool | None):
            raise wrong_type(name, "a boolean", getattr(body, name))
    if not isinstance(body.instructions, str | None):
        raise wrong_type("instructions", "a string", body.instructions)
    if body.max_output_tokens is not None:
        card = find_card(body.model)
        most = card.max_output if card is not None else None
        check_integer("max_output_tokens", body.max_output_tokens, LEAST_OUTPUT_TOKENS, most)
    for name, high in (("temperature", 2), ("top_p", 1)):
        if getattr(body, name) is not None:
            check_number(name, getattr(body, name), 0, high)
    if not isinstance(body.reasoning, dict | None):
        raise wrong_type("reasoning", "an object", body.reasoning)
    if body.reasoning:
        check_member("reasoning.effort", body.reasoning.get("effort"), _EFFORTS)
        check_member("reasoning.summary", body.reasoning.get("summary"), _SUMMARIES)
    if not isinstance(body.include, list | None):
        raise wrong_type("include", "an array of strings", body.include)
    check_member("service_tier", body.service_tier, _TIERS)


def _read_input(given: Any, before: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if given is None:
        raise missing("input")
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    if not isinstance(given, list):
        raise wrong_type("input", "one of a string or array of input items", given)
    asked = {str(call["id"]) for message in before for call in message.get("tool_calls") or ()}
    messages: list[dict[str, Any]] = []
    for position, item in enumerate(given):
        where = f"input[{position}]"
        if not isinstance(item, dict):
            raise wrong_type(where, "an object", item)
        kind = item.get("type") or ("message" if "role" in item else None)
        if not isinstance(kind, str):
            raise missing(f"{where}.type")
        if kind == "message":
            messages.append(_read_message(item, where))
        elif kind in _CALLS:
            asked.add(str(item.get("call_id")))
            _append_call(messages, item, where)
        elif kind in _OUTPUTS:
            messages.append(_read_output(item, asked, where))
        elif kind != "reasoning" and not kind.endswith(("_call", "_call_output")):
            # What hosted tools did is taken as it comes, and not read.
            raise wrong_member(f"{where}.type", kind, ("message", *_CALLS, *_OUTPUTS, "reasoning"))
    if not messages and not before:
        raise ApiError(400, "Invalid 'input': nothing is asked.", param="input", code="empty_array")
    return messages


def _read_message(item: dict[str, Any], where: str) -> dict[str, Any]:
    role = item.get("role")
    if role not in _ROLES:
        raise wrong_member(f"{where}.role", role, _ROLES)
    return {"role": role, "content": _read_content(item.get("content"), f"{where}.content")}


def _read_content(content: Any, where: str) -> str | list[dict[str, Any]]:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise wrong_type(where, "one of a string or array of objects", content)
    parts: list[dict[str, Any]] = []
    for position, part in enumerate(content):
        at = f"{where}[{position}]"
        if not isinstance(part, dict):
            raise wrong_type(at, "an object", part)
        kind = part.get("type")
        if kind in _TEXTS:
            if not isinstance(part.get("text"), str):
                raise wrong_type(f"{at}.text", "a string", part.get("text"))
            parts.append({"type": "text", "text": part["text"]})
        elif kind == "refusal":
            parts.append({"type": "refusal", "refusal": part.get("refusal")})
        elif kind == "input_image":
            parts.append({"type": "image_url", "image_url": {"detail": part.get("detail")}})
        elif kind == "input_audio":
            parts.append({"type": "input_audio", "input_audio": part.get("input_audio")})
        elif kind == "input_file":
            parts.append({"type": "file"})
        else:
            known = (*_TEXTS, "refusal", "input_image", "input_audio", "input_file")
            raise wrong_member(f"{at}.type", kind, known)
    return parts


def _append_call(messages: list[dict[str, Any]], item: dict[str, Any], where: str) -> None:
    """Add a call to the assistant's turn it belongs to."""
    field = _CALLS[item["type"]]
    for name in ("call_id", "name", field):
        if not isinstance(item.get(name), str):
            raise missing(f"{where}.{name}")
    call = {
        "id": item["call_id"],
        "type": "function",
        "function": {"name": item["name"], "arguments": item[field]},
    }
    if messages and messages[-1].get("tool_calls"):
        messages[-1]["tool_calls"].append(call)
    else:
        messages.append({"role": "assistant", "content": None, "tool_calls": [call]})


def _read_output(item: dict[str, Any], asked: set[str], where: str) -> dict[str, Any]:
    call_id = item.get("call_id")
    if not isinstance(call_id, str):
        raise missing(f"{where}.call_id")
    if call_id not in asked:
        raise ApiError(
            400,
            f"No tool call found for function call output with call_id {call_id}.",
            param="input",
        )
    content = _read_content(item.get("output"), f"{where}.output")
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def _read_tools(given: Any) -> list[dict[str, Any]]:
    """The functions and custom tools in chat form; the vendor's own tools are left out."""
    if given is None:
        return []
    if not isinstance(given, list):
        raise wrong_type("tools", "an array of objects", given)
    tools: list[dict[str, Any]] = []
    for position, tool in enumerate(given):
        where = f"tools[{position}]"
        if not isinstance(tool, dict):
            raise wrong_type(where, "an object", tool)
        kind = tool.get("type")
        if not isinstance(kind, str):
            raise missing(f"{where}.type")
        if kind not in ("function", "custom"):
            continue
        if not isinstance(tool.get("name"), str) or not tool["name"]:
            raise missing(f"{where}.name")
        part = {name: tool[name] for name in ("name", "description") if name in tool}
        if tool.get("parameters") is not None:
            part["parameters"] = tool["parameters"]
        tools.append({"type": kind, kind: part})
    return tools


def _read_choice(given: Any) -> Any:
    """The tool choice in chat form; None where it leaves the choice to the model."""
    if given is None or isinstance(given, str):
        check_member("tool_choice", given, ("none", "auto", "required"))
        return given
    if not isinstance(given, dict):
        raise wrong_type("tool_choice", "one of a string or object", given)
    kind = given.get("type")
    if kind in ("function", "custom"):
        return {"type": kind, kind: {"name": given.get("name")}}
    if kind == "allowed_tools":
        listed = given.get("tools")
        if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
            raise wrong_type("tool_choice.tools", "an array of objects", listed)
        tools = [
            {"type": "function", "function": {"name": one.get("name")}}
            for one in listed
            if one.get("type") == "function"
        ]
        allowed = {"mode": given.get("mode"), "tools": tools}
        return {"type": "allowed_tools", "allowed_tools": allowed}
    if not isinstance(kind, str):
        raise missing("tool_choice.type")
    return None


def _read_format(text: Any) -> Any:
    if text is None:
        return None
    if not isinstance(text, dict):
        raise wrong_type("text", "an object", text)
    given = text.get("format")
    if given is None:
        return None
    if not isinstance(given, dict):
        raise wrong_type("text.format", "an object", given)
    kind = given.get("type")
    if kind != "json_schema":
        check_member("text.format.type", kind or "", ("text", "json_object", "json_schema"))
        return {"type": kind}
    for name in ("name", "schema"):
        if name not in given:
            raise missing(f"text.format.{name}")
    return {
        "type": "json_schema",
        "json_schema": {"name": given["name"], "schema": given["schema"]},
    }
