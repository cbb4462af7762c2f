"""A key, or a group, with all that it may do: what it may call and how much, changed in one transaction."""

from typing import NamedTuple
from uuid import UUID

from django.db import transaction

from accounts import key_services
from accounts.key_services import Restrictions
from accounts.models import APIKey, Group, User
from billing.limits import Limits, change_limits


class KeySettings(NamedTuple):
    """What its owner decides about a key. `name` None: it stays as it is."""

    name: str | None
    restrictions: Restrictions
    limits: Limits


@transaction.atomic
def issue(
    group: Group,
    actor: User,
    settings: KeySettings,
    operation_id: UUID | None,
    *,
    purpose: str = APIKey.Purpose.CALLER,
) -> tuple[APIKey, str]:
    """A key with its limits from its first call on. Raises what `issue_key` and `set_limits` raise.

    A key with the purpose `manage` calls nothing: it has neither limits nor models.
    """
    key, text = key_services.issue_key(
        group, actor, settings.name or "", operation_id, purpose=purpose, **settings.restrictions
    )
    if settings.limits:
        change_limits(key, actor, **settings.limits)
    return key, text


@transaction.atomic
def change(key: APIKey, actor: User, settings: KeySettings) -> None:
    """Everything that is named, or nothing where one part of it cannot be."""
    if settings.name is not None:
        key_services.rename_key(key, actor, settings.name)
    if settings.restrictions:
        key_services.restrict_key(key, actor, **settings.restrictions)
    if settings.limits:
        change_limits(key, actor, **settings.limits)


@transaction.atomic
def change_group(group: Group, actor: User, restrictions: Restrictions, limits: Limits) -> None:
    """The same for all keys of the group together."""
    key_services.restrict_group(group, actor, **restrictions)
    change_limits(group, actor, **limits)
