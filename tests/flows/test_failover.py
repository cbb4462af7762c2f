"""Two channels of one provider: what the first cannot serve the second does, once, and one call costs one call."""

import asyncio
import json
import logging
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from email.utils import formatdate
from typing import Any, NamedTuple

import httpx
import pytest

from simulator.process import SimulatorProcess
from tests.flows.canned import (
    CANNED_CREDENTIAL,
    CANNED_MODEL,
    DONE,
    chat,
    chunk,
    completion,
    record_of,
    usage_chunk,
)
from tests.flows.speaking import CHAT, wait_for_records
from tests.gateway.far_end import ThreadedFarEnd, head, stream, threaded_far_end, whole
from tests.world import GatewayProcess, Tenant, World, client, free_port

CLIENTS = 32


class Got(NamedTuple):
    """What a client got of a call: `is_whole` if it was the answer to its end."""

    at: float
    status: int
    is_whole: bool
    call_id: str


class Load:
    """Clients that call one after the other, every other one streamed, until told to stop."""

    def __init__(self, gateway: GatewayProcess, tenant: Tenant) -> None:
        self._gateway, self._tenant = gateway, tenant
        self._stop = threading.Event()
        self.got: list[Got] = []
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)

    def wait_for(self, count: int, timeout_s: float = 20) -> None:
        """Until so many more calls have ended."""
        most, deadline = len(self.got) + count, time.monotonic() + timeout_s
        while len(self.got) < most:
            assert time.monotonic() < deadline, Counter(one.status for one in self.got)
            time.sleep(0.01)

    async def _run(self) -> None:
        headers = {"authorization": f"Bearer {self._tenant.key}"}
        async with httpx.AsyncClient(headers=headers, timeout=30, trust_env=False) as http:
            await asyncio.gather(
                *(self._call_on(http, number % 2 == 1) for number in range(CLIENTS))
            )

    async def _call_on(self, http: httpx.AsyncClient, streamed: bool) -> None:
        body = CHAT.ask(stream=streamed, limit=50)
        while not self._stop.is_set():
            answer = await http.post(self._gateway.root + CHAT.path, json=body)
            text = answer.text
            is_whole = answer.status_code == 200 and (not streamed or text.endswith("[DONE]\n\n"))
            assert is_whole or '"error"' in text
            call_id = answer.headers["x-request-id"]
            self.got.append(Got(time.monotonic(), answer.status_code, is_whole, call_id))


@pytest.fixture(scope="module", autouse=True)
def _quiet() -> Iterator[None]:
    """Thousands of lines of the HTTP client would bury the failure."""
    logger = logging.getLogger("httpx")
    level = logger.level
    logger.setLevel(logging.WARNING)
    yield
    logger.setLevel(level)


def until_logged(gateway: GatewayProcess, words: str, count: int = 1, timeout_s: float = 8) -> None:
    deadline = time.monotonic() + timeout_s
    while gateway.log.count(words) < count:
        assert time.monotonic() < deadline, gateway.log[-2000:]
        time.sleep(0.05)


def wait_for_probe(far: ThreadedFarEnd, timeout_s: float = 6) -> None:
    deadline = time.monotonic() + timeout_s
    while not any(seen.lines[0].startswith("GET ") for seen in far.requests):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def check_books(
    world: World, tenant: Tenant, load: Load, vendors: tuple[SimulatorProcess, SimulatorProcess]
) -> list[dict[str, Any]]:
    """Each whole answer is served once and captured once; each other is free. Answers the records of the failed."""
    records = {
        f"call_{one['id'].hex}": one for one in wait_for_records(world, tenant, len(load.got))
    }
    assert len(records) == len(load.got) == len({one.call_id for one in load.got})
    first, second = vendors
    may_be_served = {entry["call_id"] for entry in first.entries("received")} - {
        entry["call_id"] for entry in first.entries() if entry["outcome"] == "error"
    }
    assert not may_be_served & {entry["call_id"] for entry in second.entries("received")}
    completed = Counter(
        entry["call_id"]
        for vendor in vendors
        for entry in vendor.entries()
        if entry["outcome"] == "completed"
    )
    captures = Counter(
        f"call_{row['id'].hex}"
        for row in world.database.query("SELECT id FROM billing_transfer WHERE kind = 'capture'")
    )
    failed = []
    for one in load.got:
        record = records[one.call_id]
        if one.is_whole:
            assert record["status"] == "completed"
            assert record["amount_nanos"] > 0
            assert (completed[one.call_id], captures[one.call_id]) == (1, 1)
        else:
            assert (record["status"], record["amount_nanos"]) == ("upstream_failed", 0)
            assert captures[one.call_id] == 0
            failed.append(record)
    holds = world.database.query("SELECT id, state FROM billing_hold")
    assert len(holds) == len(records)
    assert {f"call_{row['id'].hex}" for row in holds} == set(records)
    spent = sum(record["amount_nanos"] for record in records.values())
    assert world.wallet(tenant)["balance_nanos"] == 10**10 - spent
    world.audit()
    return failed


def test_a_provider_killed_under_load_loses_only_what_was_in_flight_and_bills_nothing_twice(
    server_url: str, template_database: str
) -> None:
    script = {"output_tokens": 8, "total_delay_s": 0.04, "chunk_delay_s": 0.005}
    with (
        SimulatorProcess() as first,
        SimulatorProcess() as second,
        World(server_url, template_database, first) as world,
    ):
        vendors = (first, second)
        for vendor in vendors:
            vendor.set_defaults(**script)
        world.put_channel("openai", second.base_url, second.api_key, name="second", priority=1)
        alice = world.add_tenant("Alice", balance="10")
        gateway = world.start_gateway()
        with Load(gateway, alice) as load:
            load.wait_for(100)
            assert second.state()["received"] == 0
            first.kill()
            load.wait_for(150)
            first.start()
            first.set_defaults(**script)
            until_logged(gateway, "channel openai:simulator closed")
            load.wait_for(CLIENTS)  # what was on its way at the other
            received = second.state()["received"]
            load.wait_for(100)
            assert second.state()["received"] == received
            # From here on its refusals fall over.
            first.set_defaults(status=503)
            load.wait_for(100)
        failed = check_books(world, alice, load, vendors)
        records = world.records(alice)
    # Of those in flight at the kill, and only of them, nobody knows what was served.
    assert 0 < len(failed) <= CLIENTS
    for record in failed:
        [attempt] = record["attempts"]
        assert attempt["channel"] == "openai:simulator"
        assert attempt["status"] in (None, 200)
        assert attempt["error"]
    twice = [record["attempts"] for record in records if len(record["attempts"]) == 2]
    for before, after in twice:
        assert (before["channel"], after["channel"]) == ("openai:simulator", "openai:second")
        assert before["status"] == 503 or "connect" in before["error"].lower()
        assert (after["status"], after["error"]) == (200, None)
    assert twice
    assert {before["status"] for before, _ in twice} <= {None, 503}


class Pair(NamedTuple):
    """Two channels of one provider, the first one first, and its models."""

    provider: str
    models: tuple[str, ...]
    first: ThreadedFarEnd
    second: ThreadedFarEnd

    def chat(self, http: httpx.Client, model: int = 0, **fields: Any) -> httpx.Response:
        return chat(http, self.models[model], **fields)

    def calls(self) -> tuple[int, int]:
        """How many calls each has got; probes do not count."""
        first, second = (
            sum(seen.lines[0].startswith("POST") for seen in far.requests)
            for far in (self.first, self.second)
        )
        return first, second


# A provider for each test: what one leaves behind of its channels' health is no other's.
MODELS = {
    "deepseek": ("deepseek-v4-flash", "deepseek-v4-pro"),
    "upstage": ("solar-mini", "solar-pro3"),
    "anthropic": ("claude-haiku-4-5",),
    "gemini": ("gemini-2.5-flash",),
}


@pytest.fixture(scope="module")
def pairs(world: World) -> Iterator[dict[str, Pair]]:
    with ExitStack() as stack:
        made = {}
        for provider, models in MODELS.items():
            first, second = (stack.enter_context(threaded_far_end()) for _ in range(2))
            for far in (first, second):
                far.answer_with(whole(completion()))
            world.put_channel(provider, first.base_url, CANNED_CREDENTIAL, name="first")
            world.put_channel(provider, second.base_url, "sk-2", name="second", priority=1)
            made[provider] = Pair(provider, models, first, second)
        yield made


@pytest.fixture(scope="module")
def gateway(world: World, pairs: dict[str, Pair]) -> GatewayProcess:
    return world.start_gateway()


@pytest.fixture(scope="module")
def http(gateway: GatewayProcess, alice: Tenant) -> Iterator[httpx.Client]:
    with client(gateway, alice) as opened:
        yield opened


Tried = Callable[[httpx.Response], list[tuple[str, int | None]]]


@pytest.fixture(scope="module")
def tried(world: World, alice: Tenant) -> Tried:
    """Which channels a call was tried on, and what they answered."""

    def read(answer: httpx.Response) -> list[tuple[str, int | None]]:
        record = record_of(world, alice, answer)
        return [(one["channel"].partition(":")[2], one["status"]) for one in record["attempts"]]

    return read


def refuse(status: str, *lines: str) -> bytes:
    return head(status, "content-length: 0", *lines)


SERVED = whole(completion())
TOO_MANY = "429 Too Many Requests"


def test_retry_after_rests_one_model_of_the_first_channel_that_long(
    pairs: dict[str, Pair], http: httpx.Client, tried: Tried
) -> None:
    pair = pairs["deepseek"]
    pair.first.answer_with(refuse(TOO_MANY, "retry-after: 2"))
    began = time.monotonic()
    assert tried(pair.chat(http)) == [("first", 429), ("second", 200)]
    # The other model of the channel knows nothing of it. A date has whole seconds: two to three of them are left.
    date = formatdate(time.time() + 3, usegmt=True)
    pair.first.answer_with(refuse(TOO_MANY, f"retry-after: {date}"))
    assert tried(pair.chat(http, 1)) == [("first", 429), ("second", 200)]
    pair.first.answer_with(SERVED)
    while time.monotonic() < began + 1.8:
        assert tried(pair.chat(http)) == tried(pair.chat(http, 1)) == [("second", 200)]
        time.sleep(0.1)
    time.sleep(max(began + 3.2 - time.monotonic(), 0))
    assert tried(pair.chat(http)) == tried(pair.chat(http, 1)) == [("first", 200)]


def test_a_429_that_names_no_time_prefers_the_second_channel_for_a_second(
    pairs: dict[str, Pair], http: httpx.Client, tried: Tried
) -> None:
    pair = pairs["upstage"]
    pair.first.answer_with(refuse(TOO_MANY))
    assert tried(pair.chat(http)) == [("first", 429), ("second", 200)]
    assert tried(pair.chat(http)) == [("second", 200)]
    # Preferred, not shut: where the second one refuses too, the first is asked again.
    pair.second.answer_with(refuse("503 Service Unavailable"))
    pair.first.answer_with(SERVED)
    assert tried(pair.chat(http)) == [("second", 503), ("first", 200)]
    pair.second.answer_with(SERVED)
    time.sleep(1.1)
    assert tried(pair.chat(http)) == [("first", 200)]


def test_what_may_have_been_served_is_not_asked_for_again_and_is_free(
    world: World, pairs: dict[str, Pair], http: httpx.Client, alice: Tenant, tried: Tried
) -> None:
    pair = pairs["anthropic"]
    cut = (head("200 OK", "content-type: application/json", "content-length: 500"), b'{"id"')
    page = (whole(b"<html>hello</html>", "text/html"),)
    balance = world.wallet(alice)["balance_nanos"]
    for pieces, status in (((), None), (cut, 200), (page, 200)):
        pair.first.answer_with(*pieces, hang_up=True)
        answer = pair.chat(http)
        assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_error")
        assert tried(answer) == [("first", status)]
        record = record_of(world, alice, answer)
        assert (record["status"], record["amount_nanos"]) == ("upstream_failed", 0)
    for refused in (400, 404, 422):
        pair.first.answer_with(refuse(f"{refused} No"))
        assert pair.chat(http).status_code == refused
    assert pair.calls() == (6, 0)
    assert world.wallet(alice)["balance_nanos"] == balance
    world.audit()


def test_a_refusal_that_proves_nothing_was_served_falls_over(
    pairs: dict[str, Pair], http: httpx.Client, tried: Tried
) -> None:
    pair = pairs["gemini"]
    streamed = stream(chunk("Hi"), chunk(None, "stop"), usage_chunk(), DONE)
    for count, status in enumerate((500, 502, 503, 504, 529)):
        pair.first.answer_with(refuse(f"{status} No"))
        pair.second.answer_with(streamed if count % 2 else SERVED)
        if status == 502:  # whose words never come
            pair.first.answer_with(head("502 No", "content-length: 100"))
        answer = pair.chat(http, stream=count % 2 == 1)
        assert (answer.status_code, tried(answer)) == (200, [("first", status), ("second", 200)])
        assert answer.elapsed.total_seconds() < 5
    assert pair.calls() == (5, 5)


def test_channels_share_by_weight_and_take_names_of_their_own(
    fresh_world: World,
) -> None:
    with threaded_far_end() as first, threaded_far_end() as second, threaded_far_end() as spare:
        for far, name, weight in ((first, "first", 9), (second, "second", 3), (spare, "spare", 0)):
            far.answer_with(SERVED)
            fresh_world.put_channel("deepseek", far.base_url, "sk-1", name=name)
            fresh_world.database.query(
                "UPDATE gateway_channel SET weight = %s WHERE provider_id = 'deepseek' AND name = %s",
                weight,
                name,
            )
        fresh_world.database.query(
            "UPDATE gateway_channel SET model_map = %s WHERE provider_id = 'deepseek' AND name = 'first'",
            json.dumps({"deepseek/deepseek-v4-flash": "house/flash-7"}),
        )
        alice = fresh_world.add_tenant("Alice", balance="10")
        with client(fresh_world.start_gateway(), alice) as http:
            assert {chat(http, CANNED_MODEL, seed=7).status_code for _ in range(240)} == {200}
            # 3 in 4 of 240 calls: 180, with a standard deviation under 7.
            assert 150 <= len(first.requests) <= 210
            assert len(first.requests) + len(second.requests) == 240
            assert spare.requests == []
            bodies = [json.loads(far.requests[0].body) for far in (first, second)]
            assert [body.pop("model") for body in bodies] == ["house/flash-7", CANNED_MODEL]
            assert bodies[0] == bodies[1]
            assert bodies[0]["seed"] == 7
            # What its names do not list it does not serve; and weight 0 stands by for both.
            served = len(first.requests)
            assert chat(http, "deepseek-v4-pro").status_code == 200
            assert len(first.requests) == served
            for far in (first, second):
                far.answer_with(refuse("500 Oops"))
            assert chat(http, CANNED_MODEL).status_code == 200
            assert len(spare.requests) == 1


def test_a_refused_account_falls_over_and_is_said_once_as_an_error(fresh_world: World) -> None:
    words = json.dumps({"error": {"message": f"No access for {CANNED_CREDENTIAL}."}}).encode()
    with threaded_far_end() as first, threaded_far_end() as second, threaded_far_end() as third:
        for far, name, priority in (
            (first, "first", 0),
            (second, "second", 1),
            (third, "third", 2),
        ):
            fresh_world.put_channel("deepseek", far.base_url, CANNED_CREDENTIAL, name, priority)
        first.answer_with(whole(words, status="401 Unauthorized"))
        second.answer_with(whole(words, status="403 Forbidden"))
        third.answer_with(SERVED)
        alice = fresh_world.add_tenant("Alice", balance="10")
        gateway = fresh_world.start_gateway()
        with client(gateway, alice) as http:
            answers = [chat(http, CANNED_MODEL) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200] * 3
        records = fresh_world.records(alice)
        statuses = [[one["status"] for one in record["attempts"]] for record in records]
        # A 403 may be about the one call: it takes no channel from the others, and goes last for a while.
        assert statuses == [[401, 403, 200], [200], [200]]
        wait_for_probe(first)  # refused too, and that is no news
        until_logged(gateway, "stays open", 1)
        errors = [line for line in gateway.log.splitlines() if " ERROR " in line]
        assert [line.partition("channel deepseek:")[2].partition(":")[0] for line in errors] == [
            "first refuses our account with status 401",
            "second refuses a call of deepseek-v4-flash with status 403",
        ]
        assert CANNED_CREDENTIAL not in gateway.log + answers[0].text + repr(records)


@contextmanager
def full_backlog() -> Iterator[str]:
    """An address that neither takes nor refuses connections: its queue is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        waiting = []
        for _ in range(8):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(address)
            waiting.append(one)
        try:
            yield f"http://127.0.0.1:{address[1]}/v1"
        finally:
            for one in waiting:
                one.close()


def test_a_channel_that_is_not_reached_is_left_at_once_or_after_its_deadline(
    fresh_world: World,
) -> None:
    with full_backlog() as silent, threaded_far_end() as far:
        far.answer_with(SERVED)
        nobody = f"http://127.0.0.1:{free_port()}/v1"
        for priority, address in enumerate((nobody, silent, far.base_url)):
            fresh_world.put_channel("deepseek", address, "sk-1", f"c{priority}", priority)
        alice = fresh_world.add_tenant("Alice", balance="10")
        gateway = fresh_world.start_gateway(TOLLGATE_CONNECT_TIMEOUT_S="0.3")
        with client(gateway, alice) as http:
            began = time.monotonic()
            assert chat(http, CANNED_MODEL).status_code == 200
            assert 0.25 < time.monotonic() - began < 2
            assert [chat(http, CANNED_MODEL).status_code for _ in range(3)] == [200] * 3
    records = fresh_world.records(alice)
    refused, silent_one, served = records[0]["attempts"]
    assert refused["ms"] < 250
    assert silent_one["error"] == "connect timeout"
    assert 250 <= silent_one["ms"] < 2000
    assert [one["status"] for one in (refused, silent_one, served)] == [None, None, 200]
    # The third time in a row that a channel is not reached opens it.
    assert [len(record["attempts"]) for record in records] == [3, 3, 3, 1]


def test_a_deadline_after_the_request_was_sent_ends_the_call_without_another_try(
    fresh_world: World, simulator: SimulatorProcess
) -> None:
    fresh_world.put_channel("openai", simulator.base_url, simulator.api_key, "second", 1)
    alice = fresh_world.add_tenant("Alice", balance="10")
    gateway = fresh_world.start_gateway(
        TOLLGATE_FIRST_BYTE_TIMEOUT_S="0.5",
        TOLLGATE_BETWEEN_BYTES_TIMEOUT_S="0.5",
        TOLLGATE_CALL_TIMEOUT_S="1",
    )
    scripts: list[tuple[dict[str, Any], int, float]] = [
        ({"hang_before_headers": True}, 504, 0.5),
        ({"output_tokens": 50, "hang_after_chunks": 3}, 200, 0.5),
        ({"output_tokens": 500, "chunk_delay_s": 0.1}, 200, 1.0),
    ]
    with client(gateway, alice) as http:
        for script, status, least_s in scripts:
            began = time.monotonic()
            answer = http.post(CHAT.path, json=CHAT.ask(stream=True, **script))
            assert least_s - 0.05 < time.monotonic() - began < least_s + 1.5
            assert answer.status_code == status
            assert '"upstream_timeout"' in answer.text.strip().splitlines()[-1]
    for record in wait_for_records(fresh_world, alice, 3):
        assert (record["status"], record["amount_nanos"]) == ("timed_out", 0)
        assert len(record["attempts"]) == 1
    fresh_world.audit()
