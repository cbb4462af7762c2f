"""Pictures that callers send as files: what is taken, what is not, whose they are, and for how long."""

import shutil
import struct
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import openai
import psycopg
import pytest

from accounts.ids import uuid7
from tests.gateway.task_pictures import encode_picture
from tests.image_tasks import put_image_channels
from tests.world import GatewayProcess, Tenant, World, client

PICTURE = encode_picture()
PICTURE_BYTES_MAX = 200_000
BODY_BYTES_MAX = 400_000
GROUP_BYTES_MAX = 512 * 1024 * 1024


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where this module's gateway keeps its files."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def gateway(world: World, home: Path) -> GatewayProcess:
    put_image_channels(world)
    return world.start_gateway(
        TOLLGATE_HOME=str(home),
        TOLLGATE_PICTURE_BYTES_MAX=str(PICTURE_BYTES_MAX),
        TOLLGATE_SOURCE_PIXELS_MAX=str(1_000_000),
        TOLLGATE_BODY_BYTES_MAX=str(BODY_BYTES_MAX),
    )


@pytest.fixture
def http(gateway: GatewayProcess, alice: Tenant) -> Iterator[httpx.Client]:
    with client(gateway, alice) as opened:
        yield opened


def send(
    http: httpx.Client, data: bytes = PICTURE, purpose: str | None = "vision", name: str = "a.png"
) -> httpx.Response:
    fields = {} if purpose is None else {"purpose": purpose}
    return http.post("/v1/files", data=fields, files={"file": (name, data, "image/png")})


def stored(home: Path) -> set[Path]:
    return {path for path in home.rglob("uploads/**/*") if path.is_file()}


def rows(world: World, tenant: Tenant) -> int:
    return int(
        world.database.one(
            "SELECT count(*) FROM gateway_upload WHERE group_id = %s", tenant.group_id
        )
    )


ADD_ROW = (
    "INSERT INTO gateway_upload (id, group_id, api_key_id, name, filename, purpose, content_type, width, height,"
    " size_bytes, expires_at) VALUES (%s, %s, %s, '', 'a.png', 'vision', 'image/png', 1, 1, %s, now())"
)


def add_row(world: World, tenant: Tenant, size_bytes: int) -> None:
    """An upload of that size, as far as the database knows."""
    world.database.query(ADD_ROW, uuid7(), tenant.group_id, tenant.key_id, size_bytes)


def make_bomb(edge: int) -> bytes:
    """A PNG of some hundred bytes that says it has that many pixels squared."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", edge, edge, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(100_000)))
        + chunk(b"IEND", b"")
    )


def test_a_picture_is_stored_and_found_for_an_hour(http: httpx.Client, home: Path) -> None:
    before = stored(home)
    answer = send(http, name="Bild ü.png")
    assert answer.status_code == 200, answer.text
    file = answer.json()
    assert (file["object"], file["bytes"], file["filename"], file["purpose"]) == (
        "file",
        len(PICTURE),
        "Bild ü.png",
        "vision",
    )
    assert (file["content_type"], file["expires_at"] - file["created_at"]) == ("image/png", 3600)
    (new,) = stored(home) - before
    assert new.read_bytes() == PICTURE
    assert http.get(f"/v1/files/{file['id']}").json() == file


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_what_a_file_is_shows_in_its_bytes_alone(http: httpx.Client, kind: str) -> None:
    file = send(http, encode_picture(kind=kind), name="holiday.txt").json()
    assert file["content_type"] == f"image/{kind.lower()}"


@pytest.mark.parametrize("purpose", ["vision", "user_data", "assistants"])
def test_openais_client_sends_reads_and_deletes_files(
    gateway: GatewayProcess, alice: Tenant, purpose: Any
) -> None:
    with openai.OpenAI(base_url=gateway.base_url, api_key=alice.key, max_retries=0) as client_:
        file = client_.files.create(file=("a.png", PICTURE), purpose=purpose)
        assert (file.bytes, file.purpose, file.status) == (len(PICTURE), purpose, "processed")
        assert client_.files.retrieve(file.id) == file
        assert client_.files.delete(file.id).deleted
        with pytest.raises(openai.NotFoundError) as gone:
            client_.files.retrieve(file.id)
        assert gone.value.code == "file_not_found"
        with pytest.raises(openai.NotFoundError):
            client_.files.delete(file.id)


@pytest.mark.parametrize(
    ("form", "param"),
    [
        ({"data": {"purpose": "fine-tune"}, "files": {"file": PICTURE}}, "purpose"),
        ({"data": {"purpose": ""}, "files": {"file": PICTURE}}, "purpose"),
        ({"data": {"expires_after": "1"}, "files": {"file": PICTURE}}, "expires_after"),
        ({"files": {"picture": PICTURE}}, "file"),
        ({"files": {"purpose": (None, "vision")}}, "file"),
        ({"files": {"file": (None, "not a file but a text")}}, "file"),
        ({"files": [("file", PICTURE), ("file", PICTURE)]}, "file"),
        ({"files": [("file", PICTURE), ("mask", PICTURE)]}, "file"),
        ({"files": {"file": b""}}, "file"),
        ({"files": {"file": b"<html>"}}, "file"),
        ({"files": {"file": b"GIF89a" + bytes(100)}}, "file"),
        ({"files": {"file": PICTURE[:-40]}}, "file"),
        ({"files": {"file": encode_picture(edge=1001)}}, "file"),
        ({"files": {"file": make_bomb(30_000)}}, "file"),
        ({"files": {"file": make_bomb(999)}}, "file"),
    ],
)
def test_what_is_no_picture_of_bounds_is_refused_and_not_stored(
    http: httpx.Client, world: World, alice: Tenant, home: Path, form: dict[str, Any], param: str
) -> None:
    before = stored(home), rows(world, alice)
    answer = http.post("/v1/files", **form)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param
    assert (stored(home), rows(world, alice)) == before


@pytest.mark.parametrize(
    ("headers", "content"),
    [
        ({"content-type": "application/json"}, b'{"file": "a.png"}'),
        ({}, b""),
        ({"content-type": "multipart/form-data; boundary=x"}, b"--x\r\nnothing"),
        ({"content-type": "multipart/form-data"}, PICTURE),
    ],
)
def test_what_is_no_form_is_refused(
    http: httpx.Client, headers: dict[str, str], content: bytes
) -> None:
    answer = http.post("/v1/files", headers=headers, content=content)
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")


@pytest.mark.parametrize("size_bytes", [PICTURE_BYTES_MAX + 1, BODY_BYTES_MAX + 1])
def test_a_file_that_is_too_large_is_a_413_and_not_stored(
    http: httpx.Client, world: World, alice: Tenant, home: Path, size_bytes: int
) -> None:
    before = stored(home), rows(world, alice)
    answer = send(http, PICTURE + bytes(size_bytes - len(PICTURE)))
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large")
    assert (stored(home), rows(world, alice)) == before


def test_a_group_that_has_stored_enough_is_told_to_wait(
    gateway: GatewayProcess, world: World, home: Path
) -> None:
    tenant = world.add_tenant("Hugo")
    add_row(world, tenant, GROUP_BYTES_MAX - 2 * len(PICTURE))
    with client(gateway, tenant) as http:
        before = stored(home)
        assert [send(http).status_code for _ in range(2)] == [200, 200]
        refused = send(http)
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limited")
        assert int(refused.headers["retry-after"]) > 0
        assert len(stored(home) - before) == 2
        world.database.query(
            "UPDATE gateway_upload SET deleted_at = now() WHERE group_id = %s AND name = ''",
            tenant.group_id,
        )
        assert send(http).status_code == 200


def test_parallel_files_store_no_more_than_a_group_may(
    gateway: GatewayProcess, world: World, home: Path
) -> None:
    tenant = world.add_tenant("Ida")
    add_row(world, tenant, GROUP_BYTES_MAX - 3 * len(PICTURE))
    before = stored(home)
    with client(gateway, tenant) as http, ThreadPoolExecutor(12) as pool:
        answers = sorted(pool.map(lambda _: send(http).status_code, range(24)))
    assert answers == [200] * 3 + [429] * 21
    assert len(stored(home) - before) == 3


def test_a_file_is_counted_before_the_next_one_is_stored(
    gateway: GatewayProcess, world: World, home: Path
) -> None:
    tenant = world.add_tenant("Jonas")
    add_row(world, tenant, GROUP_BYTES_MAX - len(PICTURE))
    before = stored(home)
    with (
        psycopg.connect(world.database.url) as other,
        client(gateway, tenant) as http,
        ThreadPoolExecutor(1) as pool,
    ):
        other.execute(
            "SELECT 1 FROM accounts_group WHERE id = %s FOR NO KEY UPDATE", (tenant.group_id,)
        )
        second = pool.submit(send, http)
        time.sleep(0.5)
        other.execute(ADD_ROW, (uuid7(), tenant.group_id, tenant.key_id, len(PICTURE)))
        assert not second.done()
        other.commit()
        assert second.result().status_code == 429
    assert stored(home) == before


def test_files_belong_to_the_group_and_to_nobody_else(
    http: httpx.Client, gateway: GatewayProcess, bob: Tenant, charlie: Tenant
) -> None:
    file_id = send(http).json()["id"]
    for stranger in (bob, charlie):
        with client(gateway, stranger) as other:
            for answer in (
                other.get(f"/v1/files/{file_id}"),
                other.delete(f"/v1/files/{file_id}"),
            ):
                assert (answer.status_code, answer.json()["error"]["code"]) == (
                    404,
                    "file_not_found",
                )
            used = edit(other, file_id)
            assert (used.status_code, used.json()["error"]["param"]) == (400, "source_image_urls")
            assert "does not exist or has expired" in used.json()["error"]["message"]
    assert http.get(f"/v1/files/{file_id}").status_code == 200


def test_another_key_of_the_group_may_use_its_files(
    http: httpx.Client, gateway: GatewayProcess, world: World, alice: Tenant
) -> None:
    file_id = send(http).json()["id"]
    other = world.add_tenant("Alice again", organization_id=alice.organization_id)
    world.database.query(
        "UPDATE accounts_apikey SET group_id = %s WHERE id = %s", alice.group_id, other.key_id
    )
    with client(gateway, other) as second:
        assert second.get(f"/v1/files/{file_id}").status_code == 200
        assert edit(second, file_id).status_code == 202


def test_a_file_ends_with_its_hour(http: httpx.Client, world: World) -> None:
    file_id = send(http).json()["id"]
    world.database.query(
        "UPDATE gateway_upload SET expires_at = now() WHERE id = %s", file_id.removeprefix("file_")
    )
    for answer in (http.get(f"/v1/files/{file_id}"), http.delete(f"/v1/files/{file_id}")):
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "file_not_found")
    assert edit(http, file_id).status_code == 400


@pytest.mark.parametrize(
    "name", ["x", "file_", "file_" + "0" * 32, "file_" + "A" * 32, "%00", "file_1/content"]
)
def test_a_file_that_does_not_exist_is_a_404(http: httpx.Client, name: str) -> None:
    answer = http.get(f"/v1/files/{name}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "file_not_found")


def test_a_file_is_a_source_of_tasks_and_costs_nothing_itself(
    http: httpx.Client, world: World, alice: Tenant
) -> None:
    before = world.wallet(alice)
    file_id = send(http).json()["id"]
    assert world.wallet(alice) == before
    made = edit(http, file_id)
    assert made.status_code == 202, made.text
    assert world.wallet(alice)["held_nanos"] - before["held_nanos"] == 60_000_000


def test_nobody_sends_files_without_a_key(gateway: GatewayProcess, home: Path) -> None:
    before = stored(home)
    with client(gateway) as nobody:
        assert send(nobody).status_code == 401
        assert nobody.get("/v1/files/file_" + "0" * 32).status_code == 401
        assert nobody.delete("/v1/files/file_" + "0" * 32).status_code == 401
    assert stored(home) == before


def test_a_storage_that_is_away_is_a_503_and_nothing_is_left(
    http: httpx.Client, world: World, alice: Tenant, home: Path
) -> None:
    pictures, aside = home / "pictures", home / "aside"
    before = rows(world, alice)
    pictures.rename(aside)
    pictures.write_bytes(b"a file where the folder was")
    try:
        answer = send(http)
        edited = http.post(
            "/v1/images/edits",
            data={"model": "gpt-image-2", "prompt": "A hat"},
            files={"image": PICTURE},
        )
    finally:
        pictures.unlink()
        aside.rename(pictures)
    for refused in (answer, edited):
        assert (refused.status_code, refused.json()["error"]["code"]) == (
            503,
            "temporarily_unavailable",
        )
        assert "retry-after" in refused.headers
    assert rows(world, alice) == before
    assert send(http).status_code == 200


def test_a_storage_that_was_emptied_is_filled_again(http: httpx.Client, home: Path) -> None:
    shutil.rmtree(home / "pictures")
    assert send(http).status_code == 200


def test_the_ledger_is_clean_after_all_that(world: World) -> None:
    world.audit()


def edit(http: httpx.Client, file_id: str) -> httpx.Response:
    fields = {"model": "gpt-image-2", "prompt": "A hat", "source_image_urls": [file_id]}
    return http.post("/v1/edit_image", json=fields)
