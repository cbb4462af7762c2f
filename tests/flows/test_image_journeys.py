"""Image tasks from the first command to the picture, with real workers, as clients live through them."""

import base64
import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
import openai
import pytest
from django.conf import settings

from gateway.credentials import unseal
from gateway.webhooks.models import CALLBACK_OWNER
from simulator.pictures import Size, draw
from tests.flows.billing_checks import Books, open_books
from tests.flows.page_visits import visit_pages
from tests.flows.picture_works import Works, look_at, open_works, wait_until_ended
from tests.gateway.receivers import Receiver, receiver, verify
from tests.world import GatewayProcess, Tenant, World, client

BALANCE = "20"
CANARY = "a heron named Quillfeather"
SQUARE = draw("what is sent", Size(256, 256), transparent=False)

# The example of the guide to which clients are pointed, with its host and its key as variables.
CREATE = """
curl -sS -X POST $HOST/v1/text_to_image \\
  -H "Authorization: Bearer $KEY" \\
  -H "Content-Type: application/json" \\
  -d '{
    "model": "gpt-image-2-text-to-image",
    "prompt": "A product photo of a glass perfume bottle on a marble surface, transparent background, studio \
lighting, the label reads AURORA in gold serif font",
    "output_resolution": "RESOLUTION",
    "aspect_ratio": "3:4"
  }'
"""
POLL = 'curl -sS $HOST/v1/text_to_image/$TASK -H "Authorization: Bearer $KEY"'
BALANCE_LEFT = 'curl -sS $HOST/v1/balance -H "Authorization: Bearer $KEY"'


class Shell:
    """A terminal with the variables of the guide."""

    def __init__(self, root: str, key: str) -> None:
        self._variables = {"HOST": root, "KEY": key, "PATH": "/usr/bin:/bin", "NO_PROXY": "*"}

    def run(self, script: str, **variables: str) -> bytes:
        """What the command printed."""
        done = subprocess.run(
            ["/bin/bash", "-c", script],
            env={**self._variables, **variables},
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    def ask(self, script: str, **variables: str) -> dict[str, Any]:
        """The JSON that it printed."""
        answer: dict[str, Any] = json.loads(self.run(script, **variables))
        return answer


class Troubled(NamedTuple):
    """Tasks that take long to fail: begun with the first test, looked at in the last ones."""

    failing: str
    expiring: str
    waiting: "Future[Any]"


@pytest.fixture(scope="module")
def works(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Works]:
    home = tmp_path_factory.mktemp("home")
    with open_works(world, home, TOLLGATE_ALLOW_LOOPBACK_URLS="1") as made:
        yield made


@pytest.fixture(scope="module")
def gateway(works: Works) -> GatewayProcess:
    return works.gateway


@pytest.fixture(scope="module")
def alice(world: World) -> Tenant:
    """Rich enough for everything that fails."""
    return world.add_tenant("Alice", balance=BALANCE)


@pytest.fixture(scope="module")
def http(gateway: GatewayProcess, alice: Tenant) -> Iterator[httpx.Client]:
    with client(gateway, alice) as opened:
        yield opened


@pytest.fixture(scope="module")
def shell(gateway: GatewayProcess, alice: Tenant) -> Shell:
    return Shell(gateway.root, alice.key)


@pytest.fixture(scope="module")
def books(world: World) -> Iterator[Books]:
    with open_books(world) as made:
        yield made


@pytest.fixture(scope="module", autouse=True)
def troubled(works: Works, world: World, alice: Tenant, http: httpx.Client) -> Iterator[Troubled]:
    hasty = world.start_gateway(TOLLGATE_TASK_TIMEOUT_S="6")
    speaker = openai.OpenAI(base_url=works.gateway.base_url, api_key=alice.key, max_retries=0)
    prompt = scripted(status=500)
    with ThreadPoolExecutor(1) as pool, speaker, client(hasty, alice) as hurried:
        hanging = {"model": "flux-kontext-pro", "prompt": scripted(job_hangs=True)}
        yield Troubled(
            order(http, prompt=prompt),
            order(hurried, **hanging),
            pool.submit(speaker.images.generate, model="gpt-image-2", prompt=prompt),
        )


def scripted(prompt: str = "A bottle", **script: Any) -> str:
    """The prompt with a script for the vendor."""
    return f"{prompt} [[simulate {json.dumps(script)}]]"


def order(http: httpx.Client, path: str = "text_to_image", **fields: Any) -> str:
    """A new task's id."""
    body = {"model": "gpt-image-2", "prompt": "A bottle", **fields}
    if path == "upscale_image":
        del body["prompt"]
    answer = http.post(f"/v1/{path}", json=body)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["task_id"])


def make(works: Works, http: httpx.Client, path: str = "text_to_image", **fields: Any) -> Any:
    """The task once it is completed."""
    task = wait_until_ended(http, order(http, path, **fields), works.crew)
    assert task["status"] == "completed", task
    return task


def send_file(http: httpx.Client, data: bytes) -> str:
    answer = http.post("/v1/files", files={"file": ("a.png", data)}, data={"purpose": "vision"})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def fetch(url: str) -> bytes:
    answer = httpx.get(url, trust_env=False)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    return answer.content


def elsewhere(link: str) -> str:
    """The link at a host that nobody can reach: it is known by its signature, and read from storage."""
    parts = urlsplit(link)
    return parts._replace(scheme="https", netloc="gate.invalid").geturl()


def assert_released(world: World, task: dict[str, Any], code: str, status: str) -> None:
    """Whatever was held for the failed task is free, and its call says how it ended."""
    assert (task["status"], task["error"]["code"]) == ("failed", code)
    assert task["error"]["message"]
    assert (task["billing"]["charged"], "images" in task) == ("0.00", False)
    assert task["billing"]["refunded"] == task["billing"]["reserved"] != "0.00"
    task_id = task["id"].removeprefix("tsk_")
    (row,) = world.database.query(
        "SELECT h.state, r.status, r.amount_nanos FROM billing_hold h, gateway_callrecord r"
        " WHERE h.id = %s AND r.id = h.id",
        task_id,
    )
    assert (row["state"], row["status"], row["amount_nanos"]) == ("released", status, 0)


@pytest.mark.parametrize(
    ("resolution", "size", "price"),
    [("2k", (1728, 2304), "0.10"), ("4k", (2448, 3264), "0.16")],
)
def test_the_guides_commands_make_a_picture_and_cost_what_is_listed(
    shell: Shell, resolution: str, size: tuple[int, int], price: str
) -> None:
    before = Decimal(shell.ask(BALANCE_LEFT)["balance"])
    made = shell.ask(CREATE.replace("RESOLUTION", resolution))
    assert made["task_id"].startswith("tsk_")
    assert (made["status"], made["model"]) == ("pending", "gpt-image-2-text-to-image")
    task = poll(shell, made["task_id"])
    assert task["status"] == "completed", task
    (picture,) = task["images"]
    data = shell.run('curl -sSf "$URL"', URL=picture["url"])
    seen = look_at(data)
    assert (seen.format, seen.size) == ("PNG", (picture["width"], picture["height"]))
    assert seen.size == size
    assert size[0] * 4 == size[1] * 3
    assert task["billing"] == {
        "reserved": price,
        "charged": price,
        "refunded": "0.00",
        "currency": "USD",
    }
    assert before - Decimal(shell.ask(BALANCE_LEFT)["balance"]) == Decimal(price)


def poll(shell: Shell, task_id: str) -> dict[str, Any]:
    for _ in range(300):
        task = shell.ask(POLL, TASK=task_id)
        if task["status"] in ("completed", "failed"):
            return task
        assert task["status"] in ("pending", "processing")
        shell.run("sleep 0.2")
    raise AssertionError(task)


def test_a_picture_is_shown_for_a_week_to_whoever_has_its_link(
    works: Works, http: httpx.Client
) -> None:
    task = make(works, http)
    (picture,) = task["images"]
    lasts = datetime.fromisoformat(picture["expires_at"]) - datetime.fromisoformat(
        task["updated_at"]
    )
    assert abs(lasts - timedelta(days=7)) < timedelta(seconds=5)
    assert look_at(fetch(picture["url"])).size == (1024, 1024)
    parts = urlsplit(picture["url"])
    unsigned = parts._replace(query="").geturl()
    longer = picture["url"].replace("expires=1", "expires=2")
    assert longer != picture["url"]
    other = picture["url"].replace("/0.png", "/1.png")
    for url in (unsigned, longer, other, picture["url"][:-1]):
        assert httpx.get(url, trust_env=False).status_code == 404
        assert httpx.get(url, headers=http.headers, trust_env=False).status_code == 404


@pytest.mark.parametrize(
    ("path", "fields", "sizes", "price"),
    [
        (
            "text_to_image",
            {"model": "gpt-4o-image", "output_count": 4, "aspect_ratio": "2:3"},
            [(1024, 1536)] * 4,
            "0.08",
        ),
        ("text_to_image", {"model": "gpt-4o-image", "output_count": 2}, [(1024, 1024)] * 2, "0.07"),
        ("text_to_image", {"output_count": 3}, [(1024, 1024)] * 3, "0.18"),
        ("text_to_image", {"aspect_ratio": "3:1"}, [(1776, 592)], "0.06"),
        (
            "text_to_image",
            {"model": "flux-kontext-pro", "aspect_ratio": "16:9"},
            [(1360, 768)],
            "0.02",
        ),
        ("text_to_image", {"model": "flux-kontext-max"}, [(1024, 1024)], "0.04"),
        ("edit_image", {"model": "gpt-image-2-image-to-image"}, [(1024, 1024)], "0.06"),
        (
            "edit_image",
            {"output_resolution": "2k", "aspect_ratio": "1:1"},
            [(2048, 2048)],
            "0.10",
        ),
        ("edit_image", {"model": "flux-kontext-max"}, [(1024, 1024)], "0.04"),
        ("upscale_image", {"model": "topaz-upscale-image"}, [(512, 512)], "0.10"),
        (
            "upscale_image",
            {"model": "topaz-upscale-image", "upscale_factor": 4},
            [(1024, 1024)],
            "0.20",
        ),
        (
            "upscale_image",
            {"model": "topaz-upscale-image", "upscale_factor": 8},
            [(2048, 2048)],
            "0.40",
        ),
    ],
)
def test_each_model_makes_its_pictures_at_its_price(
    works: Works,
    http: httpx.Client,
    path: str,
    fields: dict[str, Any],
    sizes: list[tuple[int, int]],
    price: str,
) -> None:
    if path != "text_to_image":
        fields = {**fields, "source_image_urls": [send_file(http, SQUARE)]}
    task = make(works, http, path, **fields)
    pictures = [fetch(picture["url"]) for picture in task["images"]]
    assert [look_at(data)[:2] for data in pictures] == [("PNG", size) for size in sizes]
    assert [(one["width"], one["height"]) for one in task["images"]] == sizes
    assert task["billing"]["charged"] == task["billing"]["reserved"] == price
    call = http.get(f"/v1/calls/call_{task['id'][4:]}").json()
    assert (call["source"], call["task_id"], call["charge"]) == ("task", task["id"], price)
    assert call["usage"]["images"] == len(sizes)


def test_a_transparent_background_is_transparent(works: Works, http: httpx.Client) -> None:
    (picture,) = make(works, http, background="transparent")["images"]
    assert look_at(fetch(picture["url"])).least_alpha == 0


def test_a_picture_goes_from_model_to_model(works: Works, http: httpx.Client) -> None:
    (drawn,) = make(works, http, output_resolution="2k", aspect_ratio="3:4")["images"]
    sources = [send_file(http, fetch(drawn["url"])), elsewhere(drawn["url"])]
    (edited,) = make(works, http, "edit_image", source_image_urls=sources)["images"]
    data = fetch(edited["url"])
    model = "topaz-upscale-image"
    link = [elsewhere(edited["url"])]
    (large,) = make(works, http, "upscale_image", model=model, source_image_urls=link)["images"]
    width, height = look_at(data).size
    assert look_at(fetch(large["url"])).size == (2 * width, 2 * height)


@pytest.mark.parametrize("model", ["gpt-image-2", "gpt-4o-image", "flux-kontext-max"])
@pytest.mark.parametrize("reason", ["content", "request"])
def test_refused_content_says_why_and_is_free(
    works: Works, http: httpx.Client, world: World, model: str, reason: str
) -> None:
    task_id = order(http, model=model, prompt=scripted(job_refused=reason))
    task = wait_until_ended(http, task_id, works.crew)
    assert_released(world, task, "content_refused", "refused")
    assert "safety system" in task["error"]["message"]


def test_what_the_vendor_calls_wrong_keeps_its_words(
    works: Works, http: httpx.Client, world: World
) -> None:
    prompt = scripted(status=400, error={"message": "Draw something else."})
    task = wait_until_ended(http, order(http, prompt=prompt), works.crew)
    assert_released(world, task, "invalid_request", "refused")
    assert "Draw something else." in task["error"]["message"]


def test_a_source_that_is_no_picture_or_not_there_is_free(
    works: Works, http: httpx.Client, world: World
) -> None:
    for path, code in (("/healthz", "source_not_an_image"), ("/nowhere", "source_unreachable")):
        url = f"{works.gateway.root}{path}"
        task_id = order(http, "edit_image", source_image_urls=[url])
        task = wait_until_ended(http, task_id, works.crew)
        assert_released(world, task, code, "refused")


@pytest.fixture
def listener() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


@pytest.mark.parametrize("script", [{}, {"job_refused": True}])
def test_the_end_is_told_to_the_callback_signed(
    works: Works,
    http: httpx.Client,
    world: World,
    alice: Tenant,
    listener: Receiver,
    script: dict[str, Any],
) -> None:
    prompt = scripted(**script) if script else "A bottle"
    task_id = order(http, prompt=prompt, callback_url=listener.url)
    task = wait_until_ended(http, task_id, works.crew)
    assert listener.arrived.acquire(timeout=20), works.crew.log[-4000:]
    (seen,) = listener.received
    sealed = world.database.one(
        "SELECT sealed FROM gateway_callbacksecret WHERE api_key_id = %s", alice.key_id
    )
    secret = unseal(bytes(sealed), settings.CREDENTIAL_KEYS, f"{CALLBACK_OWNER}{alice.key_id}")
    assert verify(secret, seen) == task
    assert seen.headers["webhook-id"].startswith("msg_")


def test_what_alice_draws_never_shows_to_bob_or_charlie(
    works: Works, http: httpx.Client, world: World, alice: Tenant, bob: Tenant, charlie: Tenant
) -> None:
    source = draw(CANARY, Size(64, 64), transparent=False)
    file_id = send_file(http, source)
    task = make(works, http, "edit_image", prompt=CANARY, source_image_urls=[file_id])
    refused_id = order(http, prompt=scripted(CANARY, job_refused=True))
    wait_until_ended(http, refused_id, works.crew)
    picture = fetch(task["images"][0]["url"])
    secrets = [CANARY.encode(), task["id"][4:].encode(), refused_id[4:].encode(), file_id.encode()]
    secrets += [one for data in (source, picture) for one in (data, base64.b64encode(data))]
    own = visit(works.gateway, world, alice, task["id"], file_id).values()
    assert all(any(one in answer for answer in own) for one in secrets[:4])
    for stranger in (bob, charlie):
        with client(works.gateway, stranger) as other:
            make(works, other, model="flux-kontext-pro")
        for path, answer in visit(works.gateway, world, stranger, task["id"], file_id).items():
            # What he asked for by its name stands in the refusal.
            assert not [
                one for one in secrets if one in answer and one.decode("latin-1") not in path
            ]


def visit(
    gateway: GatewayProcess, world: World, tenant: Tenant, task_id: str, file_id: str
) -> dict[str, bytes]:
    """Every answer that could tell of the task, by its path: to the tenant's key, and to the tenant in a browser."""
    named = [f"/v1/{path}/{task_id}" for path in ("tasks", "text_to_image", "edit_image")]
    named += [f"/v1/calls/call_{task_id[4:]}", f"/v1/files/{file_id}"]
    lists = ["/v1/tasks?limit=100", "/v1/tasks?status=completed", "/v1/calls?limit=100"]
    lists += ["/v1/calls?source=task", "/v1/me", "/v1/balance"]
    with client(gateway, tenant) as http:
        answers = {path: http.get(path) for path in (*named, *lists)}
    assert {answers[path].status_code for path in lists} == {200}
    shown = {path: answer.content for path, answer in answers.items()}
    return shown | visit_pages(gateway, world, tenant, task_id)


def test_pictures_that_cannot_be_read_are_not_paid_for_twice(
    works: Works, http: httpx.Client, world: World, tmp_path: Path
) -> None:
    # It looks for pictures where the workers do not put them. The client tries again wherever it may.
    misled = world.start_gateway(TOLLGATE_HOME=str(tmp_path), CELERY_BROKER_URL="filesystem://")
    tenant = world.add_tenant("Dora", balance="1")
    with (
        openai.OpenAI(base_url=misled.base_url, api_key=tenant.key) as speaker,
        pytest.raises(openai.InternalServerError) as failed,
    ):
        speaker.images.generate(model="gpt-image-2", prompt="A bottle")
    assert (failed.value.status_code, failed.value.code) == (503, "temporarily_unavailable")
    (record,) = world.records(tenant)
    assert f"/v1/tasks/tsk_{record['id'].hex}" in failed.value.message
    with client(works.gateway, tenant) as own:
        (picture,) = own.get(f"/v1/tasks/tsk_{record['id'].hex}").json()["images"]
    assert look_at(fetch(picture["url"])).size == (1024, 1024)


def test_a_vendor_that_fails_is_tried_again_and_then_given_up(
    works: Works, http: httpx.Client, world: World, troubled: Troubled
) -> None:
    task = wait_until_ended(http, troubled.failing, works.crew)
    assert_released(world, task, "upstream_error", "upstream_failed")
    sent = [f"{troubled.failing}-{number}" for number in range(1, 7)]
    tried = [len(world.simulator.requests(call_id=trial)) for trial in sent]
    assert tried == [1, 1, 1, 1, 1, 0]
    with pytest.raises(openai.InternalServerError) as failed:
        troubled.waiting.result(60)
    assert (failed.value.status_code, failed.value.code) == (502, "upstream_error")


def test_a_task_past_its_deadline_is_expired(
    works: Works, http: httpx.Client, world: World, troubled: Troubled
) -> None:
    task = wait_until_ended(http, troubled.expiring, works.crew)
    assert_released(world, task, "expired", "timed_out")


def test_all_that_was_charged_is_what_the_vendor_served(
    world: World, alice: Tenant, books: Books
) -> None:
    charged = sum(books.check_task(record) for record in world.records(alice))
    wallet = world.wallet(alice)
    assert (wallet["held_nanos"], wallet["balance_nanos"]) == (0, int(BALANCE) * 10**9 - charged)
    assert charged > 2 * 10**9
