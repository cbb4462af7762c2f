"""Clients that leave a stream, or stop reading it: they pay for what was generated, and hold up nobody."""

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from simulator.process import SimulatorProcess
from tests.flows.canned import CANNED_CREDENTIAL, DONE, chunk
from tests.flows.speaking import (
    CHAT,
    SPOKEN,
    Speech,
    served_entry,
    stream_lines,
    wait_for_records,
)
from tests.gateway.far_end import ThreadedFarEnd, head, threaded_far_end
from tests.world import GatewayProcess, Tenant, World, client

EVENT_BYTES = 400_000
EVENTS = 500
GROWTH_MAX = 64 * 1024 * 1024
STALLED_MODEL = "solar-mini"
STALLED_LIMIT = 4000


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
def far() -> Iterator[ThreadedFarEnd]:
    """A provider that sends 200 MB as fast as they are taken."""
    piece = chunk("x" * EVENT_BYTES)
    frame = b"%x\r\n%b\r\n" % (len(piece), piece)
    last = chunk(None, "stop") + DONE
    start = head("200 OK", "content-type: text/event-stream", "transfer-encoding: chunked")
    with threaded_far_end() as made:
        ending = b"%x\r\n%b\r\n0\r\n\r\n" % (len(last), last)
        made.answer_with(start, *[frame] * EVENTS, ending)
        yield made


@pytest.fixture(scope="module")
def patient(world: World) -> GatewayProcess:
    """Reads on for two seconds after a client left, for one client at a time."""
    return world.start_gateway(TOLLGATE_DRAIN_TIMEOUT_S="2", TOLLGATE_DRAINS_MAX="1")


@pytest.fixture(scope="module")
def impatient(world: World) -> GatewayProcess:
    """Reads on for a fifth of a second, and ends every call after three."""
    return world.start_gateway(TOLLGATE_DRAIN_TIMEOUT_S="0.2", TOLLGATE_CALL_TIMEOUT_S="3")


@pytest.fixture(autouse=True)
def _calm(world: World) -> Iterator[None]:
    """Clients that leave are ordinary: no process writes a traceback, and the books are sound."""
    before = {gateway: len(gateway.log) for gateway in world.gateways}
    yield
    for gateway in world.gateways:
        log = gateway.log[before.get(gateway, 0) :]
        assert "Traceback" not in log, log
        assert " ERROR " not in log, log
    world.audit()


def read_and_leave(
    gateway: GatewayProcess, tenant: Tenant, speech: Speech, events: int, **script: Any
) -> None:
    """Read that many events of a stream, then close the connection."""
    with client(gateway, tenant) as http:
        lines = stream_lines(http, speech, **script)
        for _ in range(events):
            while not next(lines).startswith("data:"):
                pass
        lines.close()


SPEECHES = pytest.mark.parametrize("speech", SPOKEN, ids=lambda speech: speech.name)


@SPEECHES
def test_who_leaves_pays_what_the_provider_reports_soon_after(
    world: World, patient: GatewayProcess, speech: Speech
) -> None:
    alice = world.add_tenant("Alice", balance="1")
    read_and_leave(patient, alice, speech, 5, output_tokens=40, chunk_delay_s=0.01)
    [record] = wait_for_records(world, alice, 1)
    entry = served_entry(world.simulator, record)
    assert entry["outcome"] == "completed"
    assert (record["status"], record["basis"]) == ("client_gone", "reported")
    assert record["output_tokens"] == entry["generated_tokens"] == 40
    assert record["input_tokens"] == entry["input_tokens"]
    assert world.wallet(alice)["balance_nanos"] == 10**9 - record["amount_nanos"] < 10**9


# Messages report the input first; Gemini reports all there was so far with each event.
BASES = {"messages": "counted", "generate": "reported"}


@SPEECHES
def test_who_leaves_a_long_stream_pays_what_was_generated_until_it_was_cut(
    world: World, impatient: GatewayProcess, speech: Speech
) -> None:
    alice = world.add_tenant("Alice", balance="1")
    read_and_leave(impatient, alice, speech, 8, output_tokens=1900, chunk_delay_s=0.02)
    [record] = wait_for_records(world, alice, 1)
    entry = served_entry(world.simulator, record)
    assert entry["outcome"] == "client_gone"
    assert 5 < entry["generated_tokens"] < 200
    assert (record["status"], record["basis"]) == (
        "client_gone",
        BASES.get(speech.name, "estimated"),
    )
    # One token may be on its way when the connection closes.
    assert abs(record["output_tokens"] - entry["generated_tokens"]) <= 1
    if record["basis"] != "estimated":
        assert record["input_tokens"] == entry["input_tokens"]
    assert 0 < record["amount_nanos"] <= record["hold_nanos"]


def test_only_so_many_streams_are_read_on_at_a_time(world: World, patient: GatewayProcess) -> None:
    alice = world.add_tenant("Alice", balance="1")
    bob = world.add_tenant("Bob", balance="1")
    script = {"output_tokens": 1900, "chunk_delay_s": 0.02}
    began = time.monotonic()
    read_and_leave(patient, alice, CHAT, 3, **script)
    time.sleep(0.2)
    read_and_leave(patient, bob, CHAT, 3, **script)
    [second] = wait_for_records(world, bob, 1)
    assert time.monotonic() - began < 1.5
    assert world.records(alice) == []
    [first] = wait_for_records(world, alice, 1)
    assert 1.9 < time.monotonic() - began < 4
    assert {first["status"], second["status"]} == {"client_gone"}
    assert 0 < second["output_tokens"] < 40 < first["output_tokens"]
    for record in (first, second):
        generated = served_entry(world.simulator, record)["generated_tokens"]
        assert abs(record["output_tokens"] - generated) <= 1
        assert record["amount_nanos"] > 0


@SPEECHES
def test_a_plain_call_whose_client_left_is_finished_and_settled(
    world: World, patient: GatewayProcess, speech: Speech
) -> None:
    alice = world.add_tenant("Alice", balance="1")
    body = speech.ask(output_tokens=9, total_delay_s=0.4)
    with client(patient, alice) as http, pytest.raises(httpx.ReadTimeout):
        http.post(speech.path, json=body, headers=speech.headers, timeout=0.2)
    [record] = wait_for_records(world, alice, 1)
    assert (record["status"], record["basis"], record["output_tokens"]) == (
        "completed",
        "reported",
        9,
    )
    assert record["amount_nanos"] > 0


def rss_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"process {pid} has no memory")


def stall(gateway: GatewayProcess, tenant: Tenant) -> socket.socket:
    """A client that asks for 200 MB and reads nothing."""
    asked = {**CHAT.ask(stream=True, limit=STALLED_LIMIT), "model": STALLED_MODEL}
    body = json.dumps(asked).encode()
    lines = f"POST {CHAT.path} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {tenant.key}\r\n"
    lines += f"content-length: {len(body)}\r\n\r\n"
    opened = socket.socket()
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    opened.connect(("127.0.0.1", gateway.port))
    opened.sendall(lines.encode() + body)
    return opened


def growth_bytes(gateway: GatewayProcess, before: int, seconds: float) -> int:
    """The most that the process grew within that time."""
    most, deadline = 0, time.monotonic() + seconds
    while time.monotonic() < deadline:
        most = max(most, rss_bytes(gateway.worker_pid) - before)
        time.sleep(0.02)
    return most


def check_stalled(world: World, tenant: Tenant, count: int = 1) -> None:
    """The newest call but those that were answered: charged for as much as was held, however much was in buffers."""
    records = wait_for_records(world, tenant, count)
    [record] = [one for one in records if one["status"] != "completed"]
    assert (record["status"], record["basis"]) == ("client_gone", "estimated")
    assert record["output_tokens"] == STALLED_LIMIT
    assert 0 < record["amount_nanos"] <= record["hold_nanos"]


def test_a_client_that_stops_reading_holds_the_provider_back_and_pays_when_it_leaves(
    world: World, patient: GatewayProcess
) -> None:
    alice = world.add_tenant("Alice", balance="5")
    before = rss_bytes(patient.worker_pid)
    with stall(patient, alice):
        assert growth_bytes(patient, before, 2.5) < GROWTH_MAX
        assert world.records(alice) == []
        with client(patient, alice) as http:
            assert http.post(CHAT.path, json=CHAT.ask(limit=20)).status_code == 200
    check_stalled(world, alice, 2)


def test_a_client_that_never_reads_pays_when_the_time_of_the_call_is_over(
    world: World, impatient: GatewayProcess
) -> None:
    alice = world.add_tenant("Alice", balance="5")
    before = rss_bytes(impatient.worker_pid)
    with stall(impatient, alice):
        assert growth_bytes(impatient, before, 2) < GROWTH_MAX
        check_stalled(world, alice)


def test_a_client_that_does_not_take_its_last_bytes_is_not_waited_for_for_ever(
    world: World, far: ThreadedFarEnd
) -> None:
    gateway = world.start_gateway(
        TOLLGATE_BETWEEN_BYTES_TIMEOUT_S="1", TOLLGATE_CALL_TIMEOUT_S="3", TOLLGATE_CALLS_MAX="4"
    )
    alice = world.add_tenant("Alice", balance="10")
    pieces = far.pieces
    with ExitStack() as opened:
        # One event more each time, until one does not fit into the buffers: in the call before, the end did not.
        for events in range(1, 60):
            far.answer_with(pieces[0], *[pieces[1]] * events, pieces[-1])
            opened.enter_context(stall(gateway, alice))
            deadline = time.monotonic() + 1
            while len(records := world.records(alice)) < events and time.monotonic() < deadline:
                time.sleep(0.02)
            if len(records) < events:
                break
        far.answer_with(*pieces)
        assert {record["status"] for record in records} == {"completed"}
        assert 2 < len(records) < 58
        wait_for_records(world, alice, len(records) + 1)
        time.sleep(1.2)
        with ThreadPoolExecutor(4) as pool, client(gateway, alice) as http:
            body = CHAT.ask(output_tokens=5, total_delay_s=0.5)
            answers = list(pool.map(lambda _: http.post(CHAT.path, json=body), range(4)))
        assert [answer.status_code for answer in answers] == [200] * 4
