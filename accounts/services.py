"""Organizations and groups come and go: each function is one change, in one transaction, with its line in the trail."""

from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import trail
from accounts.ids import uuid7
from accounts.models import (
    Group,
    GroupMembership,
    Invitation,
    InvitedGroup,
    Membership,
    Organization,
    User,
)


@transaction.atomic
def create_organization(owner: User, name: str) -> Organization:
    """A new organization with `owner` as its first admin. Its money accounts are made by the database."""
    organization = Organization.objects.create(name=name)
    Membership.objects.create(organization=organization, user=owner, role=Membership.Role.ADMIN)
    trail.record(
        owner, "organization.created", organization, after={"name": name}, within=organization
    )
    return organization


@transaction.atomic
def create_group(
    organization: Organization,
    name: str,
    manager: User | None,
    *,
    actor: User | None = None,
    group_id: UUID | None = None,
) -> Group:
    """A new group with `manager` in charge, who joins the organization where he is not in it yet. Its wallet is made by
    the database. `manager` None leaves it to the admins of the organization.

    `actor` is the manager unless another one is named. `group_id` is made with a form: sent twice, it makes one group.
    Raises `ValidationError` where the organization has a group of that name.
    """
    lock_organization(organization)
    group_id = group_id or uuid7()
    existing = Group.objects.filter(pk=group_id, organization=organization).first()
    if existing is not None:
        return existing
    group = Group(id=group_id, organization=organization, name=name)
    group.full_clean()
    group.save(force_insert=True)
    actor = actor or manager
    trail.record(actor, "group.created", group, after={"name": name}, within=group)
    if manager is not None:
        add_member(group, manager, GroupMembership.Role.MANAGER, actor=actor)
    return group


@transaction.atomic
def add_member(
    group: Group,
    user: User,
    role: str = GroupMembership.Role.MEMBER,
    *,
    actor: User | None = None,
) -> GroupMembership:
    """Put a user into a group, and into its organization where he is not in it yet. Who is there keeps his role."""
    join_organization(group.organization, user, actor=actor)
    membership, is_new = GroupMembership.objects.get_or_create(
        group=group, user=user, defaults={"role": role}
    )
    if is_new:
        trail.record(actor, "group.member_added", user, after={"role": role}, within=group)
    return membership


def join_organization(
    organization: Organization,
    user: User,
    role: str = Membership.Role.MEMBER,
    *,
    actor: User | None = None,
) -> Membership:
    """Put a user into an organization. Who is there keeps his role."""
    membership, is_new = Membership.objects.get_or_create(
        organization=organization, user=user, defaults={"role": role}
    )
    if is_new:
        trail.record(
            actor, "organization.member_added", user, after={"role": role}, within=organization
        )
    return membership


def lock_organization(organization: Organization) -> Organization:
    """Its row as it stands now, locked until the transaction ends: changes of roles and groups go one after the other.

    Raises `ValidationError` where it was deleted meanwhile.
    """
    locked = Organization.objects.select_for_update(no_key=True).get(pk=organization.pk)
    if locked.archived_at is not None:
        raise ValidationError(_("This organization was deleted."))
    return locked


def lock_user(user: User) -> User:
    """His row as it stands now, locked until the transaction ends: the keys that he makes and his leaving go one after
    the other, so that no key is left behind."""
    return User.objects.select_for_update(no_key=True).get(pk=user.pk)


@transaction.atomic
def rename_user(user: User, name: str) -> None:
    """What others read about him; empty: his address. Only he says it himself."""
    locked = lock_user(user)
    before, after = trail.differences({"name": locked.name}, {"name": name})
    if after:
        user.name = name
        user.save(update_fields=["name"])
        trail.record(user, "user.renamed", user, before=before, after=after)


@transaction.atomic
def rename_organization(organization: Organization, name: str, *, actor: User) -> None:
    """Call it something else."""
    locked = lock_organization(organization)
    before, after = trail.differences({"name": locked.name}, {"name": name})
    organization.name = name
    if after:
        organization.save(update_fields=["name"])
        trail.record(
            actor,
            "organization.renamed",
            organization,
            before=before,
            after=after,
            within=organization,
        )


@transaction.atomic
def rename_group(group: Group, name: str, *, actor: User) -> None:
    """Call it something else. Raises `ValidationError` where the organization has a group of that name."""
    lock_organization(group.organization)
    locked = Group.objects.select_for_update(no_key=True).get(pk=group.pk)
    before, after = trail.differences({"name": locked.name}, {"name": name})
    locked.name = name
    locked.full_clean()
    group.name = name
    if after:
        locked.save(update_fields=["name"])
        trail.record(actor, "group.renamed", locked, before=before, after=after, within=group)


def archive_group(group: Group, *, actor: User, before: dict[str, int]) -> None:
    """Take the group out of sight for good; its name is free again. `billing.archiving` has emptied the wallet and
    revoked the keys, in the same transaction; `before` is what it found."""
    InvitedGroup.objects.filter(group=group, invitation__in=Invitation.objects.waiting()).delete()
    Group.objects.filter(pk=group.pk).update(archived_at=timezone.now())
    trail.record(actor, "group.archived", group, before=before, within=group)


def archive_organization(
    organization: Organization, *, actor: User, before: dict[str, int], note: str
) -> None:
    """Take the organization out of sight for good, and withdraw its invitations. `billing.archiving` has made sure
    that nothing is left in it."""
    now = timezone.now()
    organization.invitations.waiting().update(withdrawn_at=now, mail_due_at=None, digest=None)
    Organization.objects.filter(pk=organization.pk).update(archived_at=now)
    after = {"note": note} if note else {}
    trail.record(
        actor,
        "organization.archived",
        organization,
        before=before,
        after=after,
        within=organization,
    )
