"""Writes to accounts: each function is one change, in one transaction."""

import ipaddress
import re
from collections.abc import Iterable
from datetime import datetime
from typing import TypedDict, Unpack

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import keys
from accounts.models import APIKey, Group, GroupMembership, Membership, Organization, User

# A canonical name, an alias, or all models of a provider: names as in the price book.
_MODEL = re.compile(r"[A-Za-z0-9._-]+(?:/[A-Za-z0-9._-]+)?|[a-z0-9-]+/\*")
_MODEL_LENGTH_MAX = 120
_ENTRIES_MAX = 200


class Restrictions(TypedDict, total=False):
    """`allowed_models`: names, aliases or `provider/*`; `allowed_networks`: addresses or networks such as
    `10.0.0.0/8`. Empty: all. `expires_at` None: never."""

    allowed_models: Iterable[str]
    allowed_networks: Iterable[str]
    expires_at: datetime | None


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


def restrict_key(key: APIKey, **restrictions: Unpack[Restrictions]) -> None:
    """Change what the key may call, from where and until when; what is not named stays. Raises ValidationError."""
    _restrict(key, restrictions)


def restrict_group(group: Group, **restrictions: Unpack[Restrictions]) -> None:
    """The same for all keys of the group, on top of their own restrictions."""
    _restrict(group, restrictions)


def _restrict(owner: APIKey | Group, restrictions: Restrictions) -> None:
    if unknown := restrictions.keys() - Restrictions.__annotations__.keys():
        raise TypeError(f"no such restriction: {', '.join(sorted(unknown))}")
    if "allowed_models" in restrictions:
        owner.allowed_models = _check_models(restrictions["allowed_models"])
    if "allowed_networks" in restrictions:
        owner.allowed_networks = _check_networks(restrictions["allowed_networks"])
    if "expires_at" in restrictions:
        expires_at = restrictions["expires_at"]
        if expires_at is not None and timezone.is_naive(expires_at):
            raise ValidationError({"expires_at": _("The time zone is missing.")})
        owner.expires_at = expires_at
    if restrictions:
        # A trigger tells every gateway process when this commits.
        owner.save(update_fields=restrictions.keys())


def _check_models(names: Iterable[str]) -> list[str]:
    checked = _entries("allowed_models", names)
    for name in checked:
        if len(name) > _MODEL_LENGTH_MAX or not _MODEL.fullmatch(name):
            raise ValidationError(
                {"allowed_models": _("'%(name)s' is no name of a model.") % {"name": name[:120]}}
            )
    return checked


def _check_networks(texts: Iterable[str]) -> list[str]:
    """Networks in one spelling each: `10.1.2.3/8` is `10.0.0.0/8`, an address is the network of itself."""
    try:
        networks = [
            ipaddress.ip_network(text.strip(), strict=False)
            for text in _entries("allowed_networks", texts)
        ]
    except ValueError as error:
        # The message of ipaddress says which one and why.
        raise ValidationError({"allowed_networks": str(error)[:200]}) from None
    return list(dict.fromkeys(str(network) for network in networks))


def _entries(field: str, texts: Iterable[str]) -> list[str]:
    entries = list(texts)
    # One text instead of a list of them would be taken for a list of its letters.
    if isinstance(texts, str) or any(type(text) is not str for text in entries):
        raise ValidationError({field: _("A list of texts is needed.")})
    if len(entries) > _ENTRIES_MAX:
        raise ValidationError({field: _("At most %(most)d entries.") % {"most": _ENTRIES_MAX}})
    return list(dict.fromkeys(entries))


def revoke_key(key: APIKey) -> None:
    """Stop the key for good. A trigger tells every gateway process when this commits."""
    APIKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=timezone.now())
