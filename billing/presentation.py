"""What the pages about money read: amounts as text, statements of an account, an organization at a glance."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID

from django.db.models import Model, Q, QuerySet, Sum
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.ids import EPOCH, first_id_at
from accounts.models import Group, GroupMembership, Membership, Organization, User
from billing.models import Account, Transfer
from billing.money import format_usd

STATEMENT_ROWS = 50
# A capture bears the id of its call, which is older than the capture by as long as the call ran.
LONGEST_CALL = timedelta(days=1)
# So many moves of one account may share a millisecond before a page could miss one.
SAME_MILLISECOND_MAX = 50
LATEST_MS = 250_000_000_000_000  # in the year 9892: a cursor that somebody made up stays a date

ACCOUNT_LABELS = {
    Account.Kind.POOL: gettext_lazy("Unassigned pool"),
    Account.Kind.DEPOSITS: gettext_lazy("Deposits"),
    Account.Kind.REVENUE: gettext_lazy("Calls"),
    Account.Kind.PROMOTIONS: gettext_lazy("Promotions"),
    Account.Kind.WRITEOFFS: gettext_lazy("Write-offs"),
}

Row = TypeVar("Row")
IdRow = TypeVar("IdRow", bound=Model)


class Page(NamedTuple, Generic[Row]):
    """A page of a list that is newest first. `older` and `newer` are the ids to go on from, None at an end."""

    rows: list[Row]
    older: UUID | None
    newer: UUID | None


class StatementRow(NamedTuple):
    """A transfer as one account sees it: `change_nanos` is signed, `call_id` is set where it belongs to a call."""

    transfer: Transfer
    change_nanos: int
    counterparty: str
    actor: str
    call_id: str


class GroupRow(NamedTuple):
    """A group in its organization's list."""

    group: Group
    wallet: Account
    spent_nanos: int
    members: int


def dollars(nanos: int) -> str:
    """`$1,234.50`, `−$0.00152`: exact, with a true minus sign."""
    whole, _, fraction = format_usd(abs(nanos)).partition(".")
    sign = "−" if nanos < 0 else ""
    return f"{sign}${int(whole):,}.{fraction}"


def fraction_digits(amounts: Iterable[int]) -> int:
    """How many decimals the finest of the amounts shows: as wide is the fraction of their column."""
    return max((len(format_usd(nanos).partition(".")[2]) for nanos in amounts), default=2)


def share_of_list(sell_bps: int) -> str:
    """Basis points as a percentage without idle zeros."""
    whole, rest = divmod(sell_bps, 100)
    return f"{whole}.{rest:02d}".rstrip("0").rstrip(".") + "%"


def month_start(moment: datetime | None = None) -> datetime:
    """Midnight of the first of the month, in the viewer's zone."""
    local = timezone.localtime(moment)
    return local.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def group_frame(user: User, group: Group) -> dict[str, Any]:
    """What the head of a group's pages shows."""
    administers = (
        user.is_staff
        or Membership.objects.filter(
            user=user, organization=group.organization_id, role=Membership.Role.ADMIN
        ).exists()
    )
    return {
        "group": group,
        "wallet": Account.objects.wallet_of(group),
        "administers": administers,
        "manages": administers or group.role_of(user) == GroupMembership.Role.MANAGER,
    }


def parse_cursor(text: str | None) -> UUID | None:
    """The id in a paging link, None for anything else: a stale or mangled link shows the first page."""
    try:
        return UUID(hex=text) if text else None
    except ValueError:
        return None


def cut_page(
    rows: Sequence[Row], size: int, ids: Sequence[UUID], after: UUID | None, before: UUID | None
) -> Page[Row]:
    """The page of `size` from up to `size + 1` fetched rows: newest first, or, with `after`, oldest first."""
    more = len(rows) > size
    shown, shown_ids = list(rows[:size]), list(ids[:size])
    if after is not None:
        shown.reverse()
        shown_ids.reverse()
        return Page(shown, shown_ids[-1] if shown else None, shown_ids[0] if more else None)
    older = shown_ids[-1] if more else None
    newer = shown_ids[0] if before is not None and shown else None
    return Page(shown, older, newer)


def page_by_id(
    rows: QuerySet[IdRow], size: int, *, before: UUID | None = None, after: UUID | None = None
) -> Page[IdRow]:
    """Of rows that are ordered newest first, the newest page, or the one older than `before` or newer than `after`.

    Going newer, what is left above a full page is not a page of its own: the newest page is answered instead.
    """
    if after is not None:
        found = list(rows.filter(id__gt=after).order_by("id")[: size + 1])
        if len(found) <= size:
            return page_by_id(rows, size)
    else:
        older = rows if before is None else rows.filter(id__lt=before)
        found = list(older[: size + 1])
    return cut_page(found, size, [row.pk for row in found], after, before)


def read_statement(
    account: Account,
    kind: str = "",
    *,
    before: UUID | None = None,
    after: UUID | None = None,
    size: int = STATEMENT_ROWS,
) -> Page[StatementRow]:
    """Transfers of a pool or wallet, newest first; of one kind if given. `before` and `after` are cursors of a page.

    Captures and moves by people are read apart, each from an index that serves it, and merged: a wallet has millions
    of captures, and one query over both sides of every transfer would sort them all.
    """
    found: list[Transfer] = []
    if kind in ("", Transfer.Kind.CAPTURE):
        found += _captures(account, before, after)[: size + 1]
    if kind != Transfer.Kind.CAPTURE:
        moves = _moves(account, before, after)
        moves = moves.filter(kind=kind) if kind else moves
        found += moves[: size + 1 + SAME_MILLISECOND_MAX]
    keyed = sorted(
        ((_order_key(transfer), transfer) for transfer in found), key=lambda pair: pair[0]
    )
    if after is not None:
        keyed = [pair for pair in keyed if pair[0] > after][: size + 1]
        if len(keyed) <= size:
            return read_statement(account, kind, size=size)  # the first page, full
    else:
        keyed = [pair for pair in reversed(keyed) if before is None or pair[0] < before][: size + 1]
    actors = _names_of({transfer.actor_id for _key, transfer in keyed if transfer.actor_id})
    entries = [_seen_from(account, transfer, actors) for _key, transfer in keyed]
    return cut_page(entries, size, [key for key, _transfer in keyed], after, before)


def _captures(account: Account, before: UUID | None, after: UUID | None) -> QuerySet[Transfer]:
    captures = _with_accounts(
        Transfer.objects.filter(debit_account=account, kind=Transfer.Kind.CAPTURE)
    )
    if after is not None:
        return captures.filter(id__gt=after).order_by("id")
    if before is not None:
        captures = captures.filter(id__lt=before)
    return captures.order_by("-id")


def _moves(account: Account, before: UUID | None, after: UUID | None) -> QuerySet[Transfer]:
    """Everything but captures. What left the account is found by where it went: the index on debits is full of
    captures, the one on credits has none."""
    partners = Account.objects.filter(organization=account.organization_id).exclude(
        kind__in=[Account.Kind.REVENUE, Account.Kind.WRITEOFFS]
    )
    sides = Q(credit_account=account) | Q(
        debit_account=account, credit_account__in=partners.values("pk")
    )
    moves = _with_accounts(Transfer.objects.filter(~Q(kind=Transfer.Kind.CAPTURE)).filter(sides))
    if after is not None:
        return moves.filter(created_at__gte=_moment_of(after)).order_by("created_at")
    if before is not None:
        moves = moves.filter(created_at__lt=_moment_of(before) + timedelta(milliseconds=1))
    return moves.order_by("-created_at")


def _with_accounts(transfers: QuerySet[Transfer]) -> QuerySet[Transfer]:
    return transfers.select_related("debit_account__group", "credit_account__group")


def _order_key(transfer: Transfer) -> UUID:
    """Where the transfer stands in a statement. The id of a capture tells the time of its call; that of a move is
    whatever its caller chose, so its time takes the place of the id's first half."""
    if transfer.kind == Transfer.Kind.CAPTURE:
        return transfer.id
    return UUID(int=first_id_at(transfer.created_at).int | transfer.id.int & (2**62 - 1))


def _moment_of(key: UUID) -> datetime:
    milliseconds = min(key.int >> 80, LATEST_MS)
    return EPOCH + timedelta(milliseconds=milliseconds)


def _names_of(actor_ids: set[int]) -> dict[int, str]:
    return {user.pk: str(user) for user in User.objects.filter(pk__in=actor_ids)}


def _seen_from(account: Account, transfer: Transfer, actors: dict[int, str]) -> StatementRow:
    incoming = transfer.credit_account_id == account.pk
    other = transfer.debit_account if incoming else transfer.credit_account
    return StatementRow(
        transfer=transfer,
        change_nanos=transfer.amount_nanos if incoming else -transfer.amount_nanos,
        counterparty=str(other.group)
        if other.group
        else str(ACCOUNT_LABELS[Account.Kind(other.kind)]),
        actor=actors.get(transfer.actor_id or 0, ""),
        call_id=f"call_{transfer.call_id.hex}" if transfer.call_id else "",
    )


def read_groups(organization: Organization) -> list[GroupRow]:
    """The organization's groups by name, with what each has and has spent on calls since the month began."""
    wallets = list(Account.objects.wallets_of(organization))
    start = month_start()
    spent = dict(
        Transfer.objects.filter(
            debit_account__in=[wallet.pk for wallet in wallets],
            kind=Transfer.Kind.CAPTURE,
            id__gte=first_id_at(start - LONGEST_CALL),
            created_at__gte=start,
        )
        .order_by()
        .values_list("debit_account")
        .annotate(total=Sum("amount_nanos"))
    )
    members: dict[Any, int] = {}
    for group_id in GroupMembership.objects.filter(group__organization=organization).values_list(
        "group", flat=True
    ):
        members[group_id] = members.get(group_id, 0) + 1
    return [
        GroupRow(wallet.group, wallet, spent.get(wallet.pk, 0), members.get(wallet.group_id, 0))
        for wallet in wallets
        if wallet.group is not None
    ]


class Side(NamedTuple):
    """One account of a move: `after_nanos` is None where the move is not known yet or not possible."""

    label: str
    before_nanos: int
    after_nanos: int | None


class Move(NamedTuple):
    """A grant, reclaim or deposit that is being prepared. `limit_nanos` is the most that can be moved, None for no
    limit: deposits come from outside."""

    kind: str
    organization: Organization
    group: Group | None
    source: Account | None
    target: Account

    @property
    def limit_nanos(self) -> int | None:
        if self.source is None:
            return None
        return max(self.source.balance_nanos - self.source.held_nanos, 0)

    def sides(self, amount_nanos: int | None) -> list[Side]:
        """Both accounts before and after; after is None unless the amount can be moved."""
        limit = self.limit_nanos
        possible = amount_nanos is not None and (limit is None or amount_nanos <= limit)
        change = amount_nanos if possible and amount_nanos is not None else None
        sides = []
        if self.source is not None:
            sides.append(self._side(self.source, None if change is None else -change))
        sides.append(self._side(self.target, change))
        return sides

    def _side(self, account: Account, change: int | None) -> Side:
        label = account.group.name if account.group else _("Unassigned pool")
        before = account.balance_nanos
        return Side(label, before, None if change is None else before + change)


def prepare_move(kind: str, organization: Organization, group: Group | None) -> Move:
    """The accounts of a move as they are now. `group` is None for a deposit."""
    pool = Account.objects.pool_of(organization)
    if group is None:
        return Move(kind, organization, None, None, pool)
    wallet = Account.objects.select_related("group").wallet_of(group)
    source, target = (pool, wallet) if kind == Transfer.Kind.GRANT else (wallet, pool)
    return Move(kind, organization, group, source, target)
