"""The body of POST /v1/chat/completions: reading it, and refusing it the way OpenAI does."""

import re
from typing import Any

import msgspec

from simulator.catalog import find_card, serves_only
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
from simulator.errors import ApiError

_ROLES = ("system", "assistant", "user", "function", "tool", "developer")
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_TIERS = ("auto", "default", "flex", "scale", "priority")
_FORMATS = ("text", "json_object", "json_schema")
_CHOICE_TYPES = ("function", "custom", "allowed_tools")
_FUNCTION_NAME = re.compile(r"\A[a-zA-Z0-9_-]{1,64}\Z")
_NUMBERS = (
    ("temperature", 0, 2),
    ("top_p", 0, 1),
    ("presence_penalty", -2, 2),
    ("frequency_penalty", -2, 2),
)
_ANSWER_LIMITS = ("max_tokens", "max_completion_tokens")


class ChatBody(msgspec.Struct):
    """The fields that are read; any other is ignored. Types are checked by `check`, not here."""

    model: Any = None
    messages: Any = None
    stream: Any = None
    stream_options: Any = None
    n: Any = None
    stop: Any = None
    max_tokens: Any = None
    max_completion_tokens: Any = None
    temperature: Any = None
    top_p: Any = None
    presence_penalty: Any = None
    frequency_penalty: Any = None
    logprobs: Any = None
    top_logprobs: Any = None
    tools: Any = None
    tool_choice: Any = None
    parallel_tool_calls: Any = None
    response_format: Any = None
    reasoning_effort: Any = None
    service_tier: Any = None
    simulate: msgspec.Raw = msgspec.Raw()

    @property
    def limit(self) -> int | None:
        """The most tokens the answer may have, reasoning included, or None."""
        given: int | None = self.max_completion_tokens
        if given is None:
            given = self.max_tokens
        return given

    @property
    def wants_usage(self) -> bool:
        """Whether a stream is to end with a usage chunk."""
        return bool(self.stream_options and self.stream_options.get("include_usage"))

    @property
    def stops(self) -> list[str]:
        """The stop sequences; empty ones never match."""
        if self.stop is None:
            return []
        given = [self.stop] if isinstance(self.stop, str) else self.stop
        return [one for one in given if one]


_DECODER = msgspec.json.Decoder(ChatBody)


def parse_body(raw: bytes) -> ChatBody:
    """Read the body. Raises ApiError(400) for what is not a JSON object."""
    return decode_body(raw, _DECODER)


def check(body: ChatBody) -> None:
    """Refuse what OpenAI refuses. Raises ApiError with its status, `param` and `code`."""
    _check_model(body.model)
    _check_messages(body.messages)
    if body.stream is not None and not isinstance(body.stream, bool):
        raise wrong_type("stream", "a boolean", body.stream)
    if body.stream_options is not None:
        _check_stream_options(body)
    _check_limits(body)
    for name, low, high in _NUMBERS:
        value = getattr(body, name)
        if value is not None:
            check_number(name, value, low, high)
    if body.n is not None:
        check_integer("n", body.n, 1, 128)
    if body.logprobs is not None or body.top_logprobs is not None:
        _check_logprobs(body)
    if body.stop is not None:
        _check_stop(body.stop)
    if body.tools is not None:
        _check_tools(body.tools)
    if body.tool_choice is not None:
        _check_tool_choice(body)
    if body.response_format is not None:
        _check_response_format(body.response_format)
    check_member("reasoning_effort", body.reasoning_effort, _EFFORTS)
    check_member("service_tier", body.service_tier, _TIERS)


def _check_model(model: Any) -> None:
    check_model(model)
    # As OpenAI words and codes it: a 404 on the model, without a code.
    only = serves_only(model)
    if only is not None:
        raise ApiError(
            404,
            f"The model `{model}` is not a chat model: it is served by v1/{only}, not by "
            "v1/chat/completions.",
            param="model",
        )


def _check_messages(messages: Any) -> None:
    if messages is None:
        raise missing("messages")
    if type(messages) is not list:
        raise wrong_type("messages", "an array of objects", messages)
    if not messages:
        raise ApiError(
            400,
            "Invalid 'messages': empty array. Expected an array with minimum length 1, "
            "but got an empty array instead.",
            param="messages",
            code="empty_array",
        )
    asked: set[str] = set()
    for position, message in enumerate(messages):
        where = f"messages[{position}]"
        if type(message) is not dict:
            raise wrong_type(where, "an object", message)
        role = message.get("role")
        if role not in _ROLES:
            raise wrong_member(f"{where}.role", role, _ROLES)
        _check_content(message, role, f"{where}.content")
        if role == "assistant":
            asked = _asked_tools(message, where)
        elif role == "tool":
            _check_tool_result(message, asked, where)


def _check_content(message: dict[str, Any], role: str, where: str) -> None:
    content = message.get("content")
    if type(content) is str:
        return
    if content is None:
        if role in ("assistant", "function"):
            return
        raise ApiError(
            400, "Invalid value for 'content': expected a string, got null.", param=where
        )
    if type(content) is not list:
        raise wrong_type(where, "one of a string or array of objects", content)
    for position, part in enumerate(content):
        if type(part) is not dict:
            raise wrong_type(f"{where}[{position}]", "an object", part)
        if part.get("type") == "text" and type(part.get("text")) is not str:
            raise wrong_type(f"{where}[{position}].text", "a string", part.get("text"))


def _asked_tools(message: dict[str, Any], where: str) -> set[str]:
    calls = message.get("tool_calls")
    if calls is None:
        return set()
    if type(calls) is not list or not all(type(call) is dict for call in calls):
        raise wrong_type(f"{where}.tool_calls", "an array of objects", calls)
    return {str(call.get("id")) for call in calls}


def _check_tool_result(message: dict[str, Any], asked: set[str], where: str) -> None:
    if not asked:
        raise ApiError(
            400,
            "Invalid parameter: messages with role 'tool' must be a response to a preceding "
            "message with 'tool_calls'.",
            param=f"{where}.role",
        )
    answered = message.get("tool_call_id")
    if answered is None:
        raise missing(f"{where}.tool_call_id")
    if str(answered) not in asked:
        raise ApiError(
            400,
            "Invalid parameter: 'tool_call_id' of "
            f"'{answered}' not found in 'tool_calls' of previous message.",
            param=f"{where}.tool_call_id",
        )


def _check_stream_options(body: ChatBody) -> None:
    if not isinstance(body.stream_options, dict):
        raise wrong_type("stream_options", "an object", body.stream_options)
    if not body.stream:
        raise ApiError(
            400,
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
            param="stream_options",
        )


def _check_limits(body: ChatBody) -> None:
    if body.max_tokens is None and body.max_completion_tokens is None:
        return
    if body.max_tokens is not None and body.max_completion_tokens is not None:
        raise ApiError(
            400,
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
            code="invalid_parameter_combination",
        )
    card = find_card(body.model)
    for name in _ANSWER_LIMITS:
        value = getattr(body, name)
        if value is None:
            continue
        check_integer(name, value, 1, None)
        if card is not None and value > card.max_output:
            raise ApiError(
                400,
                f"{name} is too large: {value}. This model supports at most {card.max_output} "
                f"completion tokens, whereas you provided {value}.",
                param=name,
                code="invalid_value",
            )


def check_context(model: str, prompt_tokens: int) -> None:
    """Refuse a prompt longer than a known model's window. Raises ApiError(400)."""
    card = find_card(model)
    if card is not None and prompt_tokens > card.context:
        raise ApiError(
            400,
            f"This model's maximum context length is {card.context} tokens. However, your "
            f"messages resulted in {prompt_tokens} tokens. Please reduce the length of the "
            "messages.",
            param="messages",
            code="context_length_exceeded",
        )


def _check_logprobs(body: ChatBody) -> None:
    if body.logprobs is not None and not isinstance(body.logprobs, bool):
        raise wrong_type("logprobs", "a boolean", body.logprobs)
    if body.top_logprobs is None:
        return
    check_integer("top_logprobs", body.top_logprobs, 0, 20)
    if not body.logprobs:
        raise ApiError(
            400,
            "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.",
            param="top_logprobs",
        )


def _check_stop(stop: Any) -> None:
    if isinstance(stop, str):
        return
    if not isinstance(stop, list) or not all(isinstance(one, str) for one in stop):
        raise wrong_type("stop", "one of a string or array of strings", stop)
    if len(stop) > 4:
        raise ApiError(
            400,
            "Invalid 'stop': array too long. Expected an array with maximum length 4, but got "
            f"an array with length {len(stop)} instead.",
            param="stop",
            code="array_above_max_length",
        )


def _check_tools(tools: Any) -> None:
    if not isinstance(tools, list):
        raise wrong_type("tools", "an array of objects", tools)
    if not tools:
        raise ApiError(
            400,
            "Invalid 'tools': empty array. Expected an array with minimum length 1, but got an "
            "empty array instead.",
            param="tools",
            code="empty_array",
        )
    for position, tool in enumerate(tools):
        where = f"tools[{position}]"
        if not isinstance(tool, dict):
            raise wrong_type(where, "an object", tool)
        kind = tool.get("type")
        check_member(f"{where}.type", kind or "", ("function", "custom"))
        part = tool.get(kind)
        name = part.get("name") if isinstance(part, dict) else None
        if not isinstance(name, str):
            raise missing(f"{where}.{kind}.name")
        if not _FUNCTION_NAME.match(name):
            raise ApiError(
                400,
                f"Invalid '{where}.{kind}.name': string does not match pattern. Expected a "
                "string that matches the pattern '^[a-zA-Z0-9_-]+$'.",
                param=f"{where}.{kind}.name",
                code="invalid_value",
            )


def _check_tool_choice(body: ChatBody) -> None:
    choice = body.tool_choice
    if body.tools is None:
        raise ApiError(
            400,
            "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are "
            "specified.",
            param="tool_choice",
        )
    if isinstance(choice, str):
        check_member("tool_choice", choice, ("none", "auto", "required"))
        return
    if not isinstance(choice, dict):
        raise wrong_type("tool_choice", "one of a string or object", choice)
    check_member("tool_choice.type", choice.get("type") or "", _CHOICE_TYPES)
    if choice["type"] == "allowed_tools" and not isinstance(choice.get("allowed_tools"), dict):
        raise wrong_type("tool_choice.allowed_tools", "an object", choice.get("allowed_tools"))
    names = {tool[tool["type"]]["name"] for tool in body.tools}
    for name in chosen_names(choice):
        if name not in names:
            raise ApiError(
                400,
                f"Tool choice '{name}' not found in 'tools' parameter.",
                param="tool_choice",
                code="invalid_value",
            )


def chosen_names(choice: dict[str, Any]) -> list[str]:
    """The tools an object `tool_choice` names: one function, or the allowed ones."""
    if choice["type"] == "allowed_tools":
        listed = choice["allowed_tools"].get("tools")
        return [_name_in(one) for one in listed] if isinstance(listed, list) else []
    return [_name_in(choice)]


def _name_in(choice: Any) -> str:
    kind = choice.get("type") if isinstance(choice, dict) else None
    part = choice.get(kind) if isinstance(kind, str) else None
    return str(part.get("name")) if isinstance(part, dict) else ""


def _check_response_format(given: Any) -> None:
    if not isinstance(given, dict):
        raise wrong_type("response_format", "an object", given)
    check_member("response_format.type", given.get("type") or "", _FORMATS)
    if given["type"] == "json_schema":
        schema = given.get("json_schema")
        for name in ("name", "schema"):
            if not isinstance(schema, dict) or name not in schema:
                raise missing(f"response_format.json_schema.{name}")
