"""Links to pictures: signed, and good until they expire. Pure.

`<base>/pictures/<task>/<position>.<extension>?expires=<epoch seconds>&signature=<...>`, where the task is 32
hexadecimal digits; `&variant=thumbnail` is signed with the rest. HMAC-SHA256, in URL-safe base64 without padding.
"""

import hashlib
import hmac
import json
from base64 import urlsafe_b64encode
from typing import NamedTuple
from urllib.parse import urlencode
from uuid import UUID

_KEY_LABEL = b"tollgate picture links 1"


class BadLink(Exception):
    """Forged, or expired: only who has a good link may be told that its time is over."""

    def __init__(self, *, is_expired: bool) -> None:
        super().__init__("expired" if is_expired else "forged")
        self.is_expired = is_expired


class PicturePath(NamedTuple):
    """Which file a link names. `variant`: empty for the picture itself, or `thumbnail`."""

    task_id: UUID
    position: int
    extension: str
    variant: str = ""


def derive_link_key(secret: str) -> bytes:
    """The key of links, of the installation's secret: nothing else that is made of it can sign a link."""
    return hmac.digest(secret.encode(), _KEY_LABEL, hashlib.sha256)


def sign_link(key: bytes, base_url: str, path: PicturePath, expires_at: int) -> str:
    """The link, good up to and with the second `expires_at`."""
    query = {"expires": str(expires_at)}
    if path.variant:
        query["variant"] = path.variant
    query["signature"] = _signature(key, path, str(expires_at))
    place = f"/pictures/{path.task_id.hex}/{path.position}.{path.extension}"
    return f"{base_url.rstrip('/')}{place}?{urlencode(query)}"


def check_link(key: bytes, path: PicturePath, expires: str, signature: str, now: float) -> None:
    """Raise BadLink unless the link was signed here and has not expired. `expires`, `signature`: as they stand in
    the link."""
    given = signature.encode("utf-8", "replace")
    if not hmac.compare_digest(_signature(key, path, expires).encode(), given):
        raise BadLink(is_expired=False)
    # Only what was signed gets here, so it is a number.
    if now > int(expires):
        raise BadLink(is_expired=True)


def _signature(key: bytes, path: PicturePath, expires: str) -> str:
    # A JSON list: no two paths have the same text. Of the standard library, which takes any text that a link may have.
    signed = json.dumps([path.task_id.hex, path.position, path.extension, path.variant, expires])
    digest = hmac.digest(key, signed.encode(), hashlib.sha256)
    return urlsafe_b64encode(digest).rstrip(b"=").decode()
