"""Every way in which a client calls a model: the paths, the bodies, and what is read from a stream."""

import json
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx

from simulator.process import SimulatorProcess
from tests.world import Tenant, World

TEXT = "Tell me about bridges."


class Speech(NamedTuple):
    """A surface as a client speaks it. `model` is served on it, `elsewhere` is one that is not.

    `limit_path` leads to the field for the most output tokens, `text_path` to the text of the question.
    """

    name: str
    model: str
    path: str
    stream_path: str
    body: dict[str, Any]
    limit_path: tuple[Any, ...]
    text_path: tuple[Any, ...]
    headers: dict[str, str]

    def ask(self, *, stream: bool = False, limit: int = 2000, **script: Any) -> dict[str, Any]:
        """A body whose question carries a script for the simulator."""
        body: dict[str, Any] = json.loads(json.dumps(self.body))
        _put(body, self.limit_path, limit)
        _put(body, self.text_path, f"{TEXT} [[simulate {json.dumps(script)}]]" if script else TEXT)
        if stream and self.stream_path == self.path:
            body["stream"] = True
        return body


def _put(body: Any, path: tuple[Any, ...], value: Any) -> None:
    for step in path[:-1]:
        body = body[step]
    body[path[-1]] = value


MESSAGE = [{"role": "user", "content": TEXT}]
CONTENTS = [{"role": "user", "parts": [{"text": TEXT}]}]
GEMINI = "gemini-2.5-flash"

CHAT = Speech(
    "chat", "gpt-5.4-nano", "/v1/chat/completions", "/v1/chat/completions",
    {"model": "gpt-5.4-nano", "messages": MESSAGE}, ("max_tokens",), ("messages", 0, "content"), {},
)  # fmt: skip
RESPONSES = Speech(
    "responses", "gpt-5.4-nano", "/v1/responses", "/v1/responses",
    {"model": "gpt-5.4-nano", "input": TEXT}, ("max_output_tokens",), ("input",), {},
)  # fmt: skip
TRANSLATED = RESPONSES._replace(
    name="responses over chat",
    model="deepseek-v4-flash",
    body={"model": "deepseek-v4-flash", "input": TEXT},
)
MESSAGES = Speech(
    "messages", "claude-haiku-4-5", "/v1/messages", "/v1/messages",
    {"model": "claude-haiku-4-5", "messages": MESSAGE}, ("max_tokens",), ("messages", 0, "content"),
    {"anthropic-version": "2023-06-01"},
)  # fmt: skip
GENERATE = Speech(
    "generate", GEMINI, f"/v1beta/models/{GEMINI}:generateContent",
    f"/v1beta/models/{GEMINI}:streamGenerateContent?alt=sse", {"contents": CONTENTS, "generationConfig": {}},
    ("generationConfig", "maxOutputTokens"), ("contents", 0, "parts", 0, "text"), {},
)  # fmt: skip
SPOKEN = (CHAT, RESPONSES, TRANSLATED, MESSAGES, GENERATE)


def stream_lines(http: httpx.Client, speech: Speech, **fields: Any) -> Iterator[str]:
    """The lines of a stream, as long as the caller wants to read on."""
    body = speech.ask(stream=True, **fields)
    with http.stream("POST", speech.stream_path, json=body, headers=speech.headers) as answer:
        if answer.status_code != 200:
            raise AssertionError(answer.read())
        yield from answer.iter_lines()


def call_id(record: dict[str, Any]) -> str:
    """The id of a recorded call as the client and the provider see it."""
    return f"call_{record['id'].hex}"


def wait_for_records(
    world: World, tenant: Tenant, count: int, timeout_s: float = 10.0
) -> list[dict[str, Any]]:
    """The tenant's records, oldest first, once there are `count`; nothing is held any more."""
    deadline = time.monotonic() + timeout_s
    while len(records := world.records(tenant)) < count:
        assert time.monotonic() < deadline, f"{len(records)} of {count} records"
        time.sleep(0.02)
    assert world.wallet(tenant)["held_nanos"] == 0
    return records


def served_entry(simulator: SimulatorProcess, record: dict[str, Any]) -> dict[str, Any]:
    """What the simulator's log says of the end of a call."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        for entry in simulator.entries():
            if entry["call_id"] == call_id(record):
                return dict(entry)
        time.sleep(0.02)
    raise AssertionError(f"no end of {call_id(record)} in the log")
