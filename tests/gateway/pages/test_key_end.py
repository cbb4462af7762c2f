"""When a key ends, in one sentence."""

import html
import re
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import APIKey
from gateway.templatetags.keys import key_end

SPARE = timedelta(seconds=30)


def sentence(**moments: timedelta) -> str:
    """What is said of a key whose moments are that far from now."""
    now = timezone.now()
    key = APIKey(name="ci", **{name: now + distance for name, distance in moments.items()})
    return html.unescape(re.sub(r"<[^>]+>", "", key_end(key)))


@pytest.mark.parametrize(
    ("left", "said"),
    [
        (timedelta(days=30) - SPARE, "expires in 30 days"),
        (timedelta(days=6, hours=2), "expires in 7 days"),
        (timedelta(days=1, hours=1), "expires in 2 days"),
        (timedelta(hours=5) + SPARE, "expires in 5 hours"),
        (-timedelta(hours=3) - SPARE, "expired 3 hours ago"),
    ],
)
def test_days_that_are_left_are_counted_as_people_do(left: timedelta, said: str) -> None:
    assert sentence(expires_at=left) == said


def test_a_far_end_is_a_date() -> None:
    assert re.fullmatch(r"expires on \d{1,2} \w+ \d{4}", sentence(expires_at=timedelta(days=90)))


def test_a_revocation_says_more_than_an_expiry() -> None:
    told = sentence(revoked_at=-timedelta(hours=2) - SPARE, expires_at=timedelta(days=3))
    assert told == "revoked 2 hours ago"


def test_a_key_that_stays_has_no_end() -> None:
    assert sentence() == ""
