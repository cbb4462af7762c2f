"""Properties of charges and of the bounds that hold money for them, for random prices and the book.

Random prices have gaps, ties and thresholds in odd places; the book has the real ones.
"""

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.money import NANOS_PER_USD, parse_usd
from billing.price_book import read_price_book
from billing.pricing import (
    METERED_BUCKETS,
    UNLIMITED_TOKENS,
    Charge,
    MissingRate,
    Price,
    Rate,
    RateTable,
    Tier,
    Usage,
    affordable_output_tokens,
    bound_nanos,
    charge_usage,
)

MILLION = 1_000_000

INPUT_FIELDS = (
    "input_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "audio_input_tokens",
    "image_input_tokens",
    "cached_image_input_tokens",
)
OUTPUT_FIELDS = ("output_tokens", "audio_output_tokens", "image_output_tokens")
FIELD_OF_BUCKET = {
    "reasoning_output": "reasoning_tokens",
    "image": "images",
} | {field.removesuffix("_tokens"): field for field in (*INPUT_FIELDS, *OUTPUT_FIELDS)}


def book_prices() -> dict[str, Price]:
    return {
        entry.name: Price(number, entry.name, None, dated.effective_from, dated.tables)
        for number, entry in enumerate(read_price_book())
        for dated in entry.prices
    }


BOOK = book_prices()
BOOK_TIERS = [
    (price, tier)
    for price in BOOK.values()
    for tier in dict.fromkeys(table.tier for table in price.tables)
]


def usd(per_million: str, sell_bps: int = 5000) -> Rate:
    return Rate(parse_usd(per_million), MILLION, sell_bps)


def table(tier: Tier = "standard", above: int = 0, /, **rates: str) -> RateTable:
    return RateTable(tier, above, {bucket: usd(rate) for bucket, rate in rates.items()})


def usage_of(quantities: dict[str, Any]) -> Usage:
    return Usage(**quantities)


def price_of(*tables: RateTable) -> Price:
    return Price(7, "acme/one", None, datetime(2026, 1, 1, tzinfo=UTC), tables)


THRESHOLDS = (0, 1, 1000, 200_000, 272_000)
list_nanos = st.one_of(st.integers(0, 50), st.integers(0, 300 * 10**9))
rates = st.builds(
    Rate, list_nanos, st.sampled_from([1, MILLION]), st.sampled_from([0, 1, 3333, 5000, 12_500])
)


@st.composite
def priced_tiers(draw):
    if draw(st.integers(0, 2)) == 0:
        return draw(st.sampled_from(BOOK_TIERS))
    tables = []
    for tier in draw(st.sampled_from([("standard",), ("standard", "flex")])):
        for above in sorted({0, *draw(st.lists(st.sampled_from(THRESHOLDS), max_size=3))}):
            buckets = draw(st.sets(st.sampled_from(METERED_BUCKETS)))
            if not above:
                buckets |= {"input", "output"}
            tables.append(RateTable(tier, above, {bucket: draw(rates) for bucket in buckets}))
    order = draw(st.permutations(tables))
    return price_of(*order), draw(st.sampled_from(tables)).tier


counts = st.one_of(
    st.integers(0, 5),
    st.sampled_from([999, 1000, 1001, 200_000, 200_001, 272_000, 272_001]),
    st.integers(0, 2_000_000),
)


@st.composite
def usages(draw):
    quantities = {
        field: draw(st.one_of(st.just(0), counts)) for field in (*INPUT_FIELDS, *OUTPUT_FIELDS)
    }
    quantities["reasoning_tokens"] = draw(st.integers(0, quantities["output_tokens"]))
    return usage_of(quantities | {"images": draw(st.integers(0, 4))})


def without_unpriced_buckets(price: Price, usage: Usage, tier: str) -> Usage:
    while True:
        try:
            charge_usage(price, usage, tier)
        except MissingRate as missing:
            emptied = {FIELD_OF_BUCKET[missing.bucket]: 0}
            if missing.bucket == "output":
                emptied["reasoning_tokens"] = 0
            usage = msgspec.structs.replace(usage, **emptied)
        else:
            return usage


def exact_nanos(charge: Charge, column: str = "amount") -> Fraction:
    return (
        sum((Fraction(getattr(line, column)) for line in charge.lines), Fraction(0)) * NANOS_PER_USD
    )


@settings(max_examples=300, deadline=None)
@given(priced_tiers(), usages())
def test_the_lines_add_up_to_the_charge(priced, usage):
    price, tier = priced
    charge = charge_usage(price, without_unpriced_buckets(price, usage, tier), tier)
    assert charge.amount_nanos == round(exact_nanos(charge))
    assert charge.list_nanos == round(exact_nanos(charge, "list_amount"))
    by_hand = [
        Fraction(line.quantity * line.list_nanos * line.sell_bps, line.per * 10_000)
        for line in charge.lines
    ]
    assert charge.amount_nanos == round(sum(by_hand, Fraction(0)))
    assert all(line.quantity > 0 for line in charge.lines)


@settings(max_examples=300, deadline=None)
@given(priced_tiers(), usages())
def test_every_token_is_in_exactly_one_line(priced, usage):
    price, tier = priced
    usage = without_unpriced_buckets(price, usage, tier)
    lines = {line.bucket: line.quantity for line in charge_usage(price, usage, tier).lines}
    output = lines.pop("output", 0) + lines.pop("reasoning_output", 0)
    assert output == usage.output_tokens
    assert lines == {
        bucket: quantity
        for bucket in METERED_BUCKETS
        if bucket not in ("output", "reasoning_output")
        and (quantity := getattr(usage, FIELD_OF_BUCKET[bucket]))
    }


@settings(max_examples=600, deadline=None)
@given(priced_tiers(), usages(), counts, counts, st.booleans())
def test_no_usage_within_the_limits_costs_more_than_the_bound(
    priced, usage, more_input, more_output, speaks
):
    price, tier = priced
    usage = without_unpriced_buckets(price, usage, tier)
    if not speaks:
        usage = msgspec.structs.replace(usage, audio_output_tokens=0)
    total_output = sum(getattr(usage, field) for field in OUTPUT_FIELDS)
    try:
        bound = bound_nanos(
            price,
            usage.total_input_tokens + more_input,
            total_output + more_output,
            tier,
            audio_output=speaks,
            images=usage.images,
        )
    except MissingRate as missing:
        # Rightly, if a call short enough for the first tables could not be charged.
        kinds = {"input": INPUT_FIELDS, "output": OUTPUT_FIELDS[:1], "image": ["images"]}
        for field in kinds[missing.bucket]:
            with pytest.raises(MissingRate):
                charge_usage(price, usage_of({field: 1}), tier)
        return
    assert charge_usage(price, usage, tier).amount_nanos <= bound


def corner_usages(input_max: int, output_max: int) -> Iterator[Usage]:
    for input_total in {input_max, *(edge for edge in THRESHOLDS if edge < input_max)}:
        for field in INPUT_FIELDS:
            for out in ("output_tokens", "image_output_tokens", "reasoning_tokens"):
                quantities = {field: input_total, out: output_max}
                if out == "reasoning_tokens":
                    quantities["output_tokens"] = output_max
                yield usage_of(quantities)


@pytest.mark.parametrize(
    ("price", "tier"), BOOK_TIERS, ids=[f"{price.model}-{tier}" for price, tier in BOOK_TIERS]
)
def test_the_bound_is_reached_by_the_dearest_usage_of_every_price_in_the_book(price, tier):
    token_priced = any("input" in table.rates for table in price.tables)
    for input_max in (0, 1, 200_000, 200_001, 272_000, 272_001, 1_000_000):
        for output_max in (0, 1, 65_536):
            worst = Fraction(0)
            for usage in corner_usages(input_max, output_max):
                priced = without_unpriced_buckets(price, usage, tier)
                worst = max(worst, exact_nanos(charge_usage(price, priced, tier)))
            if token_priced:
                limits = (input_max, 0 if not sells_output(price) else output_max)
                assert bound_nanos(price, *limits, tier) == math.ceil(worst)
            else:
                assert worst == 0


def sells_output(price: Price) -> bool:
    return any({"output", "image_output"} & set(table.rates) for table in price.tables)


def test_the_bound_covers_a_shorter_call_that_costs_more_than_a_longer_one():
    price = price_of(table(input="8", output="8"), table("standard", 1000, input="1", output="1"))
    dearest = charge_usage(price, Usage(input_tokens=1000, output_tokens=50)).amount_nanos
    assert bound_nanos(price, 2000, 50) == dearest


def test_the_bound_counts_speech_only_where_it_is_asked_for():
    price = BOOK["openai/gpt-4o-audio-preview-2025-06-03"]
    assert bound_nanos(price, 0, 1000) == parse_usd("0.005")
    assert bound_nanos(price, 0, 1000, audio_output=True) == parse_usd("0.04")


def test_the_bound_counts_images():
    price = BOOK["black-forest-labs/flux-kontext-max"]
    assert bound_nanos(price, 0, 0, images=2) == parse_usd("0.08")


def test_the_bound_is_rounded_up():
    price = price_of(RateTable("standard", 0, {"output": Rate(1, MILLION, 1)}))
    assert bound_nanos(price, 0, 1) == 1
    assert charge_usage(price, Usage(output_tokens=1)).amount_nanos == 0


@pytest.mark.parametrize(
    ("limits", "images", "bucket"),
    [((1, 0), 0, "input"), ((0, 1), 0, "output"), ((0, 0), 1, "image")],
)
def test_a_limit_on_what_has_no_rate_is_an_error(limits, images, bucket):
    price = price_of(table(characters="15"))
    with pytest.raises(MissingRate) as caught:
        bound_nanos(price, *limits, images=images)
    assert caught.value.bucket == bucket


@pytest.mark.parametrize(("limits", "images"), [((-1, 0), 0), ((0, -1), 0), ((0, 0), -1)])
def test_negative_limits_are_refused(limits, images):
    price = price_of(table(input="1", output="1", image="1"))
    with pytest.raises(ValueError, match="cannot be negative"):
        bound_nanos(price, *limits, images=images)
    if limits[0] < 0:
        with pytest.raises(ValueError, match="cannot be negative"):
            affordable_output_tokens(price, limits[0], 10)


@settings(max_examples=600, deadline=None)
@given(
    priced_tiers(),
    counts,
    st.one_of(st.integers(-5, 1000), st.integers(0, 10**12), counts),
    st.booleans(),
)
def test_the_affordable_output_is_the_greatest_that_fits(priced, input_max, amount, speaks):
    price, tier = priced
    if not any("input" in table.rates for table in price.tables):
        input_max = 0

    def bound(output_max: int) -> int:
        return bound_nanos(price, input_max, output_max, tier, audio_output=speaks)

    tokens = affordable_output_tokens(price, input_max, amount, tier, audio_output=speaks)
    if tokens == -1:
        assert bound(0) > amount
        return
    assert bound(tokens) <= amount
    try:
        assert bound(tokens + 1) > amount or tokens == UNLIMITED_TOKENS
    except MissingRate:
        assert tokens == 0
        assert not sells_output(price)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(BOOK_TIERS), counts, counts)
def test_the_bound_itself_affords_its_output_and_one_nano_less_does_not(
    priced, input_max, output_max
):
    price, tier = priced
    if not (sells_output(price) and any("input" in table.rates for table in price.tables)):
        return
    amount = bound_nanos(price, input_max, output_max, tier)
    assert affordable_output_tokens(price, input_max, amount, tier) >= output_max
    shorter = affordable_output_tokens(price, input_max, amount - 1, tier)
    assert shorter < output_max


def test_free_output_is_affordable_without_limit_but_its_input_is_not():
    price = BOOK["openai/text-embedding-3-small"]
    assert affordable_output_tokens(price, 1000, parse_usd("0.00001")) == UNLIMITED_TOKENS
    assert affordable_output_tokens(price, 1000, parse_usd("0.00001") - 1) == -1


def test_a_price_without_output_affords_none():
    assert affordable_output_tokens(price_of(table(input="1")), 10, parse_usd("1")) == 0
