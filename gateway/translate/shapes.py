"""Reading JSON that others sent, as far as it has the shape looked for; and writing events. Pure.

What a provider sends is never trusted to have a shape: these readers give something empty instead of raising.
"""

import hashlib
import json
import re
import uuid
from typing import Any

import msgspec

from gateway.errors import BadRequest

COUNT_MAX = 2**53
LOGPROB_MIN = -9999.0  # what OpenAI reports for a token that is next to impossible
_HIGH_HALF = re.compile("[\ud800-\udbff]$")


def object_of(value: Any) -> dict[str, Any]:
    """The value if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def objects_of(value: Any) -> list[dict[str, Any]]:
    """The objects in the value if it is a list, else nothing."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def text_of(value: Any) -> str:
    """The value if it is text, else nothing. Half of a surrogate pair becomes U+FFFD: no JSON parser has to take it."""
    return whole(value) if isinstance(value, str) else ""


def count_of(value: Any) -> int:
    """The value if it is a count, else 0."""
    return value if type(value) is int and 0 <= value <= COUNT_MAX else 0


def seconds_of(value: Any) -> int | None:
    """A Unix time as whole seconds, None if the value is none."""
    if type(value) not in (int, float) or not 0 < value < COUNT_MAX:
        return None
    return int(value)


def whole(text: str) -> str:
    """The text with pairs that came as two escapes joined, and single halves replaced."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


class Joint:
    """Passes a text on while it comes, but half a character only with its other half (vendors cut between them)."""

    def __init__(self) -> None:
        self._half = ""
        self._passed: list[str] = []

    def add(self, text: str) -> str:
        """What can be passed on of the text so far."""
        if self._half or not text.isascii():
            text = self._half + text
            cut = _HIGH_HALF.search(text)
            self._half = cut.group() if cut else ""
            text = whole(text[:-1] if cut else text)
        if text:
            self._passed.append(text)
        return text

    def end(self) -> str:
        """What was still kept back, now that nothing follows."""
        rest, self._half = whole(self._half), ""
        if rest:
            self._passed.append(rest)
        return rest

    @property
    def text(self) -> str:
        """All that was passed on."""
        return "".join(self._passed)


def refusal(path: str, reason: str) -> BadRequest:
    """The error for a field that cannot be carried over; `reason` continues "'<path>' ..."."""
    return BadRequest(f"'{path}' {reason}.", code="unsupported_parameter", param=path)


def misfit(path: str, wanted: str) -> BadRequest:
    """The error for a field of the wrong shape: "'<path>' must be <wanted>."."""
    return BadRequest(f"'{path}' must be {wanted}.", param=path)


def need_text(holder: dict[str, Any], name: str, path: str) -> str:
    """A text that the object at `path` must have."""
    value = holder.get(name)
    if not isinstance(value, str):
        raise misfit(f"{path}.{name}", "a text")
    return value


def need_list(value: Any, path: str) -> list[Any]:
    """The list at `path`; absent or null is an empty one."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise misfit(path, "a list")
    return value


def need_object(value: Any, path: str) -> dict[str, Any]:
    """The object at `path`; absent or null is an empty one."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise misfit(path, "an object")
    return value


def given(holder: dict[str, Any], *names: str) -> dict[str, Any]:
    """Those of the fields that are there and not null."""
    return {name: holder[name] for name in names if holder.get(name) is not None}


def compact(value: Any) -> str:
    """The value as JSON text; an empty object for what is nested too deeply to be written."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except RecursionError:
        return "{}"


def hex_of(upstream_id: Any) -> str:
    """32 hexadecimal digits that belong to a provider's id; random ones where it gave none."""
    if not isinstance(upstream_id, str) or not upstream_id:
        return uuid.uuid4().hex
    digest = hashlib.sha256(upstream_id.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:32]


def named_event(fields: dict[str, Any]) -> bytes:
    """An event of a Responses stream: its name is its data's `type`."""
    name = str(fields["type"]).encode()
    return b"event: " + name + b"\ndata: " + msgspec.json.encode(fields) + b"\n\n"


def data_event(fields: dict[str, Any]) -> bytes:
    """An event without a name, as in a Chat Completions stream."""
    return b"data: " + msgspec.json.encode(fields) + b"\n\n"


def logprobs_of(value: Any) -> list[dict[str, Any]]:
    """Log probabilities of tokens: the same in both APIs, except that Responses demands `bytes`."""
    found = []
    for entry in objects_of(value):
        tops = [_logprob_of(top) for top in objects_of(entry.get("top_logprobs"))]
        found.append({**_logprob_of(entry), "top_logprobs": tops})
    return found


def _logprob_of(entry: dict[str, Any]) -> dict[str, Any]:
    value = entry.get("logprob")
    logprob = LOGPROB_MIN
    if isinstance(value, int | float) and abs(value) < COUNT_MAX:
        logprob = float(value)
    token = text_of(entry.get("token"))
    octets = entry.get("bytes")
    if not isinstance(octets, list) or not all(type(o) is int and 0 <= o < 256 for o in octets):
        octets = list(token.encode())
    return {
        "token": token,
        "bytes": octets,
        "logprob": logprob,
    }
