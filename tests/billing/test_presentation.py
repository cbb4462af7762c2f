"""What the pages about money read."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from django.db.models import F
from django.utils import timezone

from accounts.ids import first_id_at, uuid7
from accounts.services import create_group
from billing import ledger
from billing.models import Account, Transfer
from billing.presentation import (
    dollars,
    fraction_digits,
    month_start,
    parse_cursor,
    prepare_move,
    read_groups,
    read_statement,
    share_of_list,
)
from tests.people import People, fund, make_people

USD = 1_000_000_000


@pytest.fixture
def people(db: None) -> People:
    made = make_people()
    fund(made, pool_nanos=100 * USD, wallet_nanos=10 * USD)
    return made


def capture(wallet: Account, amount_nanos: int, at: datetime) -> Transfer:
    """A charged call: as `billing_apply` leaves it, only with a time of our choice."""
    revenue = Account.objects.get(organization=wallet.organization_id, kind="revenue")
    call_id = UUID(int=first_id_at(at).int | uuid4().int & (2**62 - 1))
    made = Transfer.objects.create(
        id=call_id, kind="capture", debit_account=wallet, credit_account=revenue,
        amount_nanos=amount_nanos, call_id=call_id, created_at=at,
    )  # fmt: skip
    Account.objects.filter(pk=wallet.pk).update(balance_nanos=F("balance_nanos") - amount_nanos)
    return made


@pytest.mark.parametrize(
    ("nanos", "text"),
    [
        (0, "$0.00"),
        (1_520_000, "$0.00152"),
        (-1, "−$0.000000001"),
        (1_234_567 * USD, "$1,234,567.00"),
    ],
)
def test_dollars_are_exact(nanos: int, text: str) -> None:
    assert dollars(nanos) == text


@pytest.mark.parametrize(
    ("bps", "text"), [(5000, "50%"), (5250, "52.5%"), (1, "0.01%"), (0, "0%"), (10_000, "100%")]
)
def test_shares_have_no_idle_zeros(bps: int, text: str) -> None:
    assert share_of_list(bps) == text


def test_a_column_is_as_fine_as_its_finest_amount() -> None:
    assert fraction_digits([1_000_000_000, 1_520_000, 0]) == 5
    assert fraction_digits([]) == 2


def test_ids_made_before_a_moment_sort_before_it() -> None:
    before, now = uuid7(), datetime.now(UTC)
    assert before < first_id_at(now + timedelta(milliseconds=1))
    assert first_id_at(now - timedelta(milliseconds=1)) < before
    assert first_id_at(now).version == 7


def test_a_month_begins_at_midnight_of_the_viewer() -> None:
    moment = datetime(2026, 10, 31, 20, 0, tzinfo=UTC)
    with timezone.override("Asia/Seoul"):
        assert month_start(moment).astimezone(UTC) == datetime(2026, 10, 31, 15, tzinfo=UTC)
    with timezone.override("UTC"):
        assert month_start(moment) == datetime(2026, 10, 1, tzinfo=UTC)


@pytest.mark.parametrize("text", [None, "", "zz", "' OR 1=1", "0" * 31])
def test_a_mangled_cursor_is_no_cursor(text: str | None) -> None:
    assert parse_cursor(text) is None


def test_a_statement_shows_both_sides_newest_first(people: People) -> None:
    wallet = Account.objects.wallet_of(people.group)
    now = timezone.now()
    for minutes in (3, 2, 1):
        capture(wallet, minutes * 1000, now + timedelta(minutes=minutes))
    # Its id is not ordered by time, as with ids that callers of the API choose.
    late = UUID("ffffffff-ffff-4fff-8fff-ffffffffffff")
    ledger.reclaim(people.group, 5 * USD, operation_id=late, actor=people.alice, reason="back")
    rows = read_statement(wallet).rows
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


def test_paging_through_a_statement_meets_each_row_once_in_both_directions(people: People) -> None:
    wallet = Account.objects.wallet_of(people.group)
    start = timezone.now() - timedelta(hours=2)
    for index in range(17):
        capture(wallet, index + 1, start + timedelta(minutes=index * 7))
    for _ in range(6):
        ledger.reclaim(people.group, 1, operation_id=uuid4(), actor=people.alice)
    everything = [row.transfer.id for row in read_statement(wallet, size=100).rows]
    assert len(everything) == 24
    seen, pages, page = [], [], read_statement(wallet, size=5)
    while True:
        seen += [row.transfer.id for row in page.rows]
        pages.append([row.transfer.id for row in page.rows])
        if page.older is None:
            break
        page = read_statement(wallet, before=page.older, size=5)
    assert seen == everything
    assert page.newer is not None
    back = read_statement(wallet, after=page.newer, size=5)
    assert [row.transfer.id for row in back.rows] == pages[-2]
    assert read_statement(wallet, after=UUID(int=0), size=100).rows[0].transfer.id == everything[0]


def test_a_statement_can_be_cut_to_one_kind(people: People) -> None:
    wallet = Account.objects.wallet_of(people.group)
    capture(wallet, 1000, timezone.now())
    for kind in ("capture", "grant"):
        assert {row.transfer.kind for row in read_statement(wallet, kind).rows} == {kind}
    assert read_statement(wallet, "refund").rows == []


def test_a_pool_sees_deposits_grants_and_reclaims(people: People) -> None:
    ledger.reclaim(people.group, USD, operation_id=uuid7(), actor=people.alice)
    rows = read_statement(Account.objects.pool_of(people.organization)).rows
    assert sorted((row.transfer.kind, row.change_nanos) for row in rows) == [
        ("deposit", 110 * USD),
        ("grant", -10 * USD),
        ("reclaim", USD),
    ]
    assert {row.counterparty for row in rows} == {"Deposits", "Research"}


def test_another_tenants_moves_are_in_no_statement(people: People) -> None:
    wallet = Account.objects.wallet_of(people.foreign_group)
    assert read_statement(wallet).rows == []


def test_groups_show_what_they_spent_since_the_month_began(people: People) -> None:
    wallet = Account.objects.wallet_of(people.group)
    capture(wallet, 7, month_start())
    capture(wallet, 1000, month_start() - timedelta(microseconds=1))
    create_group(people.organization, "Another", people.alice)
    rows = read_groups(people.organization)
    assert [(row.group.name, row.spent_nanos, row.members) for row in rows] == [
        ("Another", 0, 1),
        ("Research", 7, 2),
    ]


def test_a_move_knows_both_balances_before_and_after(people: People) -> None:
    grant = prepare_move("grant", people.organization, people.group)
    assert grant.limit_nanos == 100 * USD
    assert [tuple(side) for side in grant.sides(3 * USD)] == [
        ("Unassigned pool", 100 * USD, 97 * USD),
        ("Research", 10 * USD, 13 * USD),
    ]
    reclaim = prepare_move("reclaim", people.organization, people.group)
    assert [side.after_nanos for side in reclaim.sides(10 * USD)] == [0, 110 * USD]
    deposit = prepare_move("deposit", people.organization, None)
    assert [side.after_nanos for side in deposit.sides(5 * USD)] == [105 * USD]


def test_more_than_there_is_has_no_balance_afterwards(people: People) -> None:
    wallet = Account.objects.wallet_of(people.group)
    Account.objects.filter(pk=wallet.pk).update(held_nanos=4 * USD, credit_line_nanos=50 * USD)
    reclaim = prepare_move("reclaim", people.organization, people.group)
    assert reclaim.limit_nanos == 6 * USD
    assert [side.after_nanos for side in reclaim.sides(6 * USD + 1)] == [None, None]
