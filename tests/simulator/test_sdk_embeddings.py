"""What the official OpenAI client makes of the embeddings, OpenAI's and Gemini's."""

import math

import openai
import pytest


@pytest.fixture(scope="module")
def compatible(vendor, root_url):
    with openai.OpenAI(
        base_url=root_url + "/v1beta/openai", api_key=vendor.api_key, max_retries=0
    ) as made:
        yield made


def embed(client, given="Say hello to the team.", **options):
    options.setdefault("model", "text-embedding-3-small")
    return client.embeddings.create(input=given, **options)


def test_a_text_becomes_a_vector_of_length_one(client, last_ended):
    answer = embed(client)
    (one,) = answer.data
    assert len(one.embedding) == 1536
    assert math.isclose(math.hypot(*one.embedding), 1.0, abs_tol=1e-5)
    assert answer.model == "text-embedding-3-small"
    assert answer.usage.prompt_tokens == answer.usage.total_tokens == 6
    entry = last_ended()
    assert (entry["dialect"], entry["generated_tokens"]) == ("embeddings", 0)
    assert entry["totals"]["input"] == 6
    assert entry["usage"] == {"prompt_tokens": 6, "total_tokens": 6}


def test_the_same_text_has_the_same_vector_in_both_encodings(client):
    first, again, other = embed(client, ["one", "one", "two"], encoding_format="float").data
    assert (first.index, other.index) == (0, 2)
    assert first.embedding == again.embedding
    assert first.embedding != other.embedding
    # Unasked, this client asks for base64 and decodes it.
    assert embed(client, "one").data[0].embedding == pytest.approx(first.embedding, abs=1e-7)
    raw = client.post(
        "/embeddings",
        body={"model": "m", "input": "one", "encoding_format": "base64"},
        cast_to=object,
    )
    assert isinstance(raw["data"][0]["embedding"], str)


def test_tokens_count_for_themselves(client):
    assert embed(client, [1, 2, 3]).usage.prompt_tokens == 3
    answer = embed(client, [[1, 2, 3], [4]])
    assert (len(answer.data), answer.usage.prompt_tokens) == (2, 4)


def test_dimensions_shorten_the_vector(client):
    (short,) = embed(client, dimensions=8).data
    (long,) = embed(client, model="text-embedding-3-large").data
    assert (len(short.embedding), len(long.embedding)) == (8, 3072)
    assert math.isclose(math.hypot(*short.embedding), 1.0, abs_tol=1e-5)


def test_geminis_compatible_path_serves_them_too(compatible):
    answer = embed(compatible, model="gemini-embedding-001")
    assert len(answer.data[0].embedding) == 3072
    assert answer.usage.prompt_tokens == 6


def test_scripts_stand_in_the_body_or_in_the_last_text(client, last_ended):
    scripted = embed(client, extra_body={"simulate": {"input_tokens": 500}})
    assert scripted.usage.total_tokens == 500
    marked = embed(client, ["one", 'two [[simulate {"usage": {"prompt_tokens": -1}}]]'])
    assert marked.usage.prompt_tokens == -1
    assert last_ended()["totals"]["input"] == 2
    assert marked.data[1].embedding == embed(client, "two").data[0].embedding
    with pytest.raises(openai.InternalServerError):
        embed(client, extra_body={"simulate": {"status": 503}})


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"input": None}, "input"),
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": ["a", ""]}, "input"),
        ({"input": [[1], ["a"]]}, "input"),
        ({"input": 3}, "input"),
        ({"dimensions": 1537}, "dimensions"),
        ({"encoding_format": "hex"}, "encoding_format"),
        ({"input": "word " * 9_000}, None),
    ],
)
def test_a_wrong_field_is_named_in_the_error(http, changes, param):
    body = {"model": "text-embedding-3-small", "input": "x", **changes}
    answer = http.post("/embeddings", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


def test_models_serve_either_chat_or_embeddings(client, body):
    with pytest.raises(openai.PermissionDeniedError):
        embed(client, model="gpt-5.5")
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(**{**body(), "model": "text-embedding-3-small"})


def test_errors_on_geminis_compatible_paths_are_googles_within_a_list(compatible, post):
    with pytest.raises(openai.BadRequestError) as refused:
        embed(compatible, "")
    (error,) = refused.value.body
    assert error["error"]["status"] == "INVALID_ARGUMENT"
    answer = post("/v1beta/openai/embeddings", {}, authorization="Bearer wrong")
    assert answer.json()[0]["error"]["status"] == "UNAUTHENTICATED"


def test_geminis_models_are_listed_in_openais_form(compatible):
    assert "models/gemini-2.5-pro" in [model.id for model in compatible.models.list()]
