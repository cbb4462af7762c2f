"""What a provider wants to see again with a tool's result, carried by the client in a reasoning item. Pure.

Chat Completions has no items for it: DeepSeek wants `reasoning_content` back on every message that called a tool
(its guide, "Thinking Mode"), Gemini its `thought_signature`, which stands in a tool call's `extra_content` ("Thought
signatures"); both refuse the next turn otherwise. Clients of Responses send reasoning items back with the
`encrypted_content` that they came with, so it travels there. It is for the model that wrote it and no other.
"""

import base64
import json
from typing import Any

from gateway.translate.shapes import compact, object_of, text_of

REASONING_FIELDS = ("reasoning_content", "reasoning")
"""Where vendors put a message's reasoning; the first that is there counts."""
_PREFIX = "tollgate1."


def seal(model: Any, fields: dict[str, Any]) -> str:
    """The fields as `encrypted_content`. Not secret: the client has seen all of it."""
    text = compact({"model": text_of(model), **fields})
    return _PREFIX + base64.b64encode(text.encode("utf-8", "replace")).decode()


def unseal(model: Any, content: Any) -> dict[str, Any]:
    """The fields, if `seal` wrote them for this model; else nothing."""
    if not isinstance(content, str) or not content.startswith(_PREFIX):
        return {}
    try:
        fields = object_of(json.loads(base64.b64decode(content[len(_PREFIX) :], validate=True)))
    except (ValueError, RecursionError):
        return {}
    return fields if fields.get("model") == text_of(model) else {}
