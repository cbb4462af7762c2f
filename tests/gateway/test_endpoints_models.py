"""GET /v1/models: what can be called, and at what price."""

import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx
import openai
import psycopg
import pytest

from simulator.process import SimulatorProcess
from tests.world import GatewayProcess, Tenant, World, client


@pytest.fixture(scope="module")
def world(server_url: str, template_database: str, simulator: SimulatorProcess) -> Iterator[World]:
    with World(server_url, template_database, simulator) as made:
        made.put_other_vendors()
        yield made


@pytest.fixture(scope="module")
def http(gateway: GatewayProcess) -> Iterator[httpx.Client]:
    with client(gateway) as opened:
        yield opened


@pytest.fixture(scope="module")
def listed(http: httpx.Client) -> dict[str, dict[str, Any]]:
    """The list, by id."""
    answer = http.get("/v1/models")
    assert answer.status_code == 200
    assert answer.json()["object"] == "list"
    return {model["id"]: model for model in answer.json()["data"]}


def test_the_list_needs_no_key_and_a_bad_one_does_no_harm(http: httpx.Client) -> None:
    answer = http.get("/v1/models", headers={"authorization": "Bearer nonsense"})
    assert answer.status_code == 200
    assert answer.content == http.get("/v1/models").content


IMAGE_MODELS = {
    "openai/gpt-image-2",
    "openai/gpt-4o-image",
    "black-forest-labs/flux-kontext-pro",
    "black-forest-labs/flux-kontext-max",
    "topaz/topaz-upscale-image",
}


def test_the_list_holds_every_priced_model_that_is_served_once_and_by_name(
    world: World, listed: dict[str, dict[str, Any]]
) -> None:
    rows = world.database.query(
        "SELECT DISTINCT m.name FROM gateway_model m JOIN billing_price p ON p.model = m.name"
        " WHERE m.mode IN ('chat', 'responses', 'embedding') AND m.is_enabled AND p.group_id IS NULL"
        " AND p.effective_from <= now()"
    )
    assert list(listed) == sorted({row["name"] for row in rows} | IMAGE_MODELS)
    assert len(listed) > 20


def test_an_entry_says_what_agents_read(listed: dict[str, dict[str, Any]]) -> None:
    model = listed["openai/gpt-5.5"]
    assert (model["object"], model["owned_by"]) == ("model", "openai")
    assert (model["context_length"], model["max_completion_tokens"]) == (1_050_000, 128_000)
    assert model["aliases"] == ["gpt-5.5"]
    assert model["modality"]
    assert isinstance(model["created"], int)


def test_prices_are_per_token_half_of_list_and_agree_with_the_price_book(
    world: World, listed: dict[str, dict[str, Any]]
) -> None:
    names = {
        "input": "prompt",
        "output": "completion",
        "cached_input": "cache_read",
        "cache_write": "cache_write",
    }
    rates = world.database.query(
        "SELECT p.model, r.bucket, r.list_nanos, r.per, coalesce(r.sell_bps, p.sell_bps) AS sell_bps"
        " FROM (SELECT DISTINCT ON (model) * FROM billing_price WHERE group_id IS NULL AND effective_from <= now()"
        " ORDER BY model, effective_from DESC) p JOIN billing_pricerate r ON r.price_id = p.id"
        " WHERE r.tier = 'standard' AND r.above_input_tokens = 0 AND r.bucket = ANY(%s)",
        list(names),
    )
    checked = 0
    for rate in rates:
        model = listed.get(rate["model"])
        if model is None:
            continue
        shown = names[rate["bucket"]]
        listed_usd = Decimal(rate["list_nanos"]) / 10**9 / rate["per"]
        assert Decimal(model["pricing"]["list"][shown]) == listed_usd
        assert Decimal(model["pricing"][shown]) == listed_usd * rate["sell_bps"] / 10_000
        checked += 1
    assert checked > 60


def test_the_flagship_costs_half_of_what_its_vendor_asks(listed: dict[str, dict[str, Any]]) -> None:
    pricing = listed["openai/gpt-5.5"]["pricing"]
    assert (pricing["list"]["prompt"], pricing["list"]["completion"]) == ("0.000005", "0.00003")
    assert (pricing["prompt"], pricing["completion"]) == ("0.0000025", "0.000015")
    assert pricing["cache_read"] == "0.00000025"


@pytest.mark.parametrize(
    "path",
    [
        "openai/gpt-5.5",
        "openai%2Fgpt-5.5",
        "openai%2fgpt-5.5",
        "%6Fpenai/gpt-5.5",
        "openai/gpt-5.5?a=b",
    ],
)
def test_one_model_is_found_with_a_raw_slash_and_with_an_encoded_one(
    http: httpx.Client, listed: dict[str, dict[str, Any]], path: str
) -> None:
    answer = http.get(f"/v1/models/{path}")
    assert answer.status_code == 200
    assert answer.json() == listed["openai/gpt-5.5"]


def test_one_model_is_found_by_its_alias_under_that_name(
    http: httpx.Client, listed: dict[str, dict[str, Any]]
) -> None:
    answer = http.get("/v1/models/gpt-5.5").json()
    assert answer == {**listed["openai/gpt-5.5"], "id": "gpt-5.5"}
    slashed = http.get("/v1/models/upstage/solar-pro-3").json()
    assert slashed == {**listed["upstage/solar-pro3"], "id": "upstage/solar-pro-3"}


@pytest.mark.parametrize(
    "name",
    ["nope", "GPT-5.5", "OpenAI/gpt-5.5", "openai/", "openai", "openai/openai/gpt-5.5", "gpt-5.5/", " gpt-5.5",
     "gpt-5.5%20", "whisper-1", "openai/gpt-image-1", "x" * 3000, "a%22b%0a"],
)  # fmt: skip
def test_a_model_that_cannot_be_called_is_a_json_404(http: httpx.Client, name: str) -> None:
    answer = http.get(f"/v1/models/{name}")
    assert answer.status_code == 404
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == ("model_not_found", "model")
    assert len(answer.content) < 500


@pytest.mark.parametrize(
    ("name", "unit", "yours", "at_list"),
    [
        (
            "openai/gpt-image-2",
            "image",
            {"1k": "0.06", "2k": "0.10", "4k": "0.16"},
            {"1k": "0.12", "2k": "0.20", "4k": "0.32"},
        ),
        (
            "openai/gpt-4o-image",
            "request",
            {"1": "0.06", "2": "0.07", "4": "0.08"},
            {"1": "0.12", "2": "0.14", "4": "0.16"},
        ),
        ("black-forest-labs/flux-kontext-pro", "image", {"image": "0.02"}, {"image": "0.04"}),
        ("black-forest-labs/flux-kontext-max", "image", {"image": "0.04"}, {"image": "0.08"}),
        (
            "topaz/topaz-upscale-image",
            "image",
            {"1": "0.10", "2": "0.10", "4": "0.20", "8": "0.40"},
            {"1": "0.20", "2": "0.20", "4": "0.40", "8": "0.80"},
        ),
    ],
)
def test_pictures_are_listed_with_a_price_for_each_of_their_keys(
    listed: dict[str, dict[str, Any]],
    name: str,
    unit: str,
    yours: dict[str, str],
    at_list: dict[str, str],
) -> None:
    assert listed[name]["pricing"] == {
        "per_image": yours,
        "per_image_unit": unit,
        "list": {"per_image": at_list, "per_image_unit": unit},
    }


def test_models_of_pictures_say_what_they_take_and_give(
    listed: dict[str, dict[str, Any]],
) -> None:
    modalities = {name: listed[name]["modality"] for name in IMAGE_MODELS}
    assert modalities.pop("topaz/topaz-upscale-image") == "image->image"
    assert set(modalities.values()) == {"text+image->image"}
    assert listed["openai/gpt-4o-image"]["display_name"] == "gpt-4o-image"
    assert "per_image" not in listed["openai/gpt-5.5"]["pricing"]


@pytest.mark.parametrize(
    "name", ["gpt-image-2", "gpt-image-2-text-to-image", "gpt-image-2-image-to-image"]
)
def test_one_model_of_pictures_is_found_by_each_of_its_names(
    http: httpx.Client, listed: dict[str, dict[str, Any]], name: str
) -> None:
    answer = http.get(f"/v1/models/{name}").json()
    assert answer == {**listed["openai/gpt-image-2"], "id": name}


def test_a_model_of_pictures_without_a_price_for_any_of_its_keys_is_not_listed(
    fresh_world: World,
) -> None:
    """A price of tokens comes into force: no picture can be made at that."""
    gateway = fresh_world.start_gateway()
    with client(gateway) as http:
        assert http.get("/v1/models/gpt-image-2").status_code == 200
        with psycopg.connect(fresh_world.database.url) as connection:
            row = connection.execute(
                "INSERT INTO billing_price (model, effective_from, sell_bps, list_is_estimated, source, created_at)"
                " VALUES ('openai/gpt-image-2', now(), 5000, false, '', now()) RETURNING id"
            ).fetchone()
            assert row is not None
            connection.execute(
                "INSERT INTO billing_pricerate (price_id, tier, above_input_tokens, bucket, list_nanos, per)"
                " VALUES (%s, 'standard', 0, 'image_output', 1, 1000000), (%s, 'standard', 0, 'image[8k]', 1, 1)",
                (row[0], row[0]),
            )
        time.sleep(0.8)
        assert http.get("/v1/models/gpt-image-2").status_code == 404
        names = [model["id"] for model in http.get("/v1/models").json()["data"]]
        assert "openai/gpt-image-2" not in names
        assert "openai/gpt-4o-image" in names


def test_the_official_client_reads_the_list_and_one_model(
    gateway: GatewayProcess, alice: Tenant
) -> None:
    with openai.OpenAI(base_url=gateway.base_url, api_key=alice.key, max_retries=0) as sdk:
        names = [model.id for model in sdk.models.list()]
        assert "openai/gpt-5.5" in names
        assert sdk.models.retrieve("openai/gpt-5.5").owned_by == "openai"
        with pytest.raises(openai.NotFoundError) as refused:
            sdk.models.retrieve("openai/nope")
        assert refused.value.code == "model_not_found"
        assert refused.value.request_id is not None


GOOGLE = {"x-goog-api-key": "of no matter here"}


@pytest.fixture(scope="module")
def of_google(http: httpx.Client) -> dict[str, dict[str, Any]]:
    """Gemini's list, by name."""
    answer = http.get("/v1beta/models")
    assert answer.status_code == 200
    assert list(answer.json()) == ["models"]
    return {model["name"]: model for model in answer.json()["models"]}


def test_googles_clients_get_googles_list_on_either_path(http: httpx.Client) -> None:
    answer = http.get("/v1beta/models")
    assert http.get("/v1/models", headers=GOOGLE).content == answer.content
    assert http.get("/v1beta/models", headers=GOOGLE).content == answer.content
    one = http.get("/v1beta/models/gemini-2.5-flash")
    assert http.get("/v1/models/gemini-2.5-flash", headers=GOOGLE).content == one.content


def test_googles_list_holds_what_generates_there_and_nothing_else(
    listed: dict[str, dict[str, Any]], of_google: dict[str, dict[str, Any]]
) -> None:
    expected = {
        f"models/{name}"
        for name, model in listed.items()
        if model["owned_by"] == "gemini" and model["modality"] == "text->text"
    }
    assert set(of_google) == expected
    assert len(expected) > 3


def test_an_entry_of_googles_list_can_be_called_by_its_name(
    gateway: GatewayProcess, alice: Tenant, of_google: dict[str, dict[str, Any]]
) -> None:
    flash = of_google["models/gemini/gemini-2.5-flash"]
    assert flash["displayName"] == "gemini-2.5-flash"
    assert flash["inputTokenLimit"] == 1_048_576
    assert 60_000 < flash["outputTokenLimit"] < 70_000
    body = {"contents": [{"parts": [{"text": "Hi"}]}]}
    with client(gateway, alice) as caller:
        for name, model in of_google.items():
            for method in model["supportedGenerationMethods"]:
                answer = caller.post(f"/v1beta/{name}:{method}", json=body)
                assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    "name", ["nope", "gpt-5.5", "claude-haiku-4-5", "gemini-embedding-001", "gemini", "x" * 3000]
)
def test_a_model_that_does_not_generate_there_is_googles_own_404(
    http: httpx.Client, name: str
) -> None:
    for path in ("/v1beta/models", "/v1/models"):
        answer = http.get(f"{path}/{name}", headers=GOOGLE)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["status"]) == (404, 404, "NOT_FOUND")
        assert error["details"][0]["reason"] == "model_not_found"
        assert len(answer.content) < 700


def test_one_list_serves_anthropics_clients_too(
    http: httpx.Client, listed: dict[str, dict[str, Any]]
) -> None:
    answer = http.get("/v1/models", headers={"anthropic-version": "2023-06-01"}).json()
    names = [model["id"] for model in answer["data"]]
    assert (answer["first_id"], answer["last_id"], answer["has_more"]) == (
        names[0],
        names[-1],
        False,
    )
    assert {model["type"] for model in answer["data"]} == {"model"}
    assert listed["anthropic/claude-haiku-4-5"]["display_name"] == "claude-haiku-4-5"
