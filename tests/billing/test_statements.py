"""Statements of months: opening balance, moves and closing balance, each found on its own."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest

from billing.closings import Spent, close_days
from billing.models import Account
from billing.statements import (
    AccountMonth,
    Line,
    Month,
    began_at,
    list_months,
    list_moves,
    parse_month,
    read_months,
    sum_months,
    without_internal,
)
from tests.billing.past import USD, capture, move
from tests.people import People, make_people

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
OCTOBER = Month(date(2026, 10, 1), date(2026, 11, 1), False)
FIRST, LAST = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)
INSTANT = timedelta(microseconds=1)


@pytest.fixture
def people(db: None) -> People:
    """Moves on both sides of both ends of October."""
    made = make_people()
    wallet = Account.objects.wallet_of(made.group)
    move(made, "deposit", 900 * USD, FIRST - timedelta(days=40), "Invoice 1")
    move(made, "grant", 100 * USD, FIRST - INSTANT)
    move(made, "grant", 50 * USD, FIRST, "October")
    move(made, "reclaim", 5 * USD, LAST - INSTANT)
    move(made, "deposit", 300 * USD, FIRST + timedelta(days=9), "Invoice 2")
    move(made, "reclaim", 1 * USD, LAST)
    capture(wallet, 7, FIRST - INSTANT)
    capture(wallet, 11, FIRST + INSTANT, began=FIRST - timedelta(hours=2))
    capture(wallet, 13, LAST - INSTANT)
    capture(wallet, 17, LAST, began=LAST - timedelta(hours=2))
    return made


def accounts_of(people: People) -> tuple[Account, Account]:
    return Account.objects.pool_of(people.organization), Account.objects.wallet_of(people.group)


@pytest.mark.parametrize("closed", [False, True])
def test_a_month_begins_and_ends_at_midnight_utc(people: People, closed: bool) -> None:
    if closed:
        close_days(NOW)
    pool, wallet = accounts_of(people)
    months = read_months([pool, wallet], OCTOBER)
    assert months[wallet.pk] == AccountMonth(
        100 * USD - 7,
        (Line("grant", 50 * USD, 1), Line("reclaim", -5 * USD, 1)),
        Spent(24, 2),
        145 * USD - 31,
    )
    assert months[pool.pk] == AccountMonth(
        800 * USD,
        (Line("deposit", 300 * USD, 1), Line("grant", -50 * USD, 1), Line("reclaim", 5 * USD, 1)),
        Spent(),
        1055 * USD,
    )
    assert months[wallet.pk].agrees
    assert months[pool.pk].agrees


def test_an_organization_is_its_pool_and_its_groups(people: People) -> None:
    months = read_months(accounts_of(people), OCTOBER)
    total = sum_months(list(months.values()))
    assert total.agrees
    assert without_internal(total) == AccountMonth(
        900 * USD - 7, (Line("deposit", 300 * USD, 1),), Spent(24, 2), 1200 * USD - 31
    )
    assert without_internal(total).agrees, "what moved inside cancels out"


def test_a_statement_that_does_not_add_up_says_so(people: People) -> None:
    _pool, wallet = accounts_of(people)
    right = read_months([wallet], OCTOBER)[wallet.pk]
    for wrong in (
        right._replace(opening_nanos=right.opening_nanos + 1),
        right._replace(closing_nanos=right.closing_nanos - 1),
        right._replace(spent=Spent(25, 2)),
        right._replace(lines=right.lines[:1]),
    ):
        assert not wrong.agrees


def test_the_months_of_one_account_follow_each_other(people: People) -> None:
    close_days(NOW)
    _pool, wallet = accounts_of(people)
    months = list_months(began_at([wallet], NOW), NOW)
    assert [month.text for month in months] == ["2026-11", "2026-10", "2026-09"]
    assert [month.is_open for month in months] == [True, False, False]
    found = [read_months([wallet], month)[wallet.pk] for month in months]
    for later, earlier in pairwise(found):
        assert later.opening_nanos == earlier.closing_nanos
    assert found[-1].opening_nanos == 0
    assert found[0].closing_nanos == wallet.balance_nanos


def test_the_moves_of_the_month_are_listed_oldest_first(people: People) -> None:
    pool, wallet = accounts_of(people)
    rows = list_moves(wallet, OCTOBER)
    assert [(row.change_nanos, row.transfer.reason) for row in rows] == [
        (50 * USD, "October"),
        (-5 * USD, ""),
    ]
    assert [row.change_nanos for row in list_moves(pool, OCTOBER)] == [
        -50 * USD,
        300 * USD,
        5 * USD,
    ]


@pytest.mark.parametrize(
    "text",
    ["", "2026-13", "2026-00", "2026-1", "1999-10", "2026-10-01", "2026-12", "٢٠٢٦-10", "2026-10 "],
)
def test_what_is_no_month_so_far_is_none(text: str) -> None:
    assert parse_month(text, NOW) is None


def test_a_month_is_open_until_its_last_instant() -> None:
    assert parse_month("2026-10", NOW) == OCTOBER
    november = parse_month("2026-11", datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC))
    assert november is not None
    assert november.is_open
    december = parse_month("2026-12", datetime(2026, 12, 1, tzinfo=UTC))
    assert december is not None
    assert december.first == date(2026, 12, 1)
    assert december.final_day == date(2026, 12, 31)
