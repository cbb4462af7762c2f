"""Items of a Responses input as messages of Chat Completions. Pure."""

from collections.abc import Callable
from typing import Any

from gateway.translate.reasoning_seal import REASONING_FIELDS, unseal
from gateway.translate.responses_over_chat_tools import flat_name
from gateway.translate.shapes import (
    compact,
    misfit,
    need_list,
    need_object,
    need_text,
    object_of,
    refusal,
    text_of,
)

_ROLES = ("user", "assistant", "system", "developer")
# What OpenAI's own tools left in a conversation: nothing that another model could do anything with.
_LEFT_OUT = ("web_search_call", "tool_search_call", "tool_search_output")
_STATELESS = "is kept by OpenAI, and this model's provider keeps no state; send the whole input"
_FILE_ID = "names a stored file, and none are kept for this model's provider; send the data itself"


def translate_input(body: dict[str, Any], dropped: list[str]) -> list[dict[str, Any]]:
    """The messages for `instructions` and `input`; the kinds of items left out are added to `dropped`."""
    transcript = _Transcript(body.get("model"), dropped)
    instructions = body.get("instructions")
    if instructions is not None:
        if not isinstance(instructions, str):
            raise misfit("instructions", "a text")
        transcript.messages.append({"role": "system", "content": instructions})
    given = body.get("input")
    if isinstance(given, str):
        transcript.messages.append({"role": "user", "content": given})
    elif isinstance(given, list):
        for index, item in enumerate(given):
            transcript.add(need_object(item, f"input[{index}]"), f"input[{index}]")
        transcript.close()
    else:
        raise misfit("input", "a text or a list of items")
    return transcript.messages


class _Transcript:
    """Collects messages. What the assistant says and calls in a row is one message there."""

    def __init__(self, model: Any, dropped: list[str]) -> None:
        self.messages: list[dict[str, Any]] = []
        self._model = model
        self._dropped = dropped
        self._assistant: dict[str, Any] | None = None
        self._reasoning: dict[str, str] = {}
        self._extras: dict[str, dict[str, Any]] = {}
        self._attachments: list[dict[str, Any]] = []
        self._kinds: dict[str, Callable[[dict[str, Any], str], None]] = {
            "message": self._message,
            "function_call": self._function_call,
            "custom_tool_call": self._custom_call,
            "local_shell_call": self._shell_call,
            "function_call_output": self._output,
            "custom_tool_call_output": self._output,
            "reasoning": self._reason,
        }

    def add(self, item: dict[str, Any], path: str) -> None:
        kind = item.get("type") or ("message" if "role" in item else "item_reference")
        read = self._kinds.get(kind) if isinstance(kind, str) else None
        if read is not None:
            read(item, path)
        elif kind in _LEFT_OUT:
            self._drop(kind)
        elif kind == "item_reference":
            raise refusal(path, f"refers to an item that {_STATELESS}")
        else:
            raise refusal(f"{path}.type", f"'{kind}' cannot be told to this model's provider")

    def close(self) -> None:
        """After the last item."""
        self._close_assistant()
        self._attach()

    def _drop(self, kind: str) -> None:
        note = f"input ({kind})"
        if note not in self._dropped:
            self._dropped.append(note)

    def _message(self, item: dict[str, Any], path: str) -> None:
        role = item.get("role")
        if role not in _ROLES:
            raise misfit(f"{path}.role", f"one of {', '.join(_ROLES)}")
        content = _content(item.get("content"), f"{path}.content")
        if role == "assistant":
            self._say(content)
            return
        self.close()
        self.messages.append({"role": role, "content": content})

    def _say(self, content: str | list[dict[str, Any]]) -> None:
        message = self._open_assistant()
        before = message.get("content")
        if before is None:
            message["content"] = content
        elif "tool_calls" in message:
            # Results have to follow the calls at once, so nothing can be said between.
            message["content"] = _joined(before, content)
        else:
            self._close_assistant()
            self._open_assistant()["content"] = content

    def _call(self, item: dict[str, Any], path: str, name: str, arguments: str) -> None:
        call_id = need_text(item, "call_id", path)
        call: dict[str, Any] = {
            "id": call_id,
            "type": "function",
            "function": {"name": name, "arguments": arguments or "{}"},
        }
        if call_id in self._extras:
            call["extra_content"] = self._extras[call_id]
        self._open_assistant().setdefault("tool_calls", []).append(call)

    def _function_call(self, item: dict[str, Any], path: str) -> None:
        name = flat_name(item.get("namespace"), need_text(item, "name", path))
        self._call(item, path, name, need_text(item, "arguments", path))

    def _custom_call(self, item: dict[str, Any], path: str) -> None:
        name = flat_name(item.get("namespace"), need_text(item, "name", path))
        self._call(item, path, name, compact({"input": need_text(item, "input", path)}))

    def _shell_call(self, item: dict[str, Any], path: str) -> None:
        self._call(item, path, "local_shell", compact(object_of(item.get("action"))))

    def _output(self, item: dict[str, Any], path: str) -> None:
        self._close_assistant()
        content = _content(item.get("output"), f"{path}.output")
        if isinstance(content, list):
            # A tool message holds text alone; the rest is shown after the last result of this turn.
            self._attachments += [part for part in content if part["type"] != "text"]
            texts = [part["text"] for part in content if part["type"] == "text"]
            content = "\n".join(texts) or "The result is attached below."
        call_id = need_text(item, "call_id", path)
        self.messages.append({"role": "tool", "tool_call_id": call_id, "content": content})

    def _reason(self, item: dict[str, Any], path: str) -> None:
        fields = unseal(self._model, item.get("encrypted_content"))
        if not fields:
            self._drop("reasoning")
            return
        message = object_of(fields.get("message"))
        for name in REASONING_FIELDS:
            if text_of(message.get(name)):
                self._reasoning[name] = self._reasoning.get(name, "") + text_of(message[name])
        extra = object_of(fields.get("extra_content"))
        if extra:
            self._extras[text_of(fields.get("call_id"))] = extra

    def _open_assistant(self) -> dict[str, Any]:
        if self._assistant is None:
            self._attach()
            self._assistant = {"role": "assistant", "content": None}
        return self._assistant

    def _close_assistant(self) -> None:
        message, self._assistant = self._assistant, None
        reasoning, self._reasoning = self._reasoning, {}
        if message is None:
            return
        if "tool_calls" in message:
            # Only there is it wanted back; elsewhere a vendor may refuse it.
            message.update(reasoning)
        self.messages.append(message)

    def _attach(self) -> None:
        if self._attachments:
            self.messages.append({"role": "user", "content": self._attachments})
            self._attachments = []


def _joined(
    before: str | list[dict[str, Any]], after: str | list[dict[str, Any]]
) -> str | list[dict[str, Any]]:
    if isinstance(before, str) and isinstance(after, str):
        return f"{before}\n\n{after}"
    return [*_parts_of(before), *_parts_of(after)]


def _parts_of(content: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _content(value: Any, path: str) -> str | list[dict[str, Any]]:
    """Text where it is text alone: not every vendor takes lists. The assistant's parts follow without a break."""
    if value is None or isinstance(value, str):
        return value or ""
    given = need_list(value, path)
    parts = [
        _part(need_object(part, f"{path}[{i}]"), f"{path}[{i}]") for i, part in enumerate(given)
    ]
    if any(part["type"] != "text" for part in parts):
        return parts
    spoken = any(object_of(part).get("type") == "output_text" for part in given)
    return ("" if spoken else "\n").join(part["text"] for part in parts)


def _part(part: dict[str, Any], path: str) -> dict[str, Any]:
    kind = part.get("type")
    if kind in ("input_text", "output_text", "text"):
        return {"type": "text", "text": need_text(part, "text", path)}
    if kind == "refusal":
        # As text: vendors beside OpenAI pass over a message's `refusal`, and its turn would be empty.
        return {"type": "text", "text": need_text(part, "refusal", path)}
    if kind == "input_image":
        return _image(part, path)
    if kind == "input_file":
        return _file(part, path)
    if kind == "input_audio":
        return {
            "type": "input_audio",
            "input_audio": need_object(part.get("input_audio"), f"{path}.input_audio"),
        }
    raise refusal(f"{path}.type", f"'{kind}' is not a part that Chat Completions has")


def _image(part: dict[str, Any], path: str) -> dict[str, Any]:
    if part.get("file_id") is not None:
        raise refusal(f"{path}.file_id", _FILE_ID)
    image = {"url": need_text(part, "image_url", path)}
    if part.get("detail") is not None:
        image["detail"] = part["detail"]
    return {"type": "image_url", "image_url": image}


def _file(part: dict[str, Any], path: str) -> dict[str, Any]:
    for name in ("file_id", "file_url"):
        if part.get(name) is not None:
            reason = _FILE_ID if name == "file_id" else "is not fetched; send 'file_data'"
            raise refusal(f"{path}.{name}", reason)
    file = {"file_data": need_text(part, "file_data", path)}
    if part.get("filename") is not None:
        file["filename"] = part["filename"]
    return {"type": "file", "file": file}
