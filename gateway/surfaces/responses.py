"""OpenAI Responses (OpenAI's API reference, "Responses"). Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from gateway.body import INT_MAX, take_count, take_flag
from gateway.envelopes import responses_event
from gateway.errors import BadRequest, GatewayError
from gateway.estimate import Media, inline_media, is_text_data
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
from gateway.usage import UsageReader

# Tools that the provider runs and bills beside the tokens, over data in the provider's account, or whose answers are
# billed as input that nobody can bound beforehand: without them the call would be another one.
REFUSED_TOOLS = ("file_search", "code_interpreter", "image_generation", "mcp")
# What costs tokens and nothing else: the client runs it. Every other kind is left out, since vendors add tools that
# they bill by use under ever new names, and agents send some on every call and do without (`web_search`).
TAKEN_TOOLS = frozenset(
    {
        *("function", "custom", "namespace", "tool_search", "local_shell", "shell", "apply_patch"),
        *("computer", "computer_use", "computer_use_preview"),
    }
)
FILE_PARTS = ("input_image", "input_file", "computer_screenshot")
TERMINAL_EVENTS = frozenset({"response.completed", "response.incomplete"})


class Responses:
    """POST /v1/responses."""

    name = "responses"
    endpoint = "responses"
    path = "/v1/responses"
    forwarded_headers: tuple[bytes, ...] = ()

    def read_request(self, body: dict[str, Any], *, stream: bool = False) -> Ask:
        given = body.get("input")
        if not isinstance(given, str | list) or not given:
            raise BadRequest("'input' must be a text or a list of items.", param="input")
        if take_flag(body, "background"):
            raise refusal(
                "background",
                "cannot be true: an answer that is fetched later cannot be metered; stream it instead",
            )
        for name in ("conversation", "prompt"):
            if body.get(name) is not None:
                raise refusal(
                    name, "names an object of the provider's account; send its content as 'input'"
                )
        _refuse_comparison(body)
        _refuse_items(given)
        previous = body.get("previous_response_id")
        if previous is not None and not isinstance(previous, str):
            raise BadRequest("'previous_response_id' must be a text.", param="previous_response_id")
        return Ask(
            stream=stream or take_flag(body, "stream"),
            output_tokens=take_count(body, "max_output_tokens", 1, INT_MAX),
            service_tier=body.get("service_tier"),
            media=tuple(_media(given)),
            previous_response=previous,
            dropped=_drop_tools(body),
        )

    def changes(
        self, body: Mapping[str, Any], upstream_name: str, limit: int | None, limit_field: str
    ) -> dict[str, Any]:
        changed: dict[str, Any] = {}
        if body["model"] != upstream_name:
            changed["model"] = upstream_name
        if limit is not None:
            changed["max_output_tokens"] = limit
        return changed

    def watch(self, read_usage: UsageReader, ask: Ask) -> Watcher:
        return ResponsesWatcher(read_usage)

    def read_answer(self, body: bytes, read_usage: UsageReader) -> PlainAnswer | None:
        response = decode(body, _response_decoder)
        if response is None or (response.error is None and not isinstance(response.output, list)):
            return None
        error = response.error
        if error is None and response.status == "failed":
            error = {"message": "The provider could not answer."}
        return read_plain(
            read_usage(response.usage),
            _texts(response.output),
            error,
            tier=response.service_tier,
            upstream_id=response.id,
        )

    def error_event(self, error: GatewayError, request_id: str, events: int) -> bytes:
        return responses_event(error, events)


def _refuse_comparison(body: Mapping[str, Any]) -> None:
    """Raise BadRequest for the question how another response was cached, which may be of another group."""
    options = body.get("prompt_cache_options")
    if isinstance(options, dict) and options.get("comparison_response_id") is not None:
        raise refusal(
            "prompt_cache_options.comparison_response_id",
            "names an object of the provider's account",
        )


def _refuse_items(given: Any) -> None:
    """Raise BadRequest for items that stand for what is not in the body, or bring tools in past `tools`.

    The provider's account is shared by all groups, and what it keeps has a size that is not known here. An item without
    a type is a message or a reference (OpenAI's reference, "ItemReference").
    """
    for index, item in enumerate(given if isinstance(given, list) else ()):
        if not isinstance(item, dict):
            continue
        kind = item.get("type")
        if kind == "item_reference" or (kind is None and "role" not in item):
            raise refusal(
                f"input[{index}]", "names an item of the provider's account; send the item itself"
            )
        for number, tool in enumerate(parts_of(item.get("tools"))):
            kind = tool.get("type")
            if kind is not None and (kind not in TAKEN_TOOLS or _runs_in_container(tool)):
                raise refusal(f"input[{index}].tools[{number}]", "is billed apart from tokens")


def _runs_in_container(tool: Any) -> bool:
    """Whether that is a shell in a container of the provider's, which is billed by time."""
    environment = tool.get("environment") if isinstance(tool, dict) else None
    return isinstance(environment, dict) and text_of(environment.get("type")).startswith(
        "container"
    )


def _drop_tools(body: dict[str, Any]) -> tuple[str, ...]:
    """Take out the tools that cannot be metered and that clients send unasked; answers what went."""
    tools = body.get("tools")
    if tools is None:
        return ()
    if not isinstance(tools, list):
        raise BadRequest("'tools' must be a list.", param="tools")
    kept, dropped = [], []
    for index, tool in enumerate(tools):
        kind = text_of(tool.get("type")) if isinstance(tool, dict) else ""
        if kind.startswith(REFUSED_TOOLS) or _runs_in_container(tool):
            raise refusal(f"tools[{index}].type", f"'{kind}' is billed apart from tokens")
        if kind in TAKEN_TOOLS or not kind:
            kept.append(tool)  # what is no tool at all is the provider's to refuse
        else:
            dropped.append(f"tools[{index}] ({kind})")
    if dropped:
        body["tools"] = kept
        choice = body.get("tool_choice")
        chosen = choice.get("type") if isinstance(choice, dict) else "allowed_tools"
        if chosen not in (*TAKEN_TOOLS, "allowed_tools"):
            raise refusal("tool_choice", "names a tool that is billed apart from tokens")
        if not kept:
            body.pop("tools")
            body.pop("tool_choice", None)
    return tuple(dropped)


def _media(given: Any) -> Iterator[Media]:
    for item in parts_of(given):
        content = item.get("content")
        if content is None:
            content = item.get("output")
        for part in [content] if isinstance(content, dict) else parts_of(content):
            kind = part.get("type")
            if kind in FILE_PARTS and part.get("file_id") is not None:
                raise refusal(
                    "input.content.file_id", "names a file of the provider's account; send its data"
                )
            if kind in ("input_image", "computer_screenshot"):
                yield inline_media("image", part.get("image_url"))
            elif kind == "input_file" and not is_text_data(part.get("file_data")):
                yield inline_media("document", part.get("file_data"))
            elif kind == "input_audio" and isinstance(part.get("input_audio"), dict):
                yield inline_media("audio", part["input_audio"].get("data"))


class _Ended(msgspec.Struct):
    id: Any = None
    usage: Any = None
    service_tier: Any = None
    error: Any = None


class _Event(msgspec.Struct):
    type: Any = None
    delta: Any = None
    response: _Ended | None = None
    error: Any = None
    code: Any = None
    message: Any = None


_decoder = msgspec.json.Decoder(_Event)


class ResponsesWatcher(Watcher):
    """Follows one stream of Responses events."""

    def __init__(self, read_usage: UsageReader) -> None:
        super().__init__()
        self._read_usage = read_usage

    def _look_at(self, event: bytes) -> bytes:
        data = data_of(event)
        if data is None or data == b"[DONE]":
            return event
        said = decode(data, _decoder)
        if said is None:
            self.generated.add(data.decode("latin-1"))
            return event
        kind = text_of(said.type)
        if isinstance(said.delta, str):
            self.generated.add(said.delta)
            return event
        if kind in ("error", "response.failed") or (not kind and said.error is not None):
            failed = said.response.error if said.response is not None else None
            self.error = said.error or failed or {"message": said.message, "code": said.code}
            return b""
        response = said.response
        if response is None:
            return event
        self.upstream_id = text_of(response.id) or self.upstream_id
        self.service_tier = text_of(response.service_tier) or self.service_tier
        if kind not in TERMINAL_EVENTS:
            return event
        self.usage = self._read_usage(response.usage)
        self.is_done = True
        self.kept_back.append(event)
        return b""


class _Response(msgspec.Struct):
    id: Any = None
    output: Any = None
    status: Any = None
    usage: Any = None
    error: Any = None
    service_tier: Any = None


_response_decoder = msgspec.json.Decoder(_Response)


def _texts(output: Any) -> Iterator[str]:
    for item in parts_of(output):
        for name in ("name", "arguments", "input"):
            yield text_of(item.get(name))
        for part in (*parts_of(item.get("content")), *parts_of(item.get("summary"))):
            yield text_of(part.get("text"))
            yield text_of(part.get("refusal"))
