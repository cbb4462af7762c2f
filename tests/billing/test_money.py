from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.money import (
    BIGINT_MAX,
    BIGINT_MIN,
    NANOS_PER_USD,
    divide_half_even,
    format_scaled,
    format_usd,
    parse_usd,
)


@pytest.mark.parametrize(
    ("text", "nanos"),
    [
        ("0", 0),
        ("-0.00", 0),
        ("1", NANOS_PER_USD),
        ("0.10", 100_000_000),
        ("0.00152", 1_520_000),
        ("-3.00", -3_000_000_000),
        ("0.000000001", 1),
        ("007.5", 7_500_000_000),
        ("1.5e-05", 15_000),
        ("3E2", 300_000_000_000),
        ("9223372036.854775807", BIGINT_MAX),
        ("-9223372036.854775808", BIGINT_MIN),
    ],
)
def test_a_decimal_text_is_read_exactly(text, nanos):
    assert parse_usd(text) == nanos


@pytest.mark.parametrize(
    "text",
    [
        "",
        " 1",
        "1 ",
        "1\n",
        "+1",
        "--1",
        ".5",
        "5.",
        "1_000",
        "1,5",
        "0x10",
        "\u0661",
        "NaN",
        "inf",
        "-Infinity",
        "1e",
        "1.5.2",
        "$1",
    ],
)
def test_another_form_is_refused(text):
    with pytest.raises(ValueError, match="not a decimal USD amount"):
        parse_usd(text)


@pytest.mark.parametrize("value", [0.1, 1, None, True, b"1"])
def test_what_is_not_text_is_refused(value):
    with pytest.raises(ValueError, match="must be text"):
        parse_usd(value)


@pytest.mark.parametrize("text", ["0.0000000001", "1.0000000000", "1e-10", "0.00001e-5"])
def test_more_than_nine_decimals_are_refused(text):
    with pytest.raises(ValueError, match="more than 9 decimals"):
        parse_usd(text)


@pytest.mark.parametrize(
    "text", ["9223372036.854775808", "-9223372036.854775809", "1e10", "9" * 60]
)
def test_an_amount_outside_bigint_is_refused(text):
    with pytest.raises(ValueError, match="outside the range"):
        parse_usd(text)


@pytest.mark.parametrize("text", ["1e9999", "0e9999", "-1e11"])
def test_an_exponent_that_does_not_fit_is_refused(text):
    with pytest.raises(ValueError, match="exponent does not fit"):
        parse_usd(text)


def test_a_text_of_megabytes_is_refused_and_not_quoted_back():
    with pytest.raises(ValueError, match="not a decimal USD amount") as caught:
        parse_usd("1" * 5_000_000)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("nanos", "text"),
    [
        (0, "0.00"),
        (100_000_000, "0.10"),
        (1_520_000, "0.00152"),
        (-3_000_000_000, "-3.00"),
        (1, "0.000000001"),
        (-1, "-0.000000001"),
        (1_234_500_000_000, "1234.50"),
        (BIGINT_MAX, "9223372036.854775807"),
    ],
)
def test_an_amount_shows_two_decimals_or_as_many_as_it_needs(nanos, text):
    assert format_usd(nanos) == text


def test_a_finer_amount_than_a_nano_dollar_is_shown_exactly():
    assert format_scaled(5, 19) == "0.0000000000000000005"


@given(st.integers(BIGINT_MIN, BIGINT_MAX))
def test_what_is_written_reads_back_the_same(nanos):
    assert parse_usd(format_usd(nanos)) == nanos


@pytest.mark.parametrize(
    ("numerator", "denominator", "quotient"),
    [(1, 2, 0), (3, 2, 2), (5, 2, 2), (-1, 2, 0), (-3, 2, -2), (3, -2, -2), (-7, -2, 4), (7, 3, 2)],
)
def test_a_tie_goes_to_the_even_neighbour(numerator, denominator, quotient):
    assert divide_half_even(numerator, denominator) == quotient


@given(st.integers(), st.integers().filter(bool))
def test_division_agrees_with_exact_fractions(numerator, denominator):
    assert divide_half_even(numerator, denominator) == round(Fraction(numerator, denominator))


@given(st.integers(-(10**30), 10**30), st.integers(1, 10**20))
def test_an_exact_tie_agrees_with_exact_fractions(whole, half):
    numerator = (2 * whole + 1) * half
    assert divide_half_even(numerator, 2 * half) == round(Fraction(numerator, 2 * half))


def test_division_by_zero_is_an_error():
    with pytest.raises(ZeroDivisionError):
        divide_half_even(1, 0)
