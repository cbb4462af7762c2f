"""Balances of the past: always the sum of the transfers, closed days or not."""

import random
import threading
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import Sum
from django.utils import timezone

from billing.audit import INVARIANTS, count_violations
from billing.closings import (
    Spent,
    balance_at,
    balances_at,
    close_days,
    day_start,
    spent_between,
    spent_by,
    spent_on_days,
    unclosed_days,
)
from billing.models import Account, Transfer
from billing.notice_models import Closing
from tests.billing.bank import orm_on
from tests.billing.past import USD, capture, move
from tests.people import People
from tests.world import Database

NOON = datetime(2026, 10, 15, 12, tzinfo=UTC)
CLOSINGS = tuple(rule for rule in INVARIANTS if rule.name == "closings")


@pytest.fixture
def wallet(people: People) -> Account:
    """A wallet with 40 days of deposits, grants, reclaims and calls, many around midnight."""
    chance = random.Random(5)
    begin = NOON - timedelta(days=40)
    move(people, "deposit", 1000 * USD, begin)
    move(people, "grant", 300 * USD, begin + timedelta(hours=1))
    wallet = Account.objects.wallet_of(people.group)
    for _ in range(250):
        at = begin + timedelta(hours=2) + chance.random() * timedelta(days=38)
        if (
            chance.random() < 0.3
        ):  # just before or after midnight, from a call that began the day before
            midnight = day_start(at.date())
            at = max(midnight + timedelta(microseconds=chance.choice([-1, 0, 1])), begin)
        began = at - timedelta(minutes=chance.choice([0, 5, 600, 1400]))
        capture(wallet, chance.randrange(1, USD), at, began=began)
    for index in range(20):
        at = begin + timedelta(days=2 * index, seconds=index)
        move(people, chance.choice(["grant", "reclaim"]), chance.randrange(1, USD), at)
    return Account.objects.wallet_of(people.group)


def summed(account: Account, until: datetime) -> int:
    """The definition: everything that came in less everything that went out."""
    total = 0
    for side, sign in (("credit_account", 1), ("debit_account", -1)):
        found = Transfer.objects.filter(**{side: account}, created_at__lt=until)
        total += sign * (found.aggregate(sum=Sum("amount_nanos"))["sum"] or 0)
    return total


def captured(account: Account, since: datetime, until: datetime) -> Spent:
    found = Transfer.objects.filter(
        debit_account=account, kind="capture", created_at__gte=since, created_at__lt=until
    )
    return Spent(found.aggregate(sum=Sum("amount_nanos"))["sum"] or 0, found.count())


def moments() -> list[datetime]:
    chance = random.Random(9)
    found = [NOON - chance.random() * timedelta(days=42) for _ in range(25)]
    midnights = [day_start((NOON - timedelta(days=days)).date()) for days in (0, 3, 17, 40, 60)]
    return [*found, *midnights, *(one + timedelta(microseconds=1) for one in midnights)]


@pytest.mark.parametrize("closed_days_ago", [None, 20, 0])
def test_the_balance_of_any_moment_is_the_sum_of_what_came_before(
    people: People, wallet: Account, closed_days_ago: int | None
) -> None:
    pool = Account.objects.pool_of(people.organization)
    if closed_days_ago is not None:
        assert close_days(NOON - timedelta(days=closed_days_ago)) > 0
    for moment in moments():
        assert balance_at(wallet, moment) == summed(wallet, moment), moment
        assert balance_at(pool, moment) == summed(pool, moment), moment
    now = timezone.now() + timedelta(days=1)
    assert balances_at([wallet, pool], now) == {
        wallet.pk: wallet.balance_nanos,
        pool.pk: pool.balance_nanos,
    }
    assert balance_at(wallet, datetime(1970, 1, 1, tzinfo=UTC)) == 0


@pytest.mark.parametrize("closed_days_ago", [None, 20, 0])
def test_what_calls_took_between_any_two_moments_is_the_sum_of_their_captures(
    wallet: Account, closed_days_ago: int | None
) -> None:
    if closed_days_ago is not None:
        close_days(NOON - timedelta(days=closed_days_ago))
    ends = moments()
    for since, until in zip(ends, reversed(ends), strict=True):
        first, last = min(since, until), max(since, until)
        assert spent_between(wallet, first, last) == captured(wallet, first, last)
        days = (first.date(), last.date())
        expected = captured(wallet, day_start(days[0]), day_start(days[1]))
        assert spent_on_days([wallet], *days)[wallet.pk] == expected
    half_hour = (ends[0], ends[0] + timedelta(minutes=30))
    assert spent_by([wallet], *half_hour)[wallet.pk] == captured(wallet, *half_hour)


def test_days_are_closed_once_and_only_when_they_are_over(wallet: Account) -> None:
    just_after = day_start(NOON.date()) + timedelta(minutes=9)
    close_days(just_after)
    days = list(Closing.objects.filter(account=wallet).values_list("day", flat=True))
    assert max(days) <= (just_after - timedelta(days=2)).date(), "clocks may be ten minutes apart"
    close_days(just_after + timedelta(minutes=2))
    rows = list(Closing.objects.order_by("pk").values())
    assert close_days(just_after + timedelta(minutes=2)) == 0
    assert list(Closing.objects.order_by("pk").values()) == rows
    assert count_violations(CLOSINGS) == {"closings": 0}


def test_only_days_on_which_something_moved_have_a_closing(people: People) -> None:
    move(people, "deposit", USD, NOON - timedelta(days=9))
    move(people, "grant", USD, NOON - timedelta(days=5))
    close_days(NOON)
    found = Closing.objects.values_list("account__kind", "day", "balance_nanos")
    assert sorted(found) == [
        ("pool", date(2026, 10, 6), USD),
        ("pool", date(2026, 10, 10), 0),
        ("wallet", date(2026, 10, 10), USD),
    ]


def test_what_is_not_closed_yet_is_listed_day_by_day(wallet: Account) -> None:
    close_days(NOON - timedelta(days=10))
    days = unclosed_days(wallet)
    assert [one.day for one in days] == sorted({one.day for one in days}, reverse=True)
    since = day_start((NOON - timedelta(days=10)).date())
    assert sum(one.spent.nanos for one in days) == captured(wallet, since, NOON).nanos


@pytest.mark.parametrize(
    "spoil",
    [
        "UPDATE billing_closing SET balance_nanos = balance_nanos + 1",
        "UPDATE billing_closing SET captured_nanos = captured_nanos + 1",
        "UPDATE billing_closing SET captures = captures + 1",
        "DELETE FROM billing_closing",
        "UPDATE billing_closing SET day = day - 400",
    ],
)
def test_the_audit_finds_a_closing_that_is_wrong_or_missing(wallet: Account, spoil: str) -> None:
    close_days(NOON)
    assert count_violations(CLOSINGS) == {"closings": 0}
    with connection.cursor() as cursor:
        cursor.execute(f"{spoil} WHERE id = (SELECT min(id) FROM billing_closing)")
    assert count_violations(CLOSINGS)["closings"] > 0


def test_a_move_that_commits_late_is_waited_for(fresh_world: Any, django_db_blocker: Any) -> None:
    """A transfer has its time before it can be seen: whoever closes the day has to wait for its transaction."""
    database: Database = fresh_world.database
    tenant = fresh_world.add_tenant("Alice", balance="10")
    with orm_on(database, django_db_blocker):
        written, may_commit = threading.Event(), threading.Event()

        def move_late() -> None:
            with transaction.atomic():
                wallet = Account.objects.select_for_update(no_key=True).get(pk=tenant.wallet_id)
                capture(wallet, 7, NOON)
                written.set()
                may_commit.wait(10)
            connection.close()

        def close() -> None:
            close_days(NOON + timedelta(days=1))
            connection.close()

        mover = threading.Thread(target=move_late)
        mover.start()
        assert written.wait(10)
        closer = threading.Thread(target=close)
        closer.start()
        closer.join(0.3)
        assert closer.is_alive(), "it waits for the lock of the wallet"
        may_commit.set()
        closer.join(10)
        mover.join(10)
    found = database.query(
        "SELECT captured_nanos FROM billing_closing WHERE account_id = %s AND day = %s",
        tenant.wallet_id,
        NOON.date(),
    )
    assert found == [{"captured_nanos": 7}]
