"""Dates in four languages."""

from datetime import UTC, date, datetime

import pytest
from django.utils import timezone, translation

from accounts import dates

MOMENT = datetime(2026, 11, 21, 4, 5, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    ("language", "day", "weekday", "month", "exact"),
    [
        ("en", "21 Nov 2026", "Sat 21 Nov", "November 2026", "21 Nov 2026, 13:05:06 KST"),
        (
            "ko",
            "2026년 11월 21일",
            "11월 21일 (토)",
            "2026년 11월",
            "2026년 11월 21일 13:05:06 KST",
        ),
        ("zh-hans", "2026年11月21日", "11月21日周六", "2026年11月", "2026年11月21日 13:05:06 KST"),
        ("zh-hant", "2026年11月21日", "11月21日 週六", "2026年11月", "2026年11月21日 13:05:06 KST"),
    ],
)
def test_dates_stand_as_each_language_writes_them(
    language: str, day: str, weekday: str, month: str, exact: str
) -> None:
    with translation.override(language), timezone.override("Asia/Seoul"):
        assert (dates.day(MOMENT), dates.weekday(MOMENT), dates.month(MOMENT)) == (
            day,
            weekday,
            month,
        )
        assert dates.exactly(MOMENT) == exact


def test_the_day_is_that_of_the_viewers_zone() -> None:
    late = datetime(2026, 11, 21, 23, 30, tzinfo=UTC)
    with timezone.override("Asia/Seoul"):
        assert (dates.day(late), dates.minute(late)) == ("22 Nov 2026", "22 Nov 2026, 08:30")
    assert dates.day_of_year(date(2026, 1, 2)) == "2 Jan"
