"""The official client of MCP, pointed at a gateway's /mcp over a socket."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, TypeVar

import httpx
import httpx2
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, TextContent

from tests.world import GatewayProcess

T = TypeVar("T")
ERAS = ("legacy", "auto")
"""With the handshake, and without it where the server can do so."""


@asynccontextmanager
async def open_agent(gateway: GatewayProcess, key: str, era: str = "auto") -> AsyncIterator[Client]:
    """An agent with that key; closed at the end."""
    headers = {"authorization": f"Bearer {key}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=30, trust_env=False) as http,
        Client(streamable_http_client(f"{gateway.root}/mcp", http_client=http), mode=era) as agent,
    ):
        yield agent


def with_agent(
    gateway: GatewayProcess, key: str, work: Callable[[Client], Awaitable[T]], era: str = "auto"
) -> T:
    """What `work` answers with an agent of its own."""

    async def run() -> T:
        async with open_agent(gateway, key, era) as agent:
            return await work(agent)

    return asyncio.run(run())


def use_tool(
    gateway: GatewayProcess, key: str, name: str, era: str = "auto", **arguments: Any
) -> dict[str, Any]:
    """What the tool answers; it must not be an error. The client has checked it against the tool's output schema."""
    result = with_agent(gateway, key, lambda agent: agent.call_tool(name, arguments), era)
    assert not result.is_error, result
    answer: dict[str, Any] = result.structured_content
    return answer


class ToolError(NamedTuple):
    """What an agent sees of a refusal."""

    status: int
    code: str
    message: str
    param: str | None


def fail_tool(gateway: GatewayProcess, key: str, name: str, arguments: dict[str, Any]) -> ToolError:
    """The error of a tool that must fail."""
    result = with_agent(gateway, key, lambda agent: agent.call_tool(name, arguments))
    return read_error(result)


def read_error(result: CallToolResult) -> ToolError:
    """What the failed result says, in its text. Structured content would not fit the tool's output schema, by which the
    clients of other languages check errors too."""
    assert result.is_error, result
    assert result.structured_content is None
    (block,) = result.content
    assert isinstance(block, TextContent)
    told = json.loads(block.text)
    error = told["error"]
    return ToolError(told["status"], error["code"], error["message"], error["param"])


def post(gateway: GatewayProcess, key: str | None, body: Any, **headers: str) -> httpx.Response:
    """One POST by hand."""
    sent = {"accept": "application/json, text/event-stream", **headers}
    if key is not None:
        sent["authorization"] = f"Bearer {key}"
    if isinstance(body, bytes):
        sent.setdefault("content-type", "application/json")
        return httpx.post(
            f"{gateway.root}/mcp", content=body, headers=sent, timeout=30, trust_env=False
        )
    return httpx.post(f"{gateway.root}/mcp", json=body, headers=sent, timeout=30, trust_env=False)


def call_message(name: str, arguments: dict[str, Any], message_id: int = 1) -> dict[str, Any]:
    """The JSON-RPC message that uses a tool."""
    return {
        "jsonrpc": "2.0",
        "id": message_id,
        "method": "tools/call",
        "params": {"name": name, "arguments": arguments},
    }
