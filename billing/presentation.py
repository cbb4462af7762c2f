"""What the pages about money share: amounts as text, pages of lists, an organization at a glance."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID

from django.db.models import Model, QuerySet
from django.utils import timezone

from accounts.ids import CLOCK_SKEW
from accounts.models import Group, GroupMembership, Membership, Organization, User
from billing.closings import spent_by
from billing.models import Account
from billing.money import format_usd

Row = TypeVar("Row")
IdRow = TypeVar("IdRow", bound=Model)


class Page(NamedTuple, Generic[Row]):
    """A page of a list that is newest first. `older` and `newer` are the ids to go on from, None at an end."""

    rows: list[Row]
    older: UUID | None
    newer: UUID | None


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


def exact_usd(nanos: int) -> Decimal:
    """US dollars as an exact number, for spreadsheets."""
    return Decimal(format_usd(nanos))


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


def read_groups(organization: Organization) -> list[GroupRow]:
    """The organization's groups by name, with what each has and has spent on calls since the month began."""
    wallets = list(Account.objects.wallets_of(organization))
    spent = spent_by(wallets, month_start(), timezone.now() + CLOCK_SKEW)
    members: dict[Any, int] = {}
    for group_id in GroupMembership.objects.filter(group__organization=organization).values_list(
        "group", flat=True
    ):
        members[group_id] = members.get(group_id, 0) + 1
    return [
        GroupRow(wallet.group, wallet, spent[wallet.pk].nanos, members.get(wallet.group_id, 0))
        for wallet in wallets
        if wallet.group is not None
    ]
