"""Organizations in a list: what each has, and how large it is."""

from collections.abc import Sequence
from typing import NamedTuple

from django.db.models import Count, Q, Sum

from accounts.models import Group, Membership, Organization
from billing.models import Account


class OrganizationRow(NamedTuple):
    """An organization with its credits; archived groups are not counted, what is left in their wallets is."""

    organization: Organization
    groups: int
    members: int
    pool_nanos: int
    wallets_nanos: int


def read_organizations(organizations: Sequence[Organization]) -> list[OrganizationRow]:
    """A row for each, in their order, in three queries."""
    accounts = Account.objects.filter(organization__in=organizations).order_by()
    balances = {
        row["organization"]: row
        for row in accounts.values("organization").annotate(
            pool=Sum("balance_nanos", filter=Q(kind=Account.Kind.POOL)),
            wallets=Sum("balance_nanos", filter=Q(kind=Account.Kind.WALLET), default=0),
        )
    }
    groups = Group.objects.filter(organization__in=organizations, archived_at=None)
    members = Membership.objects.filter(organization__in=organizations)
    group_counts = dict(groups.order_by().values_list("organization").annotate(Count("pk")))
    member_counts = dict(members.order_by().values_list("organization").annotate(Count("pk")))
    return [
        OrganizationRow(
            organization,
            group_counts.get(organization.pk, 0),
            member_counts.get(organization.pk, 0),
            balances[organization.pk]["pool"],
            balances[organization.pk]["wallets"],
        )
        for organization in organizations
    ]
