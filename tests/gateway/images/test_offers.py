"""What the models offer against the price book, and what is said of a model in the wrong place."""

from itertools import product
from typing import Any

import pytest

from billing.money import parse_usd
from billing.picture_pricing import priced_keys, quote_pictures
from billing.price_book import ModelEntry, read_price_book
from billing.pricing import Price
from gateway.images.offers import (
    MODES,
    OFFERS,
    PATHS,
    Offer,
    image_paths,
    price_key,
    price_keys,
    refuse_action,
)
from gateway.images.request import parse_image_request

BOOK = {entry.name: entry for entry in read_price_book()}
SOURCES = ["https://pictures.example/cat.png"]


def newest_price(entry: ModelEntry) -> Price:
    newest = max(entry.prices, key=lambda price: price.effective_from)
    return Price(1, entry.name, None, newest.effective_from, newest.tables)


def bodies(offer: Offer, action: str) -> list[dict[str, Any]]:
    """Every combination of what the offer has."""
    fields: dict[str, tuple[Any, ...]] = {
        "output_resolution": offer.resolutions,
        "aspect_ratio": offer.ratios,
        "output_count": offer.counts,
        "background": offer.backgrounds,
        "upscale_factor": offer.factors,
    }
    if action != "upscale_image":
        fields["prompt"] = ("a cat",)
    if action != "text_to_image":
        fields["source_image_urls"] = (SOURCES,)
    offered = {name: values for name, values in fields.items() if values}
    return [dict(zip(offered, one, strict=True)) for one in product(*offered.values())]


@pytest.mark.parametrize("model", OFFERS)
def test_everything_on_offer_has_a_price_and_nothing_else_has(model: str) -> None:
    offer, price = OFFERS[model], newest_price(BOOK[model])
    assert sorted(one.key for one in priced_keys(price)) == sorted(price_keys(offer))
    unit = "request" if offer.priced_by == "count" else "image"
    assert {one.unit for one in priced_keys(price)} == {unit}


def test_every_model_that_is_priced_by_the_picture_has_an_offer_of_its_mode() -> None:
    priced = {name for name, entry in BOOK.items() if priced_keys(newest_price(entry))}
    assert priced == set(OFFERS)
    for name, offer in OFFERS.items():
        assert offer.model == name
        assert offer.actions == MODES[BOOK[name].mode]


@pytest.mark.parametrize("model", OFFERS)
def test_every_combination_is_read_and_costs_something(model: str) -> None:
    offer, price = OFFERS[model], newest_price(BOOK[model])
    for action in offer.actions:
        for body in bodies(offer, action):
            request = parse_image_request(action, body, offer)
            key = price_key(offer, request)
            assert key in price_keys(offer)
            assert quote_pictures(price, request.output_count, key) > 0


@pytest.mark.parametrize(
    ("model", "fields", "usd"),
    [
        ("openai/gpt-image-2", {}, "0.06"),
        ("openai/gpt-image-2", {"output_resolution": "2k"}, "0.10"),
        ("openai/gpt-image-2", {"output_resolution": "4k"}, "0.16"),
        ("openai/gpt-image-2", {"output_resolution": "2k", "output_count": 3}, "0.30"),
        ("openai/gpt-4o-image", {}, "0.06"),
        ("openai/gpt-4o-image", {"output_count": 2}, "0.07"),
        ("openai/gpt-4o-image", {"output_count": 4}, "0.08"),
        ("black-forest-labs/flux-kontext-pro", {}, "0.02"),
        ("black-forest-labs/flux-kontext-max", {}, "0.04"),
    ],
)
def test_pictures_cost_what_the_seeds_say(model: str, fields: dict[str, Any], usd: str) -> None:
    offer = OFFERS[model]
    request = parse_image_request("text_to_image", {"prompt": "a cat", **fields}, offer)
    price = newest_price(BOOK[model])
    assert quote_pictures(price, request.output_count, price_key(offer, request)) == parse_usd(usd)


@pytest.mark.parametrize(("factor", "usd"), [(None, "0.10"), (1, "0.10"), (4, "0.20"), (8, "0.40")])
def test_an_upscale_costs_by_its_factor(factor: int | None, usd: str) -> None:
    offer = OFFERS["topaz/topaz-upscale-image"]
    body = {"source_image_urls": SOURCES, "upscale_factor": factor}
    request = parse_image_request("upscale_image", body, offer)
    price = newest_price(BOOK[offer.model])
    assert quote_pictures(price, 1, price_key(offer, request)) == parse_usd(usd)


def test_defaults_are_on_offer() -> None:
    for offer in OFFERS.values():
        assert not offer.ratios or {"auto", offer.auto_ratio} <= set(offer.ratios)
        assert not offer.resolutions or "1k" in offer.resolutions
        assert not offer.counts or 1 in offer.counts
        assert not offer.factors or offer.default_factor in offer.factors
        assert not offer.qualities or offer.quality in offer.qualities


def test_a_model_names_the_paths_of_its_actions() -> None:
    assert image_paths("topaz/topaz-upscale-image") == ["/v1/upscale_image"]
    assert image_paths("openai/gpt-4o-image") == [
        "/v1/text_to_image",
        "/v1/images/generations",
        "/v1/edit_image",
        "/v1/images/edits",
    ]
    assert image_paths("openai/gpt-5.5") == []
    assert {action for offer in OFFERS.values() for action in offer.actions} == set(PATHS)


def test_a_model_in_the_wrong_place_is_told_the_right_one() -> None:
    model = "topaz/topaz-upscale-image"
    error = refuse_action(model, "/v1/edit_image", image_paths(model))
    assert (error.status, error.code, error.param) == (400, "model_endpoint_mismatch", "model")
    assert error.message == (
        "'topaz/topaz-upscale-image' cannot be called on /v1/edit_image; use /v1/upscale_image."
    )


def test_a_model_that_can_be_called_nowhere_is_refused_without_advice() -> None:
    error = refuse_action("acme/paint", "/v1/edit_image", [])
    assert error.message == "'acme/paint' cannot be called on /v1/edit_image."
