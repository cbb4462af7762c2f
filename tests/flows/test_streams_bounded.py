"""Providers that fall silent or never end: the call ends, costs nothing, and takes no memory with it."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from simulator.process import SimulatorProcess
from tests.flows.canned import CANNED_CREDENTIAL, chat, chunk, record_of, usage_chunk
from tests.flows.speaking import (
    CHAT,
    GENERATE,
    MESSAGES,
    RESPONSES,
    SPOKEN,
    TRANSLATED,
    Speech,
    served_entry,
    wait_for_records,
)
from tests.gateway.far_end import ThreadedFarEnd, head, threaded_far_end
from tests.world import GatewayProcess, Tenant, World, client

MIB = 1024 * 1024
ENDLESS_MODEL = "solar-mini"
GROWTH_MAX = 64 * MIB


@pytest.fixture(scope="module")
def far() -> Iterator[ThreadedFarEnd]:
    with threaded_far_end() as made:
        yield made


@pytest.fixture(scope="module")
def world(
    server_url: str, template_database: str, simulator: SimulatorProcess, far: ThreadedFarEnd
) -> Iterator[World]:
    with World(server_url, template_database, simulator) as made:
        root = simulator.base_url.removesuffix("/v1")
        made.put_channel("anthropic", f"{root}/v1", simulator.api_key)
        made.put_channel("gemini", f"{root}/v1beta/openai", simulator.api_key)
        made.put_channel("deepseek", f"{root}/v1", simulator.api_key)
        made.put_channel("upstage", far.base_url, CANNED_CREDENTIAL)
        yield made


@pytest.fixture(scope="module")
def gateway(world: World) -> GatewayProcess:
    return world.start_gateway(TOLLGATE_BETWEEN_BYTES_TIMEOUT_S="1")


@pytest.fixture(autouse=True)
def _calm(world: World, gateway: GatewayProcess) -> Iterator[None]:
    before = len(gateway.log)
    yield
    assert "Traceback" not in gateway.log[before:]
    world.audit()


def events_of(text: str) -> list[str]:
    assert text.endswith("\n\n")
    return text.strip().split("\n\n")


def data_of(event: str) -> dict[str, Any]:
    """What the event carries; its last line is its data."""
    found: dict[str, Any] = json.loads(event.splitlines()[-1].removeprefix("data: "))
    return found


def read_chat_error(event: str) -> tuple[str, str]:
    assert event.startswith("data: ")
    error = data_of(event)["error"]
    return error["code"], error["message"]


def read_responses_error(event: str) -> tuple[str, str]:
    assert event.startswith("event: error\n")
    said = data_of(event)
    assert said["type"] == "error"
    assert said["sequence_number"] > 0
    assert said["error"]["message"] == said["message"]
    return said["code"], said["message"]


def read_messages_error(event: str) -> tuple[str, str]:
    assert event.startswith("event: error\n")
    said = data_of(event)
    assert (said["type"], said["request_id"][:5]) == ("error", "call_")
    return said["error"]["code"], said["error"]["message"]


def read_generate_error(event: str) -> tuple[str, str]:
    assert event.startswith("data: ")
    error = data_of(event)["error"]
    assert error["status"] in ("DEADLINE_EXCEEDED", "UNAVAILABLE")
    return error["details"][0]["reason"], error["message"]


READERS: dict[str, Callable[[str], tuple[str, str]]] = {
    CHAT.name: read_chat_error,
    RESPONSES.name: read_responses_error,
    TRANSLATED.name: read_responses_error,
    MESSAGES.name: read_messages_error,
    GENERATE.name: read_generate_error,
}
SPEECHES = pytest.mark.parametrize("speech", SPOKEN, ids=lambda speech: speech.name)


def check_last_event(answer: httpx.Response, speech: Speech, code: str) -> None:
    """The stream began, and its one error is its last event, in the words of its surface."""
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = events_of(answer.text)
    assert len(events) > 3
    found, message = READERS[speech.name](events[-1])
    assert found == code
    assert message
    assert not any('"error":{' in event or "[DONE]" in event for event in events[:-1])
    if speech.name.startswith("responses"):
        numbers = [data_of(event)["sequence_number"] for event in events]
        assert numbers == list(range(len(events)))


def check_free(world: World, tenant: Tenant, status: str) -> dict[str, Any]:
    """The tenant's one call: recorded as that, and free."""
    [record] = wait_for_records(world, tenant, 1)
    assert (record["status"], record["amount_nanos"], record["list_nanos"]) == (status, 0, 0)
    assert world.wallet(tenant)["balance_nanos"] == 10**9
    return record


@SPEECHES
def test_a_silence_within_a_stream_ends_it_with_the_surfaces_own_error(
    world: World, gateway: GatewayProcess, speech: Speech
) -> None:
    alice = world.add_tenant("Alice", balance="1")
    body = speech.ask(stream=True, output_tokens=50, hang_after_chunks=6)
    began = time.monotonic()
    with client(gateway, alice) as http:
        answer = http.post(speech.stream_path, json=body, headers=speech.headers)
    assert 0.95 < time.monotonic() - began < 3
    check_last_event(answer, speech, "upstream_timeout")
    record = check_free(world, alice, "timed_out")
    # What came is recorded, for whoever wonders; and the provider learns that nobody listens any more.
    assert record["output_tokens"] > 0
    assert served_entry(world.simulator, record)["outcome"] == "hung"


@SPEECHES
@pytest.mark.parametrize(
    "script", [{"reset_after_chunks": 6}, {"error_event_after_chunks": 6}, {"truncate_after_chunks": 6}],
    ids=lambda script: next(iter(script)),
)  # fmt: skip
def test_an_error_after_the_stream_began_is_its_last_event(
    world: World, gateway: GatewayProcess, speech: Speech, script: dict[str, int]
) -> None:
    alice = world.add_tenant("Alice", balance="1")
    script = {"output_tokens": 50, **script}
    if "error_event_after_chunks" in script:
        script["error"] = {"message": "Overloaded.", "code": "upstream_error"}
    with client(gateway, alice) as http:
        body = speech.ask(stream=True, **script)
        answer = http.post(speech.stream_path, json=body, headers=speech.headers)
    check_last_event(answer, speech, READERS[speech.name](events_of(answer.text)[-1])[0])
    check_free(world, alice, "upstream_failed")


@SPEECHES
def test_a_line_beyond_a_mebibyte_ends_the_stream_and_the_connection(
    world: World, gateway: GatewayProcess, speech: Speech
) -> None:
    alice = world.add_tenant("Alice", balance="1")
    body = speech.ask(stream=True, line_bytes=8 * MIB, output_tokens=1)
    with client(gateway, alice) as http:
        answer = http.post(speech.stream_path, json=body, headers=speech.headers)
    assert '"upstream_error"' in answer.text
    assert "without end" in answer.text
    assert len(answer.content) < 100_000
    check_free(world, alice, "upstream_failed")


def rss_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"process {pid} has no memory")


class Endless:
    """A provider's answer that goes on until nobody takes it: pieces of a megabyte, counted."""

    def __init__(self, start: bytes, piece: bytes, most: int) -> None:
        self._start, self._piece, self._most = start, piece, most
        self.sent = 0

    def __iter__(self) -> Iterator[bytes]:
        yield self._start
        while self.sent < self._most:
            self.sent += 1
            yield self._piece


def call_endless(
    world: World, gateway: GatewayProcess, far: ThreadedFarEnd, endless: Endless, *, stream: bool
) -> httpx.Response:
    """A call of it: answered with an error, free, and in bounded memory."""
    alice = world.add_tenant("Alice", balance="1")
    far.pieces = endless  # type: ignore[assignment]
    before = rss_bytes(gateway.worker_pid)
    with client(gateway, alice) as http:
        options = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
        answer = chat(http, ENDLESS_MODEL, **options)
        assert record_of(world, alice, answer)["status"] == "upstream_failed"
    grown = rss_bytes(gateway.worker_pid) - before
    assert grown < GROWTH_MAX * (1 if stream else 3), f"grown by {grown // MIB} MiB"
    check_free(world, alice, "upstream_failed")
    deadline = time.monotonic() + 3
    sent = -1
    while sent != endless.sent:  # the connection is closed: nobody takes any more
        assert time.monotonic() < deadline
        sent = endless.sent
        time.sleep(0.3)
    return answer


def test_a_line_without_end_is_given_up_after_a_mebibyte(
    world: World, gateway: GatewayProcess, far: ThreadedFarEnd
) -> None:
    start = head("200 OK", "content-type: text/event-stream", "connection: close")
    endless = Endless(start + b"data: ", b"x" * MIB, 500)
    answer = call_endless(world, gateway, far, endless, stream=True)
    assert answer.status_code == 502
    assert "without end" in answer.json()["error"]["message"]
    assert endless.sent < 50


def test_an_end_that_goes_on_and_on_is_given_up(
    world: World, gateway: GatewayProcess, far: ThreadedFarEnd
) -> None:
    # From the report of usage on everything waits for the settlement.
    start = head("200 OK", "content-type: text/event-stream", "connection: close")
    endless = Endless(start + chunk("Hi") + usage_chunk(), chunk("x" * (MIB // 2)), 1000)
    answer = call_endless(world, gateway, far, endless, stream=True)
    assert answer.status_code == 200
    assert "without end" in events_of(answer.text)[-1]
    assert len(answer.content) < 2000
    assert endless.sent < 100


def test_a_plain_answer_beyond_64_mebibytes_is_given_up(
    world: World, gateway: GatewayProcess, far: ThreadedFarEnd
) -> None:
    start = head("200 OK", "content-type: application/json", "connection: close")
    endless = Endless(start + b'{"id":"', b"x" * MIB, 500)
    answer = call_endless(world, gateway, far, endless, stream=False)
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_error")
    assert 60 < endless.sent < 120


def test_a_plain_answer_that_falls_silent_is_given_up(
    world: World, gateway: GatewayProcess
) -> None:
    alice = world.add_tenant("Alice", balance="1")
    with client(gateway, alice) as http:
        answer = http.post(CHAT.path, json=CHAT.ask(output_tokens=50, hang_after_chunks=3))
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "upstream_timeout")
    check_free(world, alice, "timed_out")


def test_the_clients_connection_is_closed_or_good_after_an_error_event(
    world: World, gateway: GatewayProcess
) -> None:
    alice = world.add_tenant("Alice", balance="1")
    body = json.dumps(CHAT.ask(stream=True, output_tokens=50, reset_after_chunks=3)).encode()
    lines = f"POST {CHAT.path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {alice.key}\r\n"
    lines += f"content-length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as raw:
        raw.sendall(lines.encode() + body)
        answer = b""
        while not answer.endswith(b"\r\n0\r\n\r\n"):
            data = raw.recv(65_536)
            assert data, answer
            answer += data
        assert answer.endswith(b"}\n\n\r\n0\r\n\r\n")
        raw.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        assert raw.recv(65_536).startswith(b"HTTP/1.1 200 ")
