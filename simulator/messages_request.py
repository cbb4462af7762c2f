"""The body of POST /v1/messages: reading it into a chat body, and refusing it as Anthropic does."""

from typing import Any

import msgspec

from simulator.catalog import find_card
from simulator.chat_request import ChatBody
from simulator.checks import (
    check_integer,
    check_member,
    check_model,
    check_number,
    decode_body,
    wrong_type,
)
from simulator.errors import ApiError

_LEAST_THINKING = 1_024  # Anthropic's API reference, "thinking.budget_tokens"
_EFFORTS = ((4_096, "low"), (16_384, "medium"))  # budgets below -> how much is thought
_MEDIA = {"image": "image_url", "document": "file", "search_result": "file"}
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}


class MessagesBody(msgspec.Struct):
    """The fields that are read; any other is ignored."""

    model: Any = None
    messages: Any = None
    max_tokens: Any = None
    system: Any = None
    stream: Any = None
    thinking: Any = None
    tools: Any = None
    tool_choice: Any = None
    stop_sequences: Any = None
    temperature: Any = None
    top_p: Any = None
    output_config: Any = None
    simulate: msgspec.Raw = msgspec.Raw()

    @property
    def thinks(self) -> bool:
        """Whether thinking blocks are to be shown."""
        return bool(self.thinking and self.thinking.get("type") in ("enabled", "adaptive"))


_DECODER = msgspec.json.Decoder(MessagesBody)


def parse_messages(raw: bytes) -> MessagesBody:
    """Read the body. Raises ApiError(400) for what is not a JSON object."""
    return decode_body(raw, _DECODER)


def read_messages(body: MessagesBody, *, is_counted_only: bool = False) -> ChatBody:
    """The body as a chat body. Raises ApiError(400 or 404).

    `is_counted_only`: as count_tokens takes it, without a limit.
    """
    check_model(body.model)
    if not is_counted_only:
        _check_limit(body)
    if not isinstance(body.stream, bool | None):
        raise wrong_type("stream", "a boolean", body.stream)
    for name in ("temperature", "top_p"):
        if getattr(body, name) is not None:
            check_number(name, getattr(body, name), 0, 1)
    stops = body.stop_sequences
    if stops is not None and (
        not isinstance(stops, list) or not all(isinstance(one, str) for one in stops)
    ):
        raise wrong_type("stop_sequences", "an array of strings", stops)
    messages = _read_turns(body.messages)
    if body.system is not None:
        content = _read_blocks(body.system, "system")
        messages.insert(0, {"role": "system", "content": content})
    tools = _read_tools(body.tools)
    choice, parallel = _read_choice(body.tool_choice)
    return ChatBody(
        model=body.model,
        messages=messages,
        stream=body.stream,
        stop=stops,
        max_completion_tokens=body.max_tokens,
        tools=tools or None,
        tool_choice=choice if tools else None,
        parallel_tool_calls=parallel,
        response_format=_read_format(body.output_config),
        reasoning_effort=_read_thinking(body),
    )


def _check_limit(body: MessagesBody) -> None:
    if body.max_tokens is None:
        raise ApiError(400, "max_tokens: Field required", param="max_tokens")
    check_integer("max_tokens", body.max_tokens, 1, None)
    limit = int(body.max_tokens)
    card = find_card(body.model)
    if card is not None and limit > card.max_output:
        raise ApiError(
            400,
            f"max_tokens: {limit} > {card.max_output}, the most that {body.model} gives.",
            param="max_tokens",
        )


def _read_thinking(body: MessagesBody) -> str | None:
    """How much is thought, as a reasoning effort."""
    given = body.thinking
    if given is None:
        return None
    if not isinstance(given, dict):
        raise wrong_type("thinking", "an object", given)
    check_member("thinking.type", given.get("type") or "", ("enabled", "adaptive", "disabled"))
    if given["type"] != "enabled":
        return "medium" if given["type"] == "adaptive" else None
    budget: Any = given.get("budget_tokens")
    check_integer("thinking.budget_tokens", budget, _LEAST_THINKING, None)
    if body.max_tokens is not None and budget >= body.max_tokens:
        raise ApiError(
            400, "`max_tokens` must be greater than `thinking.budget_tokens`.", param="max_tokens"
        )
    return next((effort for below, effort in _EFFORTS if budget < below), "high")


def _read_turns(given: Any) -> list[dict[str, Any]]:
    if given is None:
        raise ApiError(400, "messages: Field required", param="messages")
    if not isinstance(given, list):
        raise wrong_type("messages", "an array of objects", given)
    if not given:
        raise ApiError(400, "messages: at least one message is required", param="messages")
    messages: list[dict[str, Any]] = []
    asked: set[str] = set()
    for position, turn in enumerate(given):
        where = f"messages.{position}"
        if not isinstance(turn, dict):
            raise wrong_type(where, "an object", turn)
        check_member(f"{where}.role", turn.get("role") or "", ("user", "assistant", "system"))
        content = turn.get("content")
        if turn["role"] == "assistant":
            message = _read_assistant(content, f"{where}.content")
            asked = {call["id"] for call in message.get("tool_calls") or ()}
            messages.append(message)
            continue
        results, rest = _split_results(content)
        for result in results:
            messages.append(_read_result(result, asked, f"{where}.content"))
        if rest or not results:
            blocks = _read_blocks(rest, f"{where}.content")
            messages.append({"role": turn["role"], "content": blocks})
    return messages


def _split_results(content: Any) -> tuple[list[dict[str, Any]], Any]:
    """The tool results of a user's turn, and the rest of it."""
    if not isinstance(content, list):
        return [], content
    results = [one for one in content if isinstance(one, dict) and one.get("type") == "tool_result"]
    return results, [one for one in content if one not in results]


def _read_result(block: dict[str, Any], asked: set[str], where: str) -> dict[str, Any]:
    call_id = block.get("tool_use_id")
    if not isinstance(call_id, str) or call_id not in asked:
        raise ApiError(
            400,
            f"{where}: unexpected `tool_use_id` {call_id!r}. Each `tool_result` block must have a "
            "`tool_use` block in the message before it.",
            param=where,
        )
    content = block.get("content")
    read = "" if content is None else _read_blocks(content, f"{where}.content")
    return {"role": "tool", "tool_call_id": call_id, "content": read}


def _read_assistant(content: Any, where: str) -> dict[str, Any]:
    if isinstance(content, str):
        return {"role": "assistant", "content": content}
    if not isinstance(content, list):
        raise wrong_type(where, "one of a string or array of objects", content)
    calls = []
    said = []
    for position, block in enumerate(content):
        if not isinstance(block, dict):
            raise wrong_type(f"{where}.{position}", "an object", block)
        kind = block.get("type")
        if kind == "tool_use":
            for name in ("id", "name"):
                if not isinstance(block.get(name), str):
                    raise wrong_type(f"{where}.{position}.{name}", "a string", block.get(name))
            arguments = msgspec.json.encode(block.get("input") or {}).decode()
            function = {"name": block["name"], "arguments": arguments}
            calls.append({"id": block["id"], "type": "function", "function": function})
        elif kind not in ("thinking", "redacted_thinking"):
            said.append(block)
    message: dict[str, Any] = {"role": "assistant", "content": _read_blocks(said, where)}
    if calls:
        message["tool_calls"] = calls
    return message


def _read_blocks(content: Any, where: str) -> str | list[dict[str, Any]]:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise wrong_type(where, "one of a string or array of objects", content)
    parts: list[dict[str, Any]] = []
    for position, block in enumerate(content):
        at = f"{where}.{position}"
        if not isinstance(block, dict):
            raise wrong_type(at, "an object", block)
        kind = block.get("type")
        check_member(f"{at}.type", kind or "", ("text", *_MEDIA))
        if kind == "text":
            if not isinstance(block.get("text"), str):
                raise wrong_type(f"{at}.text", "a string", block.get("text"))
            parts.append({"type": "text", "text": block["text"]})
        else:
            parts.append({"type": _MEDIA[str(kind)]})
    return parts


def _read_tools(given: Any) -> list[dict[str, Any]]:
    """The caller's own tools in chat form; those that the vendor runs are left out."""
    if given is None:
        return []
    if not isinstance(given, list):
        raise wrong_type("tools", "an array of objects", given)
    tools = []
    for position, tool in enumerate(given):
        where = f"tools.{position}"
        if not isinstance(tool, dict):
            raise wrong_type(where, "an object", tool)
        if tool.get("type") not in (None, "custom"):
            continue
        if not isinstance(tool.get("name"), str) or not tool["name"]:
            raise ApiError(400, f"{where}.name: Field required", param=f"{where}.name")
        if not isinstance(tool.get("input_schema"), dict):
            raise ApiError(
                400, f"{where}.input_schema: Field required", param=f"{where}.input_schema"
            )
        function = {"name": tool["name"], "parameters": tool["input_schema"]}
        if "description" in tool:
            function["description"] = tool["description"]
        tools.append({"type": "function", "function": function})
    return tools


def _read_choice(given: Any) -> tuple[Any, bool | None]:
    """The tool choice in chat form, and whether several calls may be made at once."""
    if given is None:
        return None, None
    if not isinstance(given, dict):
        raise wrong_type("tool_choice", "an object", given)
    kind = given.get("type") or ""
    check_member("tool_choice.type", kind, (*_CHOICES, "tool"))
    parallel = False if given.get("disable_parallel_tool_use") is True else None
    if kind == "tool":
        return {"type": "function", "function": {"name": given.get("name")}}, parallel
    return _CHOICES[kind], parallel


def _read_format(config: Any) -> Any:
    if config is None:
        return None
    if not isinstance(config, dict):
        raise wrong_type("output_config", "an object", config)
    given = config.get("format")
    if given is None:
        return None
    if not isinstance(given, dict) or given.get("type") != "json_schema":
        raise wrong_type("output_config.format", "an object of type 'json_schema'", given)
    if not isinstance(given.get("schema"), dict):
        raise ApiError(400, "output_config.format.schema: Field required", param="output_config")
    return {"type": "json_schema", "json_schema": {"name": "output", "schema": given["schema"]}}
