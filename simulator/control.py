"""The control paths under /__simulator/: gates, state, log, default script, recent requests."""

import hashlib
import ipaddress
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote_to_bytes

import msgspec

from simulator.connection import Request
from simulator.errors import ApiError
from simulator.script import NO_SCRIPT, parse_script

if TYPE_CHECKING:
    from simulator.server import Vendor

PREFIX = b"/__simulator/"
_GATE = re.compile(r"gates/([^/]+?)(/open)?")
_NAME = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_CREDENTIALS = (
    ("authorization", "bearer"),
    ("x-api-key", "plain"),
    ("x-goog-api-key", "plain"),
    ("x-key", "plain"),
)
_DEFAULT_LIMIT = 100
_MOST_ENTRIES = 10_000


class RecentRequest(msgspec.Struct):
    """What reached the vendor, kept so that a test can see what a gateway forwards."""

    id: str
    call_id: str | None
    target: bytes
    headers: dict[bytes, bytes]
    body: bytes | None

    def shown(self) -> dict[str, Any]:
        """The request for reading: keys as their fingerprints, the body parsed if it is JSON."""
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in self.headers.items()
        }
        for name, kind in _CREDENTIALS:
            given = headers.get(name)
            if given is not None:
                key = given.partition(" ")[2] if kind == "bearer" else given
                digest = hashlib.sha256(key.encode("latin-1")).hexdigest()
                headers[name] = f"sha256:{digest[:8]}"
        body: Any = None
        if self.body is not None:
            try:
                body = msgspec.json.decode(self.body)
            except (msgspec.DecodeError, UnicodeDecodeError):
                body = self.body.decode("utf-8", "replace")
        return {
            "id": self.id,
            "call_id": self.call_id,
            "path": self.target.decode("latin-1"),
            "headers": headers,
            "body": body,
        }


def is_loopback(peer: str) -> bool:
    """Whether an address is this machine's own."""
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def answer(vendor: "Vendor", request: Request) -> bytes:
    """The JSON answer to a control request. Raises ApiError for what cannot be done."""
    path = unquote_to_bytes(request.target[len(PREFIX) :]).decode("utf-8", "replace")
    route = (request.method, path)
    if route == (b"GET", "state"):
        return msgspec.json.encode(vendor.state())
    if route == (b"GET", "log"):
        call_id, limit = _selection(request)
        return msgspec.json.encode({"entries": vendor.log.read(call_id, limit)})
    if route == (b"GET", "jobs"):
        return msgspec.json.encode({"jobs": vendor.jobs.shown(_selection(request)[1])})
    if route == (b"GET", "requests"):
        call_id, limit = _selection(request)
        chosen = [one for one in vendor.recent if call_id is None or one.call_id == call_id]
        return msgspec.json.encode({"requests": [one.shown() for one in chosen[-limit:]]})
    if route == (b"POST", "defaults"):
        script = parse_script(request.body or b"{}", None)
        vendor.default_script = NO_SCRIPT if script == NO_SCRIPT else script
        return b"{}"
    gate = _GATE.fullmatch(path)
    if gate is not None and _NAME.fullmatch(gate[1]):
        if request.method == b"POST" and gate[2]:
            vendor.gates.open(gate[1])
            return msgspec.json.encode({"gate": gate[1], "open": True})
        if request.method == b"DELETE":
            vendor.gates.close(gate[1])
            return msgspec.json.encode({"gate": gate[1], "open": False})
    raise ApiError(404, f"No such control: {request.method.decode()} {path}")


def _selection(request: Request) -> tuple[str | None, int]:
    query = parse_qs(request.query.decode("latin-1"))
    limit = query.get("limit", [str(_DEFAULT_LIMIT)])[-1]
    if not limit.isdecimal() or not 1 <= int(limit) <= _MOST_ENTRIES:
        raise ApiError(400, f"'limit' must be from 1 to {_MOST_ENTRIES}.", param="limit")
    return query.get("call_id", [None])[-1], int(limit)
