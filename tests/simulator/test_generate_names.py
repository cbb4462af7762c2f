"""simulator.generate_names: what counts as a field's name, and what is the caller's own."""

from simulator.generate_names import as_json_schema, in_camel_case


def test_names_of_fields_are_read_in_either_spelling():
    assert in_camel_case({"tool_config": [{"function_calling_config": 1}]}) == {
        "toolConfig": [{"functionCallingConfig": 1}]
    }


def test_the_callers_own_names_are_left():
    for free in ("args", "response", "parametersJsonSchema"):
        assert in_camel_case({free: {"snake_case": 1}}) == {free: {"snake_case": 1}}
    schema = {"type": "OBJECT", "properties": {"snake_case": {"type": "STRING"}}}
    assert in_camel_case({"parameters": schema})["parameters"]["properties"] == {
        "snake_case": {"type": "string"}
    }


def test_googles_schemas_become_json_schemas():
    given = {
        "type": "ARRAY",
        "min_items": "2",
        "items": {"anyOf": [{"type": "INTEGER"}, {"type": "NULL"}]},
    }
    assert as_json_schema(given) == {
        "type": "array",
        "minItems": 2,
        "items": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
    }


def test_nesting_without_end_is_left_alone():
    deep = {}
    for _ in range(400):
        deep = {"some_name": deep}
    assert "someName" in in_camel_case(deep)
