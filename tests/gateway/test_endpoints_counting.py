"""Counting tokens: passed through, uncharged, and with the care that calls get for the health of channels."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from simulator.process import SimulatorProcess
from tests.flows.speaking import CONTENTS, GEMINI, GENERATE, MESSAGES
from tests.gateway.far_end import ThreadedFarEnd, head, threaded_far_end, whole
from tests.world import GatewayProcess, Tenant, World, client, free_port

PATH = "/v1/messages/count_tokens"
GEMINI_PATH = f"/v1beta/models/{GEMINI}:countTokens"
CREDENTIAL = "sk-ant-counting-5d1c"
BODY = {"model": MESSAGES.model, "messages": MESSAGES.body["messages"]}
COUNTED = b'{"input_tokens": 2095}'
Count = tuple[str, dict[str, Any]]
BOTH = pytest.mark.parametrize(
    ("path", "body"), [(PATH, BODY), (GEMINI_PATH, {"contents": CONTENTS})], ids=["messages", "gemini"]
)  # fmt: skip


@pytest.fixture(scope="module")
def world(server_url: str, template_database: str, simulator: SimulatorProcess) -> Iterator[World]:
    with World(server_url, template_database, simulator) as made:
        made.put_other_vendors()
        yield made


@pytest.fixture(scope="module")
def http(gateway: GatewayProcess, alice: Tenant) -> Iterator[httpx.Client]:
    with client(gateway, alice) as opened:
        yield opened


def traces(world: World) -> tuple[Any, ...]:
    return (
        world.database.one("SELECT count(*) FROM billing_hold"),
        world.database.one("SELECT count(*) FROM gateway_callrecord"),
        world.database.one("SELECT sum(balance_nanos) FROM billing_account"),
    )


@BOTH
def test_a_count_passes_through_and_costs_nothing(
    world: World, http: httpx.Client, path: str, body: dict[str, Any]
) -> None:
    before = traces(world)
    answer = http.post(path, json=body)
    assert answer.status_code == 200
    counted = answer.json().get("input_tokens") or answer.json()["totalTokens"]
    assert counted > 3
    assert answer.headers["x-request-id"].startswith("call_")
    assert "x-tollgate-charge" not in answer.headers
    assert traces(world) == before


def test_a_count_is_what_the_call_then_reports(http: httpx.Client) -> None:
    counted = http.post(PATH, json=BODY).json()["input_tokens"]
    called = http.post(MESSAGES.path, json={**BODY, "max_tokens": 20}).json()
    assert called["usage"]["input_tokens"] == counted
    counted = http.post(GEMINI_PATH, json={"contents": CONTENTS}).json()["totalTokens"]
    called = http.post(GENERATE.path, json={"contents": CONTENTS}).json()
    assert called["usageMetadata"]["promptTokenCount"] == counted


class Two:
    """Two channels of Anthropic, the first one first, and a gateway."""

    def __init__(self, world: World, first: str, second: str) -> None:
        world.put_channel("anthropic", first, CREDENTIAL, name="first")
        world.put_channel("anthropic", second, "sk-ant-2", name="second", priority=1)
        self.alice = world.add_tenant("Alice", balance="1")
        self.gateway = world.start_gateway()


@pytest.fixture
def far() -> Iterator[ThreadedFarEnd]:
    with threaded_far_end() as made:
        yield made


@pytest.fixture
def spare() -> Iterator[ThreadedFarEnd]:
    with threaded_far_end() as made:
        made.answer_with(whole(COUNTED))
        yield made


def posts(far: ThreadedFarEnd) -> int:
    return sum(seen.lines[0].startswith("POST") for seen in far.requests)


def test_what_goes_to_the_provider_is_the_body_with_its_own_name_and_our_credential(
    fresh_world: World, far: ThreadedFarEnd, spare: ThreadedFarEnd
) -> None:
    far.answer_with(whole(COUNTED))
    two = Two(fresh_world, far.base_url, spare.base_url)
    headers = {"anthropic-version": "2024-01-01", "anthropic-beta": "b1", "x-other": "kept here"}
    named = {**BODY, "model": f"anthropic/{MESSAGES.model}", "system": "Be brief."}
    with client(two.gateway, two.alice) as http:
        answer = http.post(PATH, json=named, headers=headers)
    assert answer.content == COUNTED
    [seen] = far.requests
    assert seen.lines[0] == "POST /v1/messages/count_tokens HTTP/1.1"
    assert json.loads(seen.body) == {**named, "model": MESSAGES.model}
    assert seen.headers["x-api-key"] == CREDENTIAL
    assert seen.headers["anthropic-version"] == "2024-01-01"
    assert seen.headers["anthropic-beta"] == "b1"
    assert seen.headers["x-client-request-id"] == answer.headers["x-request-id"]
    assert two.alice.key not in repr(seen)
    assert "x-other" not in seen.headers


def test_a_failing_channel_is_passed_over_and_then_left_alone(
    fresh_world: World, far: ThreadedFarEnd, spare: ThreadedFarEnd
) -> None:
    two = Two(fresh_world, far.base_url, spare.base_url)
    with client(two.gateway, two.alice) as http:
        # A 429 of counting says nothing of calls: the limits are apart.
        far.answer_with(head("429 Too Many Requests", "retry-after: 60", "content-length: 0"))
        assert http.post(PATH, json=BODY).content == COUNTED
        far.answer_with(whole(COUNTED))
        assert http.post(PATH, json=BODY).content == COUNTED
        assert (posts(far), posts(spare)) == (2, 1)
        # One broken off after it was sent generated nothing: it may be asked for again.
        far.answer_with(hang_up=True)
        assert http.post(PATH, json=BODY).content == COUNTED
        far.answer_with(whole(b"<html>", "text/html"))
        assert http.post(PATH, json=BODY).content == COUNTED
        far.answer_with(head("529 Overloaded", "content-length: 0"))
        assert [http.post(PATH, json=BODY).content for _ in range(6)] == [COUNTED] * 6
    # Five failures open it: two above, three of the last. One may meet the connection that was hung up, and not arrive.
    assert posts(far) in (6, 7)
    assert posts(spare) == 9
    assert "channel anthropic:first opened" in two.gateway.log


def test_a_refused_account_is_masked_said_once_and_passed_over(
    fresh_world: World, far: ThreadedFarEnd, spare: ThreadedFarEnd
) -> None:
    words = {
        "type": "error",
        "error": {"type": "authentication_error", "message": f"invalid x-api-key {CREDENTIAL}"},
    }
    refused = whole(json.dumps(words).encode(), status="401 Unauthorized")
    far.answer_with(refused)
    two = Two(fresh_world, far.base_url, spare.base_url)
    with client(two.gateway, two.alice) as http:
        assert [http.post(PATH, json=BODY).status_code for _ in range(3)] == [200] * 3
        assert posts(far) == 1
        assert two.gateway.log.count("refuses our account with status 401") == 1
        # An empty purse is said with a 400 (Anthropic, "Errors"): not the caller's business either.
        poor = {"error": {"message": "Your credit balance is too low to access the API."}}
        spare.answer_with(whole(json.dumps(poor).encode(), status="400 Bad Request"))
        masked = http.post(PATH, json=BODY)
        assert masked.status_code == 502
        assert "credit" not in masked.text
        gone = {"type": "error", "error": {"message": "This organization has been disabled."}}
        spare.answer_with(whole(json.dumps(gone).encode(), status="403 Forbidden"))
        masked = http.post(PATH, json=BODY)
        assert masked.status_code == 502
        error = masked.json()["error"]
        assert (error["type"], error["code"]) == ("api_error", "upstream_error")
        assert "organization" not in masked.text
        # Both refuse our account now: nothing is sent any more.
        spare.answer_with(whole(json.dumps(gone).encode(), status="402 Payment Required"))
        assert http.post(PATH, json=BODY).status_code == 502
        sent = posts(spare)
        nowhere = http.post(PATH, json=BODY)
        assert (nowhere.status_code, posts(spare)) == (503, sent)
        assert nowhere.json()["error"]["code"] == "no_channel_available"
        assert int(nowhere.headers["retry-after"]) >= 1
    assert CREDENTIAL not in two.gateway.log


def test_a_channel_that_is_not_reached_is_passed_over_and_the_callers_own_fault_is_not(
    fresh_world: World, spare: ThreadedFarEnd
) -> None:
    two = Two(fresh_world, f"http://127.0.0.1:{free_port()}/v1", spare.base_url)
    with client(two.gateway, two.alice) as http:
        assert [http.post(PATH, json=BODY).status_code for _ in range(4)] == [200] * 4
        assert "channel anthropic:first opened" in two.gateway.log
        words = {"type": "error", "error": {"type": "invalid_request_error", "message": "No role."}}
        spare.answer_with(whole(json.dumps(words).encode(), status="400 Bad Request"))
        refused = http.post(PATH, json=BODY)
    assert (refused.status_code, refused.json()["error"]["message"]) == (400, "No role.")
    assert refused.json()["request_id"] == refused.headers["x-request-id"]


def test_a_provider_that_does_not_answer_in_time_is_a_504(
    fresh_world: World, far: ThreadedFarEnd
) -> None:
    far.answer_with(head("200 OK", "content-type: application/json", "content-length: 22"))
    fresh_world.put_channel("anthropic", far.base_url, CREDENTIAL)
    alice: Tenant = fresh_world.add_tenant("Alice", balance="1")
    gateway = fresh_world.start_gateway(TOLLGATE_BETWEEN_BYTES_TIMEOUT_S="0.4")
    with client(gateway, alice) as http:
        answer = http.post(PATH, json=BODY)
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "upstream_timeout")
