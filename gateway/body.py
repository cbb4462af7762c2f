"""A request body as JSON: parsed once, and every reason to refuse it said with the name of the field. Pure."""

import json
import math
from typing import Any

import msgspec

from gateway.errors import BadRequest

INT_MAX = 2**31 - 1
VALUES_MAX = 400_000
"""More than any model can read, and as much as one body may keep this process busy with."""
_decoder = msgspec.json.Decoder(dict[str, Any])


class _Duplicate(Exception):
    pass


def parse_object(raw: bytes) -> dict[str, Any]:
    """The JSON object in `raw`. Raises BadRequest (`invalid_json`) for anything else, and for a name given twice:
    two parsers may disagree on which of the two counts."""
    if not raw.strip():
        raise BadRequest("The request body is empty; a JSON object is needed.", code="invalid_json")
    if _has_too_many_values(raw):
        raise BadRequest(f"The request body has over {VALUES_MAX} values.", code="invalid_json")
    try:
        body = _decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _explain(raw, str(error)) from None
    # What encodes to the very bytes that came has no name twice; only other spellings need the slow look.
    if msgspec.json.encode(body) != raw:
        _refuse_duplicates(raw)
    return body


def take_count(body: dict[str, Any], name: str, least: int, most: int) -> int | None:
    """The field as an integer within bounds; None where it is absent or null."""
    value = body.get(name)
    if value is None:
        return None
    if type(value) is not int:
        raise BadRequest(f"'{name}' must be an integer.", param=name)
    if not least <= value <= most:
        raise BadRequest(f"'{name}' must be between {least} and {most}.", param=name)
    return value


def take_flag(body: dict[str, Any], name: str, path: str | None = None) -> bool:
    """The field as a boolean; absent or null is false. `path` is the name to report."""
    value = body.get(name)
    if value is None:
        return False
    if type(value) is not bool:
        raise BadRequest(f"'{path or name}' must be true or false.", param=path or name)
    return value


def take_text(body: dict[str, Any], name: str) -> str:
    """A required text that is not empty."""
    value = body.get(name)
    if value is None:
        raise BadRequest(f"'{name}' is required.", param=name)
    if not isinstance(value, str) or not value:
        raise BadRequest(f"'{name}' must be a text that is not empty.", param=name)
    return value


def _has_too_many_values(raw: bytes) -> bool:
    """Whether parsing would take seconds, and memory fifty times the body's. Told from its bytes alone."""
    if _count_marks(raw) <= VALUES_MAX:
        return False
    bare = raw.replace(b"\\\\", b"").replace(b'\\"', b"")
    if bare.count(b'"') > 4 * VALUES_MAX:
        return True
    # Every other piece stands outside of texts.
    return sum(_count_marks(piece) for piece in bare.split(b'"')[::2]) > VALUES_MAX


def _count_marks(raw: bytes) -> int:
    return raw.count(b",") + raw.count(b"{") + raw.count(b"[")


def _refuse_duplicates(raw: bytes) -> None:
    def object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            once: set[str] = set()
            for name, _ in pairs:
                if name in once:
                    raise _Duplicate(name)
                once.add(name)
        return found

    try:
        json.loads(raw, object_pairs_hook=object_of)
    except _Duplicate as duplicate:
        name = str(duplicate)[:100]
        raise BadRequest(f"'{name}' is given twice.", code="invalid_json", param=name) from None
    except (ValueError, RecursionError):
        raise _explain(raw, "malformed JSON") from None


def _explain(raw: bytes, reason: str) -> BadRequest:
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        return BadRequest(
            f"The request body is not valid UTF-8 (byte {error.start}).", code="invalid_json"
        )
    try:
        body = json.loads(text)
    except RecursionError:
        return BadRequest("The request body is nested too deeply.", code="invalid_json")
    except ValueError as error:
        return BadRequest(f"The request body is not valid JSON: {error}.", code="invalid_json")
    if not isinstance(body, dict):
        return BadRequest("The request body must be a JSON object.", code="invalid_json")
    name = _absurd_number(body, "")
    if name is not None:
        return BadRequest(
            f"'{name}' is not a finite number of a usable size.", code="invalid_json", param=name
        )
    return BadRequest(f"The request body is not valid JSON: {reason}.", code="invalid_json")


def _absurd_number(value: Any, path: str) -> str | None:
    """The path of the first number that JSON has no room for: an infinite one, or an integer beyond 64 bits."""
    if isinstance(value, float) and not math.isfinite(value):
        return path
    if type(value) is int and abs(value) >= 2**63:
        return path
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for name, item in items:
        found = _absurd_number(item, f"{path}.{name}" if path else str(name))
        if found is not None:
            return found
    return None
