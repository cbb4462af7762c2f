"""Tools of the Responses API as functions of Chat Completions, and back to what the client called them. Pure.

Custom tools take a text: they become functions with one string, `input`. Namespaces (Codex puts each MCP server into
one) become prefixes of the functions' names.
"""

import hashlib
from typing import Any

import msgspec

from gateway.translate.shapes import (
    need_list,
    need_object,
    need_text,
    object_of,
    objects_of,
    refusal,
    text_of,
)

NAME_CHARS_MAX = 64  # OpenAI's API reference, "tools": and nobody allows more
_HOSTED = (
    "is run by OpenAI itself, and this model's provider has no such tool; "
    "offer a function, or use a model of OpenAI"
)
_REFUSED = {
    "file_search": _HOSTED,
    "code_interpreter": _HOSTED,
    "image_generation": _HOSTED,
    "computer": _HOSTED,
    "computer_use": _HOSTED,
    "computer_use_preview": _HOSTED,
    "mcp": "is called by OpenAI itself, and this model's provider calls no servers; offer its tools as functions",
}


class Tool(msgspec.Struct, frozen=True):
    """What the client calls a tool."""

    name: str
    namespace: str | None = None
    is_custom: bool = False


def flat_name(namespace: Any, name: str) -> str:
    """The function's name towards the provider."""
    if not isinstance(namespace, str) or not namespace:
        return name
    joined = namespace + name if namespace.endswith("__") else f"{namespace}__{name}"
    if len(joined) <= NAME_CHARS_MAX:
        return joined
    digest = hashlib.sha256(joined.encode("utf-8", "replace")).hexdigest()[:8]
    return f"{joined[: NAME_CHARS_MAX - 9]}_{digest}"


def tools_by_name(request: dict[str, Any]) -> dict[str, Tool]:
    """The client's tools by their names towards the provider."""
    found = {}
    for tool in objects_of(request.get("tools")):
        if tool.get("type") == "namespace":
            namespace = text_of(tool.get("name"))
            for inner in objects_of(tool.get("tools")):
                name = text_of(inner.get("name"))
                is_custom = inner.get("type") == "custom"
                found[flat_name(namespace, name)] = Tool(name, namespace, is_custom)
        else:
            name = text_of(tool.get("name"))
            found[name] = Tool(name, None, tool.get("type") == "custom")
    return found


def translate_tools(tools: Any, dropped: list[str]) -> list[dict[str, Any]]:
    """The functions for the provider; the paths of what it gets nothing of are added to `dropped`."""
    found = []
    for index, value in enumerate(need_list(tools, "tools")):
        path = f"tools[{index}]"
        tool = need_object(value, path)
        kind = tool.get("type")
        if kind in ("function", "custom"):
            found.append(_function(tool, path, None))
        elif kind == "namespace":
            namespace = need_text(tool, "name", path)
            for place, inner in enumerate(need_list(tool.get("tools"), f"{path}.tools")):
                inner_path = f"{path}.tools[{place}]"
                found.append(_function(need_object(inner, inner_path), inner_path, namespace))
        elif isinstance(kind, str) and kind in _REFUSED:
            raise refusal(f"{path}.type", f"'{kind}' {_REFUSED[kind]}")
        else:
            dropped.append(f"{path} ({kind})")
    return found


def _function(tool: dict[str, Any], path: str, namespace: str | None) -> dict[str, Any]:
    function: dict[str, Any] = {"name": flat_name(namespace, need_text(tool, "name", path))}
    if tool.get("description") is not None:
        function["description"] = tool["description"]
    if tool.get("type") == "custom":
        function["parameters"] = _input_schema(object_of(tool.get("format")))
    else:
        function["parameters"] = tool.get("parameters") or {"type": "object", "properties": {}}
        if tool.get("strict") is not None:
            function["strict"] = tool["strict"]
    return {"type": "function", "function": function}


def _input_schema(format_: dict[str, Any]) -> dict[str, Any]:
    field = {"type": "string", "description": "The tool's whole input, as plain text."}
    definition = text_of(format_.get("definition"))
    if definition:
        syntax = text_of(format_.get("syntax"))
        field["description"] += f" It must follow this {syntax} grammar:\n{definition}"
    return {
        "type": "object",
        "properties": {"input": field},
        "required": ["input"],
        "additionalProperties": False,
    }


def choose_tools(choice: Any, tools: list[dict[str, Any]]) -> tuple[Any, list[dict[str, Any]]]:
    """`tool_choice` for the provider, and the tools that it leaves."""
    if choice is None or choice in ("auto", "none"):
        return choice, tools
    if choice == "required":
        return _required(tools), tools
    fields = need_object(choice, "tool_choice")
    kind = fields.get("type")
    if kind in ("function", "custom"):
        name = flat_name(fields.get("namespace"), need_text(fields, "name", "tool_choice"))
        return {"type": "function", "function": {"name": name}}, tools
    if kind == "allowed_tools":
        allowed = {
            flat_name(tool.get("namespace"), text_of(tool.get("name")))
            for tool in objects_of(fields.get("tools"))
        }
        tools = [tool for tool in tools if tool["function"]["name"] in allowed]
        return (_required(tools) if fields.get("mode") == "required" else "auto"), tools
    raise refusal("tool_choice", "asks for a tool that this model's provider does not have")


def _required(tools: list[dict[str, Any]]) -> str:
    if not tools:
        raise refusal("tool_choice", "requires a tool, and none of these is known to the provider")
    return "required"
