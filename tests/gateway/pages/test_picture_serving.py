"""Pictures served by a real gateway process, beside the calls of its data plane."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from psycopg.types.json import Jsonb

from accounts.ids import uuid7
from gateway.images.links import PicturePath, derive_link_key, sign_link
from gateway.picture_store import delete_files, save_picture
from tests.gateway.task_pictures import encode_picture, facts_of
from tests.world import GatewayProcess, Tenant, World, client

EDGE = 4000
SLOW_READERS = 20


class Served(NamedTuple):
    """A picture that the gateway serves, where it is on the disk, and its link."""

    data: bytes
    path: Path
    link: str


def insert_task(world: World, tenant: Tenant, task_id: object) -> None:
    world.database.query(
        "INSERT INTO gateway_task (id, organization_id, group_id, api_key_id, account_id, action, endpoint,"
        " requested_model, model, request, count, price_id, hold_nanos, base_url, request_digest, status,"
        " deadline_at, ended_at) VALUES (%s, %s, %s, %s, %s, 'text_to_image', 'text_to_image', 'gpt-image-2',"
        " 'openai/gpt-image-2', %s, 1, 1, 1, '', '', 'completed', now(), now())",
        task_id,
        tenant.organization_id,
        tenant.group_id,
        tenant.key_id,
        tenant.wallet_id,
        Jsonb({}),
    )


@pytest.fixture(scope="module")
def served(world: World, gateway: GatewayProcess, alice: Tenant) -> Iterator[Served]:
    data, task_id = encode_picture(edge=EDGE, noise=90), uuid7()
    facts = facts_of(data)
    names = save_picture(task_id, 0, data, facts)
    insert_task(world, alice, task_id)
    world.database.query(
        "INSERT INTO gateway_picture (task_id, position, name, thumbnail, content_type, extension, width,"
        " height, size_bytes, expires_at) VALUES (%s, 0, %s, %s, %s, %s, %s, %s, %s, now() + interval '7 days')",
        task_id,
        *names,
        facts.content_type,
        facts.extension,
        facts.width,
        facts.height,
        len(data),
    )
    path = PicturePath(task_id, 0, facts.extension)
    key = derive_link_key(settings.SECRET_KEY)
    link = sign_link(key, gateway.root, path, int(time.time()) + 7 * 86400)
    yield Served(data, Path(settings.TOLLGATE_HOME, "pictures", names.name), link)
    delete_files(names)


def readers_of(path: Path) -> int:
    """How many open files of any process that is."""
    found = 0
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            found += descriptor.readlink() == path
        except OSError:
            continue  # closed meanwhile
    return found


def wait_for_readers(path: Path, count: int) -> None:
    deadline = time.monotonic() + 10
    while (found := readers_of(path)) != count:
        assert time.monotonic() < deadline, f"{found} instead of {count}"
        time.sleep(0.05)


def begin_to_read(link: str, made: socket.socket) -> None:
    """Ask for the picture and take next to nothing of it."""
    parts = urlsplit(link)
    made.settimeout(10)
    made.connect((parts.hostname, parts.port))
    target = f"{parts.path}?{parts.query}"
    made.sendall(f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    assert made.recv(12) == b"HTTP/1.1 200"


def test_the_whole_picture_arrives_and_with_it_no_cookie(
    gateway: GatewayProcess, served: Served
) -> None:
    with client(gateway) as browser:
        response = browser.get(served.link)
        assert response.status_code == 200
        assert response.content == served.data
        assert response.headers["content-length"] == str(len(served.data))
        assert "set-cookie" not in response.headers
        assert "cookie" not in response.headers.get("vary", "").lower()
        asked = browser.head(served.link)
        assert (asked.content, asked.headers["etag"]) == (b"", response.headers["etag"])
        assert asked.headers["content-length"] == str(len(served.data))
        known = browser.get(served.link, headers={"if-none-match": response.headers["etag"]})
        assert (known.status_code, known.content) == (304, b"")
    wait_for_readers(served.path, 0)
    assert "StreamingHttpResponse must consume" not in gateway.log


def test_clients_that_take_their_time_hold_up_nobody_and_leave_no_file_open(
    gateway: GatewayProcess, served: Served, alice: Tenant
) -> None:
    with ExitStack() as slow:
        for _ in range(SLOW_READERS):
            begin_to_read(served.link, slow.enter_context(socket.socket()))
        wait_for_readers(served.path, SLOW_READERS)
        with client(gateway, alice) as caller:
            for _ in range(5):
                started = time.monotonic()
                assert caller.get("/v1/balance").status_code == 200
                assert time.monotonic() - started < 1
            assert caller.get(served.link).content == served.data
    wait_for_readers(served.path, 0)
