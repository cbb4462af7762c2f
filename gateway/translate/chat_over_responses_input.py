"""Messages of Chat Completions as items of a Responses input. Pure."""

from typing import Any

from gateway.translate.shapes import given, misfit, need_list, need_object, need_text, refusal

_FILE_ID = "names a stored file, and none are kept here; send 'file_data'"


def translate_messages(messages: Any) -> list[dict[str, Any]]:
    """The items for `messages`, in their order."""
    if not isinstance(messages, list):
        raise misfit("messages", "a list")
    custom_ids: set[str] = set()
    items: list[dict[str, Any]] = []
    for index, value in enumerate(messages):
        path = f"messages[{index}]"
        message = need_object(value, path)
        role = message.get("role")
        if role in ("system", "developer", "user"):
            content = _content(message.get("content"), f"{path}.content")
            items.append({"type": "message", "role": role, "content": content})
        elif role == "assistant":
            items += _said(message, path)
            items += _calls(message, path, custom_ids)
        elif role == "tool":
            items.append(_result(message, path, custom_ids))
        elif role == "function":
            raise refusal(f"{path}.role", "'function' has given way to 'tool', with a tool_call_id")
        else:
            raise misfit(f"{path}.role", "one of system, developer, user, assistant, tool")
    return items


def _said(message: dict[str, Any], path: str) -> list[dict[str, Any]]:
    if message.get("audio") is not None:
        raise refusal(f"{path}.audio", "cannot be carried over; send its transcript as content")
    content = message.get("content")
    parts: list[dict[str, Any]] = []
    if isinstance(content, str):
        parts += [_output_text(content)] if content else []
    else:
        for index, value in enumerate(need_list(content, f"{path}.content")):
            parts.append(_said_part(value, f"{path}.content[{index}]"))
    if message.get("refusal") is not None:
        parts.append({"type": "refusal", "refusal": need_text(message, "refusal", path)})
    return [{"type": "message", "role": "assistant", "content": parts}] if parts else []


def _said_part(value: Any, path: str) -> dict[str, Any]:
    part = need_object(value, path)
    if part.get("type") == "refusal":
        return {"type": "refusal", "refusal": need_text(part, "refusal", path)}
    if part.get("type") == "text":
        return _output_text(need_text(part, "text", path))
    raise refusal(f"{path}.type", "is not a part that an assistant's message can have")


def _output_text(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text}


def _calls(message: dict[str, Any], path: str, custom_ids: set[str]) -> list[dict[str, Any]]:
    if message.get("function_call") is not None:
        raise refusal(f"{path}.function_call", "has given way to 'tool_calls'")
    items = []
    for index, value in enumerate(need_list(message.get("tool_calls"), f"{path}.tool_calls")):
        place = f"{path}.tool_calls[{index}]"
        call = need_object(value, place)
        call_id = need_text(call, "id", place)
        if call.get("type") == "custom":
            custom = need_object(call.get("custom"), f"{place}.custom")
            text = need_text(custom, "input", f"{place}.custom")
            custom_ids.add(call_id)
            item = {"type": "custom_tool_call", "input": text}
            name = need_text(custom, "name", f"{place}.custom")
        else:
            function = need_object(call.get("function"), f"{place}.function")
            name = need_text(function, "name", f"{place}.function")
            arguments = need_text(function, "arguments", f"{place}.function")
            item = {"type": "function_call", "arguments": arguments}
        items.append({**item, "call_id": call_id, "name": name})
    return items


def _result(message: dict[str, Any], path: str, custom_ids: set[str]) -> dict[str, Any]:
    call_id = need_text(message, "tool_call_id", path)
    kind = "custom_tool_call_output" if call_id in custom_ids else "function_call_output"
    output = _content(message.get("content"), f"{path}.content")
    return {"type": kind, "call_id": call_id, "output": output}


def _content(value: Any, path: str) -> str | list[dict[str, Any]]:
    if value is None or isinstance(value, str):
        return value or ""
    return [_part(part, f"{path}[{i}]") for i, part in enumerate(need_list(value, path))]


def _part(value: Any, path: str) -> dict[str, Any]:
    part = need_object(value, path)
    kind = part.get("type")
    if kind == "text":
        return {"type": "input_text", "text": need_text(part, "text", path)}
    if kind == "image_url":
        image = need_object(part.get("image_url"), f"{path}.image_url")
        url = need_text(image, "url", f"{path}.image_url")
        detail = image.get("detail") or "auto"
        return {"type": "input_image", "image_url": url, "detail": detail}
    if kind == "file":
        file = need_object(part.get("file"), f"{path}.file")
        if file.get("file_id") is not None:
            raise refusal(f"{path}.file.file_id", _FILE_ID)
        data = need_text(file, "file_data", f"{path}.file")
        return {"type": "input_file", "file_data": data, **given(file, "filename")}
    if kind == "input_audio":
        raise refusal(path, "is sound, which this model does not take")
    raise refusal(f"{path}.type", "is not a part that this model takes")
