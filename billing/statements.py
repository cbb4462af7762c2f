"""Statements of months: what a pool or wallet had when the month began, what changed it, and what it had at the end.

Months are those of UTC, whoever reads: a statement is the same for everybody. Days and months of budgets are, too.
"""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from django.db.models import Count, Q, Sum

from billing.closings import Spent, balances_at, day_start, spent_on_days
from billing.models import Account, Transfer
from billing.transfers import TransferRow, read_moves

MOVES_MAX = 2_000
_MONTH = re.compile(r"(20[0-9]{2})-(0[1-9]|1[0-2])")


class Month(NamedTuple):
    """A month of UTC: the days from `first` up to, not including, `last`. `is_open`: it is not over yet."""

    first: date
    last: date
    is_open: bool

    @property
    def text(self) -> str:
        """As it stands in addresses: `2026-10`."""
        return f"{self.first:%Y-%m}"

    @property
    def final_day(self) -> date:
        return self.last - timedelta(days=1)


class Line(NamedTuple):
    """All moves of one kind and direction: `change_nanos` is signed."""

    kind: str
    change_nanos: int
    moves: int

    @property
    def label(self) -> str:
        return str(Transfer.Kind(self.kind).label)


class AccountMonth(NamedTuple):
    """A month of one account, or of several together. `lines` are the moves that are no charges of calls."""

    opening_nanos: int
    lines: tuple[Line, ...]
    spent: Spent
    closing_nanos: int

    @property
    def came_in_nanos(self) -> int:
        return sum(line.change_nanos for line in self.lines if line.change_nanos > 0)

    @property
    def went_out_nanos(self) -> int:
        """Negative; without the charges of calls."""
        return sum(line.change_nanos for line in self.lines if line.change_nanos < 0)

    @property
    def spent_change_nanos(self) -> int:
        return -self.spent.nanos

    @property
    def agrees(self) -> bool:
        """Whether opening balance and moves add up to the closing balance, each found on its own."""
        moved = self.came_in_nanos + self.went_out_nanos
        return self.opening_nanos + moved - self.spent.nanos == self.closing_nanos


def parse_month(text: str, now: datetime) -> Month | None:
    """The month that an address names; None for anything else, and for months to come."""
    match = _MONTH.fullmatch(text)
    if match is None:
        return None
    first = date(int(match[1]), int(match[2]), 1)
    last = _next_month(first)
    today = now.astimezone(UTC).date()
    return Month(first, last, today < last) if first <= today else None


def list_months(since: datetime, now: datetime) -> list[Month]:
    """Every month from the one of `since` up to the present one, newest first."""
    first, today = since.astimezone(UTC).date().replace(day=1), now.astimezone(UTC).date()
    months = []
    while first <= today:
        last = _next_month(first)
        months.append(Month(first, last, today < last))
        first = last
    return months[::-1]


def began_at(accounts: Sequence[Account], made_at: datetime) -> datetime:
    """When there was something first: the row was made, or a transfer was written about an earlier time."""
    earliest = [made_at]
    for account in accounts:
        captures = Transfer.objects.filter(debit_account=account, kind=Transfer.Kind.CAPTURE)
        earliest += captures.order_by("id").values_list("created_at", flat=True)[:1]
        for side in ("debit_account", "credit_account"):
            moves = Transfer.objects.filter(~Q(kind=Transfer.Kind.CAPTURE), **{side: account})
            earliest += moves.order_by("created_at").values_list("created_at", flat=True)[:1]
    return min(earliest)


def read_months(accounts: Sequence[Account], month: Month) -> dict[int, AccountMonth]:
    """The month of each pool or wallet, by its id. Read in one snapshot if what is open shall agree."""
    since, until = day_start(month.first), day_start(month.last)
    openings, closings = balances_at(accounts, since), balances_at(accounts, until)
    spent = spent_on_days(accounts, month.first, month.last)
    lines = _read_lines(accounts, since, until)
    return {
        account.pk: AccountMonth(
            openings[account.pk], lines[account.pk], spent[account.pk], closings[account.pk]
        )
        for account in accounts
    }


def sum_months(months: Sequence[AccountMonth]) -> AccountMonth:
    """All of them together. What left one for another stands on both sides."""
    lines: dict[tuple[str, bool], Line] = {}
    for line in (line for month in months for line in month.lines):
        key = (line.kind, line.change_nanos > 0)
        known = lines.get(key, Line(line.kind, 0, 0))
        lines[key] = Line(
            line.kind, known.change_nanos + line.change_nanos, known.moves + line.moves
        )
    return AccountMonth(
        sum(month.opening_nanos for month in months),
        _in_order(lines),
        Spent(
            sum(month.spent.nanos for month in months), sum(month.spent.calls for month in months)
        ),
        sum(month.closing_nanos for month in months),
    )


def without_internal(month: AccountMonth) -> AccountMonth:
    """The same without what moved between the pool and the groups, which cancels out over all of them."""
    inside = (Transfer.Kind.GRANT, Transfer.Kind.RECLAIM)
    return month._replace(lines=tuple(line for line in month.lines if line.kind not in inside))


def list_moves(account: Account, month: Month) -> list[TransferRow]:
    """Every move but charges of calls, oldest first; MOVES_MAX and one at most."""
    return read_moves(account, day_start(month.first), day_start(month.last), MOVES_MAX + 1)


def _next_month(first: date) -> date:
    return (first + timedelta(days=31)).replace(day=1)


def _read_lines(
    accounts: Sequence[Account], since: datetime, until: datetime
) -> dict[int, tuple[Line, ...]]:
    ids = {account.pk for account in accounts}
    sides = Q(debit_account__in=ids) | Q(credit_account__in=ids)
    moved = (
        Transfer.objects.filter(sides, ~Q(kind=Transfer.Kind.CAPTURE))
        .filter(created_at__gte=since, created_at__lt=until)
        .order_by()
        .values_list("debit_account", "credit_account", "kind")
        .annotate(total=Sum("amount_nanos"), moves=Count("pk"))
    )
    found: dict[int, dict[tuple[str, bool], Line]] = {pk: {} for pk in ids}
    for debit, credit, kind, total, moves in moved:
        for pk, change in ((debit, -total), (credit, total)):
            if pk in found:
                key = (kind, change > 0)
                known = found[pk].get(key, Line(kind, 0, 0))
                found[pk][key] = Line(kind, known.change_nanos + change, known.moves + moves)
    return {pk: _in_order(lines) for pk, lines in found.items()}


def _in_order(lines: dict[tuple[str, bool], Line]) -> tuple[Line, ...]:
    order = {kind: place for place, kind in enumerate(Transfer.Kind.values)}
    return tuple(lines[key] for key in sorted(lines, key=lambda one: (order[one[0]], not one[1])))
