"""The catalogue and the page of a model."""

import re
import shlex

import httpx
import pytest
from django.test import Client

from billing.presentation import dollars
from gateway.models import Channel
from gateway.operator.price_reading import shown_tables
from guides.catalogue import read_catalogue
from guides.examples import examples_for
from guides.model_list import features_of
from guides.words import FEATURES
from tests.gateway.operator.shop import add_channel
from tests.guides.catalogue_pages import add_model, tokens, words
from tests.people import People
from tests.world import GatewayProcess, World

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def site(world: World) -> GatewayProcess:
    """The real front door, with a channel for each vendor."""
    world.put_other_vendors()
    world.put_channel("black-forest-labs", world.simulator.base_url, world.simulator.api_key)
    return world.start_gateway()


def cards(html: str) -> list[str]:
    """The names on the cards, as they stand."""
    return re.findall(r'<li class="card model-card">.*?<h2><a [^>]*>([^<]+)</a>', html, re.DOTALL)


def test_the_public_catalogue_is_the_list_that_the_api_gives(site: GatewayProcess) -> None:
    listed = httpx.get(f"{site.root}/v1/models").json()["data"]
    page = httpx.get(f"{site.root}/models.md").text
    assert sorted(re.findall(r"^\| \[([^\]]+)\]", page, re.MULTILINE)) == sorted(
        one["id"] for one in listed
    )
    for one in listed:
        address = f"{site.root}/models/{one['id']}"
        assert httpx.get(address).status_code == 200
        assert all(f"`{alias}`" in httpx.get(f"{address}.md").text for alias in one["aliases"])


@pytest.mark.parametrize(
    "path", ["/api/v1/models", "/api/tags", "/v1/props", "/props", "/version", "/api/show"]
)
def test_what_agents_probe_is_still_not_ours(site: GatewayProcess, path: str) -> None:
    answer = httpx.get(site.root + path)
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("application/json")
    assert set(answer.json()) == {"error"}


@pytest.mark.usefixtures("price_book")
@pytest.mark.parametrize("language", ["", "ko/", "zh-hans/", "zh-hant/"])
def test_every_model_has_a_page_with_all_its_prices(client: Client, language: str) -> None:
    for one in read_catalogue():
        answer = client.get(f"/{language}models/{one.name}")
        assert answer.status_code == 200
        said = words(answer.text)
        for table in shown_tables(one.price.tables):
            for rate in table.rates:
                assert f"{dollars(rate.list_nanos)} {dollars(rate.sale_nanos)}" in said, one.name
        for path in one.endpoints:
            assert path in said
        markdown = client.get(f"/{language}models/{one.name}.md").text
        assert markdown.startswith(f"# {one.name}\n")
        assert markdown.count("```") == 2 * len(examples_for(one, "http://testserver"))


@pytest.mark.usefixtures("price_book")
@pytest.mark.parametrize(
    ("query", "test"),
    [
        ("provider=anthropic", lambda one: one.model.provider == "anthropic"),
        ("kind=image", lambda one: one.kind == "image"),
        ("context=1000000", lambda one: (one.model.context_length or 0) >= 1_000_000),
        ("context=3", lambda one: True),
        ("feature=messages", lambda one: "/v1/messages" in one.endpoints),
        ("feature=mask", lambda one: one.offer is not None and one.offer.has_mask),
        ("feature=caching", lambda one: one.kind == "text" and one.rate("cached_input")),
        ("feature=tiers", lambda one: len(one.tiers) > 1),
        ("feature=nonsense&provider=x&kind=y", lambda one: True),
        ("q=upscale", lambda one: one.name == "topaz/topaz-upscale-image"),
    ],
)
def test_the_catalogue_is_filtered_by_its_address(client: Client, query: str, test: object) -> None:
    expected = [one.own_name for one in read_catalogue() if test(one)]  # type: ignore[operator]
    assert expected
    assert cards(client.get(f"/models?{query}").text) == expected


@pytest.mark.usefixtures("price_book")
def test_every_feature_belongs_to_some_model(client: Client) -> None:
    assert {key for one in read_catalogue() for key in features_of(one)} == set(FEATURES)
    assert "No model matches" in client.get("/models?q=none").text


@pytest.mark.usefixtures("price_book")
def test_an_unknown_model_has_a_page_that_helps(client: Client) -> None:
    answer = client.get("/models/openai/gpt-5.55")
    assert answer.status_code == 404
    assert "noindex" in answer.text
    assert 'href="/models/openai/gpt-5.5"' in answer.text
    assert 'action="/models"' in answer.text
    assert client.get("/models/openai/gpt-5.55.md").status_code == 404
    hostile = client.get("/models/x/%3Cscript%3Ealert(1)%3C%2Fscript%3E")
    assert hostile.status_code == 404
    assert "<script>alert" not in hostile.text


@pytest.mark.usefixtures("price_book")
def test_an_alias_leads_to_the_page_of_its_model(client: Client) -> None:
    answer = client.get("/ko/models/openai/gpt-image-2-text-to-image")
    assert (answer.status_code, answer["Location"]) == (302, "/ko/models/openai/gpt-image-2")
    answer = client.get("/models/openai/gpt-image-2-text-to-image.md")
    assert answer["Location"] == "/models/openai/gpt-image-2.md"


@pytest.mark.usefixtures("empty_catalogue")
def test_a_model_that_is_off_or_has_no_price_has_no_page(client: Client) -> None:
    add_model("openai/off", tokens(4, 20), is_enabled=False)
    add_model("openai/unpriced")
    assert client.get("/models/openai/off").status_code == 404
    assert client.get("/models/openai/unpriced").status_code == 404
    assert cards(client.get("/models").text) == []


@pytest.mark.usefixtures("empty_catalogue")
def test_a_model_is_not_served_without_a_channel_of_its_own(client: Client, people: People) -> None:
    add_model("openai/one", tokens(4, 20))
    add_model("openai/two", tokens(4, 20))
    assert "Not served here" in client.get("/models/openai/one").text
    channel = add_channel()
    assert "Not served here" not in client.get("/models/openai/one").text
    Channel.objects.filter(pk=channel.pk).update(model_map={"openai/two": "two"})
    assert "Not served here" in client.get("/models/openai/one").text
    assert "Not served here" not in client.get("/models/openai/two").text
    Channel.objects.update(is_enabled=False)
    assert "Not served here" in client.get("/models/openai/two").text


@pytest.mark.usefixtures("price_book")
def test_pictures_name_what_can_be_asked_for(client: Client) -> None:
    said = words(client.get("/models/openai/gpt-image-2").text)
    assert "output_resolution 1k 2k 4k 1k if left out" in said
    assert "source_image_urls 1–16" in said
    said = words(client.get("/models/topaz/topaz-upscale-image").text)
    assert "upscale_factor 1 2 4 8 2 if left out" in said


def test_the_program_of_every_kind_of_model_runs(site: GatewayProcess, world: World) -> None:
    """By curl, as it stands on the page: chat, embeddings, pictures."""
    tenant = world.add_tenant("Reader", "10")
    for name, status in (
        ("deepseek/deepseek-v4-pro", 200),
        ("openai/text-embedding-3-small", 200),
        ("openai/gpt-image-2", 202),
        ("black-forest-labs/flux-kontext-pro", 202),
    ):
        text = httpx.get(f"{site.root}/models/{name}.md").text
        program = text.partition("```shell\n")[2].partition("\n```")[0]
        url, headers, body = read_curl(program, tenant.key)
        answer = httpx.post(url, headers=headers, content=body)
        assert answer.status_code == status, (name, answer.text)


def read_curl(program: str, secret: str) -> tuple[str, dict[str, str], str]:
    """Where the command goes, with which headers and what body."""
    words_of_it = shlex.split(program.replace("\\\n", "").replace("$TOLLGATE_API_KEY", secret))
    headers = {}
    body = ""
    for flag, value in zip(words_of_it[2::2], words_of_it[3::2], strict=True):
        if flag == "-H":
            name, _, text = value.partition(": ")
            headers[name] = text
        elif flag == "-d":
            body = value
    return words_of_it[1], headers, body
