"""Image tasks as callers make, read and cancel them; no worker runs here."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from django.conf import settings

from accounts.ids import uuid7
from gateway.images.links import PicturePath, derive_link_key, sign_link
from simulator.pictures import Size, draw
from tests.image_tasks import put_image_channels
from tests.world import GatewayProcess, Tenant, World, client

SEED = {
    "model": "gpt-image-2-text-to-image",
    "prompt": "A product photo of a glass perfume bottle on a marble surface",
    "output_resolution": "2k",
    "aspect_ratio": "3:4",
}


@pytest.fixture(scope="module", autouse=True)
def channels(world: World) -> None:
    put_image_channels(world)


@pytest.fixture
def http(gateway: GatewayProcess, alice: Tenant) -> Iterator[httpx.Client]:
    with client(gateway, alice) as opened:
        yield opened


def create(http: httpx.Client, path: str = "text_to_image", **fields: Any) -> httpx.Response:
    return http.post(f"/v1/{path}", json={**SEED, **fields})


def upload(http: httpx.Client) -> str:
    picture = draw("source", Size(64, 64), transparent=False)
    answer = http.post("/v1/files", files={"file": ("a.png", picture, "image/png")})
    return str(answer.json()["id"])


def held(world: World, tenant: Tenant) -> int:
    return int(
        world.database.one("SELECT held_nanos FROM billing_account WHERE id = %s", tenant.wallet_id)
    )


def test_a_task_is_answered_at_once_with_its_price_held(
    http: httpx.Client, world: World, alice: Tenant
) -> None:
    before = held(world, alice)
    answer = create(http)
    assert answer.status_code == 202, answer.text
    made = answer.json()
    assert made["task_id"] == made["id"] == "tsk_" + answer.headers["x-request-id"][5:]
    assert (made["status"], made["model"]) == ("pending", "gpt-image-2-text-to-image")
    assert answer.headers["location"] == f"/v1/tasks/{made['id']}"
    assert int(answer.headers["retry-after"]) >= 1
    assert held(world, alice) - before == 100_000_000  # 2k: 0.10 USD, exactly


@pytest.mark.parametrize("path", ["tasks", "text_to_image", "edit_image", "upscale_image"])
def test_a_task_is_polled_on_every_path_that_clients_try(http: httpx.Client, path: str) -> None:
    made = create(http).json()
    answer = http.get(f"/v1/{path}/{made['id']}")
    task = answer.json()
    assert answer.status_code == 200
    assert {"task_id", "id", "status", "model", "created_at", "updated_at"} <= task.keys()
    assert (task["id"], task["status"], task["progress"]) == (made["id"], "pending", 0)
    assert "images" not in task
    assert "billing" not in task
    assert "retry-after" in answer.headers


def test_the_three_names_of_one_model_cost_the_same(
    http: httpx.Client, world: World, alice: Tenant
) -> None:
    for name in ("gpt-image-2", "openai/gpt-image-2", "gpt-image-2-image-to-image"):
        before = held(world, alice)
        assert create(http, model=name).json()["model"] == name
        assert held(world, alice) - before == 100_000_000


@pytest.mark.parametrize(
    ("path", "fields", "nanos"),
    [
        ("text_to_image", {"output_resolution": None}, 60_000_000),
        ("text_to_image", {"output_resolution": "4k", "aspect_ratio": "16:9"}, 160_000_000),
        ("text_to_image", {"output_count": 3}, 300_000_000),
        (
            "text_to_image",
            {
                "model": "gpt-4o-image",
                "output_resolution": None,
                "aspect_ratio": "1:1",
                "output_count": 4,
            },
            80_000_000,
        ),
        (
            "edit_image",
            {"source_image_urls": ["https://example.com/a.png"], "output_resolution": "1k"},
            60_000_000,
        ),
    ],
)
def test_what_is_held_is_the_exact_price(
    http: httpx.Client, world: World, alice: Tenant, path: str, fields: dict[str, Any], nanos: int
) -> None:
    before = held(world, alice)
    assert create(http, path, **fields).status_code == 202
    assert held(world, alice) - before == nanos


@pytest.mark.parametrize(
    ("path", "fields", "param"),
    [
        ("text_to_image", {"output_resolution": "8k"}, "output_resolution"),
        ("text_to_image", {"aspect_ratio": "7:5"}, "aspect_ratio"),
        ("text_to_image", {"prompt": None}, "prompt"),
        ("text_to_image", {"output_count": 0}, "output_count"),
        ("text_to_image", {"cost": 0}, "cost"),
        ("text_to_image", {"model": None}, "model"),
        ("text_to_image", {"model": "gpt-5.4-nano"}, "model"),
        ("text_to_image", {"callback_url": "http://example.com/"}, "callback_url"),
        ("text_to_image", {"callback_url": "https://169.254.169.254/"}, "callback_url"),
        (
            "text_to_image",
            {"model": "gpt-4o-image", "aspect_ratio": "1:1"},
            "output_resolution",
        ),
        (
            "text_to_image",
            {
                "model": "gpt-4o-image",
                "output_resolution": None,
                "aspect_ratio": "1:1",
                "output_count": 3,
            },
            "output_count",
        ),
        ("edit_image", {}, "source_image_urls"),
        ("edit_image", {"source_image_urls": ["https://127.0.0.1/a.png"]}, "source_image_urls"),
        ("edit_image", {"source_image_urls": ["file_" + "0" * 32]}, "source_image_urls"),
        ("upscale_image", {"source_image_urls": ["https://example.com/a.png"]}, "model"),
    ],
)
def test_what_is_not_offered_is_refused_with_its_name_and_costs_nothing(
    http: httpx.Client, world: World, alice: Tenant, path: str, fields: dict[str, Any], param: str
) -> None:
    before = held(world, alice)
    answer = create(http, path, **fields)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param
    assert held(world, alice) == before
    call = http.get(f"/v1/calls/{answer.headers['x-request-id']}").json()
    assert (call["source"], call["status"], call["charge"]) == ("task", "refused", "0.00")


def test_an_image_model_on_the_chat_path_is_told_where_it_is(http: httpx.Client) -> None:
    body = {"model": "gpt-image-2", "messages": [{"role": "user", "content": "Draw."}]}
    answer = http.post("/v1/chat/completions", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "model_endpoint_mismatch"
    assert "/v1/text_to_image" in answer.json()["error"]["message"]


def test_a_wallet_that_is_too_small_is_told_the_price(
    gateway: GatewayProcess, world: World
) -> None:
    poor = world.add_tenant("Dora", balance="0.09")
    with client(gateway, poor) as http:
        answer = create(http)
        assert answer.status_code == 402
        assert answer.json()["error"]["code"] == "insufficient_credits"
        assert "$0.09" in answer.json()["error"]["message"]
        assert "$0.10" in answer.json()["error"]["message"]
        assert http.get("/v1/tasks").json()["data"] == []
        assert create(http, output_resolution="1k").status_code == 202


def test_parallel_tasks_never_hold_more_than_there_is(
    gateway: GatewayProcess, world: World
) -> None:
    tenant = world.add_tenant("Erin", balance="0.55")
    with client(gateway, tenant) as http, ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: create(http).status_code, range(40)))
    assert sorted(answers) == [202] * 5 + [402] * 35
    assert held(world, tenant) == 500_000_000


def test_limits_of_the_key_hold_for_tasks(gateway: GatewayProcess, world: World) -> None:
    tenant = world.add_tenant("Fred", balance="5")
    world.database.query(
        "INSERT INTO billing_limit (api_key_id, concurrent_calls) VALUES (%s, 2)", tenant.key_id
    )
    with client(gateway, tenant) as http:
        answers = [create(http) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [202, 202, 429]
        assert answers[2].json()["error"]["code"] == "concurrency_limited"
        http.post(f"/v1/tasks/{answers[0].json()['id']}/cancel")
        assert create(http).status_code == 202


def test_the_same_key_of_idempotency_gives_the_same_task(
    http: httpx.Client, world: World, alice: Tenant
) -> None:
    before = held(world, alice)
    headers = {"Idempotency-Key": "order 17"}
    first = http.post("/v1/text_to_image", json=SEED, headers=headers).json()
    again = http.post("/v1/text_to_image", json={**SEED, "background": None}, headers=headers)
    assert again.status_code == 202
    assert (again.json()["id"], again.json()["task_replayed"]) == (first["id"], True)
    assert "task_replayed" not in first
    other = http.post(
        "/v1/text_to_image", json={**SEED, "output_resolution": "4k"}, headers=headers
    )
    assert (other.status_code, other.json()["error"]["code"]) == (409, "idempotency_conflict")
    assert held(world, alice) - before == 100_000_000


def test_parallel_requests_with_one_key_make_one_task(
    http: httpx.Client, world: World, alice: Tenant
) -> None:
    before = held(world, alice)
    start = threading.Barrier(12)

    def send(_: int) -> str:
        start.wait()
        headers = {"Idempotency-Key": "all at once"}
        return str(http.post("/v1/text_to_image", json=SEED, headers=headers).json()["id"])

    with ThreadPoolExecutor(12) as pool:
        assert len(set(pool.map(send, range(12)))) == 1
    assert held(world, alice) - before == 100_000_000


@pytest.mark.parametrize("key", ["", "x" * 513, "tab\there", "über"])
def test_a_key_of_idempotency_beyond_bounds_is_refused(http: httpx.Client, key: str) -> None:
    headers = {"Idempotency-Key": key.encode("latin-1")}
    answer = http.post("/v1/text_to_image", json=SEED, headers=headers)
    assert answer.status_code == 400


def test_a_request_is_known_again_when_its_file_has_gone(http: httpx.Client, world: World) -> None:
    file_id = upload(http)
    body = {**SEED, "output_resolution": "1k", "source_image_urls": [file_id]}
    headers = {"Idempotency-Key": "with a file"}
    first = http.post("/v1/edit_image", json=body, headers=headers).json()
    world.database.query("UPDATE gateway_upload SET expires_at = now() WHERE id = %s", file_id[5:])
    again = http.post("/v1/edit_image", json=body, headers=headers)
    assert (again.status_code, again.json()["id"]) == (202, first["id"]), again.text
    assert http.post("/v1/edit_image", json=body).status_code == 400


def test_a_link_to_a_picture_of_ours_is_a_source_until_it_expires(
    gateway: GatewayProcess, http: httpx.Client
) -> None:
    key = derive_link_key(settings.SECRET_KEY)
    for left_s, status in ((60, 202), (-60, 400)):
        path = PicturePath(uuid7(), 0, "png")
        link = sign_link(key, gateway.root, path, int(time.time()) + left_s)
        answer = create(http, "edit_image", source_image_urls=[link])
        assert answer.status_code == status, answer.text
        assert create(http, "edit_image", source_image_urls=[link + "A"]).status_code == 400


@pytest.mark.parametrize("host", ["my_app:8000", "[::1]:8000", "gate.example"])
def test_links_begin_with_the_host_that_was_asked(http: httpx.Client, host: str) -> None:
    made = create(http).json()
    answer = http.get(f"/v1/tasks/{made['id']}", headers={"host": host})
    assert answer.status_code == 200


@pytest.mark.parametrize("host", ["a b", "x/y", "user@host", "x" * 200, "h:123456"])
def test_a_host_that_is_none_is_refused(http: httpx.Client, host: str) -> None:
    assert http.get("/v1/tasks", headers={"host": host}).status_code == 400


def test_a_pending_task_can_be_cancelled_and_releases_everything(
    http: httpx.Client, world: World, alice: Tenant
) -> None:
    before = held(world, alice)
    made = create(http).json()
    cancelled = http.post(f"/v1/tasks/{made['id']}/cancel")
    assert cancelled.status_code == 200
    task = cancelled.json()
    assert (task["status"], task["error"]["code"]) == ("failed", "cancelled")
    assert task["billing"] == {
        "reserved": "0.10",
        "charged": "0.00",
        "refunded": "0.10",
        "currency": "USD",
    }
    assert held(world, alice) == before
    assert http.post(f"/v1/tasks/{made['id']}/cancel").json() == task
    call = http.get(f"/v1/calls/call_{made['id'][4:]}").json()
    assert (call["source"], call["task_id"], call["status"]) == ("task", made["id"], "client_gone")


def test_a_task_that_was_begun_cannot_be_cancelled(http: httpx.Client, world: World) -> None:
    made = create(http).json()
    world.database.query(
        "UPDATE gateway_task SET status = 'processing', attempts = 1 WHERE id = %s", made["id"][4:]
    )
    answer = http.post(f"/v1/tasks/{made['id']}/cancel")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "task_not_cancellable")


def test_tasks_belong_to_the_group_and_to_nobody_else(
    http: httpx.Client, gateway: GatewayProcess, bob: Tenant, charlie: Tenant
) -> None:
    made = create(http).json()
    for stranger in (bob, charlie):
        with client(gateway, stranger) as other:
            for answer in (
                other.get(f"/v1/tasks/{made['id']}"),
                other.get(f"/v1/text_to_image/{made['id']}"),
                other.post(f"/v1/tasks/{made['id']}/cancel"),
            ):
                assert (answer.status_code, answer.json()["error"]["code"]) == (
                    404,
                    "task_not_found",
                )
            assert made["id"] not in other.get("/v1/tasks").text
    assert http.get(f"/v1/tasks/{made['id']}").json()["status"] == "pending"


@pytest.mark.parametrize(
    "name", ["tsk_", "tsk_zz", "x", "tsk_" + "0" * 32, "%00", "tsk_" + "A" * 32]
)
def test_a_task_that_does_not_exist_is_a_404(http: httpx.Client, name: str) -> None:
    answer = http.get(f"/v1/tasks/{name}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "task_not_found")


def test_the_list_is_newest_first_and_pages_by_id(gateway: GatewayProcess, world: World) -> None:
    tenant = world.add_tenant("Gina", balance="5")
    with client(gateway, tenant) as http:
        made = [create(http).json()["id"] for _ in range(5)][::-1]
        first = http.get("/v1/tasks", params={"limit": 2}).json()
        assert [task["id"] for task in first["data"]] == made[:2]
        assert (first["has_more"], first["next"]) == (True, made[1])
        rest = http.get("/v1/tasks", params={"limit": 3, "after": first["next"]}).json()
        assert [task["id"] for task in rest["data"]] == made[2:]
        assert (rest["has_more"], rest["next"]) == (False, None)
        assert http.get("/v1/tasks", params={"status": "completed"}).json()["data"] == []
        for wrong in ({"limit": 0}, {"after": "x"}, {"status": "done"}, {"sort": "up"}):
            assert http.get("/v1/tasks", params=wrong).status_code == 400  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("endpoint", "fields", "price"),
    [
        ("/v1/text_to_image", {}, "0.10"),
        ("/v1/text_to_image", {"output_resolution": "4k", "output_count": 2}, "0.32"),
        ("/v1/images/generations", {"size": "1024x1024", "n": 2}, "0.12"),
    ],
)
def test_a_quote_is_exact_and_makes_nothing(
    http: httpx.Client, endpoint: str, fields: dict[str, Any], price: str
) -> None:
    body = {**SEED, **fields}
    if endpoint.endswith("generations"):
        body = {"model": "gpt-image-2", "prompt": "A bottle", **fields}
    before = len(http.get("/v1/tasks", params={"limit": 100}).json()["data"])
    quote = http.post("/v1/price_quotes", json={"endpoint": endpoint, "body": body}).json()
    assert (quote["exact"], quote["price"], quote["upper_bound"]) == (True, price, price)
    assert len(http.get("/v1/tasks", params={"limit": 100}).json()["data"]) == before


def test_a_revoked_key_makes_no_task(gateway: GatewayProcess, world: World) -> None:
    with httpx.Client(base_url=gateway.root) as nobody:
        assert create(nobody).status_code == 401
        assert nobody.get("/v1/tasks").status_code == 401


def test_the_ledger_is_clean_after_all_that(world: World) -> None:
    world.audit()
