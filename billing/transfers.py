"""The transfers of a pool or wallet as pages list them: newest first, filtered, page by page."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy

from accounts.ids import CLOCK_SKEW, EPOCH, LONGEST_CALL, first_id_at
from accounts.models import User
from billing.closings import DaySpent, Spent, day_start, unclosed_days
from billing.models import Account, Transfer
from billing.notice_models import Closing
from billing.presentation import Page, cut_page

PAGE_ROWS = 50
# So many moves of one account may share a millisecond before a page could miss one.
SAME_MILLISECOND_MAX = 50
LATEST_MS = 250_000_000_000_000  # in the year 9892: a cursor that somebody made up stays a date
ROWS_AT_ONCE = 1000
INCOMING, OUTGOING = "in", "out"

ACCOUNT_LABELS = {
    Account.Kind.POOL: gettext_lazy("Unassigned pool"),
    Account.Kind.DEPOSITS: gettext_lazy("Deposits"),
    Account.Kind.REVENUE: gettext_lazy("Calls"),
    Account.Kind.PROMOTIONS: gettext_lazy("Promotions"),
    Account.Kind.WRITEOFFS: gettext_lazy("Write-offs"),
}


@dataclass(frozen=True)
class TransferFilter:
    """Which transfers to list; an empty value does not restrict. `since` is inclusive, `until` is not.

    `reason` is a part of the reason, in any case; `id` is a call's or a transfer's. `by_day` lists what calls took
    day by day (UTC) in place of their captures.
    """

    kind: str = ""
    actor_id: int | None = None
    direction: str = ""
    least_nanos: int = 0
    since: datetime | None = None
    until: datetime | None = None
    reason: str = ""
    id: UUID | None = None
    by_day: bool = False

    @property
    def is_restricting(self) -> bool:
        return replace(self, by_day=False) != TransferFilter()

    @property
    def lets_calls_through(self) -> bool:
        """Captures leave the wallet, have no person and no reason."""
        is_kind = self.kind in ("", Transfer.Kind.CAPTURE)
        return is_kind and self.actor_id is None and self.direction != INCOMING and not self.reason


class TransferRow(NamedTuple):
    """A transfer as one account sees it: `change_nanos` is signed, `call_id` is set where it belongs to a call."""

    transfer: Transfer
    change_nanos: int
    counterparty: str
    actor: str
    call_id: str


class DayRow(NamedTuple):
    """What calls took on one day (UTC)."""

    day: date
    change_nanos: int
    calls: int


class Span(NamedTuple):
    """The part of a list that a page is cut from: ids below `before` or above `after`, `size` rows of each kind."""

    before: UUID | None
    after: UUID | None
    size: int

    def holds(self, key: UUID) -> bool:
        if self.after is not None:
            return key > self.after
        return self.before is None or key < self.before


Entry = Transfer | DaySpent


def read_transfers(
    account: Account,
    wanted: TransferFilter = TransferFilter(),
    *,
    before: UUID | None = None,
    after: UUID | None = None,
    size: int = PAGE_ROWS,
) -> Page[TransferRow | DayRow]:
    """A page of the transfers that the filter lets through, newest first. `before` and `after` are cursors of a page.

    Captures and moves by people are read apart, each from an index that serves it, and merged: a wallet has millions
    of captures, and one query over both sides of every transfer would sort them all.
    """
    span = Span(before, after, size + 1)
    found: list[Entry] = []
    if wanted.lets_calls_through and wanted.by_day:
        found += _days(account, wanted, span)
    elif wanted.lets_calls_through:
        found += _captures(account, wanted, span)
    if wanted.kind != Transfer.Kind.CAPTURE:
        found += _moves(account, wanted, span)
    keyed = [(key, entry) for entry in found if span.holds(key := _order_key(entry))]
    keyed.sort(key=lambda pair: pair[0], reverse=after is None)
    keyed = keyed[: size + 1]
    if after is not None and len(keyed) <= size:
        return read_transfers(account, wanted, size=size)  # the first page, full
    entries = _as_rows(account, [entry for _key, entry in keyed])
    return cut_page(entries, size, [key for key, _entry in keyed], after, before)


def iterate_transfers(account: Account, wanted: TransferFilter) -> Iterator[TransferRow | DayRow]:
    """All of them, newest first, read in pieces."""
    before: UUID | None = None
    while True:
        page = read_transfers(account, wanted, before=before, size=ROWS_AT_ONCE)
        yield from page.rows
        if page.older is None:
            return
        before = page.older


def read_moves(account: Account, since: datetime, until: datetime, most: int) -> list[TransferRow]:
    """Everything but captures from `since` up to, not including, `until`, oldest first."""
    wanted = TransferFilter(since=since, until=until)
    sides = Q(credit_account=account) | Q(debit_account=account)
    moves = _narrow(Transfer.objects.filter(sides, ~Q(kind=Transfer.Kind.CAPTURE)), wanted)
    found = list(_with_accounts(moves).order_by("created_at", "pk")[:most])
    return [row for row in _as_rows(account, list(found)) if isinstance(row, TransferRow)]


def cursor_at(account: Account, transfer_id: UUID) -> UUID | None:
    """The `before` of the page that begins with this transfer, None where it is none of the account's."""
    sides = Q(debit_account=account) | Q(credit_account=account)
    transfer = Transfer.objects.filter(sides, pk=transfer_id).first()
    return UUID(int=_order_key(transfer).int + 1) if transfer else None


def people_in(account: Account) -> list[tuple[int, str]]:
    """Who moved credits of the account: ids and names, by name."""
    sides = Q(debit_account=account) | Q(credit_account=account)
    moves = Transfer.objects.filter(sides, ~Q(kind=Transfer.Kind.CAPTURE))
    actor_ids = moves.exclude(actor_id=None).order_by().values("actor_id").distinct()
    people = User.objects.filter(pk__in=actor_ids)
    return sorted(((user.pk, str(user)) for user in people), key=lambda one: one[1].lower())


def _captures(account: Account, wanted: TransferFilter, span: Span) -> list[Transfer]:
    """By their ids, which the index has; a time is also a range of ids."""
    captures = Transfer.objects.filter(debit_account=account, kind=Transfer.Kind.CAPTURE)
    if wanted.since is not None:
        captures = captures.filter(id__gte=first_id_at(wanted.since - LONGEST_CALL))
    if wanted.until is not None:
        captures = captures.filter(id__lt=first_id_at(wanted.until + CLOCK_SKEW))
    narrowed = _with_accounts(_narrow(captures, wanted))
    if span.after is not None:
        return list(narrowed.filter(id__gt=span.after).order_by("id")[: span.size])
    if span.before is not None:
        narrowed = narrowed.filter(id__lt=span.before)
    return list(narrowed.order_by("-id")[: span.size])


def _moves(account: Account, wanted: TransferFilter, span: Span) -> list[Transfer]:
    """Everything but captures, by time: ids of moves are whatever their callers chose."""
    sides = {INCOMING: Q(credit_account=account), OUTGOING: Q(debit_account=account)}
    side = sides.get(wanted.direction, sides[INCOMING] | sides[OUTGOING])
    moves = _with_accounts(Transfer.objects.filter(side, ~Q(kind=Transfer.Kind.CAPTURE)))
    moves = _narrow(moves, wanted)
    if wanted.kind:
        moves = moves.filter(kind=wanted.kind)
    if wanted.actor_id is not None:
        moves = moves.filter(actor_id=wanted.actor_id)
    if wanted.reason:
        moves = moves.filter(reason__icontains=wanted.reason)
    count = span.size + SAME_MILLISECOND_MAX
    if span.after is not None:
        newer = moves.filter(created_at__gte=_moment_of(span.after))
        return list(newer.order_by("created_at")[:count])
    if span.before is not None:
        moves = moves.filter(created_at__lt=_moment_of(span.before) + timedelta(milliseconds=1))
    return list(moves.order_by("-created_at")[:count])


def _narrow(transfers: QuerySet[Transfer], wanted: TransferFilter) -> QuerySet[Transfer]:
    if wanted.since is not None:
        transfers = transfers.filter(created_at__gte=wanted.since)
    if wanted.until is not None:
        transfers = transfers.filter(created_at__lt=wanted.until)
    if wanted.least_nanos:
        transfers = transfers.filter(amount_nanos__gte=wanted.least_nanos)
    if wanted.id is not None:
        transfers = transfers.filter(Q(pk=wanted.id) | Q(call_id=wanted.id))
    return transfers


def _days(account: Account, wanted: TransferFilter, span: Span) -> list[DaySpent]:
    """Days with charges, from closings, and those that have none yet, which are few."""
    closings = Closing.objects.filter(account=account, captures__gt=0)
    if wanted.since is not None:
        closings = closings.filter(day__gte=wanted.since.date() - timedelta(days=1))
    if wanted.until is not None:
        closings = closings.filter(day__lte=wanted.until.date() + timedelta(days=1))
    if wanted.least_nanos:
        closings = closings.filter(captured_nanos__gte=wanted.least_nanos)
    if span.after is not None:
        newer = closings.filter(day__gte=_moment_of(span.after).date() - timedelta(days=1))
        chosen = newer.order_by("day")[: span.size + 4]
    else:
        if span.before is not None:
            closings = closings.filter(day__lte=_moment_of(span.before).date())
        chosen = closings.order_by("-day")[: span.size + 4]
    found = [DaySpent(one.day, Spent(one.captured_nanos, one.captures)) for one in chosen]
    return [one for one in [*unclosed_days(account), *found] if _day_fits(one, wanted)]


def _day_fits(one: DaySpent, wanted: TransferFilter) -> bool:
    begins, ends = day_start(one.day), day_start(one.day + timedelta(days=1))
    return (
        one.spent.nanos >= wanted.least_nanos
        and (wanted.since is None or ends > wanted.since)
        and (wanted.until is None or begins < wanted.until)
    )


def _with_accounts(transfers: QuerySet[Transfer]) -> QuerySet[Transfer]:
    return transfers.select_related("debit_account__group", "credit_account__group")


def _order_key(entry: Entry) -> UUID:
    """Where the entry stands in a list. The id of a capture tells the time of its call; that of a move is whatever its
    caller chose, so its time takes the place of the id's first half. A day stands above all that happened on it."""
    if isinstance(entry, DaySpent):
        return UUID(int=first_id_at(day_start(entry.day + timedelta(days=1))).int - 1)
    if entry.kind == Transfer.Kind.CAPTURE:
        return entry.id
    return UUID(int=first_id_at(entry.created_at).int | entry.id.int & (2**62 - 1))


def _moment_of(key: UUID) -> datetime:
    milliseconds = min(key.int >> 80, LATEST_MS)
    return EPOCH + timedelta(milliseconds=milliseconds)


def _as_rows(account: Account, entries: list[Entry]) -> list[TransferRow | DayRow]:
    actor_ids = {one.actor_id for one in entries if isinstance(one, Transfer) and one.actor_id}
    actors = {user.pk: str(user) for user in User.objects.filter(pk__in=actor_ids)}
    return [
        DayRow(one.day, -one.spent.nanos, one.spent.calls)
        if isinstance(one, DaySpent)
        else _seen_from(account, one, actors)
        for one in entries
    ]


def _seen_from(account: Account, transfer: Transfer, actors: dict[int, str]) -> TransferRow:
    incoming = transfer.credit_account_id == account.pk
    other = transfer.debit_account if incoming else transfer.credit_account
    return TransferRow(
        transfer=transfer,
        change_nanos=transfer.amount_nanos if incoming else -transfer.amount_nanos,
        counterparty=str(other.group)
        if other.group
        else str(ACCOUNT_LABELS[Account.Kind(other.kind)]),
        actor=actors.get(transfer.actor_id or 0, ""),
        call_id=f"call_{transfer.call_id.hex}" if transfer.call_id else "",
    )
