"""GET /v1/me and /v1/balance."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest

from tests.world import GatewayProcess, Tenant, World, client

MESSAGES = [{"role": "user", "content": "Say hello."}]


def spend(http: httpx.Client, **script: int) -> httpx.Response:
    body = {"model": "gpt-5.5", "messages": MESSAGES, "max_tokens": 500, "simulate": script}
    answer = http.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    return answer


@pytest.fixture
def payer(world: World) -> Tenant:
    return world.add_tenant("Payer", balance="2.5")


@pytest.fixture
def http(gateway: GatewayProcess, payer: Tenant) -> Iterator[httpx.Client]:
    with client(gateway, payer) as opened:
        yield opened


def test_me_says_who_the_key_is(http: httpx.Client, payer: Tenant) -> None:
    answer = http.get("/v1/me").json()
    assert answer["key"]["id"] == str(payer.key_id)
    assert answer["key"]["name"] == "Payer's key"
    assert payer.key.startswith(answer["key"]["prefix"] + "-")
    assert (answer["key"]["scopes"], answer["key"]["expires_at"]) == (["call"], None)
    assert answer["group"] == {"id": str(payer.group_id), "name": "Payer's group"}
    assert answer["organization"] == {
        "id": str(payer.organization_id),
        "name": "Payer's organization",
    }
    assert answer["limits"] == {}
    assert answer["spent_this_month"] == "0.00"


def test_me_shows_neither_the_secret_nor_its_digest(
    world: World, http: httpx.Client, payer: Tenant
) -> None:
    text = http.get("/v1/me").text
    assert payer.key.rsplit("-", 1)[1] not in text
    digest = world.database.one("SELECT digest FROM accounts_apikey WHERE id = %s", payer.key_id)
    assert bytes(digest).hex() not in text


def test_me_says_when_the_key_expires(world: World, http: httpx.Client, payer: Tenant) -> None:
    world.database.query(
        "UPDATE accounts_apikey SET expires_at = '2099-01-02T03:04:05Z' WHERE id = %s", payer.key_id
    )
    deadline = time.monotonic() + 1
    while (shown := http.get("/v1/me").json()["key"]["expires_at"]) is None:
        assert time.monotonic() < deadline
    assert datetime.fromisoformat(shown) == datetime(2099, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_the_balance_moves_by_the_charge(world: World, http: httpx.Client) -> None:
    before = http.get("/v1/balance").json()
    assert before == {
        "balance": "2.50",
        "held": "0.00",
        "available": "2.50",
        "spent_today": "0.00",
        "spent_this_month": "0.00",
        "currency": "USD",
    }
    answer = spend(http, input_tokens=1000, output_tokens=200)
    # 1,000 at 2.50 and 200 at 15 USD per million: half of list
    assert answer.headers["x-tollgate-charge"] == "0.0055"
    after = http.get("/v1/balance").json()
    assert (after["balance"], after["available"], after["held"]) == ("2.4945", "2.4945", "0.00")
    assert (after["spent_today"], after["spent_this_month"]) == ("0.0055", "0.0055")
    assert http.get("/v1/me").json()["spent_this_month"] == "0.0055"


def test_what_a_running_call_holds_is_not_available(
    world: World, gateway: GatewayProcess, http: httpx.Client, payer: Tenant
) -> None:
    gate = f"balance-{payer.wallet_id}"
    body = {
        "model": "gpt-5.5",
        "messages": MESSAGES,
        "max_tokens": 500,
        "stream": True,
        "simulate": {"gate": gate},
    }
    with client(gateway, payer) as other:
        import threading

        call = threading.Thread(target=lambda: other.post("/v1/chat/completions", json=body))
        call.start()
        deadline = time.monotonic() + 5
        while (during := http.get("/v1/balance").json())["held"] == "0.00":
            assert time.monotonic() < deadline
            time.sleep(0.01)
        world.simulator.open_gate(gate)
        call.join()
    held = world.records(payer)[-1]["hold_nanos"]
    assert during["balance"] == "2.50"
    assert during["held"] == f"{held / 10**9:.9f}".rstrip("0")
    assert float(during["available"]) == pytest.approx(2.5 - held / 10**9, abs=1e-9)
    assert http.get("/v1/balance").json()["held"] == "0.00"


def test_a_failed_call_spends_nothing(http: httpx.Client) -> None:
    body = {"model": "gpt-5.5", "messages": MESSAGES, "simulate": {"status": 500}}
    assert http.post("/v1/chat/completions", json=body).status_code == 502
    assert http.get("/v1/balance").json()["spent_today"] == "0.00"


def test_a_group_is_asked_for_its_own_wallet_alone(
    gateway: GatewayProcess, alice: Tenant, bob: Tenant, charlie: Tenant
) -> None:
    with client(gateway, alice) as http:
        spend(http, input_tokens=1000, output_tokens=200)
        assert http.get("/v1/balance").json()["balance"] == "9.9945"
    for tenant in (bob, charlie):
        with client(gateway, tenant) as http:
            balance = http.get("/v1/balance").json()
            assert (balance["balance"], balance["spent_this_month"]) == ("10.00", "0.00")
            assert http.get("/v1/me").json()["group"]["name"] == f"{tenant.name}'s group"
            assert http.get("/v1/me").json()["spent_this_month"] == "0.00"


@pytest.mark.parametrize(
    "path", ["/v1/me", "/v1/balance", "/v1/calls", "/v1/calls/call_" + "0" * 32]
)
def test_without_a_good_key_all_of_it_is_refused_in_the_same_words(
    gateway: GatewayProcess, alice: Tenant, path: str
) -> None:
    with client(gateway) as http:
        answers = {
            (answer.status_code, answer.content)
            for answer in (
                http.get(path),
                http.get(path, headers={"authorization": "Bearer nonsense"}),
                http.get(path, headers={"authorization": f"Bearer {alice.key[:-1]}_"}),
                http.get(path, headers={"x-api-key": alice.key + "x"}),
            )
        }
        assert len(answers) == 1
        assert next(iter(answers))[0] == 401
        assert http.get(path, headers={"x-api-key": alice.key}).status_code in (200, 404)
