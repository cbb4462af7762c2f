"""The money moves that people make. Calls go through `billing_apply` in PostgreSQL (migration 0002) instead.

Every move carries an operation id made by its caller: the same id with the same contents answers the transfer that
exists, so a double click or a repeated request moves nothing twice.
"""

from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F

from accounts import trail
from accounts.models import Group, Organization, User
from billing import promotion_spending
from billing.errors import (
    AccountFull,
    InsufficientCredit,
    InvalidAmount,
    NotRefundable,
    OperationConflict,
    OwnerArchived,
)
from billing.models import NANOS_MAX, Account, Hold, Transfer
from billing.money import BIGINT_MAX, BIGINT_MIN

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

    @property
    def takes_promotions(self) -> bool:
        """Only their own return takes promotional credits out of a wallet; what people take is paid credits."""
        return self.kind == Transfer.Kind.RECLAIM and self.credit.kind == Kind.PROMOTIONS


def deposit(
    organization: Organization,
    amount_nanos: int,
    *,
    operation_id: UUID,
    actor: User,
    reason: str = "",
) -> Transfer:
    """Put bought credits into the organization's pool. For operators."""
    accounts = platform_accounts(organization)
    move = Move(
        operation_id,
        Transfer.Kind.DEPOSIT,
        accounts[Kind.DEPOSITS],
        accounts[Kind.POOL],
        amount_nanos,
        actor,
        reason,
    )
    return carry_out(move)[0]


def grant(
    group: Group, amount_nanos: int, *, operation_id: UUID, actor: User, reason: str = ""
) -> Transfer:
    """Move credits from the organization's pool to the group's wallet."""
    pool, wallet = Account.objects.pool_of(group.organization), Account.objects.wallet_of(group)
    move = Move(operation_id, Transfer.Kind.GRANT, pool, wallet, amount_nanos, actor, reason)
    return carry_out(move)[0]


def reclaim(
    group: Group, amount_nanos: int, *, operation_id: UUID, actor: User, reason: str = ""
) -> Transfer:
    """Move paid credits that are not held from the group's wallet back to the pool."""
    pool, wallet = Account.objects.pool_of(group.organization), Account.objects.wallet_of(group)
    move = Move(operation_id, Transfer.Kind.RECLAIM, wallet, pool, amount_nanos, actor, reason)
    return carry_out(move)[0]


def refund(
    group: Group,
    amount_nanos: int,
    *,
    operation_id: UUID,
    actor: User,
    reason: str,
    call_id: UUID | None = None,
) -> Transfer:
    """Give back what a call was charged, or a part of it. For operators.

    What promotions paid of the call goes back to those that have not expired; the rest becomes paid credits.
    """
    wallet = Account.objects.wallet_of(group)
    revenue = platform_accounts(group.organization)[Kind.REVENUE]
    move = Move(
        operation_id,
        Transfer.Kind.REFUND,
        revenue,
        wallet,
        amount_nanos,
        actor,
        reason,
        call_id,
    )
    capture = _find_capture(move)
    shares = []
    if capture is not None:
        # Counted first and looked up without a lock: the captures of a busy hour take a while to add up, and what
        # was counted stays as it is.
        with transaction.atomic():
            promotion_spending.advance(lock_accounts([revenue, wallet])[wallet.pk])
        shares = promotion_spending.read_shares(capture)
    with transaction.atomic():
        transfer, is_new = carry_out(move)
        if is_new:
            if capture is not None and shares:
                promotion_spending.give_back(transfer, capture, shares)
            _record(transfer, "call.refunded", actor, group)
    return transfer


@transaction.atomic
def adjust(
    owner: Group | Organization, amount_nanos: int, *, operation_id: UUID, actor: User, reason: str
) -> Transfer:
    """Correct a group's wallet or an organization's pool: a positive amount is given from promotions, a negative one
    taken back into them. For operators."""
    if isinstance(owner, Group):
        organization, account = owner.organization, Account.objects.wallet_of(owner)
    else:
        organization, account = owner, Account.objects.pool_of(owner)
    promotions = platform_accounts(organization)[Kind.PROMOTIONS]
    debit, credit = (promotions, account) if amount_nanos > 0 else (account, promotions)
    kind = Transfer.Kind.ADJUST
    transfer, is_new = carry_out(
        Move(operation_id, kind, debit, credit, abs(amount_nanos), actor, reason)
    )
    if is_new:
        _record(transfer, "credits.adjusted", actor, owner)
    return transfer


def platform_accounts(organization: Organization) -> dict[str, Account]:
    """The organization's accounts but its wallets, by kind."""
    accounts = Account.objects.filter(organization=organization, group=None)
    return {account.kind: account for account in accounts}


def lock_accounts(accounts: Iterable[Account]) -> dict[int, Account]:
    """The accounts as they are, locked in the order of their ids as in `billing_apply`, until the transaction ends."""
    ids = [account.pk for account in accounts]
    rows = Account.objects.filter(pk__in=ids).order_by("pk").select_for_update(no_key=True)
    return {account.pk: account for account in rows}


@transaction.atomic
def carry_out(move: Move) -> tuple[Transfer, bool]:
    """Make one transfer. Answers it, and whether it is new.

    The look-up of the operation id comes after the locks, or two equal requests could both find nothing.
    """
    if not isinstance(move.amount_nanos, int) or not 0 < move.amount_nanos < NANOS_MAX:
        raise InvalidAmount(move.amount_nanos)
    locked = lock_accounts([move.debit, move.credit])
    existing = Transfer.objects.filter(pk=move.id).first()
    if existing is not None:
        return _replayed(existing, move), False
    if Hold.objects.filter(pk=move.id).exists():
        # The capture of that call will need the id; callers read it in x-request-id while the call still runs.
        raise OperationConflict(move.id)
    if move.kind == Transfer.Kind.REFUND and move.call_id is not None:
        _check_refund(move)
    debit, credit = locked[move.debit.pk], locked[move.credit.pk]
    _check_owner(credit)
    _check_room(move, debit, credit)
    try:
        transfer = _write(move)
    except IntegrityError:
        # The same id, at the same time, on two other accounts.
        return _replayed(Transfer.objects.get(pk=move.id), move), False
    for account, amount_nanos in ((debit, -move.amount_nanos), (credit, move.amount_nanos)):
        Account.objects.filter(pk=account.pk).update(
            balance_nanos=F("balance_nanos") + amount_nanos
        )
        if account.kind == Kind.WALLET:
            promotion_spending.follow(account.pk, amount_nanos)
    return transfer, True


def _check_owner(credit: Account) -> None:
    """Nothing goes to what was deleted. Deleting locks the account too: what was there in time goes back with it."""
    owner: Group | Organization | None = None
    if credit.group_id is not None:
        owner = Group.objects.get(pk=credit.group_id)
    elif credit.kind == Kind.POOL:
        owner = Organization.objects.get(pk=credit.organization_id)
    if owner is not None and owner.archived_at is not None:
        raise OwnerArchived


def _check_room(move: Move, debit: Account, credit: Account) -> None:
    """Only money that is there can be moved away: what a credit line lends is for calls, and what is left of
    promotions is not the organization's. Calls that hold credits hold promotional ones first."""
    reserved_nanos = debit.held_nanos
    for account in (debit, credit):
        if account.kind == Kind.WALLET:
            promotional_nanos = promotion_spending.advance(account)
            if account is debit and not move.takes_promotions:
                reserved_nanos = max(reserved_nanos, promotional_nanos)
    movable_nanos = debit.balance_nanos - reserved_nanos
    bounded = debit.kind in (Kind.POOL, Kind.WALLET, Kind.REVENUE)
    if bounded and movable_nanos < move.amount_nanos:
        raise InsufficientCredit(max(movable_nanos, 0), move.amount_nanos)
    if (
        credit.balance_nanos + move.amount_nanos > BIGINT_MAX
        or debit.balance_nanos - move.amount_nanos < BIGINT_MIN
    ):
        raise AccountFull(move.amount_nanos)


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


def _find_capture(move: Move) -> Transfer | None:
    """The capture of the call that is to be refunded, if it was from the wallet that gets it back."""
    if move.call_id is None:
        return None
    return Transfer.objects.filter(
        pk=move.call_id, kind=Transfer.Kind.CAPTURE, debit_account=move.credit
    ).first()


def _check_refund(move: Move) -> None:
    """A call is refunded once, to the wallet that paid, and by no more than it was charged."""
    capture = _find_capture(move)
    charged = capture.amount_nanos if capture else 0
    if Transfer.objects.filter(call_id=move.call_id, kind=Transfer.Kind.REFUND).exists():
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


def _record(transfer: Transfer, verb: str, actor: User, owner: Group | Organization) -> None:
    """A line in the audit trail about a move that only operators make; what was taken away is negative."""
    is_taken = transfer.credit_account.kind == Kind.PROMOTIONS
    values = {
        "amount_nanos": -transfer.amount_nanos if is_taken else transfer.amount_nanos,
        "reason": transfer.reason,
    }
    if transfer.call_id is not None:
        values["call"] = f"call_{transfer.call_id.hex}"
    trail.record(actor, verb, owner, after=values, within=owner)
