"""Redeem codes: made by operators, kept as an HMAC, redeemed by the managers of groups.

A code reads `XXXX-XXXX-XXXX-XXXX`, 80 random bits in letters and digits that are not mistaken for each other.
"""

import hashlib
import hmac
import secrets
import unicodedata
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from accounts import trail
from accounts.ids import uuid7
from accounts.models import Group, User
from billing import ledger, promotions
from billing.errors import CodeRedeemedBefore, CodeRefused, OperationConflict, TooManyGuesses
from billing.promotion_models import Code, CodeBatch, Redemption, WrongCode

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LENGTH = 16
CODES_MAX = 1_000
TYPED_MAX = 100  # characters that are looked at
# So many wrong codes of one person in so long, and the next ones are not looked at.
GUESSES_MAX = 10
GUESSING = timedelta(hours=1)
_MISREAD = str.maketrans("OIL", "011", "- ‐‑‒–—\t")


class Offer(NamedTuple):
    """What each code of a batch gives. `days`: how long promotional credits live; None for paid ones."""

    kind: str
    amount_nanos: int
    days: int | None
    uses_max: int
    valid_until: datetime
    note: str


def mint_code() -> str:
    """A new random code as people write it."""
    symbols = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
    return "-".join(symbols[at : at + 4] for at in range(0, LENGTH, 4))


def normalize(text: str) -> str | None:
    """The symbols of a code as somebody typed it: in any case, with or without dashes, in full-width letters, with an O
    for a zero. None where it cannot be one."""
    if len(text) > TYPED_MAX:
        return None
    symbols = unicodedata.normalize("NFKC", text).strip().upper().translate(_MISREAD)
    if len(symbols) != LENGTH or not set(symbols) <= set(ALPHABET):
        return None
    return symbols


def digest(symbols: str) -> bytes:
    """What is stored of a code, 32 bytes. Bound to its purpose, since API keys are hashed with the same pepper."""
    return hmac.digest(settings.KEY_PEPPER, b"redeem code " + symbols.encode(), hashlib.sha256)


@transaction.atomic
def make_codes(offer: Offer, count: int, *, operation_id: UUID, actor: User) -> list[str]:
    """Make a batch. Answers its codes, which nobody can read again.

    Raises OperationConflict where the batch of that id was made before.
    """
    if not 1 <= count <= CODES_MAX:
        raise ValueError(f"a batch has 1 to {CODES_MAX} codes")
    batch, is_new = CodeBatch.objects.get_or_create(
        id=operation_id, defaults={**offer._asdict(), "created_by": actor}
    )
    if not is_new:
        raise OperationConflict(operation_id)
    texts = [mint_code() for _ in range(count)]
    Code.objects.bulk_create(
        Code(
            batch=batch,
            digest=digest(text.replace("-", "")),
            last_four=text[-4:],
            uses_max=offer.uses_max,
        )
        for text in texts
    )
    after = offer._asdict() | {"count": count, "valid_until": offer.valid_until.isoformat()}
    trail.record(actor, "codes.made", batch, after=after)
    return texts


@transaction.atomic
def disable_codes(batch: CodeBatch, actor: User, code: Code | None = None) -> int:
    """Disable one code of a batch, or all that are not. What was redeemed stays. Answers how many."""
    rows = Code.objects.filter(batch=batch, disabled_at=None)
    if code is not None:
        rows = rows.filter(pk=code.pk)
    # Redeeming locks the row too: a code is redeemed before it is disabled, or not at all.
    ids = list(rows.order_by("pk").select_for_update().values_list("pk", flat=True))
    Code.objects.filter(pk__in=ids).update(disabled_at=timezone.now())
    if ids:
        after: dict[str, object] = {"disabled": len(ids)}
        if code is not None:
            after["last_four"] = code.last_four
        trail.record(actor, "codes.disabled", batch, after=after)
    return len(ids)


def redeem(text: str, group: Group, *, operation_id: UUID, actor: User) -> Redemption:
    """Redeem a code for a group. The same operation id again answers the redemption that was made.

    Raises CodeRefused, CodeRedeemedBefore, TooManyGuesses, and what the ledger refuses. A refused code counts as a
    guess of that person, whether it exists or not.
    """
    redemption = _redeem(text, group, operation_id, actor)
    if redemption is None:
        raise CodeRefused
    return redemption


@transaction.atomic
def _redeem(text: str, group: Group, operation_id: UUID, actor: User) -> Redemption | None:
    """None for a code that is refused: the guess is kept."""
    # One at a time of each person: guesses in parallel would all be counted too late.
    User.objects.select_for_update(no_key=True).get(pk=actor.pk)
    existing = Redemption.objects.filter(pk=operation_id).first()
    if existing is not None:
        if (existing.group_id, existing.redeemed_by_id) != (group.pk, actor.pk):
            raise OperationConflict(operation_id)
        return existing
    now = timezone.now()
    guesses = WrongCode.objects.filter(user=actor, tried_at__gt=now - GUESSING)
    if guesses.count() >= GUESSES_MAX:
        raise TooManyGuesses
    symbols = normalize(text)
    code = _lock_code(symbols) if symbols else None
    if code is not None:
        redeemed = Redemption.objects.filter(code=code, organization=group.organization_id)
        if redeemed.exists():
            raise CodeRedeemedBefore
    if code is None or not _is_good(code, now):
        WrongCode.objects.create(user=actor, tried_at=now)
        return None
    return _use(code, group, operation_id, actor)


def _lock_code(symbols: str) -> Code | None:
    rows = Code.objects.select_for_update(of=("self",)).select_related("batch")
    return rows.filter(digest=digest(symbols)).first()


def _is_good(code: Code, now: datetime) -> bool:
    return code.disabled_at is None and code.uses < code.uses_max and code.batch.valid_until > now


def _use(code: Code, group: Group, operation_id: UUID, actor: User) -> Redemption:
    batch, reason = code.batch, f"code {code}"
    amount_nanos, organization = batch.amount_nanos, group.organization
    Code.objects.filter(pk=code.pk).update(uses=F("uses") + 1)
    if batch.kind == CodeBatch.Kind.PROMOTION:
        promotions.promote(
            group,
            amount_nanos,
            expires_at=timezone.now() + timedelta(days=batch.days or 0),
            operation_id=operation_id,
            actor=actor,
            reason=reason,
        )
    else:
        ledger.deposit(
            organization, amount_nanos, operation_id=operation_id, actor=actor, reason=reason
        )
    if batch.kind == CodeBatch.Kind.WALLET:
        ledger.grant(group, amount_nanos, operation_id=uuid7(), actor=actor, reason=reason)
    redemption = Redemption.objects.create(
        id=operation_id,
        code=code,
        organization=organization,
        group=group,
        redeemed_by=actor,
    )
    after = {"kind": batch.kind, "amount_nanos": amount_nanos, "last_four": code.last_four}
    trail.record(actor, "code.redeemed", redemption, after=after, within=group)
    return redemption


def forget_wrong_codes() -> int:
    """Delete guesses that are older than a day. Answers how many."""
    old = Q(tried_at__lt=timezone.now() - timedelta(days=1))
    return WrongCode.objects.filter(old).delete()[0]
