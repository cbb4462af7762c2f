"""What the tests of surfaces share: events as providers write them, and a watcher that is fed with them."""

from typing import Any

import msgspec
import pytest
from hypothesis import strategies as st

from gateway.errors import BadRequest
from gateway.surfaces import SURFACES
from gateway.surfaces.base import Ask, Watcher

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)

PICTURE = "data:image/png;base64," + "A" * 400
NO_EVENTS = [
    b": keep-alive\n\n",
    b"\n\n",
    b"event: ping\n\n",
    b"id: 1\r\n\r\n",
    b"retry: 5\n\n",
]
NO_JSON = [
    b"data: not json\n\n",
    b"data: [1,2]\n\n",
    b"data: 7\n\n",
    b"data: \xff\xfe\n\n",
    b"data: " + b"[" * 20_000 + b"\n\n",
]
NO_ANSWERS = [
    b"",
    b"<!doctype html><html></html>",
    b'{"id":"x","us',
    b"[]",
    b"7",
    b"{}",
    b"null",
    b"\xff\xfe",
    b"[" * 100_000,
]


def data_event(data: Any, name: str | None = None) -> bytes:
    """An event with JSON in its data, named if it has a name."""
    head = b"" if name is None else b"event: " + name.encode() + b"\n"
    return head + b"data: " + msgspec.json.encode(data) + b"\n\n"


def typed_event(kind: str, **fields: Any) -> bytes:
    """An event of Responses or Messages, which say their type twice."""
    return data_event({"type": kind, **fields}, kind)


def feed(watcher: Watcher, *events: bytes) -> bytes:
    """What the client gets at once of these events."""
    return b"".join([watcher.pass_event(event) for event in events])


def read(surface: str, body: dict[str, Any]) -> Ask:
    """The body as that surface reads it; reading it again reads the same."""
    ask = SURFACES[surface].read_request(body)
    assert msgspec.structs.replace(SURFACES[surface].read_request(body), dropped=ask.dropped) == ask
    return ask


def refused(surface: str, body: dict[str, Any]) -> tuple[str | None, str | None]:
    """The code and the field with which that surface refuses the body."""
    with pytest.raises(BadRequest) as caught:
        SURFACES[surface].read_request(body)
    assert caught.value.message.endswith(".")
    return caught.value.code, caught.value.param


def changed(
    surface: str, body: dict[str, Any], name: str, limit: int | None, field: str = "max_tokens"
) -> dict[str, Any]:
    """What must differ towards the provider. The body itself stays as it was given."""
    before = msgspec.json.encode(body)
    changes = SURFACES[surface].changes(body, name, limit, field)
    assert msgspec.json.encode(body) == before
    return changes
