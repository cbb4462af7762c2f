"""Links to pictures: signed, and good until they expire. Pure.

`<base>/pictures/<task>/<position>.<extension>?expires=<epoch seconds>&signature=<...>`, where the task is 32
hexadecimal digits; `&variant=thumbnail` is signed with the rest. HMAC-SHA256, in URL-safe base64 without padding.
"""

import hashlib
import hmac
import json
import re
from base64 import urlsafe_b64encode
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit
from uuid import UUID

_PLACE = re.compile("/pictures/([0-9a-f]{32})/([0-9]{1,3})[.]([a-z]{3,4})")
_NAMES = frozenset({"expires", "signature", "variant"})
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


def read_link(key: bytes, url: str, now: float) -> PicturePath | None:
    """Which of our pictures a URL names, whatever host it begins with: the signature is what makes it ours. None for
    any other URL. Raises BadLink for one that has expired."""
    try:
        parts = urlsplit(url)
        pairs = parse_qsl(parts.query, strict_parsing=True, max_num_fields=3)
    except ValueError:
        return None
    place, query = _PLACE.fullmatch(parts.path), dict(pairs)
    if len(query) != len(pairs) or place is None:
        return None
    if not {"expires", "signature"} <= query.keys() <= _NAMES:
        return None
    path = PicturePath(UUID(place[1]), int(place[2]), place[3], query.get("variant", ""))
    try:
        check_link(key, path, query["expires"], query["signature"], now)
    except BadLink as error:
        if error.is_expired:
            raise
        return None
    return path


def _signature(key: bytes, path: PicturePath, expires: str) -> str:
    # A JSON list: no two paths have the same text. Of the standard library, which takes any text that a link may have.
    signed = json.dumps([path.task_id.hex, path.position, path.extension, path.variant, expires])
    digest = hmac.digest(key, signed.encode(), hashlib.sha256)
    return urlsafe_b64encode(digest).rstrip(b"=").decode()
