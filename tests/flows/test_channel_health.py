"""A channel that fails is left alone, and called again once it answers."""

import time

import httpx

from tests.flows.canned import CANNED_CREDENTIAL, CANNED_MODEL, chat, completion
from tests.gateway.far_end import ThreadedFarEnd, head, threaded_far_end, whole
from tests.world import World, client, free_port

FAILING = head("500 Internal Server Error", "content-length: 0")


def lines(far: ThreadedFarEnd) -> list[str]:
    return [seen.lines[0] for seen in far.requests]


def until_answered(http: httpx.Client, timeout_s: float = 6.0) -> httpx.Response:
    deadline = time.monotonic() + timeout_s
    while True:
        answer = chat(http, CANNED_MODEL)
        if answer.status_code == 200 or time.monotonic() > deadline:
            return answer
        time.sleep(0.1)


def test_a_failing_channel_is_left_to_its_probe_and_used_again_when_it_answers(
    fresh_world: World,
) -> None:
    alice = fresh_world.add_tenant("Alice", balance="10")
    with threaded_far_end() as first, threaded_far_end() as second:
        first.answer_with(FAILING)
        second.answer_with(whole(completion()))
        fresh_world.put_channel("deepseek", first.base_url, CANNED_CREDENTIAL, name="first")
        fresh_world.put_channel("deepseek", second.base_url, "sk-2", name="second", priority=1)
        gateway = fresh_world.start_gateway()
        with client(gateway, alice) as http:
            assert [chat(http, CANNED_MODEL).status_code for _ in range(8)] == [200] * 8
            assert len(first.requests) == 5
            first.answer_with(whole(completion()))
            deadline = time.monotonic() + 6
            while "channel deepseek:first closed" not in gateway.log:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            served = len(second.requests)
            assert chat(http, CANNED_MODEL).status_code == 200
            assert len(second.requests) == served
        probes = [line for line in lines(first) if line.startswith("GET ")]
        assert probes == ["GET /v1/models HTTP/1.1"]
        assert "channel deepseek:first opened for 2 s" in gateway.log
        assert CANNED_CREDENTIAL not in gateway.log


def test_a_provider_that_is_gone_is_refused_at_once_until_it_is_back(fresh_world: World) -> None:
    alice = fresh_world.add_tenant("Alice", balance="10")
    with threaded_far_end() as far:
        address = far.base_url
        far.answer_with(whole(completion()))
        fresh_world.put_channel("deepseek", f"http://127.0.0.1:{free_port()}/v1", "sk-1")
        gateway = fresh_world.start_gateway()
        with client(gateway, alice) as http:
            assert [chat(http, CANNED_MODEL).status_code for _ in range(3)] == [502] * 3
            refused = chat(http, CANNED_MODEL)
            assert refused.status_code == 503
            assert refused.json()["error"]["code"] == "no_channel_available"
            assert 1 <= int(refused.headers["retry-after"]) <= 2
            fresh_world.database.query(
                "UPDATE gateway_channel SET base_url = %s WHERE provider_id = 'deepseek'", address
            )
            assert until_answered(http).status_code == 200


def test_the_only_channel_is_called_even_while_it_fails(fresh_world: World) -> None:
    alice = fresh_world.add_tenant("Alice", balance="10")
    with threaded_far_end() as far:
        far.answer_with(FAILING)
        fresh_world.put_channel("deepseek", far.base_url, CANNED_CREDENTIAL)
        gateway = fresh_world.start_gateway()
        with client(gateway, alice) as http:
            assert [chat(http, CANNED_MODEL).status_code for _ in range(8)] == [502] * 8
            assert "channel deepseek:simulator opened" in gateway.log
            far.answer_with(whole(completion()))
            assert chat(http, CANNED_MODEL).status_code == 200


def test_a_refused_credential_sends_calls_to_the_next_channel_until_it_is_changed(
    fresh_world: World,
) -> None:
    alice = fresh_world.add_tenant("Alice", balance="10")
    with threaded_far_end() as first, threaded_far_end() as second:
        first.answer_with(whole(b"{}", status="401 Unauthorized"))
        second.answer_with(whole(completion()))
        fresh_world.put_channel("deepseek", first.base_url, CANNED_CREDENTIAL, name="first")
        fresh_world.put_channel("deepseek", second.base_url, "sk-2", name="second", priority=1)
        gateway = fresh_world.start_gateway()
        with client(gateway, alice) as http:
            assert [chat(http, CANNED_MODEL).status_code for _ in range(4)] == [200] * 4
        assert [line for line in lines(first) if line.startswith("POST ")] == [
            "POST /v1/chat/completions HTTP/1.1"
        ]
        assert gateway.log.count("refuses our account with status 401") == 1
