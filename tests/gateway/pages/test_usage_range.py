"""The days that a URL asks for."""

from collections.abc import Iterator
from datetime import UTC, date, datetime

import pytest
from django.utils import timezone

from gateway.pages.usage_range import PRESETS, Range, months_since, read_range

NOW = datetime(2026, 11, 20, 20, 30, tzinfo=UTC)
"""The 21st in Seoul."""


@pytest.fixture(autouse=True)
def _seoul() -> Iterator[None]:
    with timezone.override("Asia/Seoul"):
        yield


def read(**query: str) -> Range:
    return read_range(query, NOW)


def days(chosen: Range) -> tuple[str, str, str]:
    return chosen.first.isoformat(), chosen.last.isoformat(), chosen.step


@pytest.mark.parametrize(
    ("name", "first", "last", "step"),
    [
        ("today", "2026-11-21", "2026-11-21", "hour"),
        ("7d", "2026-11-15", "2026-11-21", "day"),
        ("30d", "2026-10-23", "2026-11-21", "day"),
        ("month", "2026-11-01", "2026-11-21", "day"),
        ("last_month", "2026-10-01", "2026-10-31", "day"),
        ("12m", "2025-12-01", "2026-11-21", "month"),
    ],
)
def test_presets_end_today_on_the_viewers_clock(
    name: str, first: str, last: str, step: str
) -> None:
    chosen = read(range=name)
    assert days(chosen) == (first, last, step)
    assert chosen.error == chosen.note == ""
    assert read_range(chosen.query, NOW) == chosen, "the URL leads to the same"


def test_without_a_choice_it_is_the_last_thirty_days() -> None:
    assert read() == read(range="30d")
    assert len(PRESETS) == 6


def test_a_month_is_whole_and_the_running_one_ends_today() -> None:
    assert days(read(month="2026-02")) == ("2026-02-01", "2026-02-28", "day")
    assert days(read(month="2026-11")) == ("2026-11-01", "2026-11-21", "day")
    assert read(month="2026-02").query == {"month": "2026-02"}


def test_free_days_include_the_last_one_and_end_today() -> None:
    assert days(read(since="2026-11-03", until="2026-11-04")) == (
        "2026-11-03",
        "2026-11-04",
        "hour",
    )
    assert days(read(since="2026-11-03", until="2030-01-01"))[1] == "2026-11-21"
    assert days(read(since="2026-11-03"))[1] == "2026-11-21"
    assert days(read(since="2026-01-01", until="2026-11-01"))[2] == "month"
    span = read(since="2026-11-03", until="2026-11-03").span
    assert span.since == datetime(2026, 11, 2, 15, tzinfo=UTC)
    assert span.until == datetime(2026, 11, 3, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ({"range": "nonsense"}, "no such range"),
        ({"month": "nonsense"}, "written like 2026-11"),
        ({"month": "2026-13"}, "written like 2026-11"),
        ({"month": "0001-01"}, "written like 2026-11"),
        ({"month": "2026-1-"}, "written like 2026-11"),
        ({"month": "2026-12"}, "not begun"),
        ({"since": "2026-11-05", "until": "2026-11-04"}, "before the first"),
        ({"since": "0001-01-01", "until": "2026-11-04"}, "Both days"),
        ({"since": "2026-02-30", "until": "2026-11-04"}, "Both days"),
        ({"since": "9999-12-31", "until": "9999-12-31"}, "Both days"),
        ({"since": "\x00", "until": "١٢"}, "Both days"),
        ({"until": "2026-11-04"}, "Both days"),
        ({"since": "2027-01-01", "until": "2027-01-02"}, "not begun"),
    ],
)
def test_what_makes_no_sense_is_told_and_the_default_is_shown(
    query: dict[str, str], word: str
) -> None:
    chosen = read(**query)
    assert word in chosen.error
    assert chosen._replace(error="") == read()


def test_fifty_years_are_cut_to_five_and_it_is_said() -> None:
    chosen = read(since="2000-01-01", until="2026-11-04")
    assert "Five years" in chosen.note
    assert chosen.last == date(2026, 11, 4)
    assert (chosen.last - chosen.first).days == 5 * 366 - 1
    assert chosen.step == "month"


def test_words_name_the_first_and_the_last_day() -> None:
    assert read(range="7d").words == "15 Nov – 21 Nov 2026"
    assert read(range="12m").words == "1 Dec 2025 – 21 Nov 2026"
    assert read(range="today").words == "21 Nov 2026"


def test_months_are_offered_back_to_the_beginning() -> None:
    assert months_since(date(2026, 9, 30), date(2026, 11, 21)) == [
        date(2026, 11, 1),
        date(2026, 10, 1),
        date(2026, 9, 1),
    ]
    assert len(months_since(date(2001, 1, 1), date(2026, 11, 21))) == 36
    assert months_since(date(2027, 1, 1), date(2026, 11, 21)) == [date(2026, 11, 1)]
