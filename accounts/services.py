"""Writes to accounts: each function is one change, in one transaction."""

from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts import keys
from accounts.models import APIKey, Group, GroupMembership, Membership, Organization, User


@transaction.atomic
def create_organization(owner: User, name: str) -> Organization:
    """A new organization with `owner` as its first admin. Its money accounts are made by the database."""
    organization = Organization.objects.create(name=name)
    Membership.objects.create(organization=organization, user=owner, role=Membership.Role.ADMIN)
    return organization


@transaction.atomic
def create_group(organization: Organization, name: str, manager: User) -> Group:
    """A new group with `manager` in charge. Its wallet is made by the database.

    Raises `ValidationError` where the organization has a group of that name.
    """
    group = Group(organization=organization, name=name)
    group.full_clean()
    group.save()
    GroupMembership.objects.create(group=group, user=manager, role=GroupMembership.Role.MANAGER)
    return group


@transaction.atomic
def add_member(
    group: Group, user: User, role: str = GroupMembership.Role.MEMBER
) -> GroupMembership:
    """Put a user into a group, and into its organization where he is not in it yet."""
    Membership.objects.get_or_create(organization=group.organization, user=user)
    membership, _ = GroupMembership.objects.get_or_create(
        group=group, user=user, defaults={"role": role}
    )
    return membership


def issue_key(
    group: Group, created_by: User, name: str, expires_at: datetime | None = None
) -> tuple[APIKey, str]:
    """A new key and its text. The text is not kept: show it once."""
    minted = keys.mint(settings.KEY_PREFIX)
    key = APIKey.objects.create(
        group=group,
        created_by=created_by,
        name=name,
        prefix=settings.KEY_PREFIX,
        public_id=minted.public_id,
        digest=keys.digest(minted.text, settings.KEY_PEPPER),
        expires_at=expires_at,
    )
    return key, minted.text


def rename_key(key: APIKey, name: str) -> None:
    """Change what the key is called; calls already recorded show the new name too."""
    key.name = name
    key.save(update_fields=["name"])


def revoke_key(key: APIKey) -> None:
    """Stop the key for good. A trigger tells every gateway process when this commits."""
    APIKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=timezone.now())
