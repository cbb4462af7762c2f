"""Deleting groups and organizations: what is left on their accounts is settled first, in one transaction.

Rows stay, since the ledger's history is about them; people see them no more (`archived_at`).
"""

from typing import NamedTuple

from django.db import transaction

from accounts import services
from accounts.ids import uuid7
from accounts.membership_services import revoke_keys_in
from accounts.models import APIKey, Group, Organization, User
from billing import ledger
from billing.errors import InsufficientCredit, LedgerError
from billing.models import Account
from billing.promotion_models import Promotion
from billing.promotions import end_promotion, promotional_nanos, read_promotions


class NotEmpty(LedgerError):
    """Something stands in the way of a deletion; `obstacle` says what."""

    def __init__(self, obstacle: str) -> None:
        super().__init__(obstacle)
        self.obstacle = obstacle


class Remains(NamedTuple):
    """What a group still has. `obstacle` is what stands in the way of its deletion: `held`, `owed` or nothing."""

    wallet: Account
    keys: int
    promotional_nanos: int

    @property
    def paid_nanos(self) -> int:
        """What goes back to the pool."""
        return self.wallet.balance_nanos - self.promotional_nanos

    @property
    def obstacle(self) -> str:
        if self.wallet.held_nanos:
            return "held"
        return "owed" if self.wallet.balance_nanos < 0 else ""


class OrganizationRemains(NamedTuple):
    """What an organization still has. `obstacle`: `groups`, `credits` or nothing."""

    pool: Account
    groups: int
    members: int

    @property
    def obstacle(self) -> str:
        if self.groups:
            return "groups"
        return "credits" if self.pool.balance_nanos else ""


def remains_of_group(group: Group) -> Remains:
    wallet = Account.objects.wallet_of(group)
    keys = APIKey.objects.usable().filter(group=group).count()
    return Remains(wallet, keys, promotional_nanos(read_promotions(wallet, only_running=True)))


def remains_of_organization(organization: Organization) -> OrganizationRemains:
    return OrganizationRemains(
        Account.objects.pool_of(organization),
        organization.groups.filter(archived_at=None).count(),
        organization.memberships.count(),
    )


@transaction.atomic
def archive_group(group: Group, *, actor: User) -> int:
    """Revoke the group's keys, end its promotions, put its credits back into the pool, and take it out of sight.
    Answers the nano-dollars that went back to the pool.

    Refused with `NotEmpty` while calls hold credits, or where the wallet is below zero; a second time nothing happens.
    """
    wallet = Account.objects.wallet_of(group)
    platform = ledger.platform_accounts(group.organization)
    # Accounts before the group, all that any step needs, in the order of their ids as wherever money moves.
    needed = [platform[Account.Kind.POOL], platform[Account.Kind.PROMOTIONS], wallet]
    wallet = ledger.lock_accounts(needed)[wallet.pk]
    locked = Group.objects.select_for_update(no_key=True).get(pk=group.pk)
    if locked.archived_at is not None:
        return 0
    revoked = revoke_keys_in(group, actor)
    remains = Remains(wallet, revoked, 0)
    if remains.obstacle:
        raise NotEmpty(remains.obstacle)
    for promotion in Promotion.objects.left_in(wallet.pk):
        end_promotion(promotion, actor)
    returned_nanos = _reclaim_all(group, actor)
    # A line of credit would let a call through whose key a gateway still remembers.
    Account.objects.filter(pk=wallet.pk).update(credit_line_nanos=0)
    before = {
        "balance_nanos": wallet.balance_nanos,
        "credit_line_nanos": wallet.credit_line_nanos,
        "keys": revoked,
    }
    services.archive_group(group, actor=actor, before=before)
    return returned_nanos


def _reclaim_all(group: Group, actor: User) -> int:
    balance_nanos = Account.objects.wallet_of(group).balance_nanos
    if not balance_nanos:
        return 0
    try:
        ledger.reclaim(group, balance_nanos, operation_id=uuid7(), actor=actor)
    except InsufficientCredit:
        # A promotion's day has come, and the clock has not taken back yet what was left of it.
        raise NotEmpty("ending") from None
    return balance_nanos


@transaction.atomic
def archive_organization(organization: Organization, *, actor: User, note: str = "") -> None:
    """Take the organization out of sight. Refused with `NotEmpty` while it has groups, or credits in its pool; an
    operator who notes how those were refunded may delete it with them."""
    ledger.lock_accounts([Account.objects.pool_of(organization)])
    services.lock_organization(organization)
    remains = remains_of_organization(organization)
    waived = remains.obstacle == "credits" and actor.is_staff and bool(note)
    if remains.obstacle and not waived:
        raise NotEmpty(remains.obstacle)
    before = {"balance_nanos": remains.pool.balance_nanos, "members": remains.members}
    services.archive_organization(organization, actor=actor, before=before, note=note)
