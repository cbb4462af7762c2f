"""Values that satisfy a JSON schema, for tool arguments and structured output.

Covers what tool and output schemas use: type, properties, required, additionalProperties, items,
prefixItems, enum, const, anyOf, oneOf, allOf, $ref, numeric and length bounds, multipleOf,
uniqueItems and the common string formats. `pattern`, `not` and `if` are not read.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

_DEEP = 6  # below this, optional parts are left out so that recursive schemas end
_TOO_DEEP = 48
_MOST_ITEMS = 10_000
_MOST_CHARS = 1_000_000

_FORMATS = {
    "date-time": "2026-03-14T09:26:53Z",
    "date": "2026-03-14",
    "time": "09:26:53Z",
    "duration": "PT15M",
    "email": "sam@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.7",
    "ipv6": "2001:db8::7",
    "uri": "https://example.com/",
    "url": "https://example.com/",
    "uuid": "0b9f5ab2-6f0b-4a8f-9c3e-2d1f60c1a7e4",
}


class SchemaError(ValueError):
    """The schema points nowhere, contradicts itself, or has no finite value."""


class Sampler:
    """Makes values for one root schema; `words` lend free strings some sense, in turn."""

    def __init__(self, root: Any, words: Sequence[str]) -> None:
        self._root = root
        self._words = words or ("example",)
        self._turn = 0

    def sample(self) -> Any:
        """A value that fits the root schema. Raises SchemaError."""
        return self._value(self._root, 0)

    def _value(self, schema: Any, depth: int) -> Any:
        if depth > _TOO_DEEP:
            raise SchemaError("the schema has no finite value")
        if schema is True or schema == {}:
            return self._next_word()
        if not isinstance(schema, Mapping):
            raise SchemaError("a schema must be an object")
        schema = self._resolve(schema)
        if "const" in schema:
            return schema["const"]
        choices = schema.get("enum")
        if choices is not None:
            if not isinstance(choices, list) or not choices:
                raise SchemaError("enum must be a non-empty array")
            return choices[0]
        if "allOf" in schema:
            schema = self._merge(schema, depth)
        for word in ("anyOf", "oneOf"):
            if word in schema:
                return self._branch(schema, word, depth)
        return self._typed(schema, depth)

    def _resolve(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        for _ in range(_TOO_DEEP):
            reference = schema.get("$ref")
            if reference is None:
                return schema
            if not isinstance(reference, str) or not reference.startswith("#"):
                raise SchemaError(f"cannot follow $ref {reference!r}")
            found: Any = self._root
            for step in reference[1:].split("/")[1:]:
                key = step.replace("~1", "/").replace("~0", "~")
                if not isinstance(found, Mapping) or key not in found:
                    raise SchemaError(f"$ref {reference!r} leads nowhere")
                found = found[key]
            if not isinstance(found, Mapping):
                raise SchemaError(f"$ref {reference!r} is not a schema")
            schema = found
        raise SchemaError("$ref goes in a circle")

    def _merge(self, schema: Mapping[str, Any], depth: int) -> Mapping[str, Any]:
        if depth > _TOO_DEEP:
            raise SchemaError("allOf goes in a circle")
        merged: dict[str, Any] = {key: value for key, value in schema.items() if key != "allOf"}
        for part in schema["allOf"]:
            if not isinstance(part, Mapping):
                raise SchemaError("allOf holds schemas")
            resolved = self._resolve(part)
            if "allOf" in resolved:
                resolved = self._merge(resolved, depth + 1)
            for key, value in resolved.items():
                if key == "properties":
                    merged[key] = {**merged.get(key, {}), **value}
                elif key == "required":
                    merged[key] = [*merged.get(key, []), *value]
                else:
                    merged[key] = value
        return merged

    def _branch(self, schema: Mapping[str, Any], word: str, depth: int) -> Any:
        branches = schema[word]
        if not isinstance(branches, list) or not branches:
            raise SchemaError(f"{word} must be a non-empty array")
        base = {key: value for key, value in schema.items() if key not in ("anyOf", "oneOf")}
        # An optional thing is given while there is room, and null once a recursion has to end.
        nulls_last = sorted(branches, key=lambda branch: _is_null(branch) == (depth < _DEEP))
        problem: SchemaError | None = None
        for branch in nulls_last:
            try:
                if not isinstance(branch, Mapping):
                    return self._value(branch, depth + 1)
                return self._value({**base, **self._resolve(branch)}, depth + 1)
            except SchemaError as failed:
                problem = failed
        raise problem or SchemaError(f"no branch of {word} can be satisfied")

    def _typed(self, schema: Mapping[str, Any], depth: int) -> Any:
        kind = schema.get("type")
        if isinstance(kind, list):
            usable = [one for one in kind if one != "null"]
            kind = usable[0] if usable else "null"
        if kind is None:
            kind = _implied_type(schema)
        if kind == "object":
            return self._object(schema, depth)
        if kind == "array":
            return self._array(schema, depth)
        if kind == "string":
            return self._string(schema)
        if kind in ("integer", "number"):
            return _number(schema, integral=kind == "integer")
        if kind == "boolean":
            return True
        if kind == "null":
            return None
        raise SchemaError(f"unknown type {kind!r}")

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties", {})
        required = schema.get("required", [])
        if not isinstance(properties, Mapping) or not isinstance(required, list):
            raise SchemaError("properties must be an object and required an array")
        if not all(isinstance(name, str) for name in required):
            raise SchemaError("required holds names")
        names = [name for name in properties if name in required or depth < _DEEP]
        names += [name for name in required if name not in properties]
        made = {name: self._value(properties.get(name, True), depth + 1) for name in names}
        extra = schema.get("additionalProperties", True)
        for number in range(len(made), int(schema.get("minProperties", 0))):
            if extra is False:
                raise SchemaError("minProperties asks for more than the properties allow")
            made[f"key_{number + 1}"] = self._value(extra, depth + 1)
        return made

    def _array(self, schema: Mapping[str, Any], depth: int) -> list[Any]:
        least, most = int(schema.get("minItems", 0)), schema.get("maxItems")
        if most is not None and most < least:
            raise SchemaError("maxItems is below minItems")
        if least > _MOST_ITEMS:
            raise SchemaError(f"minItems above {_MOST_ITEMS}")
        prefix = schema.get("prefixItems", [])
        items = schema.get("items", True)
        wanted = max(least, len(prefix), 1 if depth < _DEEP and items is not False else 0)
        if most is not None:
            wanted = min(wanted, int(most))
        made: list[Any] = []
        for position in range(wanted):
            part = prefix[position] if position < len(prefix) else items
            made.append(self._value(part, depth + 1))
        if schema.get("uniqueItems"):
            made = _make_unique(made, self._resolve(items) if isinstance(items, Mapping) else {})
        return made

    def _string(self, schema: Mapping[str, Any]) -> str:
        text = _FORMATS.get(str(schema.get("format"))) or self._next_word()
        least, most = int(schema.get("minLength", 0)), schema.get("maxLength")
        if most is not None and most < least:
            raise SchemaError("maxLength is below minLength")
        if least > _MOST_CHARS:
            raise SchemaError(f"minLength above {_MOST_CHARS}")
        while len(text) < least:
            text += " " + self._next_word()
        if most is not None and len(text) > most:
            text = text[: int(most)]
        return text

    def _next_word(self) -> str:
        word = self._words[self._turn % len(self._words)]
        self._turn += 1
        return word


def _is_null(schema: Any) -> bool:
    return isinstance(schema, Mapping) and schema.get("type") == "null"


def _implied_type(schema: Mapping[str, Any]) -> str:
    if "properties" in schema or "required" in schema:
        return "object"
    if "items" in schema or "prefixItems" in schema:
        return "array"
    if any(word in schema for word in ("minimum", "maximum", "multipleOf")):
        return "number"
    return "string"


def _number(schema: Mapping[str, Any], *, integral: bool) -> int | float:
    step = schema.get("multipleOf") or 1
    lows = [schema[name] for name in ("minimum", "exclusiveMinimum") if name in schema]
    highs = [schema[name] for name in ("maximum", "exclusiveMaximum") if name in schema]
    start = max(lows) if lows else min([1, *highs])
    end = min(highs) if highs else start + step
    first = round(math.ceil(start / step) * step, 12)
    last = round(math.floor(end / step) * step, 12)
    after, before = round(first + step, 12), round(last - step, 12)
    for value in (first, after, last, before, (start + end) / 2):
        if _fits(value, schema, integral=integral):
            return int(value) if float(value).is_integer() else value
    raise SchemaError("no number fits the bounds")


def _fits(value: float, schema: Mapping[str, Any], *, integral: bool) -> bool:
    if integral and not float(value).is_integer():
        return False
    step = schema.get("multipleOf")
    if step and abs(value / step - round(value / step)) > 1e-9:
        return False
    return (
        value >= schema.get("minimum", value)
        and value <= schema.get("maximum", value)
        and ("exclusiveMinimum" not in schema or value > schema["exclusiveMinimum"])
        and ("exclusiveMaximum" not in schema or value < schema["exclusiveMaximum"])
    )


def _make_unique(made: list[Any], items: Mapping[str, Any]) -> list[Any]:
    choices = items.get("enum")
    if isinstance(choices, list):
        if len(choices) < len(made):
            raise SchemaError("uniqueItems asks for more values than enum has")
        return list(choices[: len(made)])
    unique: list[Any] = []
    for position, value in enumerate(made):
        if value in unique and isinstance(value, str):
            value = f"{value} {position + 1}"
        elif value in unique and isinstance(value, int | float) and not isinstance(value, bool):
            value = max(one for one in unique if isinstance(one, int | float)) + 1
        if value in unique:
            raise SchemaError("uniqueItems cannot be satisfied")
        unique.append(value)
    return unique
