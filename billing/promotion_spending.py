"""How much of what a wallet spent was promotional: counted between two moves, never call by call.

Calls take from a wallet as if all credits were alike (`billing_apply` knows nothing of promotions). Since every other
move of the wallet passes by here, what calls took since the last one is the difference of two balances, and the
promotions pay it, the one that expires first before the others. Everything that writes needs the lock of the wallet.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import F, Q, Sum

from accounts.ids import LONGEST_CALL, first_id_at
from billing.models import Account, Transfer
from billing.promotion_models import Promotion, PromotionCheckpoint, PromotionUse

# Clocks may differ, and here a capture that is left out is money: more than CLOCK_SKEW.
CLOCKS_DIFFER = timedelta(hours=1)


class Share(NamedTuple):
    """What one promotion paid of something."""

    promotion_id: UUID
    amount_nanos: int


def allocate(spent_nanos: int, remaining: Iterable[tuple[UUID, int]]) -> list[Share]:
    """What each promotion pays of an amount; `remaining` by id, in the order in which they are spent."""
    shares = []
    for promotion_id, remaining_nanos in remaining:
        paid_nanos = min(spent_nanos, remaining_nanos)
        if paid_nanos > 0:
            shares.append(Share(promotion_id, paid_nanos))
            spent_nanos -= paid_nanos
    return shares


def read_clock() -> datetime:
    """The database's time, which goes on within a transaction: captures are stamped with it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        moment: datetime = cursor.fetchone()[0]
    return moment


def advance(wallet: Account) -> int:
    """Count what was captured since the checkpoint. `wallet` is as it was read under its lock.

    Answers what is left of its promotions now.
    """
    checkpoint = PromotionCheckpoint.objects.filter(pk=wallet.pk).first()
    if checkpoint is None:
        return 0
    # A clock that was set back does not turn the order of spans around.
    now = max(read_clock(), checkpoint.at + timedelta(microseconds=1))
    promotions = list(Promotion.objects.left_in(wallet.pk))
    captured_nanos = checkpoint.balance_nanos - wallet.balance_nanos
    shares = allocate(captured_nanos, ((one.pk, one.remaining_nanos) for one in promotions))
    uses, from_nanos = [], 0
    for share in shares:
        uses.append(
            PromotionUse(
                promotion_id=share.promotion_id,
                amount_nanos=share.amount_nanos,
                began_at=checkpoint.at,
                ended_at=now,
                from_nanos=from_nanos,
                captured_nanos=captured_nanos,
            )
        )
        from_nanos += share.amount_nanos
        spend(share)
    PromotionUse.objects.bulk_create(uses)
    PromotionCheckpoint.objects.filter(pk=wallet.pk).update(
        at=now,
        balance_nanos=wallet.balance_nanos,
        captured_nanos=checkpoint.captured_nanos + captured_nanos,
    )
    return sum(promotion.remaining_nanos for promotion in promotions) - from_nanos


def open_checkpoint(wallet: Account) -> None:
    """Begin to count the captures of a wallet that has none counted yet; `wallet` is as it is under its lock."""
    if not PromotionCheckpoint.objects.filter(pk=wallet.pk).exists():
        PromotionCheckpoint.objects.create(
            wallet=wallet,
            at=read_clock(),
            balance_nanos=wallet.balance_nanos,
            captured_nanos=_sum_moves(wallet) - wallet.balance_nanos,
        )


def _sum_moves(wallet: Account) -> int:
    """What came to the wallet less what left it but captures. What left is found by where it went: the index of what
    came to an account has no captures."""
    moves = Transfer.objects.exclude(kind=Transfer.Kind.CAPTURE)
    others = Account.objects.filter(organization=wallet.organization_id).exclude(
        kind=Account.Kind.REVENUE
    )
    came = moves.filter(credit_account=wallet).aggregate(total=Sum("amount_nanos"))
    left = moves.filter(debit_account=wallet, credit_account__in=others.values("pk")).aggregate(
        total=Sum("amount_nanos")
    )
    return (came["total"] or 0) - (left["total"] or 0)


def spend(share: Share) -> None:
    """Book what a promotion paid, or got back if negative."""
    Promotion.objects.filter(pk=share.promotion_id).update(
        remaining_nanos=F("remaining_nanos") - share.amount_nanos,
        spent_nanos=F("spent_nanos") + share.amount_nanos,
    )


def follow(account_id: int, change_nanos: int) -> None:
    """Take a move along that is no capture; `advance` came before it, under the same lock."""
    PromotionCheckpoint.objects.filter(pk=account_id).update(
        balance_nanos=F("balance_nanos") + change_nanos
    )


def read_shares(capture: Transfer) -> list[Share]:
    """What promotions paid of a capture that was counted, in the order in which they paid.

    Only where a promotion began or ended to pay between the same two moves are captures added up, those between the
    first move and this one.
    """
    uses = list(
        PromotionUse.objects.filter(
            promotion__wallet=capture.debit_account_id,
            began_at__lt=capture.created_at,
            ended_at__gte=capture.created_at,
        ).order_by("from_nanos")
    )
    if not uses:
        return []
    if uses[0].amount_nanos == uses[0].captured_nanos:
        return [Share(uses[0].promotion_id, capture.amount_nanos)]
    begin = _captured_before(capture, uses[0])
    end = begin + capture.amount_nanos
    return _overlaps(uses, begin, end)


def _overlaps(uses: Sequence[PromotionUse], begin: int, end: int) -> list[Share]:
    shares = []
    for use in uses:
        use_begin = use.from_nanos or 0
        overlap = min(end, use_begin + use.amount_nanos) - max(begin, use_begin)
        if overlap > 0:
            shares.append(Share(use.promotion_id, overlap))
    return shares


def _captured_before(capture: Transfer, use: PromotionUse) -> int:
    """What the wallet's calls were charged from the beginning of the span up to this one."""
    assert use.began_at is not None
    captures = Transfer.objects.filter(
        debit_account=capture.debit_account_id,
        kind=Transfer.Kind.CAPTURE,
        id__gte=first_id_at(use.began_at - LONGEST_CALL),
        id__lt=first_id_at(capture.created_at + CLOCKS_DIFFER),
        created_at__gt=use.began_at,
    ).filter(
        Q(created_at__lt=capture.created_at) | Q(created_at=capture.created_at, id__lt=capture.id)
    )
    return captures.aggregate(total=Sum("amount_nanos"))["total"] or 0


def give_back(refund: Transfer, capture: Transfer, shares: Sequence[Share]) -> None:
    """Give promotions their part of a refund that was just made, under the same lock.

    The paid part of the call comes back first, then the promotions in the reverse of their order. What belongs to one
    that has expired stays in the wallet as paid credits. Promotions never have more than the wallet: what a credit
    line had lent is settled first.
    """
    paid_nanos = capture.amount_nanos - sum(share.amount_nanos for share in shares)
    back_nanos = refund.amount_nanos - paid_nanos
    wallet = Account.objects.get(pk=refund.credit_account_id)
    left = Promotion.objects.left_in(wallet.pk).aggregate(total=Sum("remaining_nanos"))["total"]
    room_nanos = max(wallet.balance_nanos, 0) - (left or 0)
    # Never more than it paid, whatever a clock that was set back says of the order of captures.
    spent = dict(
        Promotion.objects.filter(
            pk__in=[share.promotion_id for share in shares], expires_at__gt=read_clock()
        ).values_list("pk", "spent_nanos")
    )
    for share in reversed(shares):
        part_nanos = min(back_nanos, share.amount_nanos)
        if part_nanos <= 0:
            break
        back_nanos -= part_nanos
        given_nanos = min(part_nanos, room_nanos, spent.get(share.promotion_id, 0))
        if given_nanos > 0:
            room_nanos -= given_nanos
            spend(Share(share.promotion_id, -given_nanos))
            PromotionUse.objects.create(
                promotion_id=share.promotion_id,
                amount_nanos=-given_nanos,
                transfer_id=refund.pk,
            )
