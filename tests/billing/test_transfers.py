"""Lists of transfers: both sides of an account, every filter, and paging there and back."""

import random
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from django.utils import timezone

from accounts.ids import uuid7
from billing import ledger
from billing.closings import close_days, day_start
from billing.models import Account, Transfer
from billing.transfers import (
    DayRow,
    TransferFilter,
    TransferRow,
    cursor_at,
    iterate_transfers,
    people_in,
    read_transfers,
)
from tests.billing.past import USD, capture, move
from tests.people import People, fund, make_people

NOON = datetime(2026, 10, 15, 12, tzinfo=UTC)


@pytest.fixture
def people(db: None) -> People:
    made = make_people()
    fund(made, pool_nanos=100 * USD, wallet_nanos=10 * USD)
    return made


@pytest.fixture
def wallet(people: People) -> Account:
    """Calls and moves of twelve days of October, beside those of `fund`."""
    chance = random.Random(3)
    found = Account.objects.wallet_of(people.group)
    for index in range(40):
        capture(found, index + 1, NOON - chance.random() * timedelta(days=12))
    for index in range(12):
        kind, reason = ("grant", "Budget") if index % 3 else ("reclaim", "Left over")
        move(people, kind, 100 + index, NOON - timedelta(days=index, hours=1), reason)
    return found


def pages_of(
    account: Account, wanted: TransferFilter, size: int
) -> list[list[TransferRow | DayRow]]:
    """Every page, going older; and the same pages again, going newer."""
    pages, page = [], read_transfers(account, wanted, size=size)
    pages.append(page.rows)
    while page.older is not None:
        page = read_transfers(account, wanted, before=page.older, size=size)
        pages.append(page.rows)
    place = len(pages) - 1
    while page.newer is not None:
        page = read_transfers(account, wanted, after=page.newer, size=size)
        place -= 1
        if page.newer is not None:  # the first page is always a full one
            assert page.rows == pages[place]
    assert page.rows == pages[0]
    return pages


def fits(row: TransferRow, wanted: TransferFilter) -> bool:
    """The filter as one would say it."""
    one = row.transfer
    return (
        wanted.kind in ("", one.kind)
        and wanted.actor_id in (None, one.actor_id)
        and (not wanted.direction or (row.change_nanos > 0) == (wanted.direction == "in"))
        and one.amount_nanos >= wanted.least_nanos
        and (wanted.since is None or one.created_at >= wanted.since)
        and (wanted.until is None or one.created_at < wanted.until)
        and wanted.reason.lower() in one.reason.lower()
    )


@pytest.mark.parametrize(
    "wanted",
    [
        TransferFilter(kind="capture"),
        TransferFilter(kind="grant"),
        TransferFilter(direction="in"),
        TransferFilter(direction="out"),
        TransferFilter(direction="in", kind="capture"),
        TransferFilter(least_nanos=25),
        TransferFilter(reason="LEFT"),
        TransferFilter(since=NOON - timedelta(days=5)),
        TransferFilter(until=NOON - timedelta(days=5)),
        TransferFilter(
            since=NOON - timedelta(days=8), until=NOON - timedelta(days=3), least_nanos=10
        ),
        TransferFilter(kind="reclaim", direction="out", reason="left", least_nanos=103),
    ],
)
def test_each_filter_lets_through_what_it_says_and_nothing_else(
    wallet: Account, wanted: TransferFilter
) -> None:
    everything = list(iterate_transfers(wallet, TransferFilter()))
    expected = [row for row in everything if isinstance(row, TransferRow) and fits(row, wanted)]
    pages = pages_of(wallet, wanted, 7)
    assert [row for page in pages for row in page] == expected
    assert [len(page) for page in pages[:-1]] == [7] * (len(pages) - 1)


def test_a_person_finds_what_he_moved(people: People, wallet: Account) -> None:
    ledger.reclaim(people.group, 5, operation_id=uuid4(), actor=people.bob)
    rows = read_transfers(wallet, TransferFilter(actor_id=people.bob.pk)).rows
    assert [row.change_nanos for row in rows] == [-5]
    assert people_in(wallet) == [(people.alice.pk, "Alice Arden"), (people.bob.pk, "Bob Brook")]


def test_a_call_is_found_with_its_refund_by_its_id(people: People, wallet: Account) -> None:
    call = Transfer.objects.filter(kind="capture").earliest("amount_nanos")
    ledger.refund(
        people.group, 1, operation_id=uuid7(), actor=people.olga, reason="Sorry", call_id=call.pk
    )
    rows = read_transfers(wallet, TransferFilter(id=call.pk)).rows
    assert [row.change_nanos for row in rows] == [1, -call.amount_nanos]
    assert read_transfers(wallet, TransferFilter(id=uuid4())).rows == []


@pytest.mark.parametrize("closed_days_ago", [None, 6, -1])
def test_calls_per_day_are_the_sums_of_their_days(
    wallet: Account, closed_days_ago: int | None
) -> None:
    if closed_days_ago is not None:
        close_days(NOON - timedelta(days=closed_days_ago))
    captures = Transfer.objects.filter(debit_account=wallet, kind="capture")
    expected = {}
    for one in captures:
        day = one.created_at.date()
        nanos, calls = expected.get(day, (0, 0))
        expected[day] = (nanos - one.amount_nanos, calls + 1)
    pages = pages_of(wallet, TransferFilter(by_day=True), 5)
    rows = [row for page in pages for row in page]
    found = {row.day: (row.change_nanos, row.calls) for row in rows if isinstance(row, DayRow)}
    assert found == expected
    assert len([row for row in rows if isinstance(row, DayRow)]) == len(expected)
    moves = [row for row in rows if isinstance(row, TransferRow)]
    assert len(moves) == 13
    total = sum(row.change_nanos for row in rows)
    assert total == Account.objects.get(pk=wallet.pk).balance_nanos


def test_a_day_stands_above_what_happened_on_it(wallet: Account) -> None:
    close_days(NOON + timedelta(days=1))
    ends = [
        day_start(row.day + timedelta(days=1))
        if isinstance(row, DayRow)
        else row.transfer.created_at
        for row in iterate_transfers(wallet, TransferFilter(by_day=True))
    ]
    assert ends == sorted(ends, reverse=True)


def test_days_follow_the_filters(wallet: Account) -> None:
    close_days(NOON + timedelta(days=1))

    def days(**wanted: object) -> list[DayRow]:
        rows = read_transfers(wallet, TransferFilter(by_day=True, **wanted)).rows  # type: ignore[arg-type]
        return [row for row in rows if isinstance(row, DayRow)]

    everything = days()
    assert days(direction="in") == days(kind="grant") == []
    assert days(kind="capture") == everything
    least = sorted(-row.change_nanos for row in everything)[3]
    assert days(least_nanos=least) == [row for row in everything if -row.change_nanos >= least]
    since = NOON - timedelta(days=3)
    assert {row.day for row in days(since=since)} == {
        row.day for row in everything if row.day >= since.date()
    }


def test_a_transfer_is_shown_on_top_of_its_page(people: People, wallet: Account) -> None:
    everything = list(iterate_transfers(wallet, TransferFilter()))
    for wanted in (everything[0], everything[17], everything[-1]):
        assert isinstance(wanted, TransferRow)
        cursor = cursor_at(wallet, wanted.transfer.pk)
        assert read_transfers(wallet, before=cursor, size=3).rows[0] == wanted
    foreign = Account.objects.wallet_of(people.foreign_group)
    assert cursor_at(foreign, everything[3].transfer.pk) is None
    assert cursor_at(wallet, uuid4()) is None


def test_a_list_of_transfers_shows_both_sides_newest_first(people: People) -> None:
    wallet = Account.objects.wallet_of(people.group)
    now = timezone.now()
    for minutes in (3, 2, 1):
        capture(wallet, minutes * 1000, now + timedelta(minutes=minutes))
    # Its id is not ordered by time, as with ids that callers of the API choose.
    late = UUID("ffffffff-ffff-4fff-8fff-ffffffffffff")
    ledger.reclaim(people.group, 5 * USD, operation_id=late, actor=people.alice, reason="back")
    rows = read_transfers(wallet).rows
    assert [(row.transfer.kind, row.change_nanos) for row in rows] == [
        ("capture", -3000),
        ("capture", -2000),
        ("capture", -1000),
        ("reclaim", -5 * USD),
        ("grant", 10 * USD),
    ]
    assert [row.counterparty for row in rows[2:]] == ["Calls", "Unassigned pool", "Unassigned pool"]
    assert rows[3].actor == "Alice Arden"
    assert rows[0].call_id == f"call_{rows[0].transfer.id.hex}"


def test_paging_through_a_list_of_transfers_meets_each_row_once_in_both_directions(
    people: People,
) -> None:
    wallet = Account.objects.wallet_of(people.group)
    start = timezone.now() - timedelta(hours=2)
    for index in range(17):
        capture(wallet, index + 1, start + timedelta(minutes=index * 7))
    for _ in range(6):
        ledger.reclaim(people.group, 1, operation_id=uuid4(), actor=people.alice)
    everything = [row.transfer.id for row in read_transfers(wallet, size=100).rows]
    assert len(everything) == 24
    seen, pages, page = [], [], read_transfers(wallet, size=5)
    while True:
        seen += [row.transfer.id for row in page.rows]
        pages.append([row.transfer.id for row in page.rows])
        if page.older is None:
            break
        page = read_transfers(wallet, before=page.older, size=5)
    assert seen == everything
    assert page.newer is not None
    back = read_transfers(wallet, after=page.newer, size=5)
    assert [row.transfer.id for row in back.rows] == pages[-2]
    assert read_transfers(wallet, after=UUID(int=0), size=100).rows[0].transfer.id == everything[0]


def test_a_list_of_transfers_can_be_cut_to_one_kind(people: People) -> None:
    wallet = Account.objects.wallet_of(people.group)
    capture(wallet, 1000, timezone.now())
    for kind in ("capture", "grant"):
        assert {
            row.transfer.kind for row in read_transfers(wallet, TransferFilter(kind=kind)).rows
        } == {kind}
    assert read_transfers(wallet, TransferFilter(kind="refund")).rows == []


def test_a_pool_sees_deposits_grants_and_reclaims(people: People) -> None:
    ledger.reclaim(people.group, USD, operation_id=uuid7(), actor=people.alice)
    rows = read_transfers(Account.objects.pool_of(people.organization)).rows
    assert sorted((row.transfer.kind, row.change_nanos) for row in rows) == [
        ("deposit", 110 * USD),
        ("grant", -10 * USD),
        ("reclaim", USD),
    ]
    assert {row.counterparty for row in rows} == {"Deposits", "Research"}


def test_another_tenants_moves_are_in_no_list_of_transfers(people: People) -> None:
    wallet = Account.objects.wallet_of(people.foreign_group)
    assert read_transfers(wallet).rows == []
