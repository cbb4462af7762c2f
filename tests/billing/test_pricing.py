from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.money import NANOS_PER_USD, divide_half_even, format_usd, parse_usd
from billing.price_book import read_price_book
from billing.pricing import (
    METERED_BUCKETS,
    Charge,
    MissingRate,
    Price,
    Rate,
    RateTable,
    Tier,
    UnknownTier,
    Usage,
    affordable_output_tokens,
    bound_nanos,
    charge_usage,
)

WHEN = datetime(2026, 1, 1, tzinfo=UTC)
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


def price_of(*tables: RateTable) -> Price:
    return Price(7, "acme/one", None, WHEN, tables)


def usage_of(quantities: dict[str, Any]) -> Usage:
    return Usage(**quantities)


def rates_by_bucket(charge: Charge) -> dict[str, str]:
    return {line.bucket: format_usd(line.list_nanos) for line in charge.lines}


# The figures of the check vectors are worked out by hand from list prices, at half.


@pytest.mark.parametrize(
    ("model", "usage", "list_price", "amount"),
    [
        ("openai/gpt-5.5", Usage(input_tokens=38, output_tokens=95), "0.00304", "0.00152"),
        (
            "openai/gpt-5.4-mini",
            Usage(input_tokens=400, cached_input_tokens=600, output_tokens=200),
            "0.001245",
            "0.0006225",
        ),
        (
            "anthropic/claude-sonnet-4-6",
            Usage(input_tokens=3, cache_write_tokens=12_304, output_tokens=550),
            "0.054399",
            "0.0271995",
        ),
        (
            "gemini/gemini-2.5-pro",
            Usage(input_tokens=250_000, output_tokens=8_150, reasoning_tokens=8_000),
            "0.74725",
            "0.373625",
        ),
        ("black-forest-labs/flux-kontext-pro", Usage(images=3), "0.12", "0.06"),
    ],
)
def test_a_call_costs_half_of_list_to_the_nano_dollar(model, usage, list_price, amount):
    charge = charge_usage(BOOK[model], usage)
    assert (format_usd(charge.list_nanos), format_usd(charge.amount_nanos)) == (list_price, amount)
    assert charge.price_id == BOOK[model].id


def test_an_image_priced_by_resolution_costs_half_of_its_list_price():
    two_k = price_of(RateTable("standard", 0, {"image": Rate(parse_usd("0.20"), 1, 5000)}))
    charge = charge_usage(two_k, Usage(images=1))
    assert charge.amount_nanos == parse_usd("0.10")
    assert [(line.bucket, line.quantity, line.amount) for line in charge.lines] == [
        ("image", 1, "0.10")
    ]


# Long context


@pytest.mark.parametrize(
    ("model", "total", "above", "input_rate"),
    [
        ("gemini/gemini-2.5-pro", 199_999, 0, "1.25"),
        ("gemini/gemini-2.5-pro", 200_000, 0, "1.25"),
        ("gemini/gemini-2.5-pro", 200_001, 200_000, "2.50"),
        ("openai/gpt-5.5", 272_000, 0, "5.00"),
        ("openai/gpt-5.5", 272_001, 272_000, "10.00"),
    ],
)
def test_long_context_rates_apply_once_input_exceeds_the_threshold(model, total, above, input_rate):
    charge = charge_usage(BOOK[model], Usage(input_tokens=total))
    assert charge.above_input_tokens == above
    assert rates_by_bucket(charge) == {"input": input_rate}


@pytest.mark.parametrize("field", INPUT_FIELDS)
def test_every_kind_of_input_counts_towards_the_threshold(field):
    usage = usage_of({"input_tokens": 1} | {field: 200_001})
    assert usage.total_input_tokens in (200_001, 200_002)
    assert charge_usage(BOOK["gemini/gemini-2.5-pro"], usage).above_input_tokens == 200_000


def test_output_does_not_count_towards_the_threshold():
    usage = Usage(
        input_tokens=200_000, output_tokens=9, audio_output_tokens=9, image_output_tokens=9
    )
    assert charge_usage(BOOK["gemini/gemini-2.5-pro"], usage).above_input_tokens == 0


# Rates that a table does not list


@pytest.mark.parametrize(
    ("rates", "bucket", "expected"),
    [
        ({"input": "2"}, "cached_input", "2.00"),
        ({"input": "2"}, "cache_write", "2.00"),
        ({"input": "2", "cache_write": "3"}, "cache_write_1h", "3.00"),
        ({"input": "2"}, "cache_write_1h", "2.00"),
        ({"input": "2"}, "audio_input", "2.00"),
        ({"output": "9"}, "audio_output", "9.00"),
        ({"input": "2"}, "image_input", "2.00"),
        ({"input": "2", "image_input": "4"}, "cached_image_input", "4.00"),
        ({"input": "2"}, "cached_image_input", "2.00"),
        ({"output": "9"}, "image_output", "9.00"),
        ({"input": "2", "cached_input": "0"}, "cached_input", "0.00"),
        ({"input": "2", "cache_write": "0"}, "cache_write_1h", "0.00"),
    ],
)
def test_an_unlisted_rate_falls_back_and_a_listed_zero_does_not(rates, bucket, expected):
    charge = charge_usage(price_of(table(**rates)), usage_of({FIELD_OF_BUCKET[bucket]: 5}))
    assert rates_by_bucket(charge) == {bucket: expected}


@pytest.mark.parametrize(
    ("rates", "usage", "bucket"),
    [
        ({"output": "9"}, Usage(cached_input_tokens=1), "cached_input"),
        ({"image_output": "30", "input": "5"}, Usage(output_tokens=1), "output"),
        ({"input": "5"}, Usage(output_tokens=3, reasoning_tokens=3), "output"),
        ({"input": "5", "output": "9"}, Usage(images=1), "image"),
    ],
)
def test_a_filled_bucket_without_any_rate_is_an_error(rates, usage, bucket):
    with pytest.raises(MissingRate, match="acme/one lists no") as caught:
        charge_usage(price_of(table(**rates)), usage)
    assert (caught.value.bucket, caught.value.tier) == (bucket, "standard")


def test_an_empty_bucket_needs_no_rate_and_makes_no_line():
    charge = charge_usage(price_of(table(output="9")), Usage(output_tokens=2))
    assert [line.bucket for line in charge.lines] == ["output"]
    assert charge_usage(price_of(table(output="9")), Usage()).lines == ()


def test_a_tier_the_price_does_not_list_is_an_error():
    price = BOOK["anthropic/claude-sonnet-4-6"]
    for ask in (
        lambda: charge_usage(price, Usage(input_tokens=1), "flex"),
        lambda: bound_nanos(price, 1, 1, "flex"),
        lambda: affordable_output_tokens(price, 1, 1, "flex"),
    ):
        with pytest.raises(UnknownTier, match="claude-sonnet-4-6 has no flex tier"):
            ask()


# Reasoning


def test_reasoning_stays_inside_the_output_line_where_it_has_no_rate():
    charge = charge_usage(
        price_of(table(output="10")), Usage(output_tokens=100, reasoning_tokens=90)
    )
    assert [(line.bucket, line.quantity) for line in charge.lines] == [("output", 100)]


def test_reasoning_with_a_rate_has_its_own_line_and_is_counted_once():
    price = price_of(table(output="10", reasoning_output="4"))
    charge = charge_usage(price, Usage(output_tokens=100, reasoning_tokens=90))
    assert [(line.bucket, line.quantity) for line in charge.lines] == [
        ("output", 10),
        ("reasoning_output", 90),
    ]
    assert charge.list_nanos == 10 * 10_000 + 90 * 4_000


@given(st.integers(0, 10**7), st.integers(0, 10**7))
def test_reasoning_at_the_output_rate_changes_nothing_about_the_charge(visible, reasoning):
    price = BOOK["gemini/gemini-2.5-flash"]
    apart = Usage(output_tokens=visible + reasoning, reasoning_tokens=reasoning)
    plain = Usage(output_tokens=visible + reasoning)
    assert charge_usage(price, apart).amount_nanos == charge_usage(price, plain).amount_nanos


# Service tiers


def test_a_service_tier_has_its_own_rates():
    usage = Usage(input_tokens=10, cached_input_tokens=10, output_tokens=10)
    flex = charge_usage(BOOK["openai/gpt-5.5"], usage, "flex")
    assert flex.tier == "flex"
    assert rates_by_bucket(flex) == {"input": "2.50", "cached_input": "0.25", "output": "15.00"}


@pytest.mark.parametrize(
    ("model", "tier", "rates"),
    [
        ("openai/gpt-5.5", "flex", {"input": "10.00", "cached_input": "1.00", "output": "45.00"}),
        (
            "openai/gpt-5.5",
            "priority",
            {"input": "12.50", "cached_input": "1.25", "output": "75.00"},
        ),
        (
            "gemini/gemini-2.5-pro",
            "priority",
            {"input": "2.50", "cached_input": "0.25", "output": "18.00"},
        ),
    ],
)
def test_a_service_tier_in_a_long_context_takes_the_dearer_rate_per_bucket(model, tier, rates):
    usage = Usage(input_tokens=300_000, cached_input_tokens=10, output_tokens=10)
    charge = charge_usage(BOOK[model], usage, tier)
    assert rates_by_bucket(charge) == rates
    assert charge.above_input_tokens in (200_000, 272_000)


def test_a_service_tier_with_its_own_long_context_table_uses_that_alone():
    price = price_of(
        table("standard", 0, input="2"),
        table("standard", 100, input="4"),
        table("flex", 0, input="1"),
        table("flex", 100, input="3"),
    )
    assert rates_by_bucket(charge_usage(price, Usage(input_tokens=101), "flex")) == {
        "input": "3.00"
    }


def test_the_dearer_rate_is_the_one_the_customer_pays_more_for():
    price = price_of(
        table("standard", 0, input="2"),
        RateTable("standard", 100, {"input": usd("4", sell_bps=1000)}),
        RateTable("flex", 0, {"input": usd("1", sell_bps=9000)}),
    )
    (line,) = charge_usage(price, Usage(input_tokens=101), "flex").lines
    assert (line.list_nanos, line.sell_bps) == (NANOS_PER_USD, 9000)


def test_a_silent_service_tier_does_not_sell_pictures_at_the_rate_of_text():
    price = BOOK["gemini/gemini-2.5-flash-image"]
    usage = Usage(cached_input_tokens=1, audio_input_tokens=1, image_output_tokens=1)
    assert rates_by_bucket(charge_usage(price, usage, "flex")) == {
        "cached_input": "0.15",
        "audio_input": "1.00",
        "image_output": "30.00",
    }


def test_a_bucket_the_vendor_sells_no_dearer_follows_the_service_tier():
    usage = Usage(audio_input_tokens=1)
    charge = charge_usage(BOOK["gemini/gemini-3.5-flash"], usage, "flex")
    assert rates_by_bucket(charge) == {"audio_input": "0.75"}
    thinking = Usage(output_tokens=9, reasoning_tokens=8)
    charge = charge_usage(BOOK["gemini/gemini-2.5-flash"], thinking, "flex")
    assert rates_by_bucket(charge) == {"output": "1.25"}


# Rounding


def nano_rate(list_nanos: int, sell_bps: int = 5000) -> Rate:
    return Rate(list_nanos, 1, sell_bps)


@pytest.mark.parametrize(("images", "amount"), [(1, 0), (2, 1), (3, 2), (4, 2), (5, 2), (7, 4)])
def test_half_a_nano_dollar_is_rounded_to_the_even_one(images, amount):
    price = price_of(RateTable("standard", 0, {"image": nano_rate(1)}))
    charge = charge_usage(price, Usage(images=images))
    assert (charge.amount_nanos, charge.list_nanos) == (amount, images)


def test_lines_are_summed_before_they_are_rounded():
    rates = {"input": nano_rate(1), "output": nano_rate(1)}
    charge = charge_usage(
        price_of(RateTable("standard", 0, rates)), Usage(input_tokens=1, output_tokens=1)
    )
    assert [line.amount for line in charge.lines] == ["0.0000000005", "0.0000000005"]
    assert charge.amount_nanos == 1


def test_a_charge_rounds_by_the_one_rounding_of_the_project():
    price = price_of(RateTable("standard", 0, {"output": Rate(333, MILLION, 3333)}))
    charge = charge_usage(price, Usage(output_tokens=123_456_789))
    assert charge.amount_nanos == divide_half_even(123_456_789 * 333 * 3333, 10**10)


# Usage


def test_usage_is_empty_only_when_every_bucket_is_zero():
    assert Usage().is_empty
    assert Usage(basis="estimated").is_empty
    for field in (*INPUT_FIELDS, *OUTPUT_FIELDS, "images"):
        assert not usage_of({field: 1}).is_empty


def test_usage_knows_every_bucket_of_its_own():
    fields = set(Usage.__struct_fields__) - {"basis"}
    assert {FIELD_OF_BUCKET[bucket] for bucket in METERED_BUCKETS} == fields


@pytest.mark.parametrize("field", [*INPUT_FIELDS, *OUTPUT_FIELDS, "images", "reasoning_tokens"])
def test_a_negative_quantity_is_refused(field):
    with pytest.raises(ValueError, match="cannot be negative"):
        usage_of({field: -1})


def test_more_reasoning_than_output_is_refused():
    with pytest.raises(ValueError, match="inside output_tokens"):
        Usage(output_tokens=1, reasoning_tokens=2)


def test_each_quantity_lands_in_the_bucket_of_its_name():
    rates = {bucket: nano_rate(10) for bucket in METERED_BUCKETS}
    quantities = {FIELD_OF_BUCKET[bucket]: 2**place for place, bucket in enumerate(METERED_BUCKETS)}
    quantities["output_tokens"] += quantities["reasoning_tokens"]
    charge = charge_usage(price_of(RateTable("standard", 0, rates)), usage_of(quantities))
    assert [(line.bucket, line.quantity) for line in charge.lines] == [
        (bucket, 2**place) for place, bucket in enumerate(METERED_BUCKETS)
    ]


# Prices


@pytest.mark.parametrize(
    ("list_nanos", "per", "sell_bps"),
    [(-1, 1, 0), (10**15 + 1, 1, 0), (1, 1000, 0), (1, 0, 0), (1, 1, -1), (1, 1, 100_001)],
)
def test_an_absurd_rate_is_refused(list_nanos, per, sell_bps):
    with pytest.raises(ValueError, match="is n"):
        Rate(list_nanos, per, sell_bps)


@pytest.mark.parametrize(
    "tables",
    [
        (),
        (table("flex", 0, input="1"),),
        (table("standard", 100, input="1"),),
        (table(input="1"), table("flex", 100, input="1")),
        (table(input="1"), table(input="2")),
        (table(input="1"), table("standard", -1, input="2")),
    ],
)
def test_tables_that_leave_a_call_unpriced_or_priced_twice_are_refused(tables):
    with pytest.raises(ValueError, match=r"table|negative"):
        price_of(*tables)


def test_a_price_survives_storage():
    price = BOOK["openai/gpt-5.5"]
    charge_usage(price, Usage(input_tokens=1))
    assert msgspec.json.decode(msgspec.json.encode(price), type=Price) == price
