"""GET /metrics: who may read it, what moves in it, and that processes add up."""

import itertools
import os
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.metrics.board import ENDED, Board
from gateway.metrics.counting import METRICS, Histogram, Metrics, Totals
from tests.world import GatewayProcess, Tenant, World, client

MODEL = "openai/gpt-5.4-nano"
CHAT = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 300}
Samples = dict[tuple[str, ...], float]


def scrape(gateway: GatewayProcess, **headers: str) -> Samples:
    """Every sample, by its name and the values of its labels (sorted by their names)."""
    answer = httpx.get(f"{gateway.root}/metrics", headers=headers, timeout=10, trust_env=False)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def moved(before: Samples, after: Samples) -> Samples:
    return {
        key: value - before.get(key, 0)
        for key, value in after.items()
        if value != before.get(key, 0)
    }


@pytest.fixture
def http(gateway: GatewayProcess, alice: Tenant) -> Iterator[httpx.Client]:
    with client(gateway, alice) as opened:
        yield opened


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_moves_what_it_must(
    gateway: GatewayProcess, world: World, alice: Tenant, http: httpx.Client, stream: bool
) -> None:
    before = scrape(gateway)
    answer = http.post("/v1/chat/completions", json={**CHAT, "stream": stream})
    assert answer.status_code == 200
    record = world.records(alice)[-1]
    change = moved(before, scrape(gateway))
    provider = "openai"
    assert change["tollgate_calls_total", "chat/completions", MODEL, provider, "completed"] == 1
    nanos = round(change["tollgate_charge_usd_total", MODEL, provider] * 10**9)
    assert nanos == record["amount_nanos"] > 0
    nanos = round(change["tollgate_list_usd_total", MODEL, provider] * 10**9)
    assert nanos == record["list_nanos"]
    for bucket in ("input", "output"):
        tokens = change["tollgate_tokens_total", bucket, MODEL, provider]
        assert tokens == record[f"{bucket}_tokens"]
    for name in ("call_duration", "first_token"):
        key = f"tollgate_{name}_seconds_count", "chat/completions", provider
        assert change[key] == 1
    assert change["tollgate_attempts_total", "answered", provider] == 1
    assert change["tollgate_holds_total", "granted"] == 1
    assert change["tollgate_requests_total", "/v1/chat/completions", "200"] == 1
    keys = [
        change.get(("tollgate_authentications_total", source), 0)
        for source in ("cache", "database")
    ]
    assert sum(keys) == 1
    # The hold and the settlement.
    assert change["tollgate_batch_operations_sum",] == 2
    assert change["tollgate_batch_seconds_count",] == change["tollgate_batch_operations_count",]


def test_refusals_are_counted_by_code(
    gateway: GatewayProcess, world: World, http: httpx.Client
) -> None:
    poor = world.add_tenant("Pauline", balance="0.000001")
    before = scrape(gateway)
    assert http.post("/v1/chat/completions", json={"model": "no/such"}).status_code == 404
    assert http.get("/v1/nothing").status_code == 404
    assert http.get("/v1/tasks/tsk_1").status_code == 404
    with client(gateway, poor) as other:
        assert other.post("/v1/chat/completions", json=CHAT).status_code == 402
    with client(gateway) as nobody:
        assert nobody.post("/v1/chat/completions", json=CHAT).status_code == 401
    change = moved(before, scrape(gateway))
    for code in ("model_not_found", "not_found", "task_not_found", "insufficient_credits"):
        assert change["tollgate_errors_total", code] == 1
    assert change["tollgate_errors_total", "invalid_api_key"] == 1
    assert change["tollgate_requests_total", "other", "404"] == 1
    assert change["tollgate_requests_total", "/v1/tasks/{id}", "404"] == 1
    assert change["tollgate_holds_total", "credits"] == 1
    assert change["tollgate_calls_total", "chat/completions", "", "", "refused"] == 1
    assert ("tollgate_call_duration_seconds_count", "chat/completions", "") not in change


@pytest.mark.parametrize(
    ("script", "status", "outcome", "code"),
    [
        (
            {"status": 400, "error": {"code": "made_up", "message": "No"}},
            400,
            "refused",
            "upstream",
        ),
        ({"status": 500}, 502, "failed", "upstream_error"),
        ({"status": 429}, 429, "limited", "upstream"),
    ],
)
def test_what_providers_do_is_counted(
    world: World, script: dict[str, object], status: int, outcome: str, code: str
) -> None:
    own = world.start_gateway()
    tenant = world.add_tenant("Tess", balance="1")
    with client(own, tenant) as http:
        answer = http.post("/v1/chat/completions", json={**CHAT, "simulate": script})
    samples = scrape(own)
    assert samples["tollgate_attempts_total", outcome, "openai"] >= 1, samples
    assert answer.status_code == status, answer.text
    errors = {key: value for key, value in samples.items() if key[0] == "tollgate_errors_total"}
    assert errors == {("tollgate_errors_total", code): 1}
    own.stop()


def test_nothing_says_who_called(
    gateway: GatewayProcess, alice: Tenant, http: httpx.Client
) -> None:
    secret = f"heron{uuid4().hex}"
    body = {**CHAT, "model": secret, "user": secret}
    http.post("/v1/chat/completions", json=body)
    http.get(f"/v1/{secret}")
    http.request(secret.upper(), "/v1/models")
    text = httpx.get(f"{gateway.root}/metrics", trust_env=False).text
    for word in (secret, str(alice.key_id), str(alice.group_id), "Alice", alice.key[:24]):
        assert word.lower() not in text.lower()


def test_tasks_and_deliveries_are_read_from_the_database(
    gateway: GatewayProcess, http: httpx.Client
) -> None:
    """No worker runs here: what is ordered waits."""
    body = {"model": "gpt-image-2", "prompt": "A heron"}
    ids = [http.post("/v1/text_to_image", json=body).json()["task_id"] for _ in range(2)]
    assert http.post(f"/v1/tasks/{ids[0]}/cancel").status_code == 200
    time.sleep(5.1)
    samples = scrape(gateway)
    assert samples["tollgate_tasks", "openai", "pending"] == 1
    assert samples["tollgate_tasks_ended_last_hour", "openai", "failed"] == 1
    assert samples["tollgate_task_overdue_seconds",] > 4
    assert samples["tollgate_deliveries_waiting",] == 0
    assert samples["tollgate_usage_notes_waiting",] >= 1
    assert samples["tollgate_database_up",] == 1
    gauges = ("processes", "calls_in_flight", "money_connected", "caches_fresh")
    assert [samples[f"tollgate_{name}",] for name in gauges] == [1, 1, 1, 1]


def test_without_a_database_the_rest_is_still_answered(fresh_world: World) -> None:
    gateway = fresh_world.start_gateway(TOLLGATE_MONEY_TIMEOUT_S="1")
    name = f'"{fresh_world.database.name}"'
    server = fresh_world.database.url.replace(f"/{fresh_world.database.name}", "/postgres")
    import psycopg

    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
            (fresh_world.database.name,),
        )
        time.sleep(1.5)
        samples = scrape(gateway)
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    assert samples["tollgate_database_up",] == 0
    assert samples["tollgate_caches_fresh",] == 0
    assert ("tollgate_deliveries_waiting",) not in samples
    assert samples["tollgate_processes",] == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"x-forwarded-for": "127.0.0.1"},
        {"x-forwarded-for": "203.0.113.9"},
        {"forwarded": "for=127.0.0.1"},
        {"via": "1.1 proxy"},
        {"x-real-ip": "127.0.0.1"},
        {"host": "gate.example.com", "x-forwarded-proto": "https"},
        {"host": "rebound.example"},
    ],
)
def test_behind_a_proxy_nobody_is_this_machine(
    gateway: GatewayProcess, headers: dict[str, str]
) -> None:
    assert httpx.get(f"{gateway.root}/metrics", trust_env=False).status_code == 200
    answer = httpx.get(f"{gateway.root}/metrics", headers=headers, trust_env=False)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "metrics_not_allowed")


def test_with_a_trusted_proxy_it_takes_the_token(world: World) -> None:
    own = world.start_gateway(TOLLGATE_TRUST_PROXY="1")
    for headers in ({}, {"x-forwarded-for": "127.0.0.1"}):
        answer = httpx.get(f"{own.root}/metrics", headers=headers, trust_env=False)
        assert answer.status_code == 403
    own.stop()


def test_only_the_token_opens_where_one_is_set(world: World, alice: Tenant) -> None:
    own = world.start_gateway(TOLLGATE_METRICS_TOKEN="a heron")
    wrong = ("", "Bearer", "Bearer a hero", "Bearer a herons", "Basic a heron", "Bearer é")
    for text in (*wrong, f"Bearer {alice.key}"):
        answer = httpx.get(
            f"{own.root}/metrics", headers=[(b"authorization", text.encode())], trust_env=False
        )
        assert answer.status_code == 403
    with client(own, alice) as http:
        assert http.get("/v1/balance").status_code == 200
    samples = scrape(own, authorization="Bearer a heron", **{"x-forwarded-for": "203.0.113.9"})
    assert samples["tollgate_errors_total", "metrics_not_allowed"] == len(wrong) + 1
    own.stop()


def test_openmetrics_is_spoken_too(gateway: GatewayProcess) -> None:
    headers = {"accept": "application/openmetrics-text; version=1.0.0"}
    answer = httpx.get(f"{gateway.root}/metrics", headers=headers, trust_env=False)
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


def test_every_sample_belongs_to_the_list(gateway: GatewayProcess, http: httpx.Client) -> None:
    http.post("/v1/chat/completions", json=CHAT)
    answer = httpx.get(f"{gateway.root}/metrics", trust_env=False)
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    shown = {f"{name}_total" if one.type == "counter" else name for name, one in families.items()}
    assert shown == set(METRICS)
    for name, metric in METRICS.items():
        family = families[name.removesuffix("_total")]
        assert (family.type, family.documentation) == (metric.kind, metric.meaning)
        for sample in family.samples:
            assert {*sample.labels} - {"le"} == {*metric.labels}


def fold(histogram: Histogram) -> tuple[list[int], float]:
    return histogram.counts, histogram.sum


def test_values_fall_at_or_below_their_bound() -> None:
    metrics = Metrics()
    for value in (0, 1, 1.5, 2, 512, 513):
        metrics.observe("tollgate_batch_operations", value)
    counts, total = fold(metrics.histograms["tollgate_batch_operations",])
    assert counts == [2, 2, 0, 0, 0, 0, 0, 0, 0, 1, 1]
    assert total == 1029.5


class Neighbour:
    """Another process's file in the folder of this one's server."""

    def __init__(self, folder: Path, pid: int) -> None:
        self._path = next(folder.iterdir()) / str(pid)

    def write(self, calls: int) -> None:
        key = ("tollgate_requests_total", "/v1/me", "200")
        totals = Totals(
            {key: calls},
            {("tollgate_batch_seconds",): Histogram([calls] * 13, 0.5)},
            {("tollgate_processes",): 1},
        )
        self._path.write_bytes(msgspec.msgpack.encode(totals))


@pytest.fixture
def ended_pid() -> int:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return pid


async def open_board(folder: Path) -> Board:
    """The board of a process that served two requests."""
    counters = {("tollgate_requests_total", "/v1/me", "200"): 2}
    board = Board(folder, lambda: Totals(counters, {}, {("tollgate_processes",): 1}))
    await board.start()
    return board


def figures(totals: Totals) -> tuple[int, float]:
    key = ("tollgate_requests_total", "/v1/me", "200")
    return totals.counters[key], totals.gauges["tollgate_processes",]


async def _read(folder: Path) -> Totals:
    board = await open_board(folder)
    try:
        return await board.read()
    finally:
        await board.stop()


def read(folder: Path) -> Totals:
    import asyncio

    return asyncio.run(_read(folder))


def test_processes_add_up(tmp_path: Path, ended_pid: int) -> None:
    assert figures(read(tmp_path)) == (2, 1)
    Neighbour(tmp_path, os.getppid()).write(5)
    totals = read(tmp_path)
    assert figures(totals) == (7, 2)
    assert totals.histograms["tollgate_batch_seconds",].counts == [5] * 13


def test_what_an_ended_process_counted_stays_counted_once(tmp_path: Path, ended_pid: int) -> None:
    read(tmp_path)
    neighbour = Neighbour(tmp_path, ended_pid)
    neighbour.write(5)
    # As others see it before anybody folds, then after, and again.
    for _ in range(3):
        totals = read(tmp_path)
        assert figures(totals) == (7, 1)
        assert totals.histograms["tollgate_batch_seconds",].sum == 0.5
    (folder,) = tmp_path.iterdir()
    assert {path.name for path in folder.iterdir()} == {ENDED, "lock", str(os.getpid())}


def test_a_file_that_is_broken_stops_nobody(tmp_path: Path) -> None:
    read(tmp_path)
    (folder,) = tmp_path.iterdir()
    (folder / str(os.getppid())).write_bytes(b"\xc1")
    assert figures(read(tmp_path)) == (2, 1)


def test_folders_of_servers_long_gone_are_deleted(tmp_path: Path) -> None:
    old, young = tmp_path / "old-1-1", tmp_path / "young-1-1"
    for folder in (old, young):
        folder.mkdir()
        (folder / "1").write_bytes(b"")
    os.utime(old, (1, 1))
    read(tmp_path)
    assert (old.exists(), young.exists()) == (False, True)


def test_where_nothing_can_be_written_a_process_answers_for_itself(tmp_path: Path) -> None:
    nowhere = tmp_path / "file"
    nowhere.write_text("")
    assert figures(read(nowhere)) == (2, 1)


def test_labels_are_of_few_values() -> None:
    labels = set(itertools.chain.from_iterable(metric.labels for metric in METRICS.values()))
    assert labels == {
        "bucket", "channel", "code", "endpoint", "model", "outcome", "path", "provider", "result", "source", "status",
    }  # fmt: skip
