"""POST /v1/price_quotes: what it says is what the same call holds; nothing is held or sent for it."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx
import pytest

from simulator.process import SimulatorProcess
from tests.flows.canned import record_of
from tests.flows.speaking import CHAT, GENERATE, MESSAGES, RESPONSES, SPOKEN, TRANSLATED, Speech
from tests.world import GatewayProcess, Tenant, World, client

PATH = "/v1/price_quotes"
ENDPOINTS = (
    "/v1/chat/completions",
    "/v1/responses",
    "/v1/messages",
    "/v1/embeddings",
    "/v1beta/models/{model}:generateContent",
)
PICTURE = {"url": "data:image/png;base64," + "A" * 4000}
EMBED = {"model": "text-embedding-3-small", "input": ["Bridges", "Gates"]}


@pytest.fixture(scope="module")
def world(server_url: str, template_database: str, simulator: SimulatorProcess) -> Iterator[World]:
    with World(server_url, template_database, simulator) as made:
        made.put_other_vendors()
        yield made


@pytest.fixture(scope="module")
def alice(world: World) -> Tenant:
    return world.add_tenant("Alice", balance="1000")


@pytest.fixture(scope="module")
def http(gateway: GatewayProcess, alice: Tenant) -> Iterator[httpx.Client]:
    with client(gateway, alice) as opened:
        yield opened


def traces(world: World) -> tuple[Any, ...]:
    """What a call would leave behind."""
    return (
        world.database.one("SELECT count(*) FROM billing_hold"),
        world.database.one("SELECT count(*) FROM billing_transfer"),
        world.database.one("SELECT count(*) FROM gateway_callrecord"),
        world.simulator.state()["received"],
    )


@pytest.fixture
def untouched(world: World) -> Iterator[None]:
    before = traces(world)
    yield
    assert traces(world) == before


def asked(speech: Speech, **fields: Any) -> dict[str, Any]:
    return {**speech.ask(limit=700), **fields}


WITH_PICTURE = [{"role": "user", "content": [{"type": "image_url", "image_url": PICTURE}]}]
CASES: dict[str, tuple[Speech, str, dict[str, Any]]] = {
    **{speech.name: (speech, speech.path, asked(speech)) for speech in SPOKEN},
    "no limit": (CHAT, CHAT.path, {"model": CHAT.model, "messages": CHAT.body["messages"]}),
    "two answers": (CHAT, CHAT.path, asked(CHAT, n=2)),
    "a picture": (CHAT, CHAT.path, asked(CHAT, messages=WITH_PICTURE)),
    "a tier": (CHAT, CHAT.path, asked(CHAT, model="gpt-5.5", service_tier="flex")),
    "a prediction": (CHAT, CHAT.path, asked(CHAT, prediction={"type": "content", "content": "a" * 999})),
    "a stream": (CHAT, CHAT.path, asked(CHAT, stream=True)),
    "streamed Gemini": (GENERATE, GENERATE.stream_path.removesuffix("?alt=sse"), asked(GENERATE)),
    "Gemini below /v1": (GENERATE, GENERATE.path.replace("v1beta", "v1"), asked(GENERATE)),
    "chat over responses": (CHAT, CHAT.path, asked(CHAT, model="gpt-5.5-pro")),
    "a dropped tool": (RESPONSES, RESPONSES.path, asked(RESPONSES, tools=[{"type": "web_search"}])),
    "not ascii": (MESSAGES, MESSAGES.path, asked(MESSAGES, system="다리를 말해 줘 😀")),
    "embeddings": (RESPONSES, "/v1/embeddings", EMBED),
}  # fmt: skip


@pytest.mark.parametrize("spaced", [False, True], ids=["compact", "spaced"])
@pytest.mark.parametrize("name", list(CASES))
def test_a_quote_is_what_the_same_call_holds(
    world: World, http: httpx.Client, alice: Tenant, name: str, spaced: bool
) -> None:
    speech, endpoint, body = CASES[name]
    separators = None if spaced else (",", ":")
    texts = [
        json.dumps(value, separators=separators, ensure_ascii=spaced)
        for value in (body, {"endpoint": endpoint, "body": body})
    ]
    before = traces(world)
    quote = http.post(PATH, content=texts[1].encode())
    assert quote.status_code == 200, quote.text
    assert traces(world) == before
    path = endpoint + ("?alt=sse" if ":stream" in endpoint else "")
    answer = http.post(path, content=texts[0].encode(), headers=speech.headers)
    assert answer.status_code == 200, answer.text
    record = record_of(world, alice, answer)
    said = quote.json()
    assert Decimal(said["upper_bound"]) * 10**9 == record["hold_nanos"]
    assert record["amount_nanos"] <= record["hold_nanos"]
    assert (said["object"], said["currency"], said["exact"]) == ("price_quote", "USD", False)
    assert said["model"] == record["model"]
    assert said["price_id"] == record["price_id"]
    assert record["input_tokens"] <= said["input_tokens_max"]
    assert record["output_tokens"] <= said["output_tokens_max"]


def test_a_quote_counts_what_an_earlier_answer_brings_along(
    world: World, http: httpx.Client, alice: Tenant
) -> None:
    first = http.post(RESPONSES.path, json=asked(RESPONSES))
    body = asked(RESPONSES, previous_response_id=first.json()["id"])
    quote = http.post(PATH, json={"endpoint": RESPONSES.path, "body": body}).json()
    record = record_of(world, alice, http.post(RESPONSES.path, json=body))
    assert Decimal(quote["upper_bound"]) * 10**9 == record["hold_nanos"]
    alone = http.post(PATH, json={"endpoint": RESPONSES.path, "body": asked(RESPONSES)}).json()
    assert quote["input_tokens_max"] > alone["input_tokens_max"] + 50
    unknown = {**body, "previous_response_id": "resp_nobody_has"}
    refused = http.post(PATH, json={"endpoint": RESPONSES.path, "body": unknown})
    assert refused.json()["error"]["code"] == "previous_response_not_found"


def test_a_wallet_that_cannot_pay_is_quoted_all_the_same(
    world: World, gateway: GatewayProcess, http: httpx.Client
) -> None:
    bob = world.add_tenant("Bob", balance="0")
    asking = {"endpoint": CHAT.path, "body": asked(CHAT)}
    with client(gateway, bob) as poor:
        assert poor.post(PATH, json=asking).json() == http.post(PATH, json=asking).json()


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    "endpoint",
    ["chat/completions", "/v1/chat/completions/", "/V1/CHAT/COMPLETIONS", "/v1/models", "/v1/price_quotes",
     "/v1/messages/count_tokens", "/v1beta/models/gemini-2.5-flash", "/v1beta/models/gemini-2.5-flash:countTokens",
     "/v1beta/models/:generateContent", "gemini-2.5-flash:generateContent", "http://127.0.0.1/v1/responses", "\x00",
     "x" * 5000, None, "", 5, ["/v1/responses"], {}],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_an_endpoint_that_is_none_is_refused_by_name(http: httpx.Client, endpoint: Any) -> None:
    answer = http.post(PATH, json={"endpoint": endpoint, "body": asked(CHAT)})
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, "endpoint")
    assert len(answer.content) < 1000
    if isinstance(endpoint, str) and endpoint:
        assert all(known in error["message"] for known in ENDPOINTS)


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("body", [None, [], "x", 5, True, [{}], ""], ids=str)
def test_a_body_that_is_no_object_is_refused_by_name(http: httpx.Client, body: Any) -> None:
    answer = http.post(PATH, json={"endpoint": CHAT.path, "body": body})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "body")


@pytest.mark.parametrize(
    ("speech", "changes", "status", "code", "param"),
    [
        (CHAT, {"model": None}, 400, "invalid_request_error", "model"),
        (CHAT, {"model": "no-such-model"}, 404, "model_not_found", "model"),
        (CHAT, {"messages": []}, 400, "invalid_request_error", "messages"),
        (CHAT, {"n": 0}, 400, "invalid_request_error", "n"),
        (CHAT, {"usage": {}}, 400, "unsupported_parameter", "usage"),
        (CHAT, {"model": "text-embedding-3-small"}, 400, "model_endpoint_mismatch", "model"),
        (MESSAGES, {"model": "gpt-5.4-nano"}, 400, "model_endpoint_mismatch", "model"),
        (TRANSLATED, {"background": True}, 400, "unsupported_parameter", "background"),
    ],
)
def test_what_the_call_would_be_refused_for_the_quote_is_too(
    world: World,
    http: httpx.Client,
    speech: Speech,
    changes: dict[str, Any],
    status: int,
    code: str,
    param: str,
) -> None:
    body = asked(speech, **changes)
    before = traces(world)
    answer = http.post(PATH, json={"endpoint": speech.path, "body": body})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (status, code, param)
    assert traces(world) == before
    called = http.post(speech.path, json=body, headers=speech.headers)
    assert (called.status_code, called.json()["error"]["message"]) == (status, error["message"])


@pytest.mark.usefixtures("untouched")
def test_a_name_given_twice_inside_the_body_is_refused(http: httpx.Client) -> None:
    text = '{"endpoint":"/v1/chat/completions","body":{"model":"gpt-5.4-nano","model":"gpt-5.5"}}'
    error = http.post(PATH, content=text.encode()).json()["error"]
    assert (error["code"], error["param"]) == ("invalid_json", "model")
