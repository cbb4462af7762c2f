"""Google's field names: camel case and snake case mean the same, and types are written in capitals."""

import re
from typing import Any

_HUMP = re.compile(r"_([a-z])")
# Below these keys stand names and values of the caller's, which are no fields.
_FREE = frozenset({"args", "response", "parametersJsonSchema", "responseJsonSchema", "simulate"})
_SCHEMAS = frozenset({"parameters", "responseSchema"})
_COUNTS = frozenset(
    {"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"}
)
_DEEPEST = 100


def in_camel_case(value: Any, depth: int = 0) -> Any:
    """The value with all field names in camel case; what stands deeper than any field is left."""
    if depth > _DEEPEST:
        return value
    if isinstance(value, list):
        return [in_camel_case(one, depth + 1) for one in value]
    if not isinstance(value, dict):
        return value
    read: dict[str, Any] = {}
    for key, part in value.items():
        name = _HUMP.sub(lambda hump: hump[1].upper(), key)
        if name in _SCHEMAS:
            read[name] = as_json_schema(part)
        else:
            read[name] = part if name in _FREE else in_camel_case(part, depth + 1)
    return read


def as_json_schema(schema: Any, depth: int = 0) -> Any:
    """Google's Schema object as JSON schema: types in lower case, counts as integers."""
    if depth > _DEEPEST or not isinstance(schema, dict):
        return schema
    read: dict[str, Any] = {}
    for key, part in schema.items():
        name = _HUMP.sub(lambda hump: hump[1].upper(), key)
        if name == "type" and isinstance(part, str):
            read[name] = part.lower()
        elif name == "properties" and isinstance(part, dict):
            read[name] = {one: as_json_schema(each, depth + 1) for one, each in part.items()}
        elif name == "anyOf" and isinstance(part, list):
            read[name] = [as_json_schema(one, depth + 1) for one in part]
        elif name == "items":
            read[name] = as_json_schema(part, depth + 1)
        elif name in _COUNTS and isinstance(part, str) and part.isdecimal():
            read[name] = int(part)
        else:
            read[name] = part
    return read
