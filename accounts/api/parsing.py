"""Bodies of the management API: one JSON object, strictly."""

import json
from collections.abc import Mapping
from typing import IO, Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

from accounts.api.errors import Problem

BODY_BYTES_MAX = 1024 * 1024


class StrictJSONParser(BaseParser):
    """A JSON object in UTF-8 of at most BODY_BYTES_MAX.

    Duplicate names, NaN and infinities are refused: each reader of such a body would see something else.
    """

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        raw = stream.read(BODY_BYTES_MAX + 1)
        if len(raw) > BODY_BYTES_MAX:
            message = f"The body may have at most {BODY_BYTES_MAX} bytes."
            raise Problem(413, "request_too_large", message)
        try:
            body = json.loads(
                raw.decode(), object_pairs_hook=_unique, parse_constant=_refuse_constant
            )
        except (ValueError, RecursionError) as error:
            raise ParseError(f"The body is not JSON: {str(error)[:200]}.") from None
        if not isinstance(body, dict):
            raise ParseError("The body must be a JSON object.")
        return body


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise ValueError("a name stands twice in an object")
    return dict(pairs)


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is no number")
