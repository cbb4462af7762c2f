"""Tools for tests of calls that pass through: a provider with canned answers, and the answers."""

import json
from typing import Any

import httpx
import openai

from tests.gateway.far_end import head
from tests.world import Tenant, World

PATH = "/v1/chat/completions"
MODEL = "gpt-5.4-nano"
CANNED_MODEL = "deepseek-v4-flash"
CANNED_CREDENTIAL = "sk-canned-4f9c2e"
USER = [{"role": "user", "content": "Tell me about bridges."}]
USAGE = {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}
DONE = b"data: [DONE]\n\n"


def record_of(world: World, tenant: Tenant, answer: httpx.Response) -> dict[str, Any]:
    """The record of the call that was answered so."""
    for record in world.records(tenant):
        if f"call_{record['id'].hex}" == answer.headers["x-request-id"]:
            return record
    raise AssertionError("no record")


def chat(http: httpx.Client, model: str = MODEL, **fields: Any) -> httpx.Response:
    return http.post(PATH, json={"model": model, "messages": USER, "max_tokens": 300, **fields})


def completion(**changes: Any) -> bytes:
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
        ],
        "usage": USAGE,
    }
    return json.dumps({**body, **changes}).encode()


def chunk(content: str | None = None, finish: str | None = None, **fields: Any) -> bytes:
    parts = {} if content is None else {"content": content}
    choice = {"index": 0, "delta": parts, "finish_reason": finish}
    return b"data: " + json.dumps({"choices": [choice], **fields}).encode() + b"\n\n"


def usage_chunk(usage: Any = None) -> bytes:
    return b"data: " + json.dumps({"choices": [], "usage": usage or USAGE}).encode() + b"\n\n"


def frames(data: bytes, size: int) -> list[bytes]:
    """A chunked event stream whose pieces are cut without regard to events."""
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    framed = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces]
    start = head("200 OK", "content-type: text/event-stream", "transfer-encoding: chunked")
    return [start, *framed, b"0\r\n\r\n"]


def ask(sdk: openai.OpenAI, text: str = "Tell me about bridges.", **fields: Any) -> Any:
    """What the official client answers to one question."""
    messages = [{"role": "user", "content": text}]
    return sdk.chat.completions.create(**{"model": MODEL, "messages": messages, **fields})
