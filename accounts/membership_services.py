"""Who is in, as what, and who leaves: each function is one change, in one transaction, with its lines in the trail."""

from collections.abc import Iterable

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import trail
from accounts.invitations import end_offers_of
from accounts.models import APIKey, Group, GroupMembership, Membership, Organization, User
from accounts.services import add_member, lock_organization, lock_user

LAST_ADMIN = "last_admin"


@transaction.atomic
def change_role(organization: Organization, user: User, role: str, *, actor: User) -> int:
    """Make a member an admin or the reverse. Whoever is no admin any more loses his keys in groups that he is not in;
    answers how many. Raises `ValidationError` for the last admin's demotion."""
    lock_organization(organization)
    lock_user(user)
    membership = Membership.objects.get(organization=organization, user=user)
    if membership.role == role:
        return 0
    if role != Membership.Role.ADMIN:
        refuse_last_admin(organization, user)
    before = {"role": membership.role}
    membership.role = role
    membership.save(update_fields=["role"])
    trail.record(
        actor,
        "organization.role_changed",
        user,
        before=before,
        after={"role": role},
        within=organization,
    )
    if role == Membership.Role.ADMIN:
        return 0
    end_offers_of(user, organization, actor=actor)
    lent = Group.objects.filter(
        organization=organization, api_keys__created_by=user, api_keys__revoked_at=None
    ).exclude(memberships__user=user)
    return sum(revoke_keys_of(user, group, actor) for group in lent.distinct())


@transaction.atomic
def remove_from_organization(organization: Organization, user: User, *, actor: User) -> int:
    """Take a member out of the organization and of all its groups, or let him leave; his keys there are revoked.

    Answers how many keys. Raises `ValidationError` for the last admin. Who is out already stays out.
    """
    lock_organization(organization)
    lock_user(user)
    membership = Membership.objects.filter(organization=organization, user=user).first()
    if membership is None:
        return 0
    refuse_last_admin(organization, user)
    revoked = 0
    # Keys also stand in groups that he administered without being in them.
    places = Q(memberships__user=user) | Q(api_keys__created_by=user, api_keys__revoked_at=None)
    for group in Group.objects.filter(places, organization=organization).distinct():
        revoked += remove_from_group(group, user, actor=actor)
    membership.delete()
    end_offers_of(user, organization, actor=actor)
    trail.record(
        actor,
        _leaving("organization", user, actor),
        user,
        before={"role": membership.role},
        after={"keys_revoked": revoked},
        within=organization,
    )
    return revoked


@transaction.atomic
def remove_from_group(group: Group, user: User, *, actor: User) -> int:
    """Take a member out of the group, or let him leave; the keys that he made there are revoked. Answers how many."""
    lock_user(user)
    revoked = revoke_keys_of(user, group, actor)
    membership = GroupMembership.objects.select_for_update().filter(group=group, user=user).first()
    if membership is not None:
        before = {"role": membership.role}
        membership.delete()
        after = {"keys_revoked": revoked}
        verb = _leaving("group", user, actor)
        trail.record(actor, verb, user, before=before, after=after, within=group)
        end_offers_of(user, group.organization, actor=actor)
    return revoked


def _leaving(place: str, user: User, actor: User) -> str:
    return f"{place}.member_left" if user == actor else f"{place}.member_removed"


@transaction.atomic
def change_group_role(group: Group, user: User, role: str, *, actor: User) -> None:
    """Put a member of the group in charge of it, or back."""
    membership = GroupMembership.objects.select_for_update().get(group=group, user=user)
    if membership.role == role:
        return
    before = {"role": membership.role}
    membership.role = role
    membership.save(update_fields=["role"])
    trail.record(
        actor, "group.role_changed", user, before=before, after={"role": role}, within=group
    )
    end_offers_of(user, group.organization, actor=actor)


@transaction.atomic
def add_colleagues(group: Group, users: Iterable[User], role: str, *, actor: User) -> int:
    """Put members of the organization into one of its groups. Answers how many were not in it; strangers are passed
    over."""
    lock_organization(group.organization)
    inside = set(group.memberships.values_list("user", flat=True))
    colleagues = set(group.organization.memberships.values_list("user", flat=True))
    coming = [user for user in users if user.pk in colleagues and user.pk not in inside]
    for user in coming:
        add_member(group, user, role, actor=actor)
    return len(coming)


@transaction.atomic
def revoke_keys_of(user: User, group: Group, actor: User | None) -> int:
    """Stop all keys that the user made in the group. Answers how many. A trigger tells every gateway process."""
    keys = list(
        APIKey.objects.select_for_update()
        .filter(group=group, created_by=user, revoked_at=None)
        .order_by("pk")
    )
    return _revoke(keys, actor)


@transaction.atomic
def revoke_keys_in(group: Group, actor: User | None) -> int:
    """Stop every key of the group. Answers how many."""
    keys = list(
        APIKey.objects.select_for_update().filter(group=group, revoked_at=None).order_by("pk")
    )
    return _revoke(keys, actor)


def _revoke(keys: list[APIKey], actor: User | None) -> int:
    APIKey.objects.filter(pk__in=[key.pk for key in keys]).update(revoked_at=timezone.now())
    for key in keys:
        trail.record(actor, "key.revoked", key, within=key.group)
    return len(keys)


@transaction.atomic
def deactivate_user(user: User, *, actor: User) -> int:
    """Lock somebody out: he cannot sign in any more, and his keys are revoked everywhere. Answers how many keys.

    For operators. A trigger revokes the keys of whoever is locked out in another way, without lines in the trail.
    """
    locked = User.objects.select_for_update().get(pk=user.pk)
    keys = list(
        APIKey.objects.select_for_update()
        .select_related("group")
        .filter(created_by=user, revoked_at=None)
        .order_by("pk")
    )
    revoked = _revoke(keys, actor)
    user.is_active = False
    if locked.is_active:
        user.save(update_fields=["is_active"])
        after = {"is_active": False, "keys_revoked": revoked}
        trail.record(actor, "user.deactivated", user, before={"is_active": True}, after=after)
    return revoked


@transaction.atomic
def reactivate_user(user: User, *, actor: User) -> None:
    """Let a deactivated user sign in again. Keys that were revoked stay so."""
    locked = User.objects.select_for_update().get(pk=user.pk)
    if locked.is_active:
        return
    locked.is_active = True
    locked.save(update_fields=["is_active"])
    trail.record(
        actor, "user.reactivated", locked, before={"is_active": False}, after={"is_active": True}
    )


def is_last_admin(organization: Organization, user: User) -> bool:
    """Whether nobody else could administer the organization without him."""
    admins = organization.memberships.filter(role=Membership.Role.ADMIN)
    if not admins.filter(user=user).exists():
        return False
    return not admins.filter(user__is_active=True).exclude(user=user).exists()


def refuse_last_admin(organization: Organization, user: User) -> None:
    """Raises `ValidationError` for the last admin. The organization must be locked, or two admins could go at once."""
    if is_last_admin(organization, user):
        raise ValidationError(
            _("%(name)s is the last admin of this organization. Make somebody else an admin first.")
            % {"name": user},
            LAST_ADMIN,
        )
