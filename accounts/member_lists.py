"""Who is in an organization or a group, as the pages about members show it."""

from collections import defaultdict
from typing import NamedTuple
from uuid import UUID

from django.db.models import Prefetch, Q, Value
from django.db.models.functions import Coalesce, Lower, NullIf

from accounts.invitation_models import Invitation, InvitedGroup
from accounts.models import APIKey, Group, GroupMembership, Membership, Organization, User

ROWS_MAX = 200
# As people read it: who has given no name is known by his address.
SHOWN_NAME = Lower(Coalesce(NullIf("user__name", Value("")), "user__email"))


class Member(NamedTuple):
    """A member of an organization with the groups he is in and the number of his working keys."""

    membership: Membership
    user: User
    places: list[GroupMembership]
    keys: int
    is_last_admin: bool


class GroupMember(NamedTuple):
    """A member of a group with his working keys in it."""

    membership: GroupMembership
    user: User
    keys: list[APIKey]


class People(NamedTuple):
    """Rows of a list that is cut at ROWS_MAX, and how many there are in all."""

    rows: list[Member]
    total: int

    @property
    def is_cut(self) -> bool:
        return len(self.rows) < self.total


def list_members(organization: Organization, name: str = "") -> People:
    """The members by name; with `name`, those whose name or address has it in it."""
    found = organization.memberships.select_related("user")
    if name:
        found = found.filter(Q(user__name__icontains=name) | Q(user__email__icontains=name))
    total = found.count()
    memberships = list(found.order_by(SHOWN_NAME, "pk")[:ROWS_MAX])
    users = [membership.user_id for membership in memberships]
    places: dict[int, list[GroupMembership]] = defaultdict(list)
    inside = GroupMembership.objects.filter(
        user__in=users, group__organization=organization, group__archived_at=None
    )
    for place in inside.select_related("group").order_by(Lower("group__name")):
        places[place.user_id].append(place)
    keys: dict[int, int] = defaultdict(int)
    usable = APIKey.objects.usable().filter(group__organization=organization, created_by__in=users)
    for owner in usable.values_list("created_by", flat=True):
        keys[owner] += 1
    admins = set(
        organization.memberships.filter(
            role=Membership.Role.ADMIN, user__is_active=True
        ).values_list("user", flat=True)
    )
    rows = [
        Member(
            membership,
            membership.user,
            places[membership.user_id],
            keys[membership.user_id],
            membership.role == Membership.Role.ADMIN and not admins - {membership.user_id},
        )
        for membership in memberships
    ]
    return People(rows, total)


def list_group_members(group: Group) -> list[GroupMember]:
    """The members of the group: managers first, then by name."""
    memberships = list(group.memberships.select_related("user").order_by(SHOWN_NAME, "pk"))
    memberships.sort(key=lambda membership: membership.role != GroupMembership.Role.MANAGER)
    keys: dict[int, list[APIKey]] = defaultdict(list)
    for key in APIKey.objects.usable().filter(group=group):
        keys[key.created_by_id].append(key)
    return [GroupMember(each, each.user, keys[each.user_id]) for each in memberships]


def list_colleagues(group: Group) -> list[User]:
    """Members of the organization who are not in the group, by name."""
    inside = group.memberships.values("user")
    memberships = group.organization.memberships.exclude(user__in=inside).filter(
        user__is_active=True
    )
    found = memberships.select_related("user").order_by(SHOWN_NAME, "pk")
    return [membership.user for membership in found[:ROWS_MAX]]


def list_invitations(place: Organization | Group) -> list[Invitation]:
    """Who is waited for, newest first; `places` of each are the groups that come along and still exist."""
    within = {"places__group": place} if isinstance(place, Group) else {"organization": place}
    found = Invitation.objects.waiting().filter(**within)
    living = InvitedGroup.objects.filter(group__archived_at=None).select_related("group")
    return list(
        found.select_related("invited_by", "organization")
        .prefetch_related(Prefetch("places", living))
        .order_by("-pk")[:ROWS_MAX]
    )


def working_keys(
    user: User, organization: Organization | None, group: Group | None
) -> list[APIKey]:
    """The keys that stop when the user leaves: those of the group, or of all groups of the organization."""
    keys = APIKey.objects.filter(created_by=user, revoked_at=None).select_related("group")
    keys = keys.filter(group=group) if group else keys.filter(group__organization=organization)
    return list(keys.order_by(Lower("group__name"), Lower("name")))


def groups_by_id(organization: Organization) -> dict[UUID, Group]:
    """The groups of the organization by name."""
    found = organization.groups.filter(archived_at=None).order_by(Lower("name"))
    return {group.pk: group for group in found}
