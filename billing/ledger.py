"""The money moves that people make. Calls go through `billing_apply` in PostgreSQL (migration 0002) instead.

Every move carries an operation id made by its caller: the same id with the same contents answers the transfer that
exists, so a double click or a repeated request moves nothing twice.
"""

from typing import NamedTuple
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F

from accounts.models import Group, Organization, User
from billing.errors import InsufficientCredit, InvalidAmount, NotRefundable, OperationConflict
from billing.models import NANOS_MAX, Account, Hold, Transfer

Kind = Account.Kind


class Move(NamedTuple):
    """One transfer to be made."""

    id: UUID
    kind: Transfer.Kind
    debit: Account
    credit: Account
    amount_nanos: int
    actor: User | None
    reason: str = ""
    call_id: UUID | None = None


def deposit(
    organization: Organization,
    amount_nanos: int,
    *,
    operation_id: UUID,
    actor: User,
    reason: str = "",
) -> Transfer:
    """Put bought credits into the organization's pool. For operators."""
    accounts = _platform_accounts(organization)
    move = Move(
        operation_id,
        Transfer.Kind.DEPOSIT,
        accounts[Kind.DEPOSITS],
        accounts[Kind.POOL],
        amount_nanos,
        actor,
        reason,
    )
    return _transfer(move)


def grant(
    group: Group, amount_nanos: int, *, operation_id: UUID, actor: User, reason: str = ""
) -> Transfer:
    """Move credits from the organization's pool to the group's wallet."""
    pool, wallet = Account.objects.pool_of(group.organization), Account.objects.wallet_of(group)
    return _transfer(
        Move(operation_id, Transfer.Kind.GRANT, pool, wallet, amount_nanos, actor, reason)
    )


def reclaim(
    group: Group, amount_nanos: int, *, operation_id: UUID, actor: User, reason: str = ""
) -> Transfer:
    """Move credits that are not held from the group's wallet back to the pool."""
    pool, wallet = Account.objects.pool_of(group.organization), Account.objects.wallet_of(group)
    return _transfer(
        Move(operation_id, Transfer.Kind.RECLAIM, wallet, pool, amount_nanos, actor, reason)
    )


def refund(
    group: Group,
    amount_nanos: int,
    *,
    operation_id: UUID,
    actor: User,
    reason: str,
    call_id: UUID | None = None,
) -> Transfer:
    """Give back what a call was charged, or a part of it. For operators."""
    wallet = Account.objects.wallet_of(group)
    revenue = _platform_accounts(group.organization)[Kind.REVENUE]
    kind = Transfer.Kind.REFUND
    return _transfer(
        Move(operation_id, kind, revenue, wallet, amount_nanos, actor, reason, call_id)
    )


def adjust(
    group: Group, amount_nanos: int, *, operation_id: UUID, actor: User, reason: str
) -> Transfer:
    """Correct a wallet: a positive amount is given from promotions, a negative one taken back into them."""
    wallet = Account.objects.wallet_of(group)
    promotions = _platform_accounts(group.organization)[Kind.PROMOTIONS]
    debit, credit = (promotions, wallet) if amount_nanos > 0 else (wallet, promotions)
    kind = Transfer.Kind.ADJUST
    return _transfer(Move(operation_id, kind, debit, credit, abs(amount_nanos), actor, reason))


def _platform_accounts(organization: Organization) -> dict[str, Account]:
    accounts = Account.objects.filter(organization=organization, group=None)
    return {account.kind: account for account in accounts}


@transaction.atomic
def _transfer(move: Move) -> Transfer:
    """Carry out one move.

    Both accounts are locked in the order of their ids, as in `billing_apply`; the look-up of the operation id
    comes after the lock, or two equal requests could both find nothing.
    """
    if not isinstance(move.amount_nanos, int) or not 0 < move.amount_nanos < NANOS_MAX:
        raise InvalidAmount(move.amount_nanos)
    pair = [move.debit.pk, move.credit.pk]
    rows = Account.objects.filter(pk__in=pair).order_by("pk").select_for_update(no_key=True)
    locked = {account.pk: account for account in rows}
    existing = Transfer.objects.filter(pk=move.id).first()
    if existing is not None:
        return _replayed(existing, move)
    if Hold.objects.filter(pk=move.id).exists():
        # The capture of that call will need the id; callers read it in x-request-id while the call still runs.
        raise OperationConflict(move.id)
    if move.kind == Transfer.Kind.REFUND and move.call_id is not None:
        _check_refund(move, move.call_id)
    debit = locked[move.debit.pk]
    bounded = debit.kind in (Kind.POOL, Kind.WALLET, Kind.REVENUE)
    # What a credit line lends is for calls; only money that is there can be moved away.
    movable = debit.balance_nanos - debit.held_nanos
    if bounded and movable < move.amount_nanos:
        raise InsufficientCredit(max(movable, 0), move.amount_nanos)
    try:
        transfer = _write(move)
    except IntegrityError:
        # The same id, at the same time, on two other accounts.
        return _replayed(Transfer.objects.get(pk=move.id), move)
    for account, amount_nanos in (
        (move.debit, -move.amount_nanos),
        (move.credit, move.amount_nanos),
    ):
        Account.objects.filter(pk=account.pk).update(
            balance_nanos=F("balance_nanos") + amount_nanos
        )
    return transfer


@transaction.atomic
def _write(move: Move) -> Transfer:
    return Transfer.objects.create(
        id=move.id,
        kind=move.kind,
        debit_account=move.debit,
        credit_account=move.credit,
        amount_nanos=move.amount_nanos,
        call_id=move.call_id,
        actor_id=move.actor.pk if move.actor else None,
        reason=move.reason,
    )


def _check_refund(move: Move, call_id: UUID) -> None:
    """A call is refunded once, to the wallet that paid, and by no more than it was charged."""
    capture = Transfer.objects.filter(
        pk=call_id, kind=Transfer.Kind.CAPTURE, debit_account=move.credit
    ).first()
    charged = capture.amount_nanos if capture else 0
    if Transfer.objects.filter(call_id=call_id, kind=Transfer.Kind.REFUND).exists():
        charged = 0
    if move.amount_nanos > charged:
        raise NotRefundable(charged, move.amount_nanos)


def _replayed(existing: Transfer, move: Move) -> Transfer:
    same = (
        existing.kind == move.kind
        and existing.debit_account_id == move.debit.pk
        and existing.credit_account_id == move.credit.pk
        and existing.amount_nanos == move.amount_nanos
        and existing.call_id == move.call_id
    )
    if not same:
        raise OperationConflict(move.id)
    return existing
