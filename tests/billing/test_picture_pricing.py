"""Prices of pictures: per picture, per request, by one key or a matrix of keys."""

from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.money import parse_usd
from billing.picture_pricing import (
    NO_PICTURES,
    ChargedPictures,
    charge_pictures,
    parse_bucket,
    priced_keys,
    quote_pictures,
    settle_delivery,
)
from billing.price_book import read_price_book
from billing.pricing import MILLION, MissingRate, Price, Rate, RateTable

WHEN = datetime(2026, 11, 21, tzinfo=UTC)
NANO = Decimal("0.000000001")


def in_force() -> dict[str, Price]:
    found = {}
    for entry in read_price_book():
        newest = max(
            (dated for dated in entry.prices if dated.effective_from <= WHEN),
            key=lambda dated: dated.effective_from,
        )
        found[entry.name] = Price(7, entry.name, None, newest.effective_from, newest.tables)
    return found


BOOK = in_force()


def price_of(rates: dict[str, Rate]) -> Price:
    return Price(3, "acme/paint", None, WHEN, (RateTable("standard", 0, rates),))


def per_one(usd: str, sell_bps: int = 5000) -> Rate:
    return Rate(parse_usd(usd), 1, sell_bps)


# What the book charges. Kept apart from the file: both must be edited.


@pytest.mark.parametrize(
    ("model", "pictures", "key", "usd"),
    [
        ("openai/gpt-image-2", 1, "1k", "0.06"),
        ("openai/gpt-image-2", 1, "2k", "0.10"),
        ("openai/gpt-image-2", 1, "4k", "0.16"),
        ("openai/gpt-image-2", 10, "2k", "1.00"),
        ("openai/gpt-4o-image", 1, "1", "0.06"),
        ("openai/gpt-4o-image", 2, "2", "0.07"),
        ("openai/gpt-4o-image", 4, "4", "0.08"),
        ("black-forest-labs/flux-kontext-pro", 1, "", "0.02"),
        ("black-forest-labs/flux-kontext-max", 1, "", "0.04"),
        ("topaz/topaz-upscale-image", 1, "1", "0.10"),
        ("topaz/topaz-upscale-image", 1, "2", "0.10"),
        ("topaz/topaz-upscale-image", 1, "4", "0.20"),
        ("topaz/topaz-upscale-image", 1, "8", "0.40"),
    ],
)
def test_each_model_charges_what_is_advertised_and_lists_twice_that(model, pictures, key, usd):
    charge = charge_pictures(BOOK[model], pictures, key)
    assert (charge.amount_nanos, charge.list_nanos) == (parse_usd(usd), 2 * parse_usd(usd))
    assert (charge.price_id, charge.tier, charge.above_input_tokens) == (7, "standard", 0)
    assert quote_pictures(BOOK[model], pictures, key) == charge.amount_nanos


def test_a_line_names_the_bucket_as_it_is_booked():
    (line,) = charge_pictures(BOOK["openai/gpt-image-2"], 3, "2k").lines
    assert (line.bucket, line.quantity, line.per) == ("image[2k]", 3, 1)
    assert (line.list_nanos, line.sell_bps, line.amount) == (parse_usd("0.20"), 5000, "0.30")
    (line,) = charge_pictures(BOOK["openai/gpt-4o-image"], 4, "4").lines
    assert (line.bucket, line.quantity, line.amount) == ("request[4]", 1, "0.08")
    (line,) = charge_pictures(BOOK["black-forest-labs/flux-kontext-pro"], 1, "").lines
    assert (line.bucket, line.quantity) == ("image", 1)


def test_a_matrix_of_keys_has_a_price_for_each_pair():
    price = price_of(
        {f"image[{size},{grade}]": per_one(usd) for size, grade, usd in (
            ("1k", "low", "0.02"), ("1k", "high", "0.30"), ("2k", "high", "0.50"))}
    )  # fmt: skip
    assert charge_pictures(price, 2, "1k,high").amount_nanos == parse_usd("0.30")
    assert charge_pictures(price, 1, "1k,low").amount_nanos == parse_usd("0.01")
    for unlisted in ("2k,low", "1k", "high", "high,1k", "1k,high,", ""):
        with pytest.raises(MissingRate):
            charge_pictures(price, 1, unlisted)


@pytest.mark.parametrize(
    ("model", "key", "bucket"),
    [
        ("openai/gpt-image-2", "8k", "image[8k]"),
        ("openai/gpt-image-2", "", "image"),
        ("openai/gpt-4o-image", "3", "image[3]"),
        ("black-forest-labs/flux-kontext-pro", "1k", "image[1k]"),
        ("openai/gpt-5.5", "1k", "image[1k]"),
    ],
)
def test_what_is_not_listed_has_no_price(model, key, bucket):
    with pytest.raises(MissingRate) as missing:
        charge_pictures(BOOK[model], 1, key)
    assert (missing.value.model, missing.value.bucket) == (model, bucket)


def test_no_picture_costs_nothing_and_fewer_than_none_is_refused():
    price = BOOK["openai/gpt-image-2"]
    charge = charge_pictures(price, 0, "")
    assert (charge.lines, charge.amount_nanos, charge.list_nanos) == ((), 0, 0)
    with pytest.raises(ValueError, match="cannot be negative"):
        charge_pictures(price, -1, "1k")


@pytest.mark.parametrize(("pictures", "amount"), [(1, 0), (2, 1), (3, 2), (4, 2), (5, 2), (7, 4)])
def test_half_a_nano_dollar_is_rounded_to_the_even_one(pictures, amount):
    charge = charge_pictures(price_of({"image[x]": Rate(1, 1, 5000)}), pictures, "x")
    assert (charge.amount_nanos, charge.list_nanos) == (amount, pictures)


def test_keys_are_listed_cheapest_first_with_what_they_are_for():
    def listed(model):
        return [(one.key, one.unit, one.bucket) for one in priced_keys(BOOK[model])]

    assert listed("openai/gpt-image-2") == [
        (key, "image", f"image[{key}]") for key in ("1k", "2k", "4k")
    ]
    assert listed("openai/gpt-4o-image") == [
        (key, "request", f"request[{key}]") for key in ("1", "2", "4")
    ]
    assert listed("black-forest-labs/flux-kontext-max") == [("", "image", "image")]
    assert listed("openai/gpt-5.5") == []
    assert listed("openai/whisper-1") == []


def test_only_the_standard_table_prices_pictures():
    tables = (
        RateTable("standard", 0, {"image[a]": per_one("2")}),
        RateTable("standard", 9, {"image[a]": per_one("3")}),
        RateTable("flex", 0, {"image[a]": per_one("1"), "image[b]": per_one("1")}),
    )
    price = Price(1, "acme/paint", None, WHEN, tables[::-1])
    assert [(one.key, one.rate.list_nanos) for one in priced_keys(price)] == [("a", parse_usd("2"))]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("image", ("image", "")),
        ("image[2k]", ("image", "2k")),
        ("image[2k,high]", ("image", "2k,high")),
        ("image[1024x1024,a_b.c-d]", ("image", "1024x1024,a_b.c-d")),
        ("request[4]", ("request", "4")),
        ("request[10,high]", ("request", "10,high")),
        ("image[" + "x" * 25 + "]", ("image", "x" * 25)),
        *((name, None) for name in (
            "image[" + "x" * 26 + "]", "request", "request[]", "image[]", "image[,]", "image[a,]", "image[,a]",
            "image[a b]", "image[2k", "image2k]", "image[2k]]", "image[2k]\n", "images[2k]", "input", "input[2k]",
            "IMAGE[2k]", "image[2k]x", "image[é]", "request[high]", "request[0]", "request[01]", "request[high,4]",
            "request[-1]", "request[4x]", "")),
    ],
)  # fmt: skip
def test_a_bucket_of_pictures_is_told_from_any_other_name(name, expected):
    assert parse_bucket(name) == expected


# Fewer delivered than asked for.


@pytest.mark.parametrize(
    ("delivered", "charged", "usd"),
    [
        (4, ("4", 4), "0.08"),
        (3, ("2", 2), "0.07"),
        (2, ("2", 2), "0.07"),
        (1, ("1", 1), "0.06"),
        (0, ("", 0), "0"),
        (5, ("4", 4), "0.08"),
        (-1, ("", 0), "0"),
    ],
)
def test_a_request_is_charged_as_the_greatest_one_that_came_in_full(delivered, charged, usd):
    price = BOOK["openai/gpt-4o-image"]
    settled = settle_delivery(price, "4", 4, delivered)
    assert settled == charged
    assert charge_pictures(price, settled.images, settled.price_key).amount_nanos == parse_usd(usd)


def test_pictures_with_a_price_of_their_own_are_charged_one_by_one():
    price = BOOK["openai/gpt-image-2"]
    assert settle_delivery(price, "2k", 10, 7) == ChargedPictures("2k", 7)
    assert settle_delivery(price, "2k", 10, 10) == ChargedPictures("2k", 10)
    assert settle_delivery(price, "2k", 10, 11) == ChargedPictures("2k", 10)
    assert settle_delivery(price, "2k", 10, 0) == NO_PICTURES
    assert settle_delivery(BOOK["black-forest-labs/flux-kontext-pro"], "", 1, 1) == ("", 1)


def test_below_the_least_number_on_offer_nothing_is_charged():
    price = price_of({"request[2]": per_one("0.10"), "request[4]": per_one("0.12")})
    assert settle_delivery(price, "4", 4, 1) == NO_PICTURES
    assert settle_delivery(price, "4", 4, 3) == ("2", 2)


def test_a_smaller_request_of_another_kind_or_of_a_higher_price_is_not_charged():
    price = price_of(
        {
            "request[1,low]": per_one("0.01"),
            "request[1,high]": per_one("0.05"),
            "request[2,high]": per_one("0.30"),
            "request[4,high]": per_one("0.20"),
        }
    )
    assert settle_delivery(price, "4,high", 4, 3) == ("1,high", 1)


def test_a_delivery_of_an_unlisted_key_has_no_price():
    with pytest.raises(MissingRate):
        settle_delivery(BOOK["openai/gpt-4o-image"], "3", 3, 2)


# For any price.

rates = st.builds(
    Rate, st.integers(0, 10**15), st.sampled_from([1, MILLION]), st.integers(0, 100_000)
)
counts = st.integers(1, 12)


@st.composite
def prices(draw):
    """A price by request or by picture, and one of its keys."""
    numbers = draw(st.lists(counts, min_size=1, max_size=5, unique=True))
    unit = draw(st.sampled_from(["image", "request"]))
    kind = draw(st.sampled_from(["", ",high"]))
    price = price_of({f"{unit}[{number}{kind}]": draw(rates) for number in numbers})
    number = draw(st.sampled_from(numbers))
    return price, f"{number}{kind}", number if unit == "request" else draw(counts)


@given(prices(), st.integers(-1, 14))
def test_lines_recompute_the_charge_and_a_part_never_costs_more_than_the_whole(asked, delivered):
    price, key, count = asked
    settled = settle_delivery(price, key, count, delivered)
    charge = charge_pictures(price, settled.images, settled.price_key)
    for amounts, nanos in (
        ([line.amount for line in charge.lines], charge.amount_nanos),
        ([line.list_amount for line in charge.lines], charge.list_nanos),
    ):
        total = sum(map(Decimal, amounts), Decimal(0))
        assert total.quantize(NANO, ROUND_HALF_EVEN) == nanos * NANO
    assert settled.images <= max(delivered, 0)
    assert charge.amount_nanos <= quote_pictures(price, count, key)
    assert (settled == NO_PICTURES) == (settled.images == 0)
