"""What is said to each vendor, and where."""

from typing import Any

import pytest

from gateway.catalog import Channel, Model
from gateway.exchange import choose_exchange
from gateway.providers import DIALECTS
from gateway.providers.base import Dialect
from gateway.surfaces import SURFACES

KEY = "sk-secret"
MODEL = "some-model"
SIGNED = ("authorization", f"Bearer {KEY}")
ADDRESSES = [
    ("openai", "chat", "https://api.openai.com/v1/chat/completions"),
    ("openai", "responses", "https://api.openai.com/v1/responses"),
    ("openai", "embeddings", "https://api.openai.com/v1/embeddings"),
    ("anthropic", "chat", "https://api.anthropic.com/v1/chat/completions"),
    ("anthropic", "messages", "https://api.anthropic.com/v1/messages"),
    ("anthropic", "messages/count_tokens", "https://api.anthropic.com/v1/messages/count_tokens"),
    (
        "gemini",
        "chat",
        "https://generativelanguage.googleapis.com/v1beta/openai/chat/completions",
    ),
    ("gemini", "embeddings", "https://generativelanguage.googleapis.com/v1beta/openai/embeddings"),
    (
        "gemini",
        "generate",
        "https://generativelanguage.googleapis.com/v1beta/models/some-model:generateContent",
    ),
    (
        "gemini",
        "generate/count_tokens",
        "https://generativelanguage.googleapis.com/v1beta/models/some-model:countTokens",
    ),
    ("upstage", "chat", "https://api.upstage.ai/v1/chat/completions"),
    ("upstage", "embeddings", "https://api.upstage.ai/v1/embeddings"),
    ("deepseek", "chat", "https://api.deepseek.com/v1/chat/completions"),
    ("xai", "chat", "https://api.x.ai/v1/chat/completions"),
    ("xai", "responses", "https://api.x.ai/v1/responses"),
    ("mistral", "chat", "https://api.mistral.ai/v1/chat/completions"),
    ("mistral", "embeddings", "https://api.mistral.ai/v1/embeddings"),
]
VENDORS = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
# Workers alone speak to the other vendors, which make pictures.
CHATTING = {slug: dialect for slug, dialect in DIALECTS.items() if "chat" in dialect.paths}
CHATTING_VENDORS = pytest.mark.parametrize("dialect", CHATTING.values(), ids=CHATTING)


def url(slug: str, surface: str, base_url: str | None = None, **changes: Any) -> str:
    dialect = DIALECTS[slug]
    asked = {"model": MODEL, "stream": False, **changes}
    return dialect.url(
        base_url or dialect.base_url, surface, asked["model"], stream=asked["stream"]
    )


@pytest.mark.parametrize(("slug", "surface", "address"), ADDRESSES)
def test_a_call_goes_to_the_vendors_own_address(slug: str, surface: str, address: str) -> None:
    assert url(slug, surface) == address
    assert url(slug, surface, DIALECTS[slug].base_url + "/") == address


def test_every_surface_of_every_vendor_has_an_address_here() -> None:
    spoken = {(slug, name) for slug, dialect in DIALECTS.items() for name in dialect.paths}
    assert spoken == {(slug, surface) for slug, surface, _ in ADDRESSES}


@VENDORS
def test_every_surface_but_counting_has_a_reader(dialect: Dialect) -> None:
    counting = {name for name in dialect.paths if name.endswith("/count_tokens")}
    assert set(dialect.usage) == set(dialect.paths) - counting


@CHATTING_VENDORS
def test_a_channel_may_be_anywhere(dialect: Dialect) -> None:
    here = dialect.url("http://127.0.0.1:9/v1", "chat", MODEL, stream=True)
    assert here == "http://127.0.0.1:9/v1/chat/completions"


@VENDORS
def test_no_credential_is_ever_in_an_address(dialect: Dialect) -> None:
    address, headers = dialect.probe(dialect.base_url, KEY)
    assert KEY not in address
    assert any(KEY in value for _, value in headers)


@VENDORS
def test_a_dialect_cannot_be_changed(dialect: Dialect) -> None:
    with pytest.raises(TypeError):
        dialect.paths["chat"] = "/elsewhere"  # type: ignore[index]
    with pytest.raises(AttributeError):
        dialect.base_url = "https://elsewhere.example"  # type: ignore[misc]


@CHATTING_VENDORS
def test_chat_is_signed_with_a_bearer_token(dialect: Dialect) -> None:
    assert dialect.headers("chat", KEY) == [SIGNED]


@pytest.mark.parametrize("surface", ["messages", "messages/count_tokens", "models"])
def test_anthropics_own_api_takes_its_key_and_a_version(surface: str) -> None:
    headers = DIALECTS["anthropic"].headers(surface, KEY)
    assert headers == [("x-api-key", KEY), ("anthropic-version", "2023-06-01")]


@pytest.mark.parametrize("surface", ["generate", "generate/count_tokens", "models"])
def test_geminis_own_api_takes_its_key_in_a_header(surface: str) -> None:
    assert DIALECTS["gemini"].headers(surface, KEY) == [("x-goog-api-key", KEY)]


@pytest.mark.parametrize(
    ("slug", "base_url", "probed", "header"),
    [
        ("black-forest-labs", "https://api.bfl.ai", "/v1/credits", "x-key"),
        ("black-forest-labs", "https://api.bfl.ai/", "/v1/credits", "x-key"),
        ("black-forest-labs", "https://api.bfl.ai/v1", "/v1/credits", "x-key"),
        ("topaz", "https://api.topazlabs.com/", "/account/v1/credits/balance", "x-api-key"),
    ],
)
def test_vendors_of_pictures_are_asked_for_the_balance(
    slug: str, base_url: str, probed: str, header: str
) -> None:
    address, headers = DIALECTS[slug].probe(base_url, KEY)
    assert address == DIALECTS[slug].base_url + probed
    assert headers == [(header, KEY)]


@pytest.mark.parametrize("slug", ["black-forest-labs", "topaz"])
@pytest.mark.parametrize("mode", ["chat", "responses", "embedding"])
@pytest.mark.parametrize("surface", SURFACES)
def test_no_call_of_the_data_plane_goes_to_a_vendor_of_pictures(
    slug: str, mode: str, surface: str
) -> None:
    model = Model(name="any/model", provider=slug, upstream_name=MODEL, mode=mode)
    channel = Channel(
        id=1, provider=slug, dialect=slug, name="main", base_url="https://x.example",
        credential=KEY, priority=0, weight=1, model_map={"any/model": MODEL},
    )  # fmt: skip
    assert choose_exchange(SURFACES[surface], model, channel) is None


@pytest.mark.parametrize("surface", ["chat", "messages", "messages/count_tokens"])
@pytest.mark.parametrize("base_url", ["http://sim:1", "http://sim:1/", "http://sim:1/v1"])
def test_anthropics_base_url_may_leave_out_the_version(base_url: str, surface: str) -> None:
    assert url("anthropic", surface, base_url).startswith("http://sim:1/v1/")
    assert DIALECTS["anthropic"].probe(base_url, KEY)[0] == "http://sim:1/v1/models"


@pytest.mark.parametrize("ending", ["/v1beta", "/v1beta/", "/v1beta/openai", "/v1beta/openai/"])
def test_geminis_base_url_may_be_of_either_api(ending: str) -> None:
    base_url = f"http://sim:1{ending}"
    assert url("gemini", "chat", base_url) == "http://sim:1/v1beta/openai/chat/completions"
    assert url("gemini", "embeddings", base_url) == "http://sim:1/v1beta/openai/embeddings"
    assert (
        url("gemini", "generate", base_url)
        == "http://sim:1/v1beta/models/some-model:generateContent"
    )
    assert DIALECTS["gemini"].probe(base_url, KEY)[0] == "http://sim:1/v1beta/models"


def test_a_stream_of_generate_content_is_asked_for_by_its_address() -> None:
    base_url = "http://sim:1/v1beta"
    assert (
        url("gemini", "generate", base_url, stream=True)
        == "http://sim:1/v1beta/models/some-model:streamGenerateContent?alt=sse"
    )
    counted = url("gemini", "generate/count_tokens", base_url, stream=True)
    assert counted == "http://sim:1/v1beta/models/some-model:countTokens"
    assert url("gemini", "chat", base_url, stream=True) == url("gemini", "chat", base_url)


@pytest.mark.parametrize("model", ["../../v1/files", "a/b", "a?b=c", "a#b", "a:generateContent"])
def test_a_models_name_cannot_lead_elsewhere(model: str) -> None:
    address = url("gemini", "generate", "http://sim:1/v1beta", model=model, stream=True)
    name = address.removeprefix("http://sim:1/v1beta/models/")
    name = name.removesuffix(":streamGenerateContent?alt=sse")
    assert not set(name) & set("/?#:")


@pytest.mark.parametrize(
    ("slug", "surface"),
    [("deepseek", "responses"), ("openai", "messages"), ("anthropic", "embeddings")],
)
def test_a_surface_that_is_not_spoken_has_no_address(slug: str, surface: str) -> None:
    with pytest.raises(KeyError):
        url(slug, surface)


@pytest.mark.parametrize(
    ("slug", "field"),
    [
        ("openai", "max_completion_tokens"),
        ("anthropic", "max_tokens"),
        ("gemini", "max_tokens"),
        ("upstage", "max_tokens"),
        ("deepseek", "max_tokens"),
        ("xai", "max_completion_tokens"),
        ("mistral", "max_tokens"),
    ],
)
def test_output_is_limited_by_the_field_that_the_vendor_knows(slug: str, field: str) -> None:
    assert DIALECTS[slug].output_limit == field


def test_reasoning_beside_the_completion_is_read_where_the_vendor_puts_it_there() -> None:
    report = {
        "prompt_tokens": 10,
        "completion_tokens": 50,
        "total_tokens": 80,
        "completion_tokens_details": {"reasoning_tokens": 20},
    }
    outputs = {}
    for slug, dialect in CHATTING.items():
        usage = dialect.usage["chat"](report)
        outputs[slug] = None if usage is None else usage.output_tokens
    assert outputs.pop("xai") == 70
    assert outputs.pop("gemini") == 70
    assert set(outputs.values()) == {None}
