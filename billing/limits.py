"""Setting the limits of a key or a group. README.md says what they mean and who counts."""

from typing import TypedDict, Unpack

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from accounts import trail
from accounts.models import APIKey, Group, User
from billing.models import LIMIT_NAMES, NANOS_MAX, Account, Limit


class Limits(TypedDict, total=False):
    """Positive numbers, None for no limit; `*_nanos` are nano-dollars in a UTC day, a UTC month and in all."""

    requests_per_minute: int | None
    tokens_per_minute: int | None
    concurrent_calls: int | None
    day_nanos: int | None
    month_nanos: int | None
    lifetime_nanos: int | None


def set_limits(owner: APIKey | Group, **limits: Unpack[Limits]) -> Limit | None:
    """Change the limits that are named and leave the others. Answers what is in force then, None where nothing is.

    The first limit of an owner starts with what he has spent so far (a trigger of gateway migration 0003). Gateway
    processes hear of a change when it commits. Raises ValidationError for a limit that is no positive integer.
    """
    unknown = limits.keys() - set(LIMIT_NAMES)
    if unknown:
        raise TypeError(f"no such limit: {', '.join(sorted(unknown))}")
    wrong = {name for name, value in limits.items() if value is not None and not _is_limit(value)}
    if wrong:
        raise ValidationError(dict.fromkeys(wrong, _("A limit is a positive number.")))
    try:
        return _write(owner, limits)
    except IntegrityError:
        # Somebody made the row at the same time: now it is there to be changed.
        return _write(owner, limits)


def _is_limit(value: object) -> bool:
    return type(value) is int and 0 < value < NANOS_MAX


@transaction.atomic
def _write(owner: APIKey | Group, limits: Limits) -> Limit | None:
    limit = _lock(owner) or (
        Limit(api_key=owner) if isinstance(owner, APIKey) else Limit(group=owner)
    )
    for name, value in limits.items():
        setattr(limit, name, value)
    is_empty = all(getattr(limit, name) is None for name in LIMIT_NAMES)
    if limit._state.adding:
        if is_empty:
            return None
        limit.save(force_insert=True)
        limit.refresh_from_db()  # with what the trigger found
        return limit
    if limits:
        limit.save(update_fields=limits.keys())
    if is_empty and limit.running_calls == 0:
        limit.delete()
    return None if is_empty else limit


def _lock(owner: APIKey | Group) -> Limit | None:
    """The owner's row, if there is one, with the locks of a batch in their order: its counters stand still.

    Where there is none, nothing is locked: what a new row starts with may take a while to add up, and nobody else sees
    the row before it is complete.
    """
    if isinstance(owner, APIKey):
        rows, group_id = Limit.objects.filter(api_key=owner), owner.group_id
    else:
        rows, group_id = Limit.objects.filter(group=owner), owner.pk
    if not rows.exists():
        return None
    Account.objects.select_for_update(no_key=True).get(group=group_id, kind=Account.Kind.WALLET)
    return rows.select_for_update(no_key=True).first()


@transaction.atomic
def change_limits(
    owner: APIKey | Group, actor: User | None, **limits: Unpack[Limits]
) -> Limit | None:
    """`set_limits` with a line in the audit trail of what became different."""
    stored = _lock(owner)
    made = set_limits(owner, **limits)
    before, after = trail.differences(
        *({name: getattr(row, name, None) for name in limits} for row in (stored, made))
    )
    if after:
        verb = "key.limits_changed" if isinstance(owner, APIKey) else "group.limits_changed"
        within = owner.group if isinstance(owner, APIKey) else owner
        trail.record(actor, verb, owner, before=before, after=after, within=within)
    return made
