"""A script inside a prompt, for clients that cannot add a field to the body.

`Hello [[simulate {"output_tokens": 5}]]` in the last user text scripts the call; the prompt is `Hello`.
"""

import json
from typing import Any

from simulator.errors import ApiError

MARK = "[[simulate"
MARK_BYTES = MARK.encode()
_END = "]]"
_DECODER = json.JSONDecoder()


def cut_scripts(messages: list[dict[str, Any]]) -> bytes | None:
    """Cut every marker out of the users' texts; answers the last user text's script as JSON.

    Raises ApiError(400) for a marker without JSON, without an end, or for two in one text.
    """
    found: bytes | None = None
    for message in messages:
        if message.get("role") != "user":
            continue
        found = None
        content = message.get("content")
        if isinstance(content, str):
            message["content"], found = _cut(content)
            continue
        for part in content if isinstance(content, list) else ():
            if part.get("type") == "text" and isinstance(part.get("text"), str):
                part["text"], script = _cut(part["text"])
                found = script or found
    return found


def _cut(text: str) -> tuple[str, bytes | None]:
    start = text.find(MARK)
    if start < 0:
        return text, None
    opening = start + len(MARK)
    while text[opening : opening + 1].isspace():
        opening += 1
    try:
        _, closing = _DECODER.raw_decode(text, opening)
    except (ValueError, RecursionError) as problem:
        raise _refusal(f"no JSON after the mark: {problem}") from None
    end = text.find(_END, closing)
    if end < 0 or text[closing:end].strip():
        raise _refusal(f"`{_END}` must follow the JSON")
    rest = text[end + len(_END) :]
    if MARK in rest:
        raise _refusal("two scripts in one text")
    return text[:start].rstrip() + rest, text[opening:closing].encode("utf-8", "replace")


def _refusal(problem: str) -> ApiError:
    return ApiError(400, f"Invalid '{MARK}': {problem}.", param="simulate", code="invalid_script")
