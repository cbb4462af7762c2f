"""The OpenAPI document: valid, complete, and agreeing with itself."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from django.core.management import call_command
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from openapi_schema_validator import OAS30Validator
from openapi_spec_validator import validate

from accounts.api import documentation
from accounts.api.documentation import read_document
from accounts.api.routes import PREFIX
from accounts.api.schema import TAGS
from accounts.api.views import ManagementView

METHODS = ("get", "post", "put", "patch", "delete")


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return read_document("https://tollgate.example")


def test_the_document_is_valid(document: dict[str, Any]) -> None:
    validate(document)


def test_nothing_is_left_to_guesses(tmp_path: Any) -> None:
    target = str(tmp_path / "openapi.yaml")
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", target)


def routes() -> Iterator[tuple[str, Any]]:
    """Every address below /api/v1/ as it is written in documents, with its view."""

    def walk(patterns: list[URLPattern | URLResolver], before: str) -> Iterator[tuple[str, Any]]:
        for pattern in patterns:
            route = before + str(pattern.pattern)
            if isinstance(pattern, URLResolver):
                yield from walk(pattern.url_patterns, route)
            elif route.startswith(PREFIX) and pattern.name:
                yield "/" + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", route), pattern.callback

    return walk(get_resolver().url_patterns, "")


def test_every_address_and_method_is_in_it(document: dict[str, Any]) -> None:
    known = {
        (path, method)
        for path, one in document["paths"].items()
        for method in one
        if method in METHODS
    }
    written = set()
    for path, view in routes():
        methods = [method for method in METHODS if hasattr(view.view_class, method)]
        assert methods, path
        written |= {(path, method) for method in methods}
    assert known == written
    assert len(known) > 50


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, found in document["paths"].items():
        for method, operation in found.items():
            yield f"{method} {path}", operation


def test_every_operation_is_described(document: dict[str, Any]) -> None:
    tags = {tag["name"] for tag in TAGS}
    for name, operation in operations(document):
        assert operation["summary"], name
        assert len(operation["tags"]) == 1, name
        assert set(operation["tags"]) <= tags, name
        assert re.fullmatch(r"[a-z_]+", operation["operationId"]), name
        assert {"400", "401", "403", "404", "default"} <= operation["responses"].keys(), name


def test_either_key_or_the_session_will_do(document: dict[str, Any]) -> None:
    wanted = [{"bearer": []}, {"x-api-key": []}, {"session": []}]
    for name, operation in operations(document):
        assert operation["security"] == wanted, name
    assert set(document["components"]["securitySchemes"]) == {"bearer", "x-api-key", "session"}


def test_moves_of_credits_need_an_idempotency_key(document: dict[str, Any]) -> None:
    needing = {
        operation["operationId"]
        for _, operation in operations(document)
        if any(
            one["name"] == "Idempotency-Key" and one.get("required")
            for one in operation.get("parameters", [])
        )
    }
    assert needing >= {
        "deposit", "grant", "reclaim", "adjust_group", "adjust_organization", "refund_call", "give_promotion",
        "redeem_code", "make_code_batch", "create_payment",
    }  # fmt: skip
    for _, operation in operations(document):
        if operation["operationId"] in needing:
            assert {"402", "409"} <= operation["responses"].keys()


def examples(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], Any]]:
    """Name, schema and value of each example of a body."""
    places = [
        (f"{name} {status}", answer)
        for name, operation in operations(document)
        for status, answer in [
            ("request", operation.get("requestBody")),
            *operation["responses"].items(),
        ]
        if answer
    ]
    places += list(document["components"]["responses"].items())
    for name, place in places:
        for media in place.get("content", {}).values():
            values = [one["value"] for one in media.get("examples", {}).values()]
            values += [media["example"]] if "example" in media else []
            for value in values:
                yield name, media["schema"], value


def test_examples_are_what_they_are_examples_of(document: dict[str, Any]) -> None:
    found = list(examples(document))
    assert len(found) > 8
    for name, schema, value in found:
        whole = {**schema, "components": document["components"]}
        faults = [error.message for error in OAS30Validator(whole).iter_errors(value)]
        assert faults == [], name


def test_lists_are_lists_of_one_form(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        names = {one["name"] for one in operation.get("parameters", [])}
        assert ("after" in names) == ("limit" in names), name
        if "after" in names and name.startswith("get "):
            [media] = operation["responses"]["200"]["content"].values()
            schema = media["schema"]
            if "$ref" in schema:
                schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
            assert {"object", "data", "has_more", "next"} <= schema["properties"].keys(), name


def test_it_is_served_as_json_and_as_yaml() -> None:
    client = Client(headers={"Host": "127.0.0.1:8000"})
    answers = {
        "/api/schema/": json.loads,
        "/api/schema/openapi.json": json.loads,
        "/api/schema/openapi.yaml": yaml.safe_load,
    }
    found = []
    for path, load in answers.items():
        answer = client.get(path)
        assert answer.status_code == 200
        assert "private" not in answer["Cache-Control"]
        found.append(load(answer.content))
    assert found[0] == found[1] == found[2]
    assert found[0]["servers"] == [{"url": "http://127.0.0.1:8000"}]
    asked = client.get("/api/schema/", headers={"Accept": "application/yaml"})
    assert asked["Content-Type"] == "application/yaml"
    assert client.get("/api/schema/openapi.xml").status_code == 404
    assert client.post("/api/schema/").status_code == 405


def test_it_is_in_english_whoever_asks() -> None:
    client = Client(headers={"Host": "localhost:8001", "Accept-Language": "ko"})
    text = str(client.get("/api/schema/openapi.json").json())
    assert not re.search("[\uac00-\ud7a3]", text)


def test_every_view_stands_on_the_foundation() -> None:
    """Which refuses unknown query parameters, and knows whom a key acts for."""
    for path, view in routes():
        assert issubclass(view.view_class, ManagementView), path


def test_another_name_for_us_makes_no_new_document() -> None:
    Client().get("/api/schema/openapi.yaml")
    made = documentation._write_anywhere.cache_info().misses
    answer = Client().get("/api/schema/openapi.yaml", headers={"host": "localhost:4711"})
    assert b"http://localhost:4711" in answer.content
    assert b"tollgate.invalid" not in answer.content
    assert documentation._write_anywhere.cache_info().misses == made
