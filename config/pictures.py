"""Where pictures are kept: Django's STORAGES entry, out of TOLLGATE_PICTURES_URL."""

import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlsplit

from django.core.exceptions import ImproperlyConfigured

NAME = "TOLLGATE_PICTURES_URL"
FORM = "s3://bucket/prefix?endpoint=https://host&region=name"
OPTIONS = ("endpoint", "region")
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
PREFIX = re.compile(r"(?!\.)[A-Za-z0-9._-]+(/(?!\.)[A-Za-z0-9._-]+)*")
# Of a picture that is fetched to be served, as much is kept in memory; the rest goes to a temporary file.
MEMORY_BYTES_MAX = 4 * 1024 * 1024
CONNECT_TIMEOUT_S = 5
READ_TIMEOUT_S = 30
TRIES_MAX = 3


def pictures_storage(url: str, folder: Path) -> dict[str, Any]:
    """The STORAGES entry: `folder` for an empty URL, else the bucket it names. Raises ImproperlyConfigured."""
    if url:
        return _bucket_storage(url)
    return {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {
            "location": str(folder),
            "file_permissions_mode": 0o600,
            "directory_permissions_mode": 0o700,
        },
    }


def _bucket_storage(url: str) -> dict[str, Any]:
    parts = _split(url)
    options = _options(parts.query)
    _check_packages()
    return {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": parts.netloc,
            "location": parts.path.strip("/"),
            "endpoint_url": options.get("endpoint"),
            "region_name": options.get("region"),
            "client_config": _client_config(has_endpoint="endpoint" in options),
            "default_acl": None,
            "file_overwrite": False,
            "querystring_auth": True,
            "max_memory_size": MEMORY_BYTES_MAX,
        },
    }


def _split(url: str) -> SplitResult:
    """The URL's parts. Messages never repeat it: somebody may have put a credential into it."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise ImproperlyConfigured(f"{NAME} is no URL; it is empty or {FORM}") from error
    if parts.scheme != "s3":
        raise ImproperlyConfigured(f"{NAME} must begin with s3://, as in {FORM}")
    if "@" in parts.netloc:
        raise ImproperlyConfigured(
            f"{NAME} must hold no credential; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    if not BUCKET.fullmatch(parts.netloc):
        raise ImproperlyConfigured(f"{NAME} must name a bucket, as in {FORM}")
    prefix = parts.path.strip("/")
    if prefix and not PREFIX.fullmatch(prefix):
        raise ImproperlyConfigured(
            f"{NAME}: the prefix may have letters, digits, '.', '_', '-' and '/' alone"
        )
    if parts.fragment:
        raise ImproperlyConfigured(f"{NAME} must have no '#'")
    return parts


def _options(query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError as error:
        raise ImproperlyConfigured(f"{NAME}: what follows '?' must be as in {FORM}") from error
    options = dict(pairs)
    if len(options) < len(pairs) or not options.keys() <= set(OPTIONS) or "" in options.values():
        raise ImproperlyConfigured(
            f"{NAME}: after '?' may stand {' and '.join(OPTIONS)}, each once and with a value"
        )
    if "endpoint" in options and not re.fullmatch(r"https?://[^/?#@\s]+/?", options["endpoint"]):
        raise ImproperlyConfigured(f"{NAME}: endpoint must be https://host or http://host")
    return options


def _check_packages() -> None:
    missing = [name for name in ("storages", "boto3") if find_spec(name) is None]
    if missing:
        raise ImproperlyConfigured(
            f"{NAME} names a bucket, but {' and '.join(missing)} cannot be imported:"
            " pip install --require-hashes -r requirements-s3.txt"
        )


def _client_config(*, has_endpoint: bool) -> Any:
    """Bounded waits; and beside AWS itself nothing that only AWS is sure to know: buckets in host names, and checksums
    that follow the body."""
    others: dict[str, Any] = {}
    if has_endpoint:
        others = {
            "s3": {"addressing_style": "path"},
            "request_checksum_calculation": "when_required",
            "response_checksum_validation": "when_required",
        }
    # Only here once: it is an extra, and importing it takes a while.
    return import_module("botocore.config").Config(
        signature_version="s3v4",
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        retries={"mode": "standard", "total_max_attempts": TRIES_MAX},
        **others,
    )
