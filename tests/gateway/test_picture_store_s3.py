"""The same on S3: a server that speaks its protocol, reached by TOLLGATE_PICTURES_URL."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import boto3  # type: ignore[import-untyped]
import httpx
import pytest
from django.core.files.storage import storages
from django.test import Client
from django.utils import timezone
from moto.server import ThreadedMotoServer

from accounts.ids import uuid7
from accounts.key_services import issue_key
from accounts.models import APIKey
from config.pictures import MEMORY_BYTES_MAX, pictures_storage
from gateway.models import Picture
from gateway.picture_store import (
    PicturePort,
    delete_files,
    delete_overdue,
    open_file,
    read_file,
    save_picture,
    save_upload,
)
from tests.gateway.task_pictures import (
    encode_picture,
    facts_of,
    link_to,
    make_task,
    store_picture,
    store_upload,
)
from tests.people import make_people

BUCKET, PREFIX = "pictures-of-tests", "tollgate/live"
RED = encode_picture("red")


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[Any]:
    """An empty bucket that is now the storage of pictures."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "tests")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "tests-only")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    url = f"s3://{BUCKET}/{PREFIX}?endpoint={endpoint}&region=us-east-1"
    settings.STORAGES = settings.STORAGES | {"pictures": pictures_storage(url, None)}  # type: ignore[arg-type]
    settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)
    made = boto3.resource("s3", endpoint_url=endpoint, region_name="us-east-1").Bucket(BUCKET)
    made.create()
    yield made
    made.objects.all().delete()
    made.delete()


@pytest.fixture
def key(db: None) -> APIKey:
    people = make_people()
    return issue_key(people.group, people.alice, "ci")[0]


def objects_in(bucket: Any) -> list[str]:
    return sorted(each.key for each in bucket.objects.all())


def body_of(response: Any) -> bytes:
    async def collect() -> bytes:
        return b"".join([piece async for piece in response])

    return asyncio.run(collect())


def test_pictures_are_objects_below_the_prefix(bucket: Any) -> None:
    stored = save_picture(uuid7(), 0, RED, facts_of(RED))
    assert objects_in(bucket) == sorted(f"{PREFIX}/{name}" for name in stored)
    assert read_file(stored.name) == RED
    assert bucket.Object(f"{PREFIX}/{stored.name}").content_type == "image/png"


def test_an_object_can_be_read_by_nobody_without_our_link(bucket: Any, endpoint: str) -> None:
    name = save_picture(uuid7(), 0, RED, facts_of(RED)).name
    grants = bucket.Object(f"{PREFIX}/{name}").Acl().grants
    assert [grant["Grantee"]["Type"] for grant in grants] == ["CanonicalUser"]
    anonymous = httpx.get(f"{endpoint}/{BUCKET}/{PREFIX}/{name}", trust_env=False)
    assert anonymous.status_code == 403


def test_the_data_plane_stores_reads_and_deletes_in_the_bucket(bucket: Any) -> None:
    port = PicturePort()
    name = port.save_upload(uuid7(), RED, facts_of(RED))
    assert objects_in(bucket) == [f"{PREFIX}/{name}"]
    assert port.read(name) == RED
    port.delete([name, "uploads/2026-01-01/none.png", ""])
    assert objects_in(bucket) == []
    with pytest.raises(FileNotFoundError):
        port.read(name)


def test_a_link_serves_the_object(client: Client, bucket: Any, key: APIKey) -> None:
    large = encode_picture(edge=2400, noise=90)
    assert len(large) > MEMORY_BYTES_MAX
    picture = store_picture(make_task(key), large)
    response = client.get(link_to(picture))
    assert (response.status_code, response["Content-Type"]) == (200, "image/png")
    assert int(response["Content-Length"]) == len(large)
    assert body_of(response) == large
    asked = client.head(link_to(picture, "thumbnail"))
    assert int(asked["Content-Length"]) == len(read_file(picture.thumbnail))


def test_a_large_object_is_not_kept_in_memory(bucket: Any) -> None:
    large = encode_picture(edge=2400, noise=90)
    with open_file(save_upload(uuid7(), large, facts_of(large))) as file:
        file.read(1)
        assert file.file._rolled  # type: ignore[union-attr]


def test_a_link_whose_object_is_missing_says_gone(client: Client, bucket: Any, key: APIKey) -> None:
    picture = store_picture(make_task(key), RED)
    delete_files([picture.name])
    assert client.get(link_to(picture)).status_code == 410


def test_what_is_overdue_or_was_never_recorded_is_deleted(bucket: Any, key: APIKey) -> None:
    now, task = timezone.now(), make_task(key)
    kept = store_picture(task, RED, 0)
    overdue = store_picture(task, RED, 1, expires_at=now - timedelta(seconds=1))
    store_upload(key, RED, expires_at=now - timedelta(hours=3))
    old = (now - timedelta(days=30)).date()
    for name in (f"pictures/{old}/{uuid7().hex}/0-a.png", f"uploads/{old}/a.png"):
        bucket.put_object(Key=f"{PREFIX}/{name}", Body=b"half")
    bucket.put_object(Key="elsewhere/mine.txt", Body=b"foreign")
    assert delete_overdue(10) == 4
    names = [f"{PREFIX}/{name}" for name in (kept.name, kept.thumbnail)]
    assert objects_in(bucket) == sorted([*names, "elsewhere/mine.txt"])
    assert Picture.objects.get(pk=overdue.pk).deleted_at is not None
    assert delete_overdue(10) == 0


def test_the_storage_is_the_one_that_the_url_names(bucket: Any, endpoint: str) -> None:
    storage: Any = storages["pictures"]
    assert (storage.bucket_name, storage.location) == (BUCKET, PREFIX)
    assert storage.endpoint_url == endpoint
