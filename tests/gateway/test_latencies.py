"""Histograms as one number."""

import random

import pytest
from django.db import connection

from gateway.latencies import BORDERS_MS, DIGITS, count, percentile_ms, weight_sql


def bucket_of(milliseconds: int) -> int:
    return sum(1 for border in BORDERS_MS if border <= milliseconds)


def histogram(values: list[int]) -> int:
    return sum(10 ** (DIGITS * bucket_of(value)) for value in values)


@pytest.mark.django_db
@pytest.mark.parametrize("value", [0, 9, 10, 11, 12, 999, 1000, 999_999, 1_000_000, 2**31 - 1])
def test_sql_puts_a_value_into_its_bucket(value: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {weight_sql('%s::int')}", [value])
        assert cursor.fetchone() == (histogram([value]),)


@pytest.mark.django_db
def test_sql_adds_nothing_for_what_is_not_known() -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {weight_sql('NULL::int')}")
        assert cursor.fetchone() == (0,)


def test_histograms_add_up() -> None:
    left, right = [5, 20, 20, 400], [20, 70_000, 4_000_000]
    assert histogram(left) + histogram(right) == histogram(left + right)
    assert count(histogram(left) + histogram(right)) == 7


def test_nothing_has_no_percentile() -> None:
    assert count(0) == 0
    assert percentile_ms(0, 50) is None


@pytest.mark.parametrize("percent", [1, 50, 95, 99, 100])
@pytest.mark.parametrize("seed", range(3))
def test_percentiles_are_right_to_about_a_tenth(seed: int, percent: int) -> None:
    chance = random.Random(seed)
    values = sorted(int(chance.lognormvariate(7, 1.2)) + 10 for _ in range(5000))
    true = values[-(-len(values) * percent // 100) - 1]
    found = percentile_ms(histogram(values), percent)
    assert found is not None
    assert abs(found - true) <= true * 0.13


def test_a_percentile_of_one_value_stays_in_its_bucket() -> None:
    assert percentile_ms(histogram([50]), 50) == 51
    assert percentile_ms(histogram([3]), 50) == 5
    assert percentile_ms(histogram([5_000_000]), 99) == 1_000_000, "no more is known"
