"""Promotional credits: given until a day, spent before paid ones, taken back when their day has come.

docs/decisions/0006-promotional-credits.md has the rules. What they paid is counted in promotion_spending.py.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from accounts import trail
from accounts.ids import uuid7
from accounts.models import Group, User
from billing import ledger
from billing.errors import AlreadyExpired, OperationConflict
from billing.models import Account, Transfer
from billing.promotion_models import Promotion, PromotionUse
from billing.promotion_spending import (
    Share,
    advance,
    allocate,
    open_checkpoint,
    read_clock,
    spend,
)

# As often are captures counted, so that no refund has to add up more than those of so long.
SPAN = timedelta(hours=1)


class PromotionState(NamedTuple):
    """A promotion as of now. `state`: `running`, `spent`, `ending` (its day has come, calls still hold some of it) or
    `ended`."""

    id: UUID
    amount_nanos: int
    remaining_nanos: int
    spent_nanos: int
    returned_nanos: int
    reason: str
    started_at: datetime
    expires_at: datetime
    state: str


@transaction.atomic
def promote(
    group: Group,
    amount_nanos: int,
    *,
    expires_at: datetime,
    operation_id: UUID,
    actor: User,
    reason: str,
) -> Promotion:
    """Give a group promotional credits until `expires_at`. The same operation id again gives nothing.

    Where the wallet is below zero by a credit line, that is settled first.
    """
    if expires_at <= timezone.now():
        raise AlreadyExpired
    wallet = Account.objects.wallet_of(group)
    source = ledger.platform_accounts(group.organization)[Account.Kind.PROMOTIONS]
    kind = Transfer.Kind.GRANT
    move = ledger.Move(operation_id, kind, source, wallet, amount_nanos, actor, reason)
    transfer, is_new = ledger.carry_out(move)
    if not is_new:
        existing = Promotion.objects.filter(pk=transfer.pk).first()
        if existing is None or existing.expires_at != expires_at:
            raise OperationConflict(operation_id)
        return existing
    now = read_clock()
    wallet.refresh_from_db()
    open_checkpoint(wallet)
    promotion = Promotion.objects.create(
        id=transfer.pk,
        wallet=wallet,
        amount_nanos=amount_nanos,
        remaining_nanos=amount_nanos,
        reason=reason,
        started_at=now,
        expires_at=expires_at,
    )
    _settle_debt(promotion, amount_nanos - max(wallet.balance_nanos, 0))
    after = {
        "amount_nanos": amount_nanos,
        "expires_at": expires_at.isoformat(),
        "reason": reason,
    }
    trail.record(actor, "promotion.given", promotion, after=after, within=group)
    return promotion


def _settle_debt(promotion: Promotion, debt_nanos: int) -> None:
    if debt_nanos <= 0:
        return
    paid_nanos = min(debt_nanos, promotion.amount_nanos)
    spend(Share(promotion.pk, paid_nanos))
    PromotionUse.objects.create(
        promotion=promotion, amount_nanos=paid_nanos, transfer_id=promotion.pk
    )
    promotion.refresh_from_db()


@transaction.atomic
def end_promotion(promotion: Promotion, actor: User) -> Promotion:
    """End a promotion, before its day if it has not come: what calls do not hold goes back at once. Ending it again
    changes nothing."""
    wallet = Account.objects.select_related("group").get(pk=promotion.wallet_id)
    _lock_with_promotions(wallet)
    promotion.refresh_from_db()
    now = read_clock()
    if promotion.expires_at > now:
        before, promotion.expires_at = promotion.expires_at, now
        promotion.save(update_fields=["expires_at"])
        trail.record(
            actor,
            "promotion.ended",
            promotion,
            before={"expires_at": before.isoformat()},
            after={"expires_at": now.isoformat()},
            within=wallet.group,
        )
    _take_back(wallet, actor)
    promotion.refresh_from_db()
    return promotion


def expire_promotions() -> int:
    """Take back what is left of promotions whose day has come, as far as calls do not hold it. Answers nano-dollars.

    What calls hold follows when they end: a later run finds it. Any number of workers may run at once: what is taken
    is worked out and taken under the wallet's lock.
    """
    due = Promotion.objects.filter(remaining_nanos__gt=0, expires_at__lte=timezone.now())
    wallets = Account.objects.filter(pk__in=due.values("wallet"))
    return sum(_take_back(wallet, None) for wallet in wallets)


@transaction.atomic
def _take_back(wallet: Account, actor: User | None) -> int:
    locked = _lock_with_promotions(wallet)
    advance(locked[wallet.pk])
    source = next(row for row in locked.values() if row.pk != wallet.pk)
    free_nanos = locked[wallet.pk].balance_nanos - locked[wallet.pk].held_nanos
    taken_nanos = 0
    for promotion in Promotion.objects.left_in(wallet.pk).filter(expires_at__lte=read_clock()):
        amount_nanos = min(promotion.remaining_nanos, free_nanos - taken_nanos)
        if amount_nanos <= 0:
            break
        kind = Transfer.Kind.RECLAIM
        ledger.carry_out(
            ledger.Move(uuid7(), kind, wallet, source, amount_nanos, actor, promotion.reason)
        )
        Promotion.objects.filter(pk=promotion.pk).update(
            remaining_nanos=F("remaining_nanos") - amount_nanos,
            returned_nanos=F("returned_nanos") + amount_nanos,
        )
        taken_nanos += amount_nanos
    return taken_nanos


def count_captures() -> int:
    """Advance the checkpoints of wallets with promotions that have not moved for an hour. Answers how many."""
    late = Account.objects.filter(
        promotion_checkpoint__at__lt=timezone.now() - SPAN,
        pk__in=Promotion.objects.filter(remaining_nanos__gt=0).values("wallet"),
    ).exclude(balance_nanos=F("promotion_checkpoint__balance_nanos"))
    wallets = list(late)
    for wallet in wallets:
        with transaction.atomic():
            advance(ledger.lock_accounts([wallet])[wallet.pk])
    return len(wallets)


def _lock_with_promotions(wallet: Account) -> dict[int, Account]:
    """The wallet and the account where promotional credits come from, locked."""
    source = Account.objects.get(organization=wallet.organization_id, kind=Account.Kind.PROMOTIONS)
    return ledger.lock_accounts([source, wallet])


def read_promotions(wallet: Account, *, only_running: bool = False) -> list[PromotionState]:
    """The wallet's promotions as of now: what is left first, in the order in which it is spent, then the ended ones,
    latest first. Locks nothing; one query."""
    rows = Promotion.objects.filter(wallet=wallet).select_related("wallet__promotion_checkpoint")
    if only_running:
        rows = rows.filter(remaining_nanos__gt=0)
    promotions = sorted(rows, key=lambda one: (one.expires_at, one.pk))
    if not promotions:
        return []
    account = promotions[0].wallet  # of the same moment as the checkpoint
    captured_nanos = account.promotion_checkpoint.balance_nanos - account.balance_nanos
    left = ((one.pk, one.remaining_nanos) for one in promotions)
    paid = {share.promotion_id: share.amount_nanos for share in allocate(captured_nanos, left)}
    now = timezone.now()
    states = [_state(promotion, paid.get(promotion.pk, 0), now) for promotion in promotions]
    if only_running:
        return [state for state in states if state.remaining_nanos]
    return [state for state in states if state.remaining_nanos] + [
        state for state in reversed(states) if not state.remaining_nanos
    ]


def _state(promotion: Promotion, paid_nanos: int, now: datetime) -> PromotionState:
    remaining_nanos = promotion.remaining_nanos - paid_nanos
    if remaining_nanos:
        state = "running" if promotion.expires_at > now else "ending"
    else:
        state = "ended" if promotion.returned_nanos else "spent"
    return PromotionState(
        promotion.pk,
        promotion.amount_nanos,
        remaining_nanos,
        promotion.spent_nanos + paid_nanos,
        promotion.returned_nanos,
        promotion.reason,
        promotion.started_at,
        promotion.expires_at,
        state,
    )


def promotional_nanos(states: Iterable[PromotionState]) -> int:
    """What is left of all of them."""
    return sum(state.remaining_nanos for state in states)
