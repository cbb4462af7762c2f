"""POST /mcp: the Model Context Protocol (Streamable HTTP), for agents. The one module that knows the `mcp` package.

Every tool asks the API through the gateway's own application (inner_requests.py), with the caller's key and address.

Without state: there are no sessions, each POST is answered by itself, so that any process behind any balancer can take
it. Both eras of the protocol are spoken, the one with a handshake (2024-11-05 to 2025-11-25) and the one without
(2026-07-28). There is nothing that this server would say unasked, so GET (a stream of its own) and DELETE (the end of a
session) are a 405, as the specification has it for such servers.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
from mcp.server.caching import CacheHint
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    Tool,
    ToolAnnotations,
)

from gateway.body import parse_object
from gateway.errors import BadRequest, Forbidden
from gateway.mcp.inner_requests import Application, InnerAnswer, InnerRequest, send_inner
from gateway.mcp.tools import TOOLS
from gateway.mcp.tools import Tool as OwnTool
from gateway.services import Services
from gateway.wire import Wire

PATH = "/mcp"
BODY_BYTES_MAX = 4 * 1024 * 1024
"""Enough for any tool; the API itself takes larger bodies."""
INSTRUCTIONS = (
    "Tollgate forwards calls to model APIs, meters them and charges them to the prepaid credits of your group. With"
    " these tools you find models and prices, see your credits and calls, and order pictures. Calls of language models"
    " go to its API (POST /v1/chat/completions and the like), with the same key. Money is in USD, as decimal strings."
    " To make a picture: get_prices or quote_price, create_image_task, then get_task until it has ended."
)

# It would say at each request that it has started and that it shuts down.
logging.getLogger("mcp.server.streamable_http_manager").setLevel(logging.WARNING)


class Doors(NamedTuple):
    """By which names browsers may reach us: a page elsewhere must not use a host that it has pointed at us."""

    is_our_host: Callable[[str], bool]
    """Of a `Host` header."""
    trusted_origins: Sequence[str] = ()
    """Beside our own, such as `https://gate.example`."""


class Refused(Exception):
    """The API refused a tool's request."""

    def __init__(self, answer: InnerAnswer) -> None:
        super().__init__(answer.status)
        self.answer = answer


class McpServer:
    """Answers POST /mcp. `application` is the gateway's."""

    def __init__(self, application: Application, doors: Doors) -> None:
        self._application = application
        self._doors = doors
        self._tools: Mapping[str, OwnTool] = MappingProxyType({tool.name: tool for tool in TOOLS})
        self._listed = [_describe(tool) for tool in TOOLS]
        schemas = {tool.name: tool.input_schema for tool in self._listed}
        self._server: Server[dict[str, Any]] = Server(
            "tollgate",
            title="Tollgate",
            instructions=INSTRUCTIONS,
            cache_hints={"tools/list": CacheHint(ttl_ms=3_600_000, scope="public")},
            get_tool_input_schema=schemas.get,
            on_list_tools=self._list_tools,
            on_call_tool=self._call_tool,
        )
        # Its one member traces for OpenTelemetry, which nobody set up here.
        self._server.middleware.clear()

    async def answer(self, wire: Wire, services: Services) -> None:
        """An endpoint of the data plane."""
        self._check_doors(wire)
        await services.authenticator.authenticate(wire)
        body = await wire.read_body(BODY_BYTES_MAX)
        _check_message(body)
        # One for each request: whatever becomes of it, nothing of it goes on when the request has ended.
        manager = StreamableHTTPSessionManager(
            self._server,
            stateless=True,
            json_response=True,
            max_request_body_size=BODY_BYTES_MAX,
        )
        async with manager.run():
            await wire.hand_over(manager.handle_request, body)

    def _check_doors(self, wire: Wire) -> None:
        host = (wire.header(b"host") or b"").decode("latin-1")
        if not self._doors.is_our_host(host):
            raise Forbidden("The header Host names another server.", code="host_not_allowed")
        origin = wire.header(b"origin")
        if origin is None:
            return
        text = origin.decode("latin-1").lower()
        if text not in self._doors.trusted_origins and _place_of(text) != host.lower():
            raise Forbidden(
                "Pages of other origins may not use this server.", code="origin_not_allowed"
            )

    async def _list_tools(
        self, context: ServerRequestContext[Any], asked: PaginatedRequestParams | None
    ) -> ListToolsResult:
        return ListToolsResult(tools=self._listed)

    async def _call_tool(
        self, context: ServerRequestContext[Any], asked: CallToolRequestParams
    ) -> CallToolResult:
        tool = self._tools.get(asked.name)
        if tool is None:
            names = ", ".join(self._tools)
            raise MCPError(INVALID_PARAMS, f"There is no such tool. The tools are {names}.")
        assert context.request is not None
        outer = context.request.scope

        async def ask(request: InnerRequest) -> Any:
            answer = await send_inner(self._application, outer, request)
            if not 200 <= answer.status < 300:
                raise Refused(answer)
            return msgspec.json.decode(answer.body)

        # Agents send null for what they leave out.
        given = {
            name: value for name, value in (asked.arguments or {}).items() if value is not None
        }
        try:
            return _result(await tool.run(msgspec.convert(given, tool.takes), ask))
        except msgspec.ValidationError as error:
            return _bad_arguments(tool, error)
        except Refused as error:
            return _refusal(error.answer)


def _describe(tool: OwnTool) -> Tool:
    return Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=_schema_of(tool.takes),
        output_schema=_schema_of(tool.answer),
        annotations=ToolAnnotations(
            title=tool.title,
            read_only_hint=tool.reads,
            destructive_hint=tool.destroys,
            idempotent_hint=tool.repeats,
            open_world_hint=tool.reaches_out,
        ),
    )


def _schema_of(shape: type[msgspec.Struct]) -> dict[str, Any]:
    """JSON Schema with an object at its root, as the protocol wants it."""
    (_,), shapes = msgspec.json.schema_components([shape], ref_template="#/$defs/{name}")
    root = dict(shapes.pop(shape.__name__))
    for own in ("title", "description"):
        root.pop(own, None)  # of our class
    for nested in shapes.values():
        nested.pop("title", None)
    return {**root, "$defs": shapes} if shapes else root


def _check_message(body: bytes) -> None:
    """Raises BadRequest for what is no single JSON object. Batches ended with revision 2025-06-18 of the protocol."""
    if body.lstrip()[:1] == b"[":
        raise BadRequest("Batches are not served: send one JSON-RPC message in each POST.")
    message = parse_object(body)
    if "method" in message and type(message.get("id", 0)) not in (int, str):
        raise BadRequest("'id' must be a string or an integer.", param="id")


def _place_of(origin: str) -> str:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def _result(answer: Any) -> CallToolResult:
    return CallToolResult(content=[_text(answer)], structured_content=answer)


def _text(answer: Any) -> TextContent:
    """The same for clients that read no structured content."""
    return TextContent(text=msgspec.json.encode(answer).decode())


def _bad_arguments(tool: OwnTool, error: msgspec.ValidationError) -> CallToolResult:
    """The agent's own mistake, as a result that it can learn from."""
    reason, _, path = str(error).partition(" - at `$")
    field = path.removesuffix("`").lstrip(".")
    message = f"'{field}': {reason}." if field else f"{reason}."
    if reason.startswith("Object contains unknown field") and not field:
        names = ", ".join(tool.takes.__struct_fields__) or "none"
        message = f"{message} {tool.name} takes: {names}."
    fields = {
        "message": message,
        "type": "invalid_request_error",
        "param": field or None,
        "code": "invalid_request_error",
    }
    return _failure({"error": fields, "status": 400})


def _refusal(answer: InnerAnswer) -> CallToolResult:
    """The API's own error, with what its headers add to it."""
    told: dict[str, Any] = {**msgspec.json.decode(answer.body), "status": answer.status}
    for name, header in (("request_id", b"x-request-id"), ("retry_after_s", b"retry-after")):
        value = answer.header(header)
        if value is not None:
            told[name] = int(value) if value.isdecimal() else value
    return _failure(told)


def _failure(told: Mapping[str, Any]) -> CallToolResult:
    # As text alone: some clients hold any structured content against the tool's output schema, also an error's.
    return CallToolResult(content=[_text(told)], is_error=True)
