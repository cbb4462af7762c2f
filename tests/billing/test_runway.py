"""How long the credits last."""

from datetime import UTC, datetime, timedelta

import pytest

from billing.closings import Spent, close_days
from billing.models import Account
from billing.runway import WINDOW, Runway, read_runway
from tests.billing.past import USD, capture, move
from tests.people import People, make_people

NOW = datetime(2026, 10, 15, 12, tzinfo=UTC)


@pytest.fixture
def people(db: None) -> People:
    made = make_people()
    move(made, "deposit", 100 * USD, NOW - timedelta(days=60))
    move(made, "grant", 100 * USD, NOW - timedelta(days=60))
    return made


def wallet_of(people: People) -> Account:
    return Account.objects.wallet_of(people.group)


def test_the_credits_last_as_long_as_the_rate_of_seven_days_says(people: People) -> None:
    for days_ago in range(1, 8):
        capture(wallet_of(people), 2 * USD, NOW - timedelta(days=days_ago) + timedelta(minutes=1))
    capture(wallet_of(people), 50 * USD, NOW - timedelta(days=8))  # too long ago to count
    close_days(NOW)
    runway = read_runway(wallet_of(people), NOW)
    assert runway.spent == Spent(14 * USD, 7)
    assert (runway.history, runway.day_nanos) == (WINDOW, 2 * USD)
    assert (runway.days, runway.hours) == (18, 432)  # 36 of 100 dollars are left


def test_a_group_that_began_two_days_ago_is_judged_by_two_days(people: People) -> None:
    capture(wallet_of(people), 10 * USD, NOW - timedelta(days=2))
    runway = read_runway(wallet_of(people), NOW)
    assert (runway.history, runway.day_nanos, runway.days) == (timedelta(days=2), 5 * USD, 18)


def test_less_than_a_day_of_calls_is_no_rate(people: People) -> None:
    capture(wallet_of(people), 10 * USD, NOW - timedelta(hours=23))
    assert read_runway(wallet_of(people), NOW).left_s is None


def test_without_calls_nothing_is_foretold(people: People) -> None:
    assert read_runway(wallet_of(people), NOW) == Runway(Spent(), timedelta())
    capture(wallet_of(people), 10 * USD, NOW - timedelta(days=30))
    runway = read_runway(wallet_of(people), NOW)
    assert (runway.left_s, runway.spent.calls) == (None, 0)


def test_a_wallet_below_zero_lasts_no_time(people: People) -> None:
    capture(wallet_of(people), 10 * USD, NOW - timedelta(days=2))
    wallet = wallet_of(people)
    wallet.balance_nanos = -USD
    assert read_runway(wallet, NOW).left_s == 0
