"""Times on pages."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from accounts.templatetags.moments import ago, clock, relatively

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("back", "text"),
    [
        (timedelta(seconds=59), "just now"),
        (timedelta(seconds=60), "1 min ago"),
        (timedelta(minutes=59, seconds=59), "59 min ago"),
        (timedelta(hours=1), "1 hour ago"),
        (timedelta(hours=23), "23 hours ago"),
        (timedelta(days=1), "1 day ago"),
        (timedelta(days=29), "29 days ago"),
        (timedelta(days=30), "22 Oct 2026"),
        (timedelta(days=-12), "in 12 days"),
        (timedelta(hours=-1), "in 1 hour"),
        (timedelta(seconds=-5), "in a moment"),
    ],
)
def test_distances_are_told_in_their_largest_unit(back: timedelta, text: str) -> None:
    assert relatively(NOW - back, NOW) == text


def test_the_exact_time_stands_in_the_title_in_the_viewers_zone() -> None:
    with timezone.override("Asia/Seoul"):
        html = ago(datetime(2026, 11, 21, 4, 5, 6, tzinfo=UTC))
    assert 'title="21 Nov 2026, 13:05:06 KST"' in html
    assert 'datetime="2026-11-21T04:05:06+00:00"' in html


def test_a_log_tells_seconds_and_the_day_of_the_viewer() -> None:
    with timezone.override("Asia/Seoul"):
        html = clock(datetime(2020, 1, 31, 23, 59, 58, tzinfo=UTC))
    assert "1 Feb 2020</span> 08:59:58" in html


def test_no_moment_is_a_dash() -> None:
    assert "–" in ago(None)
