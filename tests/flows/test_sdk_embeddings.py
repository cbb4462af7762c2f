"""OpenAI's clients on Embeddings, and one call of every model that the price book has."""

import math
from typing import Any

import openai
import pytest

from tests.flows.billing_checks import BOOK, Books
from tests.flows.sdk_clients import Speaker, Speakers, cases
from tests.world import OTHER_VENDORS

SMALL, LARGE = "openai/text-embedding-3-small", "openai/text-embedding-3-large"
pytestmark = pytest.mark.usefixtures("each_call_is_recorded_once_and_charged_as_listed")
every_model = cases((SMALL, LARGE))
DIMENSIONS = {"text-embedding-3-small": 1_536, "text-embedding-3-large": 3_072}
CREATE = "embeddings.create"
WALKED: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("chat.completions.create", {"messages": [{"role": "user", "content": "Say hello."}]}),
    "responses": ("responses.create", {"input": "Say hello."}),
    "embedding": (CREATE, {"input": "Say hello."}),
}


@every_model
def test_a_text_becomes_a_vector(speaker: Speaker, books: Books, model: str) -> None:
    # The client asks for base64 unless told otherwise, and decodes it.
    (one,) = speaker.call(CREATE, model=model, input="A bridge").data
    assert len(one.embedding) == DIMENSIONS[model.rpartition("/")[2]]
    assert math.isclose(sum(part * part for part in one.embedding), 1, rel_tol=1e-3)
    record = books.record()
    assert (record["output_tokens"], record["stream"]) == (0, False)
    (told,) = speaker.call(CREATE, model=model, input="A bridge", encoding_format="float").data
    assert told.embedding == pytest.approx(one.embedding, rel=1e-5)


@every_model
def test_many_texts_become_as_many_vectors_in_their_order(speaker: Speaker, model: str) -> None:
    texts = ["A bridge", "A river", "A bridge"]
    answer = speaker.call(CREATE, model=model, input=texts)
    first, second, third = (one.embedding for one in answer.data)
    assert first == third != second
    assert [one.index for one in answer.data] == [0, 1, 2]
    alone = [speaker.call(CREATE, model=model, input=text) for text in texts]
    assert answer.usage.prompt_tokens == sum(one.usage.prompt_tokens for one in alone)


@every_model
def test_a_vector_can_be_asked_for_shorter(speaker: Speaker, model: str) -> None:
    (one,) = speaker.call(CREATE, model=model, input="A bridge", dimensions=256).data
    assert len(one.embedding) == 256


@every_model
def test_tokens_are_embedded_too(speaker: Speaker, books: Books, model: str) -> None:
    answer = speaker.call(CREATE, model=model, input=[[1, 2, 3], [4, 5]])
    assert len(answer.data) == 2
    assert books.record()["input_tokens"] == answer.usage.prompt_tokens == 5


def test_an_embedding_model_does_not_chat(speakers: Speakers) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        speakers["sync"].call(
            "chat.completions.create", model=SMALL, messages=[{"role": "user", "content": "Hi"}]
        )
    assert refused.value.code == "model_endpoint_mismatch"


@pytest.mark.parametrize(
    "name", sorted({model["name"] for model in BOOK.values() if model["mode"] in WALKED})
)
def test_every_model_of_the_price_book_is_called_and_charged_as_listed(
    speakers: Speakers, books: Books, name: str
) -> None:
    if name.partition("/")[0] not in ("openai", *OTHER_VENDORS):
        pytest.skip(f"no channel for {name}")
    method, fields = WALKED[BOOK[name]["mode"]]
    speakers["sync"].call(method, model=name, **fields)
    record = books.record()
    assert record["model"] == name
    assert record["amount_nanos"] > 0
