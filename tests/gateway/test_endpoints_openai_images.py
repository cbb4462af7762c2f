"""OpenAI's Images up to where a worker would begin, and what becomes of calls that wait. No worker runs here."""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import openai
import psycopg
import pytest

from tests.gateway.task_pictures import encode_picture
from tests.image_tasks import put_image_channels
from tests.world import GatewayProcess, Tenant, World, client

PICTURE, OTHER = encode_picture("red"), encode_picture("blue")
DRAW: dict[str, Any] = {"model": "gpt-image-2", "prompt": "A bottle"}
PATIENCE_S = 10.0
MESSAGE = "It was not to be."
LEAVES = httpx.Timeout(30, read=1)

Form = dict[str, Any]


@pytest.fixture(scope="module", autouse=True)
def channels(world: World) -> None:
    put_image_channels(world)


@pytest.fixture
def http(gateway: GatewayProcess, alice: Tenant) -> Iterator[httpx.Client]:
    with client(gateway, alice) as opened:
        yield opened


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as made:
        yield made


def generate(http: httpx.Client, **fields: Any) -> httpx.Response:
    return http.post("/v1/images/generations", json={**DRAW, **fields})


def edit(http: httpx.Client, files: Any = None, **fields: str) -> httpx.Response:
    return http.post(
        "/v1/images/edits",
        data={**DRAW, **fields},
        files=[("image", PICTURE)] if files is None else files,
    )


def tasks_of(world: World, tenant: Tenant) -> list[dict[str, Any]]:
    """Rows, oldest first."""
    return world.database.query(
        "SELECT * FROM gateway_task WHERE group_id = %s ORDER BY id", tenant.group_id
    )


def uploads_of(world: World, tenant: Tenant) -> int:
    """How many can still be named."""
    return int(
        world.database.one(
            "SELECT count(*) FROM gateway_upload WHERE group_id = %s AND expires_at > now()",
            tenant.group_id,
        )
    )


def wait_for(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def end_task(world: World, task: dict[str, Any], code: str) -> None:
    """As a worker ends a task that failed."""
    named = ("id", "organization_id", "group_id", "api_key_id", "endpoint", "model", "price_id")
    counted = [f"{name}_tokens" for name in ("input", "cached_input", "cache_write")]
    counted += ["cache_write_1h_tokens", "output_tokens", "reasoning_tokens"]
    counted += ["audio_input_tokens", "audio_output_tokens", "images", "list_nanos", "duration_ms"]
    record = {
        **{name: str(task[name]) for name in named},
        **dict.fromkeys(counted, 0),
        "source": "task",
        "status": "upstream_failed",
        "stream": False,
        "service_tier": "standard",
        "created_at": task["created_at"].timestamp(),
        "basis": "",
        "hold_nanos": task["hold_nanos"],
        "error_code": code,
        "error_message": MESSAGE,
        "attempts": [],
    }
    world.database.query(
        "SELECT gateway_end_task(%s, 0, 'failed', %s, %s, 0, %s::jsonb, NULL)",
        task["id"],
        code,
        MESSAGE,
        json.dumps([record]),
    )


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"model": None}, "model", "invalid_request_error"),
        ({"model": ""}, "model", "invalid_request_error"),
        ({"model": 7}, "model", "invalid_request_error"),
        ({"model": "gpt-5.4-nano"}, "model", "model_endpoint_mismatch"),
        ({"model": "topaz-upscale-image"}, "model", "model_endpoint_mismatch"),
        ({"prompt": None}, "prompt", "invalid_request_error"),
        ({"prompt": "  "}, "prompt", "invalid_request_error"),
        ({"prompt": ["A bottle"]}, "prompt", "invalid_request_error"),
        ({"prompt": "x" * 32_001}, "prompt", "invalid_request_error"),
        ({"prompt": "a\x00b"}, "prompt", "invalid_request_error"),
        ({"n": 0}, "n", "invalid_request_error"),
        ({"n": 11}, "n", "unsupported_parameter"),
        ({"n": "2"}, "n", "invalid_request_error"),
        ({"n": 1.5}, "n", "invalid_request_error"),
        ({"n": True}, "n", "invalid_request_error"),
        ({"n": 3, "model": "gpt-4o-image"}, "n", "unsupported_parameter"),
        ({"n": 2, "model": "flux-kontext-pro"}, "n", "unsupported_parameter"),
        ({"size": "huge"}, "size", "invalid_request_error"),
        ({"size": "0x0"}, "size", "invalid_request_error"),
        ({"size": "1000x1000"}, "size", None),
        ({"size": "512x512"}, "size", None),
        ({"size": "4096x4096"}, "size", None),
        ({"size": "2048x2048", "model": "gpt-4o-image"}, "size", "unsupported_parameter"),
        ({"size": "2048x2048", "model": "flux-kontext-max"}, "size", "unsupported_parameter"),
        ({"quality": "high"}, "quality", "unsupported_parameter"),
        ({"quality": "hd"}, "quality", "unsupported_parameter"),
        ({"quality": "medium", "model": "gpt-4o-image"}, "quality", "unsupported_parameter"),
        ({"quality": "low", "model": "flux-kontext-pro"}, "quality", "unsupported_parameter"),
        ({"background": "green"}, "background", "unsupported_parameter"),
        (
            {"background": "auto", "model": "flux-kontext-pro"},
            "background",
            "unsupported_parameter",
        ),
        ({"output_format": "webp"}, "output_format", "unsupported_parameter"),
        ({"output_compression": 50}, "output_compression", "unsupported_parameter"),
        ({"output_compression": 101}, "output_compression", "invalid_request_error"),
        ({"response_format": "png"}, "response_format", "invalid_request_error"),
        ({"response_format": 1}, "response_format", "invalid_request_error"),
        ({"moderation": "low"}, "moderation", "unsupported_parameter"),
        ({"stream": True}, "stream", "unsupported_parameter"),
        ({"stream": "yes"}, "stream", "invalid_request_error"),
        ({"partial_images": 2}, "partial_images", "unsupported_parameter"),
        ({"style": "vivid"}, "style", "unsupported_parameter"),
        ({"user": 5}, "user", "invalid_request_error"),
        ({"input_fidelity": "low"}, "input_fidelity", "unsupported_parameter"),
        ({"callback_url": "https://example.com/"}, "callback_url", "unsupported_parameter"),
        ({"output_resolution": "2k"}, "output_resolution", "unsupported_parameter"),
        ({"cost": 0}, "cost", "unsupported_parameter"),
    ],
)
def test_what_is_not_offered_is_refused_in_openais_words_and_costs_nothing(
    http: httpx.Client,
    world: World,
    alice: Tenant,
    fields: dict[str, Any],
    param: str,
    code: str | None,
) -> None:
    before = world.wallet(alice), len(tasks_of(world, alice))
    answer = generate(http, **fields)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert code is None or error["code"] == code
    assert (world.wallet(alice), len(tasks_of(world, alice))) == before
    call = http.get(f"/v1/calls/{answer.headers['x-request-id']}").json()
    assert (call["source"], call["status"], call["charge"]) == ("task", "refused", "0.00")


def test_a_model_that_nobody_knows_is_a_404(http: httpx.Client) -> None:
    answer = generate(http, model="gpt-image-9")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'"x"', b'{"model": "\xff"}'])
def test_a_body_that_is_no_object_is_refused(http: httpx.Client, content: bytes) -> None:
    headers = {"content-type": "application/json"}
    answer = http.post("/v1/images/generations", content=content, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_json")


@pytest.mark.parametrize(
    ("form", "param"),
    [
        ({"files": {"image": (None, "not a file")}}, "image"),
        ({"files": {"mask": PICTURE}}, "image"),
        ({"files": {"picture": PICTURE}}, "picture"),
        ({"files": {"image": b"<html>"}}, "image"),
        ({"files": {"image": b""}}, "image"),
        ({"files": [("image", PICTURE), ("mask", b"%PDF-1.7")]}, "mask"),
        ({"files": [("image[]", PICTURE), ("image[]", PICTURE[:-30])]}, "image[]"),
        ({"files": [("image", PICTURE), ("mask", PICTURE), ("mask", PICTURE)]}, "mask"),
        ({"files": [("image[]", PICTURE)] * 17}, "image"),
        ({"files": [("image", PICTURE)] * 6, "model": "gpt-4o-image"}, "image"),
        ({"files": [("image", PICTURE)] * 2, "model": "flux-kontext-pro"}, "image"),
        (
            {
                "files": [("image", PICTURE), ("mask", PICTURE)],
                "model": "flux-kontext-max",
            },
            "mask",
        ),
        ({"n": "two"}, "n"),
        ({"n": "11"}, "n"),
        ({"stream": "true"}, "stream"),
        ({"stream": "maybe"}, "stream"),
        ({"prompt": ""}, "prompt"),
        ({"model": ""}, "model"),
        ({"quality": "high"}, "quality"),
        ({"input_fidelity": "high"}, "input_fidelity"),
        ({"size": "1x1"}, "size"),
        ({"response_format": "gif"}, "response_format"),
        ({"image": "https://example.com/a.png"}, "image"),
        ({"cost": "0"}, "cost"),
    ],
)
def test_an_edit_that_is_not_offered_leaves_neither_files_nor_holds(
    http: httpx.Client, world: World, alice: Tenant, form: Form, param: str
) -> None:
    before = world.wallet(alice), len(tasks_of(world, alice)), uploads_of(world, alice)
    answer = edit(http, form.pop("files", None), **form)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param
    after = world.wallet(alice), len(tasks_of(world, alice)), uploads_of(world, alice)
    assert after == before


@pytest.mark.parametrize(
    ("headers", "content"),
    [
        ({"content-type": "application/json"}, b'{"model": "gpt-image-2"}'),
        ({"content-type": "multipart/form-data"}, b""),
        ({"content-type": "multipart/form-data; boundary=x"}, b"--x\r\n"),
        ({"content-type": "multipart/form-data; boundary=x"}, b"--x--\r\n"),
        ({"content-type": "multipart/form-data; boundary=x"}, PICTURE),
    ],
)
def test_an_edit_without_a_form_is_refused(
    http: httpx.Client, headers: dict[str, str], content: bytes
) -> None:
    answer = http.post("/v1/images/edits", headers=headers, content=content)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request_error")


@pytest.mark.parametrize(
    ("fields", "nanos"),
    [
        ({}, 60_000_000),
        ({"size": "1536x1024", "n": 2}, 120_000_000),
        ({"size": "2048x2048"}, 100_000_000),
        ({"size": "3840x2160", "quality": "low"}, 160_000_000),
        ({"model": "gpt-4o-image", "n": 2}, 70_000_000),
        ({"model": "openai/gpt-4o-image", "n": 4, "size": "1024x1536"}, 80_000_000),
        ({"model": "flux-kontext-pro"}, 20_000_000),
        ({"model": "flux-kontext-max", "size": "1024x1024"}, 40_000_000),
    ],
)
def test_what_is_held_is_the_exact_price_and_leaving_releases_it(
    http: httpx.Client, world: World, fields: dict[str, Any], nanos: int, gateway: GatewayProcess
) -> None:
    tenant = world.add_tenant("Jana", balance="1")
    with client(gateway, tenant) as own, ThreadPoolExecutor(1) as one:
        own.timeout = LEAVES
        future = one.submit(generate, own, **fields)
        wait_for(lambda: world.wallet(tenant)["held_nanos"] == nanos)
        with pytest.raises(httpx.ReadTimeout):
            future.result()
    (task,) = wait_for(lambda: [t for t in tasks_of(world, tenant) if t["ended_at"]])
    assert (task["status"], task["error_code"], task["amount_nanos"]) == ("failed", "cancelled", 0)
    wallet = world.wallet(tenant)
    assert (wallet["held_nanos"], wallet["balance_nanos"]) == (0, 10**9)
    (record,) = world.records(tenant)
    assert (record["status"], record["amount_nanos"], record["id"]) == (
        "client_gone",
        0,
        task["id"],
    )


def test_a_call_that_is_left_while_its_task_runs_lets_it_run(
    world: World, gateway: GatewayProcess, pool: ThreadPoolExecutor
) -> None:
    tenant = world.add_tenant("Kim", balance="1")
    with client(gateway, tenant) as own:
        own.timeout = LEAVES
        future = pool.submit(generate, own)
        (task,) = wait_for(lambda: tasks_of(world, tenant))
        world.database.query(
            "UPDATE gateway_task SET status = 'processing' WHERE id = %s", task["id"]
        )
        with pytest.raises(httpx.ReadTimeout):
            future.result()
    time.sleep(2.5)  # longer than a call that waits takes to look again
    (task,) = tasks_of(world, tenant)
    assert (task["status"], world.wallet(tenant)["held_nanos"]) == ("processing", 60_000_000)
    end_task(world, task, "upstream_error")


def test_who_can_come_back_for_his_pictures_does_not_cancel_them_by_leaving(
    world: World, gateway: GatewayProcess, pool: ThreadPoolExecutor
) -> None:
    tenant = world.add_tenant("Nele", balance="1")
    with client(gateway, tenant) as own:
        own.headers["Idempotency-Key"] = "back soon"
        own.timeout = LEAVES
        with pytest.raises(httpx.ReadTimeout):
            generate(own)
        time.sleep(0.5)
        (task,) = tasks_of(world, tenant)
        assert task["status"] == "pending"
        own.timeout = httpx.Timeout(30)
        again = pool.submit(generate, own)
        time.sleep(0.3)
        end_task(world, task, "upstream_error")
        assert again.result().headers["x-request-id"][5:] != task["id"].hex
        assert again.result().status_code == 502
        assert len(tasks_of(world, tenant)) == 1


def test_whoever_repeats_a_request_and_leaves_does_not_cancel_it(
    world: World, gateway: GatewayProcess, pool: ThreadPoolExecutor
) -> None:
    tenant = world.add_tenant("Lars", balance="1")
    key = {"Idempotency-Key": "one bottle"}
    with client(gateway, tenant) as own, client(gateway, tenant) as second:
        own.headers.update(key)
        second.headers.update(key)
        second.timeout = LEAVES
        first = pool.submit(generate, own)
        (task,) = wait_for(lambda: tasks_of(world, tenant))
        with pytest.raises(httpx.ReadTimeout):
            generate(second)
        time.sleep(0.5)
        assert [t["status"] for t in tasks_of(world, tenant)] == ["pending"]
        end_task(world, task, "upstream_error")
        assert first.result().status_code == 502


@pytest.mark.parametrize(
    ("code", "status", "raised"),
    [
        ("content_refused", 422, openai.UnprocessableEntityError),
        ("invalid_request", 400, openai.BadRequestError),
        ("source_not_an_image", 400, openai.BadRequestError),
        ("upstream_error", 502, openai.InternalServerError),
        ("upstream_timeout", 504, openai.InternalServerError),
        ("expired", 504, openai.InternalServerError),
        ("no_channel_available", 503, openai.InternalServerError),
        ("cancelled", 409, openai.ConflictError),
    ],
)
def test_how_a_task_failed_is_how_the_call_fails(
    gateway: GatewayProcess,
    world: World,
    alice: Tenant,
    pool: ThreadPoolExecutor,
    code: str,
    status: int,
    raised: type[openai.APIStatusError],
) -> None:
    known = len(tasks_of(world, alice))
    with openai.OpenAI(base_url=gateway.base_url, api_key=alice.key, max_retries=0) as speaker:
        future: Future[Any] = pool.submit(speaker.images.generate, **DRAW)
        wait_for(lambda: len(tasks_of(world, alice)) > known)
        end_task(world, tasks_of(world, alice)[-1], code)
        with pytest.raises(raised) as failed:
            future.result()
    assert (failed.value.status_code, failed.value.code) == (status, code)
    assert MESSAGE in failed.value.message


def test_a_wallet_that_is_too_small_is_told_the_price_and_keeps_no_files(
    gateway: GatewayProcess, world: World
) -> None:
    poor = world.add_tenant("Mia", balance="0.05")
    with client(gateway, poor) as http:
        for answer in (generate(http), edit(http)):
            assert answer.status_code == 402
            assert "$0.05" in answer.json()["error"]["message"]
            assert "$0.06" in answer.json()["error"]["message"]
    assert (tasks_of(world, poor), uploads_of(world, poor)) == ([], 0)


def test_an_edit_stores_its_pictures_and_names_them_in_its_task(
    gateway: GatewayProcess, world: World, pool: ThreadPoolExecutor
) -> None:
    tenant = world.add_tenant("Nora", balance="1")
    files = [("image[]", PICTURE), ("image[]", OTHER), ("mask", PICTURE)]
    with client(gateway, tenant) as http:
        future = pool.submit(edit, http, files, n="2", size="2048x2048")
        (task,) = wait_for(lambda: tasks_of(world, tenant))
        end_task(world, task, "upstream_error")
        assert future.result().status_code == 502
    request = task["request"]
    assert (request["action"], len(request["sources"])) == ("edit_image", 2)
    assert request["mask"] not in request["sources"]
    assert (task["hold_nanos"], uploads_of(world, tenant)) == (200_000_000, 3)


@pytest.mark.parametrize(
    "other",
    [
        [("image", OTHER)],
        [("image", PICTURE), ("image", OTHER)],
        [("image", OTHER), ("mask", PICTURE)],
        [("image", PICTURE)],
    ],
)
def test_other_pictures_with_the_same_key_of_idempotency_are_a_conflict(
    gateway: GatewayProcess, world: World, pool: ThreadPoolExecutor, other: Any
) -> None:
    tenant = world.add_tenant("Otto", balance="1")
    files = [("image", PICTURE), ("mask", OTHER)]
    with client(gateway, tenant) as http:
        http.headers["Idempotency-Key"] = "one hat"
        first = pool.submit(edit, http, files)
        (task,) = wait_for(lambda: tasks_of(world, tenant))
        again = pool.submit(edit, http, files[::-1])  # in another order, but no other pictures
        refused = pool.submit(edit, http, other).result(PATIENCE_S)
        assert (refused.status_code, refused.json()["error"]["code"]) == (
            409,
            "idempotency_conflict",
        )
        time.sleep(0.5)
        assert (len(tasks_of(world, tenant)), uploads_of(world, tenant)) == (1, 2)
        end_task(world, task, "upstream_error")
        assert (first.result().status_code, again.result().status_code) == (502, 502)


def test_a_call_waits_on_while_the_database_is_away(
    gateway: GatewayProcess, world: World, alice: Tenant, pool: ThreadPoolExecutor, server_url: str
) -> None:
    known = len(tasks_of(world, alice))
    with client(gateway, alice) as http:
        future = pool.submit(generate, http)
        wait_for(lambda: len(tasks_of(world, alice)) > known)
        with locked_out(world, server_url):
            time.sleep(6)
        gateway.wait_ready()
        assert not future.done()
        end_task(world, tasks_of(world, alice)[-1], "upstream_error")
        assert future.result().status_code == 502


@contextmanager
def locked_out(world: World, server_url: str) -> Iterator[None]:
    """While it lasts, nobody has a connection to the world's database."""
    name = world.database.name
    with psycopg.connect(server_url, autocommit=True) as server:
        server.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        try:
            server.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,)
            )
            yield
        finally:
            server.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')


def test_a_process_that_stops_does_not_wait_for_pictures_and_leaves_their_tasks(
    world: World, pool: ThreadPoolExecutor
) -> None:
    tenant = world.add_tenant("Paul", balance="1")
    gateway = world.start_gateway()
    with client(gateway, tenant) as http:
        future = pool.submit(generate, http)
        (task,) = wait_for(lambda: tasks_of(world, tenant))
        began = time.monotonic()
        gateway.stop()
        # Its supervisor gives it ten seconds (tests/world.py), and more than that no call may wait.
        assert time.monotonic() - began < 15
        with pytest.raises(httpx.TransportError):
            future.result()
    (left,) = tasks_of(world, tenant)
    assert (left["status"], world.wallet(tenant)["held_nanos"]) == ("pending", 60_000_000)
    end_task(world, task, "upstream_error")


def test_the_ledger_is_clean_after_all_that(world: World) -> None:
    world.audit()
