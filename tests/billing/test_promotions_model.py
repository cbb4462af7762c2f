"""Promotions against a naive model that replays every call, refund, expiry and move on its own: whatever happens in
whatever order, the books that count between two moves say the same."""

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.utils import timezone

from accounts import services
from accounts.ids import uuid7
from accounts.models import User
from billing import ledger, promotions
from billing.audit import INVARIANTS, count_violations
from billing.errors import InsufficientCredit
from billing.models import Account, HoldOwner
from billing.promotion_models import Promotion
from tests.billing import bank

STEPS = 90
WEIGHTS = {
    "promote": 4,
    "call": 8,
    "hold": 2,
    "settle": 2,
    "refund": 4,
    "time_passes": 1,
    "expire": 1,
    "count": 1,
    "grant": 1,
    "reclaim": 1,
    "adjust": 1,
}


class Gift:
    """A promotion as the model sees it; `day` is when it expires, in an order of its own."""

    def __init__(self, pk: UUID, amount: int, day: int) -> None:
        self.pk, self.amount, self.day = pk, amount, day
        self.left, self.spent, self.returned = amount, 0, 0
        self.is_over = False


class Model:
    """One wallet in plain Python: each charge is paid by gifts and by paid credits when it is made, and remembered."""

    def __init__(self, paid: int) -> None:
        self.gifts: list[Gift] = []
        self.paid = paid
        self.holds: dict[UUID, int] = {}
        self.charges: dict[UUID, list[tuple[Gift | None, int]]] = {}

    @property
    def left(self) -> int:
        return sum(gift.left for gift in self.gifts)

    @property
    def balance(self) -> int:
        return self.paid + self.left

    @property
    def held(self) -> int:
        return sum(self.holds.values())

    @property
    def reclaimable(self) -> int:
        return self.balance - max(self.held, self.left)

    def told(self) -> tuple[int, int, dict[UUID, tuple[int, int, int]]]:
        """The same as `Shop.found`."""
        states = {gift.pk: (gift.left, gift.spent, gift.returned) for gift in self.gifts}
        return self.balance, self.held, states

    def charge(self, call_id: UUID, amount: int) -> None:
        parts: list[tuple[Gift | None, int]] = []
        for gift in sorted(self.gifts, key=lambda one: (one.day, one.pk)):
            part = min(gift.left, amount)
            gift.left -= part
            gift.spent += part
            amount -= part
            if part:
                parts.append((gift, part))
        self.paid -= amount
        self.charges[call_id] = [*parts, (None, amount)]

    def refund(self, call_id: UUID, amount: int) -> None:
        for gift, part in reversed(self.charges.pop(call_id)):
            back = min(part, amount)
            amount -= back
            if gift is None or gift.is_over:
                self.paid += back
            else:
                gift.left += back
                gift.spent -= back

    def expire(self) -> None:
        free = self.balance - self.held
        for gift in sorted(self.gifts, key=lambda one: (one.day, one.pk)):
            if gift.is_over:
                back = min(gift.left, free)
                gift.left -= back
                gift.returned += back
                free -= back


class Shop:
    """The same events at the ledger and at the model."""

    def __init__(self) -> None:
        self.alice = User.objects.create_user(f"{uuid7()}@example.com")
        self.organization = services.create_organization(self.alice, "Arden Labs")
        self.group = services.create_group(self.organization, "Research", self.alice)
        self.owner = HoldOwner.objects.create().pk
        self.wallet = Account.objects.wallet_of(self.group).pk
        ledger.deposit(self.organization, 10_000, operation_id=uuid7(), actor=self.alice)
        ledger.grant(self.group, 30, operation_id=uuid7(), actor=self.alice)
        self.model = Model(30)
        self.days = 0

    def by(self) -> dict[str, Any]:
        return {"operation_id": uuid7(), "actor": self.alice}

    def apply(
        self, settles: tuple[bank.Settle, ...] = (), holds: tuple[bank.Hold, ...] = ()
    ) -> None:
        with connection.cursor() as cursor:
            cursor.execute(bank.APPLY, bank.apply_arguments(self.owner, settles, holds))

    def promote(self, pick: int, amount: int) -> None:
        """Expiring before or after the others, as `pick` says; the days of the database are those of the model."""
        amount = 1 + amount % 9  # small enough that a call takes several
        self.days += 1
        day = pick * 100 + self.days
        promotion = promotions.promote(
            self.group,
            amount,
            expires_at=timezone.now() + timedelta(days=1, hours=day),
            reason="Gift",
            **self.by(),
        )
        self.model.gifts.append(Gift(promotion.pk, amount, day))

    def hold(self, _pick: int, amount: int) -> None:
        amount = min(amount, self.model.balance - self.model.held)
        if amount > 0:
            call_id = uuid7()
            self.apply(holds=(bank.Hold(call_id, self.wallet, amount),))
            self.model.holds[call_id] = amount

    def call(self, pick: int, amount: int) -> None:
        """From its hold to its end."""
        before = set(self.model.holds)
        self.hold(pick, amount)
        for call_id in set(self.model.holds) - before:
            held = self.model.holds.pop(call_id)
            self.apply(settles=(bank.Settle(call_id, self.wallet, held),))
            self.model.charge(call_id, held)

    def settle(self, pick: int, amount: int) -> None:
        """Charged what was held or less; or, now and then, all there is on top."""
        if not self.model.holds:
            return
        call_id = list(self.model.holds)[pick % len(self.model.holds)]
        held = self.model.holds.pop(call_id)
        most = held + (self.model.balance - held - self.model.held if pick % 7 == 0 else 0)
        charge = min(amount, most)
        self.apply(settles=(bank.Settle(call_id, self.wallet, charge),))
        self.model.charge(call_id, charge)

    def refund(self, pick: int, amount: int) -> None:
        if not self.model.charges:
            return
        latest = list(self.model.charges)[-6:]
        call_id = latest[pick % len(latest)]
        charged = sum(part for _gift, part in self.model.charges[call_id])
        amount = min(amount, charged)
        ledger.refund(self.group, amount, reason="Slow", call_id=call_id, **self.by())
        self.model.refund(call_id, amount)

    def time_passes(self, _pick: int, _amount: int) -> None:
        """The next day comes on which a promotion expires; nobody has looked yet."""
        coming = [gift for gift in self.model.gifts if not gift.is_over]
        if coming:
            gift = min(coming, key=lambda one: (one.day, one.pk))
            gift.is_over = True
            past = timezone.now() - timedelta(days=400) + timedelta(minutes=gift.day)
            Promotion.objects.filter(pk=gift.pk).update(expires_at=past)
            gift.day -= 10_000  # before all that are still to come, as in the database

    def expire(self, _pick: int, _amount: int) -> None:
        promotions.expire_promotions()
        self.model.expire()

    def count(self, _pick: int, _amount: int) -> None:
        with transaction.atomic():
            wallet = ledger.lock_accounts([Account(pk=self.wallet)])[self.wallet]
            promotions.advance(wallet)

    def grant(self, _pick: int, amount: int) -> None:
        ledger.grant(self.group, amount, **self.by())
        self.model.paid += amount

    def reclaim(self, _pick: int, amount: int) -> None:
        self._take(lambda: ledger.reclaim(self.group, amount, **self.by()), amount)

    def adjust(self, pick: int, amount: int) -> None:
        if pick % 2:
            ledger.adjust(self.group, amount, reason="Correction", **self.by())
            self.model.paid += amount
        else:
            self._take(
                lambda: ledger.adjust(self.group, -amount, reason="Correction", **self.by()),
                amount,
            )

    def _take(self, take: Callable[[], Any], amount: int) -> None:
        if amount > self.model.reclaimable:
            with pytest.raises(InsufficientCredit) as refusal:
                take()
            assert refusal.value.available_nanos == self.model.reclaimable
        else:
            take()
            self.model.paid -= amount

    def found(self) -> tuple[int, int, dict[UUID, tuple[int, int, int]]]:
        """Balance, held, and of each promotion what is left, spent and returned, as the pages read it."""
        wallet = Account.objects.get(pk=self.wallet)
        states = {
            state.id: (state.remaining_nanos, state.spent_nanos, state.returned_nanos)
            for state in promotions.read_promotions(wallet)
        }
        return wallet.balance_nanos, wallet.held_nanos, states


@pytest.mark.parametrize("seed", [*range(8), None])
def test_any_sequence_of_events_leaves_what_a_replay_of_each_says(
    db: None, seed: int | None
) -> None:
    """Eight sequences that are always the same, and one that never was."""
    seed = random.SystemRandom().randrange(2**32) if seed is None else seed
    chance, shop = random.Random(seed), Shop()
    done: list[tuple[str, int, int]] = []
    for name in chance.choices(list(WEIGHTS), list(WEIGHTS.values()), k=STEPS):
        done.append((name, chance.randrange(30), chance.randint(1, 40)))
        getattr(shop, name)(*done[-1][1:])
        assert shop.found() == shop.model.told(), (seed, done)
    broken = {name: n for name, n in count_violations(INVARIANTS).items() if n}
    assert broken == {}, (seed, done)
