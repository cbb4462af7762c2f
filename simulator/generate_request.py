"""The body of generateContent: reading it into a chat body, and refusing it as Google does."""

from typing import Any

import msgspec

from simulator.catalog import find_card
from simulator.chat_request import ChatBody
from simulator.checks import check_integer, check_model, decode_body
from simulator.errors import ApiError
from simulator.generate_names import in_camel_case

_MOST_CANDIDATES = 8
_MOST_STOPS = 5
_EFFORTS = ((512, "minimal"), (4_096, "low"), (16_384, "medium"))  # budgets below -> how much
_LEVELS = ("minimal", "low", "medium", "high")


class GenerateBody(msgspec.Struct):
    """The body as Google names it; `model` and `stream` stand in the path.

    `is_event_stream`: a stream comes as events, not as one JSON array.
    """

    model: str
    stream: bool
    is_event_stream: bool
    fields: dict[str, Any]
    simulate: msgspec.Raw = msgspec.Raw()

    @property
    def shows_thoughts(self) -> bool:
        """Whether parts with thoughts are to be shown. Only of a body that has been read."""
        thinking = _object(self.config, "thinkingConfig")
        return thinking.get("includeThoughts") is True

    @property
    def config(self) -> dict[str, Any]:
        """The generationConfig. Raises ApiError(400) unless it is an object."""
        return _object(self.fields, "generationConfig")


class _Envelope(msgspec.Struct):
    simulate: msgspec.Raw = msgspec.Raw()


_FIELDS = msgspec.json.Decoder(dict[str, Any])
_ENVELOPE = msgspec.json.Decoder(_Envelope)


def parse_generate(model: str, raw: bytes, *, stream: bool, is_event_stream: bool) -> GenerateBody:
    """Read the body. Raises ApiError(400) for what is not a JSON object."""
    fields = decode_body(raw, _FIELDS)
    simulate = _ENVELOPE.decode(raw).simulate if "simulate" in fields else msgspec.Raw()
    return GenerateBody(model, stream, is_event_stream, in_camel_case(fields), simulate)


def read_generate(body: GenerateBody) -> ChatBody:
    """The body as a chat body. Raises ApiError(400 or 404)."""
    check_model(body.model)
    config = body.config
    limit = config.get("maxOutputTokens")
    if limit is not None:
        card = find_card(body.model)
        # Google takes a limit of 0 for none.
        check_integer("maxOutputTokens", limit, 0, card.max_output if card is not None else None)
    count = config.get("candidateCount")
    if count is not None:
        check_integer("candidateCount", count, 1, _MOST_CANDIDATES)
    stops = config.get("stopSequences")
    if stops is not None and (
        not isinstance(stops, list)
        or len(stops) > _MOST_STOPS
        or not all(isinstance(one, str) for one in stops)
    ):
        raise ApiError(400, f"stopSequences must be at most {_MOST_STOPS} strings.")
    messages = _read_contents(body.fields.get("contents"))
    system = body.fields.get("systemInstruction")
    if system is not None:
        text = "\n".join(_texts(_parts(system, "systemInstruction"), "systemInstruction"))
        messages.insert(0, {"role": "system", "content": text})
    tools = _read_tools(body.fields.get("tools"))
    return ChatBody(
        model=body.model,
        messages=messages,
        stream=body.stream,
        n=count,
        stop=stops,
        max_completion_tokens=limit or None,
        tools=tools or None,
        tool_choice=_read_choice(body.fields) if tools else None,
        response_format=_read_format(config),
        reasoning_effort=_read_thinking(config),
    )


def _object(fields: dict[str, Any], name: str) -> dict[str, Any]:
    given = fields.get(name)
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise _wrong(name, "must be an object")
    return given


def _wrong(name: str, reason: str) -> ApiError:
    return ApiError(400, f"Invalid value at '{name}': {reason}.", param=name)


def _parts(content: Any, where: str) -> list[dict[str, Any]]:
    parts = content.get("parts") if isinstance(content, dict) else None
    if isinstance(parts, dict):
        parts = [parts]
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise _wrong(f"{where}.parts", "must be a list of parts")
    return parts


def _texts(parts: list[dict[str, Any]], where: str) -> list[str]:
    texts = [part["text"] for part in parts if part.get("text") is not None]
    if not all(isinstance(text, str) for text in texts):
        raise _wrong(f"{where}.parts.text", "must be a string")
    return texts


def _read_contents(given: Any) -> list[dict[str, Any]]:
    contents = [given] if isinstance(given, dict) else given
    if not isinstance(contents, list) or not contents:
        raise ApiError(400, "contents are required and must not be empty.", param="contents")
    messages: list[dict[str, Any]] = []
    for position, content in enumerate(contents):
        where = f"contents[{position}]"
        parts = _parts(content, where)
        if not parts:
            raise _wrong(f"{where}.parts", "must not be empty")
        role = content.get("role") or "user"
        if role not in ("user", "model", "function"):
            raise ApiError(400, "Please use a valid role: user, model.", param=f"{where}.role")
        if role == "model":
            messages.append(_read_model_turn(parts, where))
        else:
            messages += _read_user_turn(parts, where)
    return messages


def _read_model_turn(parts: list[dict[str, Any]], where: str) -> dict[str, Any]:
    message: dict[str, Any] = {
        "role": "assistant",
        "content": "".join(_texts([one for one in parts if not one.get("thought")], where)),
    }
    calls = []
    for part in parts:
        if part.get("functionCall") is not None:
            call = _object(part, "functionCall")
            name = _name_of(call, f"{where}.functionCall")
            arguments = msgspec.json.encode(call.get("args") or {}).decode()
            function = {"name": name, "arguments": arguments}
            identity = str(call.get("id") or name)
            calls.append({"id": identity, "type": "function", "function": function})
    if calls:
        message["tool_calls"] = calls
    return message


def _read_user_turn(parts: list[dict[str, Any]], where: str) -> list[dict[str, Any]]:
    """The results of functions, each a message of its own, then what the user says."""
    results: list[dict[str, Any]] = []
    said: list[dict[str, Any]] = []
    for part in parts:
        if part.get("functionResponse") is not None:
            result = _object(part, "functionResponse")
            name = _name_of(result, f"{where}.functionResponse")
            text = msgspec.json.encode(result.get("response") or {}).decode()
            call_id = str(result.get("id") or name)
            results.append({"role": "tool", "tool_call_id": call_id, "content": text})
        elif part.get("inlineData") is not None:
            said.append(_read_media(_object(part, "inlineData")))
        elif part.get("fileData") is not None:
            said.append({"type": "file"})
        elif part.get("text") is not None:
            said.append({"type": "text", "text": _texts([part], where)[0]})
    if said or not results:
        results.append({"role": "user", "content": said})
    return results


def _read_media(data: dict[str, Any]) -> dict[str, Any]:
    kind = str(data.get("mimeType"))
    if kind.startswith("image/"):
        return {"type": "image_url"}
    if kind.startswith(("audio/", "video/")):
        return {"type": "input_audio", "input_audio": {"data": data.get("data")}}
    return {"type": "file"}


def _name_of(call: dict[str, Any], where: str) -> str:
    name = call.get("name")
    if not isinstance(name, str) or not name:
        raise _wrong(f"{where}.name", "must be a name")
    return name


def _read_tools(given: Any) -> list[dict[str, Any]]:
    """The declared functions in chat form; the vendor's own tools are left out."""
    tools = [given] if isinstance(given, dict) else given
    if tools is None:
        return []
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
        raise _wrong("tools", "must be a list of tools")
    functions = []
    for tool in tools:
        declared = tool.get("functionDeclarations")
        if declared is None:
            continue
        if not isinstance(declared, list):
            raise _wrong("tools.functionDeclarations", "must be a list")
        for one in declared:
            if not isinstance(one, dict):
                raise _wrong("tools.functionDeclarations", "must be a list of objects")
            function = {"name": _name_of(one, "tools.functionDeclarations")}
            schema = one.get("parametersJsonSchema") or one.get("parameters")
            if schema is not None:
                function["parameters"] = schema
            if one.get("description") is not None:
                function["description"] = one["description"]
            functions.append({"type": "function", "function": function})
    return functions


def _read_choice(fields: dict[str, Any]) -> Any:
    given = _object(_object(fields, "toolConfig"), "functionCallingConfig")
    mode = given.get("mode") or "AUTO"
    if mode not in ("AUTO", "ANY", "NONE", "VALIDATED"):
        raise _wrong("toolConfig.functionCallingConfig.mode", f"{mode!r} is no mode")
    names = given.get("allowedFunctionNames") or []
    if not isinstance(names, list):
        raise _wrong("toolConfig.functionCallingConfig.allowedFunctionNames", "must be a list")
    if mode == "NONE":
        return "none"
    if not names:
        return "required" if mode == "ANY" else "auto"
    tools = [{"type": "function", "function": {"name": name}} for name in names]
    allowed = {"mode": "required" if mode == "ANY" else "auto", "tools": tools}
    return {"type": "allowed_tools", "allowed_tools": allowed}


def _read_format(config: dict[str, Any]) -> Any:
    schema = config.get("responseJsonSchema") or config.get("responseSchema")
    if config.get("responseMimeType") != "application/json":
        if schema is not None:
            raise _wrong("generationConfig.responseSchema", "needs an application/json answer")
        return None
    if schema is None:
        return {"type": "json_object"}
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


def _read_thinking(config: dict[str, Any]) -> str | None:
    """How much is thought, as a reasoning effort; a budget of -1 leaves it to the model."""
    thinking = _object(config, "thinkingConfig")
    level = thinking.get("thinkingLevel")
    if level is not None:
        if not isinstance(level, str) or level.lower() not in _LEVELS:
            raise _wrong("thinkingConfig.thinkingLevel", f"{level!r} is no level")
        return level.lower()
    budget = thinking.get("thinkingBudget")
    if budget is None:
        return None
    check_integer("thinkingConfig.thinkingBudget", budget, -1, None)
    if budget == -1:
        return "medium"
    return next((effort for below, effort in _EFFORTS if budget < below), "high")
