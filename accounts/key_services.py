"""Writes to API keys and to what keys and groups may call: each function is one change, in one transaction.

Every one leaves a line in the audit trail; `actor` None stands for Tollgate itself.
"""

import ipaddress
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, TypedDict, Unpack
from uuid import UUID

from django.conf import settings
from django.core.exceptions import NON_FIELD_ERRORS, PermissionDenied, ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import keys, trail
from accounts.ids import uuid7
from accounts.models import APIKey, Group, User
from accounts.services import lock_user

# A canonical name, an alias, or all models of a provider: names as in the price book.
_MODEL = re.compile(r"[A-Za-z0-9._-]+(?:/[A-Za-z0-9._-]+)?|[a-z0-9-]+/\*")
_MODEL_LENGTH_MAX = 120
_ENTRIES_MAX = 200

GRACE_MAX = timedelta(days=7)
# For so long, a form that is sent twice is answered with the same text: a double click, a browser that tries again.
REPEAT = timedelta(seconds=60)
PLAYGROUND_WINDOW = timedelta(hours=12)
PLAYGROUND_GRACE = timedelta(hours=1)


class Restrictions(TypedDict, total=False):
    """`allowed_models`: names, aliases or `provider/*`; `allowed_networks`: addresses or networks such as
    `10.0.0.0/8`. Empty: all. `expires_at` None: never."""

    allowed_models: Iterable[str]
    allowed_networks: Iterable[str]
    expires_at: datetime | None


class IssuedBefore(Exception):
    """The operation has issued `key` already. `text` is its text while the first answer may not have arrived yet, then
    None: a text is shown once."""

    def __init__(self, key: APIKey, text: str | None) -> None:
        super().__init__("this operation has issued a key")
        self.key = key
        self.text = text


class RotatedMeanwhile(Exception):
    """Somebody rotated the key after it was looked at: rotating again would stop the text that is still in use."""


class RotatedBefore(RotatedMeanwhile):
    """The operation has rotated the key a while ago: its text was shown then."""


@transaction.atomic
def issue_key(
    group: Group,
    actor: User,
    name: str,
    operation_id: UUID | None = None,
    *,
    purpose: str = APIKey.Purpose.CALLER,
    **restrictions: Unpack[Restrictions],
) -> tuple[APIKey, str]:
    """A new key of `actor` and its text. The text is not kept: show it once. With the purpose `manage` it acts for him
    in the management API, and calls no models.

    `operation_id` is the caller's random number for this issuing: with it, asking again issues nothing. Raises
    PermissionDenied for whoever does not belong to the group, ValidationError for restrictions that cannot be,
    IssuedBefore for an operation that was carried out.
    """
    _check_belongs(group, actor)
    operation, minted = None, keys.mint(settings.KEY_PREFIX)
    if operation_id is not None:
        # Neither the number nor anything that it could be found from is kept, so the text is nowhere in the database.
        parts = (str(group.pk), str(actor.pk), str(operation_id))
        operation = keys.digest("\n".join(parts), settings.KEY_PEPPER)
        minted = _derive("issue", *parts)
    key = APIKey(
        group=group, created_by=actor, name=name, operation_digest=operation, purpose=purpose
    )
    _put_text(key, minted)
    _put_restrictions(key, restrictions)
    try:
        with transaction.atomic():
            key.save(force_insert=True)
    except IntegrityError:
        issued = APIKey.objects.filter(operation_digest=operation).first() if operation else None
        if issued is None:
            if Group.objects.filter(pk=group.pk, archived_at=None).exists():
                raise
            # A trigger refuses it, also where the group was deleted a moment ago.
            gone = _("The group was deleted meanwhile: it takes no keys.")
            raise ValidationError({NON_FIELD_ERRORS: gone}) from None
        is_new = timezone.now() - issued.created_at < REPEAT and _has_text(issued, minted)
        raise IssuedBefore(issued, minted.text if is_new else None) from None
    after = {"name": name, **_described(key, ("expires_at", *restrictions))}
    if purpose != APIKey.Purpose.CALLER:
        after["purpose"] = str(purpose)
    trail.record(actor, "key.issued", key, after=after, within=group)
    return key, minted.text


def _check_belongs(group: Group, user: User) -> None:
    """Under the lock that everybody takes who removes him or locks him out."""
    locked = lock_user(user)
    if not locked.is_active or group.role_of(locked) is None:
        raise PermissionDenied


def _derive(*parts: str) -> keys.MintedKey:
    return keys.derive(settings.KEY_PREFIX, settings.KEY_PEPPER, *parts)


def _put_text(key: APIKey, minted: keys.MintedKey) -> None:
    key.prefix = settings.KEY_PREFIX
    key.public_id = minted.public_id
    key.digest = keys.digest(minted.text, settings.KEY_PEPPER)


def _has_text(key: APIKey, minted: keys.MintedKey) -> bool:
    return keys.matches(minted.text, settings.KEY_PEPPER, bytes(key.digest))


@transaction.atomic
def rename_key(key: APIKey, actor: User | None, name: str) -> None:
    """Change what the key is called; calls already recorded show the new name too."""
    before = key.name
    key.name = name
    key.save(update_fields=["name"])
    if before != name:
        trail.record(
            actor,
            "key.changed",
            key,
            before={"name": before},
            after={"name": name},
            within=key.group,
        )


def restrict_key(key: APIKey, actor: User | None, **restrictions: Unpack[Restrictions]) -> None:
    """Change what the key may call, from where and until when; what is not named stays. Raises ValidationError."""
    _restrict(key, actor, restrictions)


def restrict_group(group: Group, actor: User | None, **restrictions: Unpack[Restrictions]) -> None:
    """The same for all keys of the group, on top of their own restrictions."""
    _restrict(group, actor, restrictions)


@transaction.atomic
def _restrict(owner: APIKey | Group, actor: User | None, restrictions: Restrictions) -> None:
    _check_names(restrictions)
    if (
        isinstance(owner, APIKey)
        and owner.purpose == APIKey.Purpose.MANAGE
        and owner.created_by != actor
    ):
        raise PermissionDenied
    # Against what is stored, not against the copy in hand, which may be old.
    stored = type(owner)._base_manager.select_for_update(no_key=True).get(pk=owner.pk)
    before = _described(stored, restrictions)
    _put_restrictions(owner, restrictions)
    old, new = trail.differences(before, _described(owner, restrictions))
    if not new:
        return
    # A trigger tells every gateway process when this commits.
    owner.save(update_fields=restrictions.keys())
    verb = "key.changed" if isinstance(owner, APIKey) else "group.restricted"
    within = owner.group if isinstance(owner, APIKey) else owner
    trail.record(actor, verb, owner, before=old, after=new, within=within)


def _check_names(restrictions: Restrictions) -> None:
    if unknown := restrictions.keys() - Restrictions.__annotations__.keys():
        raise TypeError(f"no such restriction: {', '.join(sorted(unknown))}")


def _put_restrictions(owner: APIKey | Group, restrictions: Restrictions) -> None:
    _check_names(restrictions)
    if "allowed_models" in restrictions:
        owner.allowed_models = _check_models(restrictions["allowed_models"])
    if "allowed_networks" in restrictions:
        owner.allowed_networks = _check_networks(restrictions["allowed_networks"])
    if "expires_at" in restrictions:
        expires_at = restrictions["expires_at"]
        if expires_at is not None and timezone.is_naive(expires_at):
            raise ValidationError({"expires_at": _("The time zone is missing.")})
        owner.expires_at = expires_at


def _described(owner: APIKey | Group, names: Iterable[str]) -> dict[str, Any]:
    values = {name: getattr(owner, name) for name in names if name != "expires_at"}
    return values | (_expiry(owner) if "expires_at" in names else {})


def _expiry(owner: APIKey | Group) -> dict[str, Any]:
    return {"expires_at": _moment(owner.expires_at)}


def _moment(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="seconds") if moment else None


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


@transaction.atomic
def rotate_key(
    key: APIKey,
    actor: User | None,
    grace: timedelta,
    operation_id: UUID | None = None,
    seen: str | None = None,
) -> str:
    """Give the key another text, and answer it; settings, limits and history stay. Show it once: it is not kept.

    The text before works on for `grace`, from nothing to GRACE_MAX; one from a rotation before that stops at once.
    `seen` is the public id that whoever decided had before him; asking again with its `operation_id` answers the same
    text for as long as REPEAT. Raises RotatedMeanwhile, ValidationError for a key that is not active, and
    PermissionDenied for a management key of somebody else: whoever had its text could do what its maker may.
    """
    if not timedelta() <= grace <= GRACE_MAX:
        raise ValueError(f"a grace period is at most {GRACE_MAX}")
    stored = APIKey.objects.select_for_update().get(pk=key.pk)
    if stored.purpose == APIKey.Purpose.MANAGE and stored.created_by != actor:
        raise PermissionDenied
    seen = seen or key.public_id
    now = timezone.now()
    if operation_id is None:
        minted = keys.mint(settings.KEY_PREFIX)
    else:
        minted = _derive("rotate", str(key.pk), seen, str(operation_id))
        if _has_text(stored, minted) and stored.rotated_at:
            if now - stored.rotated_at >= REPEAT:
                raise RotatedBefore
            return minted.text
    if stored.public_id != seen:
        raise RotatedMeanwhile
    if stored.state != "active":
        raise ValidationError(_("Only an active key can be rotated."))
    # Also one that ends at once is kept where the operation may come again: it is known by what was there before.
    _replace_text(stored, minted, now + grace if grace or operation_id else None)
    after = {"public_id": stored.public_id, "previous_until": _moment(stored.previous_until)}
    trail.record(
        actor, "key.rotated", stored, before={"public_id": seen}, after=after, within=stored.group
    )
    return minted.text


def _replace_text(key: APIKey, minted: keys.MintedKey, previous_until: datetime | None) -> None:
    """`previous_until` None: what the key has now stops at once."""
    stays = previous_until is not None
    key.previous_public_id = key.public_id if stays else None
    key.previous_digest = key.digest if stays else None
    key.previous_until = previous_until
    key.rotated_at = timezone.now()
    _put_text(key, minted)
    previous = ("previous_public_id", "previous_digest", "previous_until")
    # A trigger tells every gateway process of all ids when this commits.
    key.save(update_fields=("prefix", "public_id", "digest", *previous, "rotated_at", "expires_at"))


@transaction.atomic
def end_rotation(key: APIKey, actor: User | None) -> None:
    """Stop the text from before the last rotation now."""
    ended = APIKey.objects.filter(pk=key.pk, previous_until__gt=timezone.now()).update(
        previous_public_id=None, previous_digest=None, previous_until=None
    )
    if ended:
        trail.record(actor, "key.rotation_ended", key, within=key.group)


@transaction.atomic
def revoke_key(key: APIKey, actor: User | None) -> None:
    """Stop the key for good. A trigger tells every gateway process when this commits."""
    if APIKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=timezone.now()):
        trail.record(actor, "key.revoked", key, within=key.group)


def playground_key(group: Group, user: User) -> tuple[APIKey, str]:
    """The user's key for the playground of the group, and its text, which follows from the pepper and the time.

    One row a person and group; its text changes every PLAYGROUND_WINDOW, and what was handed out before works for
    PLAYGROUND_GRACE longer. Raises PermissionDenied for whoever does not belong to the group.
    """
    if group.role_of(user) is None:
        raise PermissionDenied
    window = int(timezone.now().timestamp() // PLAYGROUND_WINDOW.total_seconds())
    key = _find_playground_key(group, user) or _make_playground_key(group, user, window)
    minted = _derive("playground", str(key.pk), str(window))
    if key.public_id != minted.public_id:
        key = _renew_playground_key(key, minted, window)
    return key, minted.text


def _find_playground_key(group: Group, user: User) -> APIKey | None:
    rows = APIKey.objects.filter(purpose=APIKey.Purpose.PLAYGROUND, revoked_at=None)
    return rows.filter(group=group, created_by=user).first()


def _make_playground_key(group: Group, user: User, window: int) -> APIKey:
    key = APIKey(
        id=uuid7(),
        group=group,
        created_by=user,
        name="Playground",
        purpose=APIKey.Purpose.PLAYGROUND,
        expires_at=_playground_end(window),
    )
    _put_text(key, _derive("playground", str(key.pk), str(window)))
    try:
        with transaction.atomic():
            _check_belongs(group, user)
            key.save(force_insert=True)
            trail.record(user, "key.issued", key, after={"purpose": key.purpose}, within=group)
    except IntegrityError:
        # Another page of the same person was faster.
        found = _find_playground_key(group, user)
        if found is None:
            if Group.objects.filter(pk=group.pk, archived_at=None).exists():
                raise
            raise PermissionDenied from None
        return found
    return key


@transaction.atomic
def _renew_playground_key(key: APIKey, minted: keys.MintedKey, window: int) -> APIKey:
    stored = APIKey.objects.select_for_update().get(pk=key.pk)
    if stored.public_id != minted.public_id:
        until = stored.expires_at
        stored.expires_at = _playground_end(window)
        _replace_text(stored, minted, until if until and until > timezone.now() else None)
    return stored


def _playground_end(window: int) -> datetime:
    end = datetime.fromtimestamp((window + 1) * PLAYGROUND_WINDOW.total_seconds(), tz=UTC)
    return end + PLAYGROUND_GRACE
