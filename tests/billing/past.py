"""Transfers of the past: as the ledger leaves them, only with a time of our choice."""

from datetime import datetime
from uuid import UUID, uuid4

from django.db.models import F

from accounts.ids import first_id_at, uuid7
from billing.models import Account, Transfer
from tests.people import People

USD = 1_000_000_000


def capture(
    wallet: Account, amount_nanos: int, at: datetime, *, began: datetime | None = None
) -> Transfer:
    """A charged call that began then, or when it was charged."""
    revenue = Account.objects.get(organization=wallet.organization_id, kind="revenue")
    call_id = UUID(int=first_id_at(began or at).int | uuid4().int & (2**62 - 1))
    return _move("capture", wallet, revenue, amount_nanos, at, call_id)


def move(people: People, kind: str, amount_nanos: int, at: datetime, reason: str = "") -> Transfer:
    """A deposit, grant or reclaim of Alice's organization and group."""
    organization = people.organization
    pool, wallet = Account.objects.pool_of(organization), Account.objects.wallet_of(people.group)
    deposits = Account.objects.get(organization=organization, kind="deposits")
    debit, credit = {
        "deposit": (deposits, pool),
        "grant": (pool, wallet),
        "reclaim": (wallet, pool),
    }[kind]
    return _move(kind, debit, credit, amount_nanos, at, None, reason)


def _move(
    kind: str,
    debit: Account,
    credit: Account,
    amount_nanos: int,
    at: datetime,
    call_id: UUID | None,
    reason: str = "",
) -> Transfer:
    made = Transfer.objects.create(
        id=call_id or uuid7(), kind=kind, debit_account=debit, credit_account=credit,
        amount_nanos=amount_nanos, call_id=call_id, created_at=at, reason=reason,
    )  # fmt: skip
    for account, change in ((debit, -amount_nanos), (credit, amount_nanos)):
        Account.objects.filter(pk=account.pk).update(balance_nanos=F("balance_nanos") + change)
    return made
