"""simulator.schema: values that another validator (pydantic) accepts."""

import datetime
import enum
import json
import uuid
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field

from simulator.schema import Sampler, SchemaError


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Part(BaseModel):
    name: Annotated[str, Field(min_length=12, max_length=20)]
    amount: Annotated[int, Field(ge=10, le=12)]


class Node(BaseModel):
    label: str
    children: list["Node"]
    parent: "Node | None"


class Everything(BaseModel):
    model_config = {"extra": "forbid"}

    colour: Colour
    fixed: Literal["only"]
    share: Annotated[float, Field(gt=0, lt=1)]
    step: Annotated[int, Field(multiple_of=7, gt=7)]
    below: Annotated[int, Field(lt=-5)]
    parts: Annotated[list[Part], Field(min_length=2, max_length=3)]
    pair: tuple[int, str]
    either: int | str
    maybe: str | None
    flag: bool
    nothing: None
    when: datetime.datetime
    day: datetime.date
    identity: uuid.UUID
    tree: Node
    kinds: Annotated[set[int], Field(min_length=3)]
    table: dict[str, int]


def sample(schema, words=("alpha", "beta")):
    return Sampler(schema, words).sample()


def test_a_value_for_every_keyword_a_model_uses_is_accepted_by_the_model():
    Everything.model_validate_json(json.dumps(sample(Everything.model_json_schema())))


def test_a_recursive_schema_ends():
    value = sample(Node.model_json_schema())
    Node.model_validate(value)


@pytest.mark.parametrize(
    ("schema", "wanted"),
    [
        ({"const": {"a": 1}}, {"a": 1}),
        ({"enum": ["x", "y"]}, "x"),
        ({"type": ["null", "integer"]}, 1),
        ({"type": "integer", "minimum": 3, "maximum": 3}, 3),
        ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, 0.5),
        ({"type": "number", "multipleOf": 0.25, "minimum": 0.3}, 0.5),
        (
            {"type": "array", "items": {"enum": ["p", "q"]}, "minItems": 2, "uniqueItems": True},
            None,
        ),
        ({"type": "object", "minProperties": 2, "additionalProperties": {"type": "integer"}}, None),
        ({"allOf": [{"properties": {"a": {"const": 1}}}, {"required": ["a"]}]}, {"a": 1}),
        ({"oneOf": [{"type": "integer"}, {"type": "string"}]}, 1),
        ({"$ref": "#/definitions/a~1b", "definitions": {"a/b": {"const": 5}}}, 5),
        ({"type": "string", "minLength": 11}, "alpha beta alpha"),
        ({"type": "string", "maxLength": 3}, "alp"),
        ({"type": "array", "maxItems": 0}, []),
        ({"items": {"type": "boolean"}}, [True]),
    ],
)
def test_single_keywords_are_obeyed(schema, wanted):
    value = sample(schema)
    if wanted is not None:
        assert value == wanted
    elif schema["type"] == "array":
        assert value == ["p", "q"]
    else:
        assert len(value) == 2


def test_optional_properties_are_given_and_unlisted_required_ones_too():
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["b"]}
    assert sample(schema) == {"a": 1, "b": "alpha"}


def test_free_strings_take_their_words_in_turn():
    schema = {"type": "array", "items": {"type": "string"}, "minItems": 3}
    assert sample(schema) == ["alpha", "beta", "alpha"]


@pytest.mark.parametrize(
    "schema",
    [
        False,
        "string",
        {"type": "colour"},
        {"enum": []},
        {"anyOf": []},
        {"$ref": "#/nowhere"},
        {"$ref": "https://example.com/schema"},
        {"$ref": "#"},
        {"allOf": [{"$ref": "#"}]},
        {"properties": {}, "required": [None]},
        {"type": "integer", "minimum": 4, "maximum": 3},
        {"type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 4},
        {"type": "string", "minLength": 4, "maxLength": 3},
        {"type": "string", "minLength": 10**9},
        {"type": "array", "minItems": 10**9},
        {"type": "array", "items": {"enum": [1]}, "minItems": 2, "uniqueItems": True},
        {"type": "object", "minProperties": 1, "additionalProperties": False},
        {
            "$defs": {
                "a": {
                    "type": "object",
                    "properties": {"a": {"$ref": "#/$defs/a"}},
                    "required": ["a"],
                }
            },
            "$ref": "#/$defs/a",
        },
    ],
)
def test_a_schema_without_a_value_is_refused(schema):
    with pytest.raises(SchemaError):
        sample(schema)
