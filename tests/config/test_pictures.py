"""Where pictures are kept, by URL."""

import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from config.pictures import pictures_storage

FOLDER = Path("/srv/tollgate/pictures")


def options(url: str) -> dict[str, Any]:
    entry = pictures_storage(url, FOLDER)
    assert entry["BACKEND"] == "storages.backends.s3.S3Storage"
    return dict(entry["OPTIONS"])


def test_without_a_url_pictures_are_in_a_folder_that_only_we_can_read() -> None:
    assert pictures_storage("", FOLDER) == {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {
            "location": "/srv/tollgate/pictures",
            "file_permissions_mode": 0o600,
            "directory_permissions_mode": 0o700,
        },
    }


def test_a_url_names_bucket_prefix_endpoint_and_region() -> None:
    found = options("s3://my-bucket/tollgate/live/?endpoint=https://minio.example:9000&region=eu-1")
    assert found["bucket_name"] == "my-bucket"
    assert found["location"] == "tollgate/live"
    assert found["endpoint_url"] == "https://minio.example:9000"
    assert found["region_name"] == "eu-1"


def test_a_bucket_alone_is_at_amazon() -> None:
    found = options("s3://my-bucket")
    assert (found["location"], found["endpoint_url"], found["region_name"]) == ("", None, None)
    assert found["client_config"].s3 is None


def test_objects_are_private_and_never_overwritten() -> None:
    found = options("s3://my-bucket")
    assert (found["default_acl"], found["file_overwrite"], found["querystring_auth"]) == (
        None,
        False,
        True,
    )


def test_waiting_for_a_bucket_is_bounded() -> None:
    config = options("s3://my-bucket")["client_config"]
    assert (config.connect_timeout, config.read_timeout) == (5, 30)
    assert config.retries["total_max_attempts"] == 3


def test_a_server_of_another_maker_is_spoken_to_plainly() -> None:
    config = options("s3://my-bucket?endpoint=https://minio.example")["client_config"]
    assert config.s3 == {"addressing_style": "path"}
    assert config.request_checksum_calculation == "when_required"


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("/srv/pictures", "must begin with s3://"),
        ("file:///srv/pictures", "must begin with s3://"),
        ("https://my-bucket.s3.amazonaws.com", "must begin with s3://"),
        ("s3:my-bucket", "must name a bucket"),
        ("s3://", "must name a bucket"),
        ("s3:///prefix", "must name a bucket"),
        ("s3://My_Bucket", "must name a bucket"),
        ("s3://my-bucket:443", "must name a bucket"),
        ("s3://my-bucket/../other", "the prefix may have"),
        ("s3://my-bucket/a b", "the prefix may have"),
        ("s3://my-bucket#prefix", "must have no '#'"),
        ("s3://my-bucket?zone=eu", "endpoint and region"),
        ("s3://my-bucket?region=", "endpoint and region"),
        ("s3://my-bucket?region=a&region=b", "endpoint and region"),
        ("s3://my-bucket?region", "what follows '?'"),
        ("s3://my-bucket?endpoint=minio.example", "endpoint must be https://"),
        ("s3://my-bucket?endpoint=https://me:secret@minio.example", "endpoint must be https://"),
        ("s3://[", "is no URL"),
    ],
)
def test_what_names_no_place_is_refused_with_the_reason(url: str, told: str) -> None:
    with pytest.raises(ImproperlyConfigured) as caught:
        pictures_storage(url, FOLDER)
    message = str(caught.value)
    assert message.startswith("TOLLGATE_PICTURES_URL")
    assert told in message
    assert "secret" not in message


def test_a_credential_has_no_place_in_the_url_and_is_not_repeated() -> None:
    with pytest.raises(ImproperlyConfigured, match="AWS_SECRET_ACCESS_KEY") as caught:
        pictures_storage("s3://AKIAEXAMPLE:hush@my-bucket", FOLDER)
    assert "AKIAEXAMPLE" not in str(caught.value)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("package", ["storages", "boto3"])
def test_where_the_packages_are_missing_it_is_told_how_to_get_them(
    monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImproperlyConfigured, match=f"{package} cannot be imported") as caught:
        pictures_storage("s3://my-bucket", FOLDER)
    assert "pip install --require-hashes -r requirements-s3.txt" in str(caught.value)
