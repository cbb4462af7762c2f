"""Anthropic Messages (Anthropic's API reference, "Messages" and "Streaming messages"). Pure."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from gateway.body import INT_MAX, take_count, take_flag
from gateway.envelopes import anthropic_event
from gateway.errors import BadRequest, GatewayError
from gateway.estimate import Media, inline_media
from gateway.sse import data_of
from gateway.surfaces.base import (
    Ask,
    PlainAnswer,
    Watcher,
    decode,
    parts_of,
    read_plain,
    refusal,
    text_of,
)
from gateway.usage import UsageReader, merge_messages_usage

# Run by the provider and billed beside the tokens (Anthropic, "Pricing", tools), or, for what is fetched, as input that
# nobody can bound beforehand; an advisor is another model.
REFUSED_TOOLS = ("web_search", "code_execution", "web_fetch", "mcp", "advisor")
# What would be priced otherwise, or stands for an object of the provider's account, which all groups share (Anthropic's
# API reference, "Messages", with its betas).
REFUSED_FIELDS: Mapping[str, str] = MappingProxyType(
    {
        "mcp_servers": "cannot be metered here",
        "fallbacks": "names models that may have another price",
        "fallback_credit_token": "is for a call that is billed at another price",
        "container": "names an object of the provider's account",
        "thread": "names a conversation that the provider keeps; send all its messages",
    }
)
SELF = (None, "self")
THINKING_TOKENS_MIN = 1024


class Messages:
    """POST /v1/messages."""

    name = "messages"
    endpoint = "messages"
    path = "/v1/messages"
    forwarded_headers: tuple[bytes, ...] = (b"anthropic-version", b"anthropic-beta")

    def read_request(self, body: dict[str, Any], *, stream: bool = False) -> Ask:
        if not isinstance(body.get("messages"), list) or not body["messages"]:
            raise BadRequest("'messages' must be a list of at least one message.", param="messages")
        limit = take_count(body, "max_tokens", 1, INT_MAX)
        if limit is None:
            raise BadRequest("'max_tokens' is required.", param="max_tokens")
        _refuse_unmetered(body)
        return Ask(
            stream=stream or take_flag(body, "stream"),
            output_tokens=limit,
            rounds=2 if _compacts(body) else 1,
            media=tuple(_media_of(body)),
            dropped=_drop_diagnostics(body),
        )

    def changes(
        self, body: Mapping[str, Any], upstream_name: str, limit: int | None, limit_field: str
    ) -> dict[str, Any]:
        changed: dict[str, Any] = {}
        if body["model"] != upstream_name:
            changed["model"] = upstream_name
        if limit is not None:
            changed["max_tokens"] = limit
            changed |= _lowered_thinking(body, limit)
        return changed

    def watch(self, read_usage: UsageReader, ask: Ask) -> Watcher:
        return MessagesWatcher(read_usage)

    def read_answer(self, body: bytes, read_usage: UsageReader) -> PlainAnswer | None:
        message = decode(body, _message_decoder)
        if message is None or (message.error is None and not isinstance(message.content, list)):
            return None
        return read_plain(read_usage(message.usage), _texts(message.content), message.error)

    def error_event(self, error: GatewayError, request_id: str, events: int) -> bytes:
        return anthropic_event(error, request_id)


def _refuse_unmetered(body: dict[str, Any]) -> None:
    """Raise BadRequest for what Anthropic bills beside, or at another price than, its tokens."""
    tier = body.get("service_tier")
    if tier not in (None, "auto", "standard_only"):
        raise BadRequest("'service_tier' must be 'auto' or 'standard_only'.", param="service_tier")
    if body.get("speed") not in (None, "standard"):
        raise refusal("speed", "has no price here")
    if body.get("inference_geo") not in (None, "global"):
        raise refusal("inference_geo", "has no price here")
    for name, reason in REFUSED_FIELDS.items():
        if body.get(name):
            raise refusal(name, reason)
    policy = body.get("billing_policy")
    if policy is not None and (not isinstance(policy, dict) or policy.get("bill_to") not in SELF):
        raise refusal("billing_policy", "names another payer")
    tools = body.get("tools")
    if tools is not None and not isinstance(tools, list):
        raise BadRequest("'tools' must be a list.", param="tools")
    for index, tool in enumerate(tools or ()):
        _refuse_tool(tool, f"tools[{index}].type")


def _refuse_tool(tool: Any, path: str) -> None:
    kind = text_of(tool.get("type")) if isinstance(tool, dict) else ""
    if kind.startswith(REFUSED_TOOLS):
        raise refusal(path, f"'{kind}' is billed apart from tokens")


def _refuse_inline_tools(block: dict[str, Any]) -> None:
    """Raise BadRequest for such a tool that a block of a message brings along, or tells of again when it stands for the
    messages before it (Anthropic's API reference, `tool_addition` and `tool_changes` of `compaction`)."""
    for change in (block, *parts_of(block.get("tool_changes"))):
        tool = change.get("tool")
        if isinstance(tool, dict):
            _refuse_tool(tool.get("definition"), "messages.content.tool.definition.type")


def _compacts(body: Mapping[str, Any]) -> bool:
    """Whether the provider may read everything once more, to sum it up (Anthropic, "Compaction": a round of its own,
    billed beside the answer's)."""
    management = body.get("context_management")
    edits = parts_of(management.get("edits")) if isinstance(management, dict) else ()
    return any(text_of(edit.get("type")).startswith("compact") for edit in edits)


def _drop_diagnostics(body: dict[str, Any]) -> tuple[str, ...]:
    """Take out the question how an earlier message was cached, which may be of another group; answers what went.

    Nobody misses it: it changes nothing but that the answer says why the cache was of no use.
    """
    asked = body.get("diagnostics")
    if not isinstance(asked, dict) or asked.get("previous_message_id") is None:
        return ()
    body.pop("diagnostics")
    return ("diagnostics",)


def _lowered_thinking(body: Mapping[str, Any], limit: int) -> dict[str, Any]:
    """Thinking's budget must stay below the limit of tokens, or the provider refuses what we lowered."""
    thinking = body.get("thinking")
    budget = thinking.get("budget_tokens") if isinstance(thinking, dict) else None
    if not isinstance(thinking, dict) or not isinstance(budget, int) or budget < limit:
        return {}
    if limit <= THINKING_TOKENS_MIN:
        return {"thinking": {"type": "disabled"}}
    return {"thinking": {**thinking, "budget_tokens": limit - 1}}


def _media_of(body: dict[str, Any]) -> Iterator[Media]:
    for message in body["messages"]:
        if isinstance(message, dict):
            yield from _media(message.get("content"))


def _media(content: Any) -> Iterator[Media]:
    for block in parts_of(content):
        _refuse_inline_tools(block)
        kind, source = block.get("type"), block.get("source")
        if kind == "tool_result":
            yield from _media(block.get("content"))
        if kind == "container_upload":
            raise refusal(
                "messages.content.file_id", "names a file of the provider's account; send its data"
            )
        if kind not in ("image", "document") or not isinstance(source, dict):
            continue
        origin = source.get("type")
        if origin == "file":
            raise refusal(
                "messages.content.source.file_id",
                "names a file of the provider's account; send its data",
            )
        if origin == "content":
            yield from _media(source.get("content"))
        elif origin in ("base64", "url"):
            data = source.get("data") if origin == "base64" else None
            yield inline_media("image" if kind == "image" else "document", data)


class _Delta(msgspec.Struct):
    text: Any = None
    thinking: Any = None
    partial_json: Any = None
    stop_reason: Any = None


class _Block(msgspec.Struct):
    name: Any = None


class _Start(msgspec.Struct):
    id: Any = None
    usage: Any = None


class _Event(msgspec.Struct):
    type: Any = None
    delta: _Delta | None = None
    content_block: _Block | None = None
    message: _Start | None = None
    usage: Any = None
    error: Any = None


_decoder = msgspec.json.Decoder(_Event)


class MessagesWatcher(Watcher):
    """Follows one stream of Messages events. The input is reported first, the output last."""

    def __init__(self, read_usage: UsageReader) -> None:
        super().__init__()
        self._read_usage = read_usage
        self._start: Any = None

    def _look_at(self, event: bytes) -> bytes:
        data = data_of(event)
        if data is None:
            return event
        said = decode(data, _decoder)
        if said is None:
            self.generated.add(data.decode("latin-1"))
            return event
        kind = said.type
        if kind == "error" or said.error is not None:
            self.error = said.error or {"message": "The provider reported an error."}
            return b""
        if kind == "message_start" and said.message is not None:
            self._start = said.message.usage
            self.input_usage = self._read_usage(self._start)
            self.upstream_id = text_of(said.message.id)
        elif kind == "content_block_start" and said.content_block is not None:
            self.generated.add(text_of(said.content_block.name))
        elif kind == "message_stop":
            self.is_done = True
            self.kept_back.append(event)
            return b""
        if said.delta is not None:
            return self._take_delta(said.delta, said, event)
        return event

    def _take_delta(self, delta: _Delta, said: _Event, event: bytes) -> bytes:
        for text in (delta.text, delta.thinking, delta.partial_json):
            self.generated.add(text_of(text))
        if said.type != "message_delta":
            return event
        if said.usage is not None:
            self.usage = self._read_usage(merge_messages_usage(self._start, said.usage))
        if delta.stop_reason is None:
            return event
        self.kept_back.append(event)
        return b""


class _Message(msgspec.Struct):
    content: Any = None
    usage: Any = None
    error: Any = None


_message_decoder = msgspec.json.Decoder(_Message)


def _texts(content: Any) -> Iterator[str]:
    for block in parts_of(content):
        for name in ("text", "thinking", "name"):
            yield text_of(block.get(name))
        if block.get("input") is not None:
            yield msgspec.json.encode(block["input"]).decode()
