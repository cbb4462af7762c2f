import json
from datetime import UTC, date, datetime
from typing import Any

import pytest

from billing.faults import Fault
from billing.money import parse_usd
from billing.price_book import BUCKETS, PriceBookError, read_price_book
from billing.pricing import METERED_BUCKETS, Rate
from billing.wording import PARSER_TEXTS

BOOK = {entry.name: entry for entry in read_price_book()}

# provider/model, tier, threshold, USD per million. Kept apart from the file: both must be edited.
LISTED = [
    ("openai/gpt-5.5", "standard", 0, {"input": "5", "cached_input": "0.5", "output": "30"}),
    ("openai/gpt-5.5", "standard", 272000, {"input": "10", "cached_input": "1", "output": "45"}),
    ("openai/gpt-5.5", "flex", 0, {"input": "2.5", "cached_input": "0.25", "output": "15"}),
    ("openai/gpt-5.5", "priority", 0, {"input": "12.5", "cached_input": "1.25", "output": "75"}),
    ("openai/gpt-5.5-pro", "standard", 272000, {"input": "60", "output": "270"}),
    (
        "openai/gpt-5.4-mini",
        "standard",
        0,
        {"input": "0.75", "cached_input": "0.075", "output": "4.5"},
    ),
    (
        "openai/gpt-5.4-nano",
        "standard",
        0,
        {"input": "0.2", "cached_input": "0.02", "output": "1.25"},
    ),
    ("openai/gpt-5.2", "standard", 0, {"input": "1.75", "cached_input": "0.175", "output": "14"}),
    ("openai/gpt-4o", "standard", 0, {"input": "2.5", "cached_input": "1.25", "output": "10"}),
    ("openai/text-embedding-3-small", "standard", 0, {"input": "0.02", "output": "0"}),
    (
        "anthropic/claude-sonnet-4-6",
        "standard",
        0,
        {
            "input": "3",
            "cached_input": "0.3",
            "cache_write": "3.75",
            "cache_write_1h": "6",
            "output": "15",
        },
    ),
    (
        "anthropic/claude-haiku-4-5",
        "standard",
        0,
        {
            "input": "1",
            "cached_input": "0.1",
            "cache_write": "1.25",
            "cache_write_1h": "2",
            "output": "5",
        },
    ),
    (
        "gemini/gemini-2.5-pro",
        "standard",
        200000,
        {"input": "2.5", "cached_input": "0.25", "output": "15"},
    ),
    (
        "gemini/gemini-2.5-flash",
        "standard",
        0,
        {
            "input": "0.3",
            "cached_input": "0.03",
            "output": "2.5",
            "reasoning_output": "2.5",
            "audio_input": "1",
            "cached_audio_input": "0.1",
        },
    ),
    (
        "deepseek/deepseek-v4-pro",
        "standard",
        0,
        {"input": "1.32", "cached_input": "0.044", "cache_write": "0", "output": "3.96"},
    ),
    ("upstage/solar-pro3", "standard", 0, {"input": "0.15", "output": "0.60"}),
    (
        "openai/gpt-image-2",
        "standard",
        0,
        {
            "input": "5",
            "cached_input": "1.25",
            "image_input": "8",
            "cached_image_input": "2",
            "image_output": "30",
        },
    ),
    (
        "openai/gpt-image-1.5",
        "standard",
        0,
        {
            "input": "5",
            "cached_input": "1.25",
            "output": "10",
            "image_input": "8",
            "cached_image_input": "2",
            "image_output": "32",
        },
    ),
    ("openai/tts-1", "standard", 0, {"characters": "15"}),
]


@pytest.mark.parametrize(("name", "tier", "above", "rates"), LISTED)
def test_a_listed_rate_is_booked_at_half_to_the_nano_dollar(name, tier, above, rates):
    tables = [
        table
        for table in BOOK[name].prices[0].tables
        if (table.tier, table.above_input_tokens) == (tier, above)
    ]
    expected = {bucket: Rate(parse_usd(usd), 1_000_000, 5000) for bucket, usd in rates.items()}
    assert [table.rates for table in tables] == [expected]


@pytest.mark.parametrize(
    ("name", "bucket", "nanos"),
    [
        ("black-forest-labs/flux-kontext-pro", "image", 40_000_000),
        ("black-forest-labs/flux-kontext-max", "image", 80_000_000),
        ("openai/whisper-1", "seconds", 100_000),
    ],
)
def test_a_price_per_piece_is_booked_per_piece(name, bucket, nanos):
    (table,) = BOOK[name].prices[0].tables
    assert table.rates == {bucket: Rate(nanos, 1, 5000)}


ESTIMATED = [
    ("openai/gpt-image-2", {"image[1k]": "0.12", "image[2k]": "0.20", "image[4k]": "0.32"}),
    ("openai/gpt-4o-image", {"request[1]": "0.12", "request[2]": "0.14", "request[4]": "0.16"}),
    (
        "topaz/topaz-upscale-image",
        {"image[1]": "0.20", "image[2]": "0.20", "image[4]": "0.40", "image[8]": "0.80"},
    ),
]


@pytest.mark.parametrize(("name", "rates"), ESTIMATED)
def test_pictures_without_an_official_price_are_booked_at_twice_the_sale_price(name, rates):
    newest = BOOK[name].prices[-1]
    (only,) = newest.tables
    assert only.rates == {bucket: Rate(parse_usd(usd), 1, 5000) for bucket, usd in rates.items()}
    assert (newest.list_is_estimated, newest.effective_from) == (
        True,
        datetime(2026, 11, 1, tzinfo=UTC),
    )
    assert "estimate" in newest.source


def test_the_vendors_own_price_of_tokens_stays_booked_with_its_own_source():
    entry = BOOK["openai/gpt-image-2"]
    assert [price.effective_from.date() for price in entry.prices] == [
        date(2026, 1, 1),
        date(2026, 11, 1),
    ]
    assert not entry.prices[0].list_is_estimated
    assert (
        entry.prices[0].source == entry.source == "https://developers.openai.com/api/docs/pricing"
    )


def test_one_image_model_has_three_names_and_another_is_made_by_it():
    assert BOOK["openai/gpt-image-2"].aliases == (
        "gpt-image-2",
        "gpt-image-2-text-to-image",
        "gpt-image-2-image-to-image",
    )
    assert BOOK["openai/gpt-4o-image"].upstream_name == "gpt-image-2"
    assert BOOK["topaz/topaz-upscale-image"].mode == "image_upscale"
    others = [entry for entry in BOOK.values() if entry.name != "openai/gpt-4o-image"]
    assert all(entry.upstream_name == entry.name.split("/")[1] for entry in others)


def test_models_are_named_by_provider_and_found_by_their_aliases():
    aliases = {alias: entry.name for entry in BOOK.values() for alias in entry.aliases}
    assert aliases["gpt-5.5"] == "openai/gpt-5.5"
    assert aliases["gemini-2.5-pro"] == "gemini/gemini-2.5-pro"
    assert aliases["solar-pro-3"] == aliases["upstage/solar-pro-3"] == "upstage/solar-pro3"
    assert all(entry.name.split("/")[1] in entry.aliases for entry in BOOK.values())


def test_limits_and_retirement_are_those_of_the_vendor():
    entry = BOOK["openai/gpt-5.4-nano"]
    assert (entry.context_length, entry.max_completion_tokens) == (272_000, 128_000)
    assert entry.retires_on == date(2027, 4, 1)
    assert BOOK["upstage/solar-pro3"].max_completion_tokens is None
    assert BOOK["upstage/solar-pro3"].prices[0].list_is_estimated
    assert not BOOK["openai/gpt-5.5"].prices[0].list_is_estimated


def test_the_book_has_every_model_that_has_a_price():
    assert len(BOOK) == 53


def test_every_bucket_a_call_can_fill_is_one_a_vendor_can_list():
    assert set(METERED_BUCKETS) <= {bucket.name for bucket in BUCKETS}
    assert len({bucket.name for bucket in BUCKETS}) == len(BUCKETS)


def model(**changes: Any) -> dict[str, Any]:
    entry = {
        "name": "acme/one",
        "aliases": ["one"],
        "mode": "chat",
        "context_length": 1000,
        "max_completion_tokens": None,
        "retires_on": "2027-01-31",
        "source": "a page",
        "prices": [price()],
    }
    return entry | changes


def price(**changes: Any) -> dict[str, Any]:
    entry = {
        "effective_from": "2026-11-01",
        "sell_bps": 5000,
        "list_is_estimated": False,
        "tables": [table()],
    }
    return entry | changes


def table(tier: str = "standard", above: int = 0, **groups: Any) -> dict[str, Any]:
    groups = groups or {"per_million": {"input": "5"}}
    return {"tier": tier, "above_input_tokens": above, **groups}


@pytest.fixture
def read(tmp_path):
    def read_text(text):
        path = tmp_path / "book.json"
        path.write_text(text, encoding="utf-8")
        return read_price_book(path)

    return read_text


@pytest.fixture
def read_models(read):
    def read_entries(*models):
        head = {"currency": "USD", "read_on": "2026-11-21"}
        return read(json.dumps({**head, "models": models}))

    return read_entries


def test_an_entry_becomes_integers_and_dates(read_models):
    per_piece: dict[str, Any] = {
        "per_million": {"input": "0.000000001"},
        "per_unit": {"image": "0.20"},
    }
    first, second = (
        price(sell_bps=12_500),
        price(effective_from="2026-12-01", tables=[table(**per_piece)]),
    )
    (entry,) = read_models(model(prices=[first, second]))
    assert entry.retires_on == date(2027, 1, 31)
    assert entry.prices[0].effective_from == datetime(2026, 11, 1, tzinfo=UTC)
    assert entry.prices[0].tables[0].rates == {"input": Rate(5 * 10**9, 1_000_000, 12_500)}
    assert entry.prices[1].tables[0].rates == {
        "input": Rate(1, 1_000_000, 5000),
        "image": Rate(200_000_000, 1, 5000),
    }


def test_pictures_are_priced_by_a_key_or_a_matrix_of_keys(read_models):
    keyed = {"image[2k]": "0.20", "image[2k,high]": "0.40", "image": "0.10"}
    (entry,) = read_models(rated(per_unit=keyed))
    assert entry.prices[0].tables[0].rates == {
        bucket: Rate(parse_usd(usd), 1, 5000) for bucket, usd in keyed.items()
    }
    (entry,) = read_models(rated(per_unit={"request[4]": "0.16"}))
    assert entry.prices[0].tables[0].rates == {"request[4]": Rate(parse_usd("0.16"), 1, 5000)}


def test_what_the_provider_calls_a_model_follows_the_slash_unless_it_is_said(read_models):
    plain, said = read_models(
        model(aliases=[]), model(name="acme/two", aliases=[], upstream_name="acme-labs/two-v2")
    )
    assert (plain.upstream_name, said.upstream_name) == ("one", "acme-labs/two-v2")


def test_a_price_has_its_models_source_unless_it_has_its_own(read_models):
    second = price(effective_from="2026-12-01", source="a letter")
    (entry,) = read_models(model(prices=[price(), second]))
    assert [dated.source for dated in entry.prices] == ["a page", "a letter"]


def rated(**groups: Any) -> dict[str, Any]:
    return model(prices=[price(tables=[table(**groups)])])


FAULTY = [
    (model(colour="red"), "unknown field `colour`"),
    (model(prices=[price(discount=1)]), "unknown field `discount`"),
    (model(prices=[price(tables=[table(extra={})])]), "unknown field `extra`"),
    (rated(per_million={"inputs": "5"}), "inputs: unknown bucket"),
    (rated(per_million={"input": "-0.01"}), "input: list_nanos -10000000 is not within"),
    (rated(per_million={"input": "1000000.01"}), "input: list_nanos .* is not within"),
    (rated(per_million={"input": 5}), "Expected `str`, got `int`"),
    (rated(per_million={"input": 0.5}), "Expected `str`, got `float`"),
    (rated(per_million={"input": "0.0000000001"}), "more than 9 decimals"),
    (rated(per_million={"input": "five"}), "not a decimal USD amount"),
    (rated(per_unit={"input": "5"}), "input: the rate is per 1000000, not per 1"),
    (rated(per_million={"image": "5"}), "image: the rate is per 1, not per 1000000"),
    (rated(per_million={}), "no rates"),
    (rated(per_million={"image[2k]": "5"}), r"image\[2k\]: the rate is per 1, not"),
    (rated(per_million={"request[4]": "5"}), r"request\[4\]: the rate is per 1, not per 1000000"),
    (rated(per_unit={"image[2 k]": "5"}), r"image\[2 k\]: unknown bucket"),
    (rated(per_unit={"request[many]": "5"}), r"request\[many\]: unknown bucket"),
    (rated(per_unit={"request": "5"}), "request: unknown bucket"),
    (rated(per_unit={f"image[{'k' * 26}]": "5"}), "unknown bucket"),
    (rated(per_unit={"image[2]": "5", "request[2]": "5"}), "per request do not go together"),
    (rated(per_unit={"image": "5", "request[2]": "5"}), "per request do not go together"),
    (model(prices=[price(tables=[])]), "standard tier has no table"),
    (model(prices=[price(tables=[table(above=10)])]), "standard tier has no table"),
    (model(prices=[price(tables=[table(), table("flex", 9)])]), "flex tier has no table"),
    (model(prices=[price(tables=[table(), table()])]), "two tables for the same tier"),
    (model(prices=[price(tables=[table(), table(above=-1)])]), "cannot be negative"),
    (model(prices=[price(tables=[table(), table("batch")])]), "Invalid enum value 'batch'"),
    (model(prices=[price(sell_bps=-1)]), "sell_bps -1 is not within"),
    (model(prices=[price(sell_bps=100_001)]), "sell_bps 100001 is not within"),
    (model(prices=[price(sell_bps=0.5)]), "Expected `int`, got `float`"),
    (model(prices=[price(effective_from="soon")]), "Invalid RFC3339 encoded date"),
    (model(prices=[price(), price()]), "two prices from the same day"),
    (model(prices=[]), "no price"),
    (model(aliases=["two words"]), "alias 'two words' is not a model name"),
    (model(context_length=0), "a limit of tokens must be positive"),
    (model(mode="telepathy"), "Invalid enum value 'telepathy'"),
    (model(source=""), "the source is missing"),
    (model(prices=[price(source="x" * 301)]), "the source of a price is too long"),
    (model(upstream_name="two words"), "upstream_name 'two words' is not a model name"),
    (model(upstream_name="x" * 121), "is not a model name"),
]


@pytest.mark.parametrize(("entry", "message"), FAULTY)
def test_a_faulty_entry_is_refused_by_name(read_models, entry, message):
    with pytest.raises(PriceBookError, match=message) as caught:
        read_models(model(name="acme/zero", aliases=[]), entry)
    assert str(caught.value).startswith("models[1] acme/one: ")


@pytest.mark.parametrize(("entry", "message"), FAULTY)
def test_every_refusal_has_words_that_can_be_translated(read_models, entry, message):
    with pytest.raises(PriceBookError) as caught:
        read_models(entry)
    why = caught.value
    while isinstance(why, Fault) and "why" in why.values:
        why = why.values["why"]
    assert isinstance(why, Fault) or PARSER_TEXTS.knows(str(why))


def test_a_name_without_a_provider_is_refused(read_models):
    with pytest.raises(PriceBookError, match=r"models\[0\] one: the name is not of the form"):
        read_models(model(name="one"))


def test_an_entry_without_a_name_is_refused_by_its_place(read_models):
    with pytest.raises(PriceBookError, match=r"models\[0\]: Object missing required field `name`"):
        read_models({"aliases": []})


@pytest.mark.parametrize(
    "second",
    [
        model(aliases=[]),
        model(name="acme/two", aliases=["one"]),
        model(name="acme/two", aliases=["acme/one"]),
        model(name="acme/two", aliases=["two", "two"]),
    ],
)
def test_a_name_belongs_to_one_model(read_models, second):
    with pytest.raises(PriceBookError, match="is taken by acme/"):
        read_models(model(), second)


def test_a_rate_given_twice_is_refused_and_not_settled_by_order(read):
    text = json.dumps({"currency": "USD", "read_on": "2026-11-21", "models": [model()]})
    with pytest.raises(PriceBookError, match="a key is repeated"):
        read(text.replace('"input": "5"', '"input": "5", "input": "6"'))


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"models": []}', '{"currency": "EUR", "read_on": "2026-11-21", "models": []}'],
)
def test_a_file_that_is_no_book_is_refused(read, text):
    with pytest.raises(PriceBookError, match=r"^book\.json: "):
        read(text)
