"""Health and readiness; paths and methods that are not ours; the envelope and the id of every answer."""

import re
import time
from collections.abc import Iterator

import httpx
import pytest

from gateway.call import parse_call_id
from tests.world import GatewayProcess, Tenant, World, client


@pytest.fixture(scope="module")
def http(gateway: GatewayProcess) -> Iterator[httpx.Client]:
    with client(gateway) as opened:
        yield opened


def test_a_running_process_is_alive_and_ready(http: httpx.Client) -> None:
    assert http.get("/healthz").json() == {"status": "ok"}
    assert http.get("/readyz").json() == {"status": "ready"}


def test_a_process_whose_database_is_away_is_alive_and_not_ready(fresh_world: World) -> None:
    gateway = fresh_world.start_gateway(TOLLGATE_MONEY_TIMEOUT_S="1")
    database = fresh_world.database
    server = database.url.replace(f"/{database.name}", "/postgres")
    name = f'"{database.name}"'
    import psycopg

    with client(gateway) as http, psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
            (database.name,),
        )
        answer = http.get("/readyz")
        assert (answer.status_code, answer.json()["error"]["code"]) == (
            503,
            "temporarily_unavailable",
        )
        assert answer.headers["retry-after"]
        assert http.get("/healthz").status_code == 200
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        deadline = time.monotonic() + 10
        while http.get("/readyz").status_code != 200:
            assert time.monotonic() < deadline, gateway.log
            time.sleep(0.05)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "path", ["/api/v1/models", "/api/tags", "/v1/props", "/props", "/version", "/api/show"]
)  # fmt: skip
def test_what_agents_probe_for_is_a_plain_json_404(
    http: httpx.Client, method: str, path: str
) -> None:
    answer = http.request(method, path, json={"name": "x"} if method == "POST" else None)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["error"]["code"] == "not_found"


@pytest.mark.parametrize(
    "path",
    [
        "/v1",
        "/v1/",
        "/v1/nope",
        "/v1/models/",
        "/v1/calls/",
        "/v1/chat",
        "/v1/chat/completions/",
        "/v1//models",
        "/v1/%2e%2e/models",
        "/v1/%ff%fe",
        "/v1/%ed%a0%bd",
        "/v1/" + "x" * 5000,
        "/v1/models/%ff%fe",
        "/v1/models/a%00b",
        "/v1/engines/gpt-5.5/chat/completions",
    ],
)
def test_an_unknown_path_under_v1_is_a_json_404(http: httpx.Client, path: str) -> None:
    answer = http.get(path)
    assert answer.status_code == 404
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert len(answer.content) < 600


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/chat/completions", "POST"),
        ("PUT", "/v1/chat/completions", "POST"),
        ("POST", "/v1/models", "GET"),
        ("DELETE", "/v1/models/gpt-5.5", "GET, POST"),
        ("POST", "/v1/me", "GET"),
        ("POST", "/v1/balance", "GET"),
        ("POST", "/v1/calls", "GET"),
        ("DELETE", "/v1/calls/call_0", "GET"),
        ("OPTIONS", "/v1/models", "GET"),
        ("BREW", "/v1/models", "GET"),
    ],
)
def test_another_method_is_refused_with_those_that_work(
    http: httpx.Client, method: str, path: str, allowed: str
) -> None:
    answer = http.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
    assert answer.json()["error"]["code"] == "method_not_allowed"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/healthz"),
        ("GET", "/readyz"),
        ("GET", "/v1/models"),
        ("GET", "/v1/models/gpt-5.5"),
        ("GET", "/v1/models/nope"),
        ("GET", "/v1/me"),
        ("GET", "/v1/balance"),
        ("GET", "/v1/calls"),
        ("GET", "/v1/calls/call_0"),
        ("GET", "/v1/nope"),
        ("GET", "/props"),
        ("GET", "/v1/chat/completions"),
        ("POST", "/v1/chat/completions"),
    ],
)
@pytest.mark.parametrize("known", [True, False])
def test_every_answer_has_an_id_and_a_failure_its_envelope(
    http: httpx.Client, alice: Tenant, method: str, path: str, known: bool
) -> None:
    headers = {"authorization": f"Bearer {alice.key}"} if known else {}
    answer = http.request(method, path, headers=headers)
    assert answer.headers["content-type"] == "application/json"
    assert parse_call_id(answer.headers["x-request-id"]) is not None
    if answer.status_code >= 400:
        assert list(answer.json()) == ["error"]
        assert list(answer.json()["error"]) == ["message", "type", "param", "code"]


def test_ids_are_the_gateways_own_and_never_the_clients(http: httpx.Client) -> None:
    sent = {"x-request-id": "call_" + "0" * 32, "x-client-request-id": "mine"}
    ids = [http.get("/healthz", headers=sent).headers["x-request-id"] for _ in range(20)]
    assert len(set(ids)) == 20
    assert all(re.fullmatch("call_[0-9a-f]{32}", one) for one in ids)
    assert "call_" + "0" * 32 not in ids


@pytest.mark.parametrize(
    "accept", ["*/*", "text/html", "text/event-stream", "image/png", "", "garbage;q=9"]
)
def test_no_accept_header_is_unacceptable(http: httpx.Client, accept: str) -> None:
    for path in ("/v1/models", "/healthz"):
        assert http.get(path, headers={"accept": accept}).status_code == 200


def test_answers_are_never_compressed(http: httpx.Client) -> None:
    answer = http.get("/v1/models", headers={"accept-encoding": "gzip, deflate, br, zstd"})
    assert "content-encoding" not in answer.headers
