"""Moves that people are about to make: the accounts as they are, what can be moved, and what is said about it."""

import hashlib
import hmac
from typing import NamedTuple
from uuid import UUID

from django.conf import settings
from django.utils.translation import gettext as _

from accounts.models import Group, Organization, User
from billing.models import Account, Transfer
from billing.presentation import dollars
from billing.promotions import promotional_nanos, read_promotions


class Side(NamedTuple):
    """One account of a move: `after_nanos` is None where the move is not known yet or not possible."""

    label: str
    before_nanos: int
    after_nanos: int | None


class Move(NamedTuple):
    """A move between two accounts that is being prepared.

    `kind` is `deposit`, `grant`, `reclaim`, `adjust_up`, `adjust_down`, `refund` or `promote`. `limit_nanos` is the
    most that can be moved, None for no limit: what platform accounts give comes from outside.
    """

    kind: str
    organization: Organization
    group: Group | None
    source: Account
    target: Account
    limit_nanos: int | None = None
    held_nanos: int = 0
    promotional_nanos: int = 0
    call_id: UUID | None = None

    def sides(self, amount_nanos: int | None) -> list[Side]:
        """Both accounts before and after; after is None unless the amount can be moved. Where bought credits come from
        is nobody's balance."""
        possible = self.limit_nanos is None or (amount_nanos or 0) <= self.limit_nanos
        change = amount_nanos if possible else None
        changes = [(self.source, None if change is None else -change), (self.target, change)]
        if self.kind == "deposit":
            del changes[0]
        return [
            Side(
                _label(account),
                account.balance_nanos,
                None if change is None else account.balance_nanos + change,
            )
            for account, change in changes
        ]

    @property
    def owner(self) -> str:
        """The name of whose credits these are."""
        return str(self.group or self.organization)

    @property
    def title(self) -> str:
        return {
            "deposit": _("Deposit credits for “%(name)s”"),
            "grant": _("Grant credits to “%(name)s”"),
            "reclaim": _("Reclaim credits from “%(name)s”"),
            "adjust_up": _("Adjust the balance of “%(name)s”"),
            "adjust_down": _("Adjust the balance of “%(name)s”"),
            "refund": _("Refund a call of “%(name)s”"),
            "promote": _("Give promotional credits to “%(name)s”"),
        }[self.kind] % {"name": self.owner}

    def question(self, amount_nanos: int) -> str:
        """What is about to happen."""
        return {
            "deposit": _("Deposit %(amount)s for “%(name)s”."),
            "grant": _("Grant %(amount)s to “%(name)s”."),
            "reclaim": _("Reclaim %(amount)s from “%(name)s”."),
            "adjust_up": _("Add %(amount)s to “%(name)s”."),
            "adjust_down": _("Take %(amount)s from “%(name)s”."),
            "refund": _("Refund %(amount)s to “%(name)s”."),
            "promote": _("Give %(amount)s of promotional credits to “%(name)s”."),
        }[self.kind] % {"amount": dollars(amount_nanos), "name": self.owner}

    def button(self, amount_nanos: int) -> str:
        """The verb that does it."""
        return {
            "deposit": _("Deposit %(amount)s"),
            "grant": _("Grant %(amount)s"),
            "reclaim": _("Reclaim %(amount)s"),
            "adjust_up": _("Add %(amount)s"),
            "adjust_down": _("Take %(amount)s"),
            "refund": _("Refund %(amount)s"),
            "promote": _("Give %(amount)s"),
        }[self.kind] % {"amount": dollars(amount_nanos)}

    def done(self, amount_nanos: int) -> str:
        """What has happened."""
        return {
            "deposit": _("%(amount)s deposited."),
            "grant": _("%(amount)s granted to “%(name)s”."),
            "reclaim": _("%(amount)s reclaimed from “%(name)s”."),
            "adjust_up": _("%(amount)s added to “%(name)s”."),
            "adjust_down": _("%(amount)s taken from “%(name)s”."),
            "refund": _("%(amount)s refunded to “%(name)s”."),
            "promote": _("%(amount)s of promotional credits given to “%(name)s”."),
        }[self.kind] % {"amount": dollars(amount_nanos), "name": self.owner}


def _label(account: Account) -> str:
    if account.group is not None:
        return str(account.group)
    return {
        Account.Kind.POOL: _("Unassigned pool"),
        Account.Kind.REVENUE: _("Charged for calls"),
        Account.Kind.PROMOTIONS: _("Given by the operator"),
    }.get(Account.Kind(account.kind), "")


def prepare_move(kind: str, organization: Organization, group: Group | None) -> Move:
    """The accounts of a move as they are now. `group` None: it moves the pool."""
    accounts = {
        account.kind: account
        for account in Account.objects.filter(organization=organization, group=None)
    }
    pool, promotions = accounts[Account.Kind.POOL], accounts[Account.Kind.PROMOTIONS]
    wallets = Account.objects.select_related("group")
    own = pool if group is None else wallets.wallet_of(group)
    source, target = {
        "deposit": (accounts[Account.Kind.DEPOSITS], own),
        "grant": (pool, own),
        "reclaim": (own, pool),
        "adjust_up": (promotions, own),
        "adjust_down": (own, promotions),
        "refund": (accounts[Account.Kind.REVENUE], own),
        "promote": (promotions, own),
    }[kind]
    move = Move(kind, organization, group, source, target)
    return _with_limit(move) if kind in ("grant", "reclaim", "adjust_down") else move


def _with_limit(move: Move) -> Move:
    """What can be taken from the source, as `ledger.carry_out` will say: neither what calls hold nor what is left of
    promotions; calls hold promotional credits first."""
    source = move.source
    left_nanos = promotional_nanos(read_promotions(source, only_running=True))
    limit_nanos = max(source.balance_nanos - max(source.held_nanos, left_nanos), 0)
    return move._replace(
        limit_nanos=limit_nanos, held_nanos=source.held_nanos, promotional_nanos=left_nanos
    )


def prepare_refund(capture: Transfer, wallet: Account) -> Move:
    """The refund of a call; at most what it was charged, and nothing once it was refunded."""
    assert wallet.group is not None
    move = prepare_move("refund", wallet.organization, wallet.group)
    refunded = Transfer.objects.filter(call_id=capture.pk, kind=Transfer.Kind.REFUND).exists()
    return move._replace(limit_nanos=0 if refunded else capture.amount_nanos, call_id=capture.pk)


def operation_id_of(move: Move, user: User) -> UUID:
    """The id of the move if this user makes it now: the same in two tabs, another one after any move of the account.

    So a move that was confirmed in one tab is not made again from another that still shows the balances of before. It
    cannot be foretold, or somebody could use it up.
    """
    parts = [move.kind.partition("_")[0], user.pk, move.source.pk, move.target.pk, move.call_id]
    if move.call_id is None:
        slow = next(
            account
            for account in (move.source, move.target)
            if account.kind in (Account.Kind.POOL, Account.Kind.PROMOTIONS)
        )
        parts.append(Transfer.objects.touching(slow).exclude(kind=Transfer.Kind.CAPTURE).count())
    text = " ".join(map(str, parts))
    seed = hmac.digest(settings.SECRET_KEY.encode(), f"operation {text}".encode(), hashlib.sha256)
    return UUID(bytes=seed[:16], version=4)
