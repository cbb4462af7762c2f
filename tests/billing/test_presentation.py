"""What the pages about money read."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from accounts.ids import first_id_at, uuid7
from accounts.services import create_group
from billing.models import Account
from billing.presentation import (
    dollars,
    fraction_digits,
    month_start,
    parse_cursor,
    read_groups,
    share_of_list,
)
from tests.billing.past import USD, capture
from tests.people import People, fund, make_people


@pytest.fixture
def people(db: None) -> People:
    made = make_people()
    fund(made, pool_nanos=100 * USD, wallet_nanos=10 * USD)
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
