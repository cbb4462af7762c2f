"""uuid7: version and variant, the time in front, and that order of making is order of sorting."""

import os
import time
from uuid import RFC_4122

import pytest

from accounts.ids import uuid7


def test_an_id_is_a_version_7_uuid_of_the_standard_variant() -> None:
    made = uuid7()
    assert (made.version, made.variant) == (7, RFC_4122)


@pytest.mark.parametrize("byte", [b"\x00", b"\xff"])
def test_no_random_bits_can_touch_version_variant_or_time(
    monkeypatch: pytest.MonkeyPatch, byte: bytes
) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 0x0123_4567_89AB * 1_000_000 + 999_999)
    monkeypatch.setattr(os, "urandom", lambda count: byte * count)
    expected = {
        b"\x00": "01234567-89ab-7fff-8000-000000000000",
        b"\xff": "01234567-89ab-7fff-bfff-ffffffffffff",
    }
    assert str(uuid7()) == expected[byte]


def test_an_id_begins_with_the_milliseconds_of_its_making() -> None:
    before = time.time_ns() // 1_000_000
    stamped = uuid7().int >> 80
    assert before <= stamped <= time.time_ns() // 1_000_000


def test_ids_sort_by_time_of_making_as_numbers_and_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(10**18, 10**18 + 2_000 * 1_000_000, 1_000_000))
    monkeypatch.setattr(time, "time_ns", lambda: next(clock))
    made = [uuid7() for _ in range(2_000)]
    assert made == sorted(made)
    assert [str(one) for one in made] == sorted(str(one) for one in made)


def test_ids_of_one_millisecond_sort_by_its_fraction(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(10**18, 10**18 + 1_000_000, 250))
    monkeypatch.setattr(time, "time_ns", lambda: next(clock))
    made = [uuid7() for _ in range(4_000)]
    assert made == sorted(made)
    assert len({one.int >> 80 for one in made}) == 1


def test_ids_of_one_moment_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 10**18)
    assert len({uuid7() for _ in range(20_000)}) == 20_000


def test_62_bits_are_random(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each was seen as 0 and as 1 in 500 ids (a fair bit fails this once in 10^150)."""
    monkeypatch.setattr(time, "time_ns", lambda: 10**18)
    ids = [uuid7().int for _ in range(500)]
    ones = zeros = 0
    for one in ids:
        ones |= one
        zeros |= ~one
    varying = ones & zeros & ((1 << 80) - 1)
    assert varying == 0x3FFF_FFFF_FFFF_FFFF
    assert varying.bit_count() == 62
