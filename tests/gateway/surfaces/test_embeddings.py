"""Embeddings: what a request asks for, and what is read of an answer."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.surfaces import SURFACES
from gateway.surfaces.base import Ask, PlainAnswer
from gateway.usage import read_embeddings_usage
from tests.gateway.surfaces.streaming import JSON, NO_ANSWERS, changed, read, refused

EMBEDDINGS = SURFACES["embeddings"]
DATA = [{"object": "embedding", "index": 0, "embedding": "AACAPw=="}]


def asking(**fields: Any) -> dict[str, Any]:
    return {"model": "text-embedding-3-small", "input": "Hi", **fields}


def answer(body: Any) -> PlainAnswer | None:
    return EMBEDDINGS.read_answer(msgspec.json.encode(body), read_embeddings_usage)


@pytest.mark.parametrize("given_input", ["Hi", ["Hi", "there"], [1, 2, 3], [[1], [2]]])
def test_texts_and_tokens_are_taken_and_generate_nothing(given_input: Any) -> None:
    body = asking(input=given_input, encoding_format="base64", dimensions=256, user="alice")
    assert read("embeddings", body) == Ask(has_output=False)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": None}, "input"),
        ({"input": {}}, "input"),
        ({"input": 7}, "input"),
        ({"stream": True}, "stream"),
    ],
)
def test_what_cannot_be_embedded_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    assert refused("embeddings", asking(**fields)) == ("invalid_request_error", param)


def test_only_the_name_of_the_model_ever_differs() -> None:
    assert changed("embeddings", asking(), "text-embedding-3-small", 70) == {}
    assert changed("embeddings", asking(), "other", 70) == {"model": "other"}


def test_an_answer_gives_its_usage() -> None:
    found = answer({"data": DATA, "usage": {"prompt_tokens": 5, "total_tokens": 5}})
    assert found is not None
    assert found.usage is not None
    assert (found.usage.input_tokens, found.usage.output_tokens) == (5, 0)
    assert (found.delivered, found.error) == (True, None)


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": 5, "total_tokens": 9}])
def test_without_a_true_report_what_came_was_delivered(usage: Any) -> None:
    found = answer({"data": DATA, "usage": usage})
    assert found is not None
    assert (found.usage, found.delivered, found.output_tokens) == (None, True, 0)
    nothing = answer({"data": [], "usage": usage})
    assert nothing is not None
    assert not nothing.delivered


@pytest.mark.parametrize("body", [*NO_ANSWERS, b'{"data":{}}', b'{"data":"AACA"}'])
def test_what_is_no_embedding_is_none(body: bytes) -> None:
    assert EMBEDDINGS.read_answer(body, read_embeddings_usage) is None


@pytest.mark.parametrize("error", [{"message": "Overloaded."}, "Overloaded.", {}])
def test_an_error_in_an_answer_is_found(error: Any) -> None:
    found = answer({"error": error})
    assert found is not None
    assert found.error == error


@given(st.dictionaries(st.sampled_from(["data", "usage", "error"]), JSON))
def test_no_answer_whatever_its_shape_breaks_the_reader(body: dict[str, Any]) -> None:
    answer(body)
