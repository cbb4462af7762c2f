"""Every way a call can end: what is billed, what is recorded, and that no hold stays behind."""

import json
import time
from typing import Any

import httpx
import pytest

from tests.world import GatewayProcess, Tenant, World, client

QUESTION = [{"role": "user", "content": "Tell me about gates."}]


def body(stream: bool = True, **simulate: Any) -> dict[str, Any]:
    return {
        "model": "gpt-5.5",
        "messages": QUESTION,
        "max_tokens": 2000,
        "stream": stream,
        "simulate": simulate,
    }


def settled_record(
    world: World, tenant: Tenant, count: int, timeout_s: float = 10.0
) -> dict[str, Any]:
    """The newest record once there are `count`, with the invariants checked and nothing held."""
    deadline = time.monotonic() + timeout_s
    while len(records := world.records(tenant)) < count:
        assert time.monotonic() < deadline, f"{len(records)} of {count} records"
        time.sleep(0.02)
    assert world.wallet(tenant)["held_nanos"] == 0
    world.audit()
    return records[-1]


def served(world: World, call: dict[str, Any]) -> dict[str, Any]:
    """What the simulator's own log says of the call."""
    call_id = f"call_{call['id'].hex}"
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        for entry in world.simulator.entries():
            if entry["call_id"] == call_id:
                return dict(entry)
        time.sleep(0.02)
    raise AssertionError(f"the simulator has no end of {call_id}")


def read_and_leave(gateway: GatewayProcess, tenant: Tenant, events: int, **simulate: Any) -> None:
    """Read that many events of a stream, then close the connection."""
    with (
        client(gateway, tenant) as http,
        http.stream("POST", "/v1/chat/completions", json=body(**simulate)) as answer,
    ):
        assert answer.status_code == 200
        seen = 0
        for line in answer.iter_lines():
            seen += line.startswith("data:")
            if seen == events:
                return


@pytest.fixture
def patient(world: World) -> GatewayProcess:
    """A gateway that reads on for 5 s after a client left."""
    return (
        world.gateways[0] if world.gateways else world.start_gateway(TOLLGATE_DRAIN_TIMEOUT_S="5")
    )


@pytest.fixture(scope="module")
def impatient(world: World) -> GatewayProcess:
    """A gateway that reads on for a fifth of a second."""
    return world.start_gateway(TOLLGATE_DRAIN_TIMEOUT_S="0.2")


def test_a_client_that_leaves_pays_what_the_provider_reports_soon_after(
    world: World, patient: GatewayProcess
) -> None:
    alice = world.add_tenant("Alice", balance="1")
    read_and_leave(patient, alice, 3, output_tokens=40, chunk_delay_s=0.01)
    call = settled_record(world, alice, 1)
    assert (call["status"], call["basis"]) == ("client_gone", "reported")
    assert call["output_tokens"] == served(world, call)["generated_tokens"] == 40
    assert call["amount_nanos"] > 0


def test_a_client_that_leaves_a_long_stream_pays_what_was_generated_until_it_was_cut(
    world: World, impatient: GatewayProcess
) -> None:
    alice = world.add_tenant("Alice", balance="1")
    read_and_leave(impatient, alice, 3, output_tokens=1900, chunk_delay_s=0.02)
    call = settled_record(world, alice, 1)
    entry = served(world, call)
    assert entry["outcome"] == "client_gone"
    assert entry["generated_tokens"] < 200
    assert (call["status"], call["basis"]) == ("client_gone", "estimated")
    # One token may be on its way when the connection closes.
    assert abs(call["output_tokens"] - entry["generated_tokens"]) <= 1
    assert call["amount_nanos"] > 0


def test_a_client_that_leaves_before_anything_was_generated_pays_nothing(
    world: World, impatient: GatewayProcess
) -> None:
    alice = world.add_tenant("Alice", balance="1")
    with client(impatient, alice) as http, pytest.raises(httpx.ReadTimeout):
        http.post("/v1/chat/completions", json=body(first_byte_delay_s=1), timeout=0.3)
    call = settled_record(world, alice, 1)
    assert (call["status"], call["amount_nanos"]) == ("client_gone", 0)


def test_a_plain_call_whose_client_left_is_finished_and_billed(
    world: World, patient: GatewayProcess
) -> None:
    alice = world.add_tenant("Alice", balance="1")
    with client(patient, alice) as http, pytest.raises(httpx.ReadTimeout):
        http.post(
            "/v1/chat/completions",
            json=body(stream=False, total_delay_s=0.8, output_tokens=7),
            timeout=0.3,
        )
    call = settled_record(world, alice, 1)
    assert (call["status"], call["output_tokens"]) == ("completed", 7)
    assert call["amount_nanos"] > 0


@pytest.mark.parametrize(
    ("stream", "simulate", "status", "code", "recorded"),
    [
        (False, {"reset_before_headers": True}, 502, "upstream_error", "upstream_failed"),
        (True, {"reset_before_headers": True}, 502, "upstream_error", "upstream_failed"),
        (False, {"close_before_headers": True}, 502, "upstream_error", "upstream_failed"),
        (False, {"status": 500}, 502, "upstream_error", "upstream_failed"),
        (True, {"status": 503}, 502, "upstream_error", "upstream_failed"),
        (False, {"status": 401}, 502, "upstream_error", "upstream_failed"),
        (False, {"html": True}, 502, "upstream_error", "upstream_failed"),
        (True, {"html": True}, 502, "upstream_error", "upstream_failed"),
        (False, {"body_error_200": True}, 502, "upstream_error", "upstream_failed"),
    ],
)
def test_a_provider_that_fails_before_any_output_costs_nothing(
    world: World,
    patient: GatewayProcess,
    stream: bool,
    simulate: dict[str, Any],
    status: int,
    code: str,
    recorded: str,
) -> None:
    alice = world.add_tenant("Alice", balance="1")
    with client(patient, alice) as http:
        answer = http.post("/v1/chat/completions", json=body(stream=stream, **simulate))
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    call = settled_record(world, alice, 1)
    assert (call["status"], call["amount_nanos"], call["hold_nanos"] > 0) == (recorded, 0, True)
    assert world.wallet(alice)["balance_nanos"] == 10**9
    if simulate.get("status") == 401:
        world.renew_channels()  # a refused account takes its channel out of use


@pytest.mark.parametrize(
    "simulate",
    [{"reset_after_chunks": 5}, {"truncate_after_chunks": 5}, {"error_event_after_chunks": 5}],
)
def test_a_stream_that_breaks_off_ends_in_an_error_event_and_costs_nothing(
    world: World, patient: GatewayProcess, simulate: dict[str, Any]
) -> None:
    alice = world.add_tenant("Alice", balance="1")
    with client(patient, alice) as http:
        answer = http.post("/v1/chat/completions", json=body(output_tokens=50, **simulate))
    lines = [line for line in answer.text.splitlines() if line]
    assert '"error"' in lines[-1]
    assert "[DONE]" not in answer.text
    call = settled_record(world, alice, 1)
    assert (call["status"], call["amount_nanos"]) == ("upstream_failed", 0)
    assert call["output_tokens"] > 0  # recorded, for whoever wonders what was lost


def test_a_provider_that_falls_silent_is_given_up(world: World) -> None:
    gateway = world.start_gateway(
        TOLLGATE_FIRST_BYTE_TIMEOUT_S="0.3", TOLLGATE_BETWEEN_BYTES_TIMEOUT_S="0.3"
    )
    alice = world.add_tenant("Alice", balance="1")
    with client(gateway, alice) as http:
        late = http.post("/v1/chat/completions", json=body(stream=False, hang_before_headers=True))
        assert (late.status_code, late.json()["error"]["code"]) == (504, "upstream_timeout")
        hung = http.post("/v1/chat/completions", json=body(output_tokens=50, hang_after_chunks=4))
    assert "upstream_timeout" in hung.text.splitlines()[-2] or "upstream_timeout" in hung.text
    call = settled_record(world, alice, 2)
    assert [record["status"] for record in world.records(alice)] == ["timed_out", "timed_out"]
    assert call["amount_nanos"] == 0


def test_an_answer_without_a_report_is_estimated_and_one_that_reports_zero_is_free(
    world: World, patient: GatewayProcess
) -> None:
    alice = world.add_tenant("Alice", balance="1")
    with client(patient, alice) as http:
        http.post("/v1/chat/completions", json=body(output_tokens=30, no_usage=True))
        zero = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
        http.post("/v1/chat/completions", json=body(stream=False, output_tokens=30, usage=zero))
    settled_record(world, alice, 2)
    estimated, free = world.records(alice)
    assert (estimated["status"], estimated["basis"], estimated["output_tokens"]) == (
        "completed",
        "estimated",
        30,
    )
    assert estimated["amount_nanos"] > 0
    assert (free["status"], free["basis"], free["amount_nanos"]) == ("completed", "reported", 0)


def test_usage_above_the_hold_takes_what_is_there_and_writes_off_the_rest(
    world: World, patient: GatewayProcess
) -> None:
    alice = world.add_tenant("Alice", balance="0.05")
    with client(patient, alice) as http:
        answer = http.post(
            "/v1/chat/completions",
            json=body(
                stream=False,
                output_tokens=5,
                usage={"prompt_tokens": 10, "completion_tokens": 9000},
            ),
        )
    assert answer.status_code == 200
    call = settled_record(world, alice, 1)
    assert world.wallet(alice)["balance_nanos"] == 0
    assert call["amount_nanos"] == 50_000_000
    assert call["written_off_nanos"] == (10 * 5 + 9000 * 30) * 500 - 50_000_000


@pytest.mark.parametrize(
    ("asked", "sent"), [(1_000_000, 128_000), (128_000, 128_000), (9_999, 9_999)]
)
def test_a_limit_above_what_the_model_gives_is_lowered_to_it(
    world: World, patient: GatewayProcess, asked: int, sent: int
) -> None:
    alice = world.add_tenant("Alice", balance="10")
    request = {"model": "gpt-5.5", "messages": QUESTION, "max_completion_tokens": asked}
    with client(patient, alice) as http:
        answer = http.post("/v1/chat/completions", json=request)
    assert answer.status_code == 200
    said = answer.headers.get("x-tollgate-max-tokens")
    assert said == (str(sent) if sent < asked else None)
    body = world.simulator.requests(call_id=answer.headers["x-request-id"])[-1]["body"]
    assert (json.loads(body) if isinstance(body, str) else body)["max_completion_tokens"] == sent


def test_a_small_wallet_lowers_the_limit_instead_of_refusing(
    world: World, patient: GatewayProcess
) -> None:
    alice = world.add_tenant("Alice", balance="0.02")
    with client(patient, alice) as http:
        request = {
            "model": "gpt-5.5",
            "messages": QUESTION,
            "max_tokens": 65536,
            "simulate": {"answer_tokens": 5},
        }
        answer = http.post("/v1/chat/completions", json=request)
        limit = int(answer.headers["x-tollgate-max-tokens"])
        assert 256 <= limit < 65536
        sent = world.simulator.requests(call_id=answer.headers["x-request-id"])[-1]["body"]
        assert f'"max_tokens":{limit}' in (
            sent if isinstance(sent, str) else str(sent).replace("'", '"').replace(": ", ":")
        )
        poor = world.add_tenant("Poor", balance="0.002")
    with client(patient, poor) as http:
        refused = http.post("/v1/chat/completions", json=request)
    assert (refused.status_code, refused.json()["error"]["code"]) == (402, "insufficient_credits")
    assert settled_record(world, poor, 1)["status"] == "refused"
