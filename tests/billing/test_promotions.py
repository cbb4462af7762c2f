"""Promotional credits: spent first, never reclaimed, given back by refunds, taken back when their day has come."""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from accounts.ids import uuid7
from accounts.models import Change
from billing import ledger, promotions
from billing.audit import INVARIANTS, count_violations
from billing.errors import (
    AccountFull,
    AlreadyExpired,
    InsufficientCredit,
    InvalidAmount,
    OperationConflict,
)
from billing.models import NANOS_MAX, Account, HoldOwner, Transfer
from billing.promotion_models import Promotion, PromotionCheckpoint, PromotionUse
from billing.promotions import PromotionState, read_promotions
from billing.tasks import count_captures, expire_promotions
from tests.billing import bank
from tests.people import People, fund, make_people


class Trial(NamedTuple):
    """Alice's group with 100 paid nanos in its wallet, and what happens to it."""

    people: People

    @property
    def wallet(self) -> Account:
        return Account.objects.wallet_of(self.people.group)

    def promote(self, amount: int, *, days: int = 30, **values: Any) -> Promotion:
        fields: dict[str, Any] = {
            "expires_at": timezone.now() + timedelta(days=days),
            "operation_id": uuid7(),
            "actor": self.people.olga,
            "reason": f"{amount} for {days} days",
        }
        return promotions.promote(self.people.group, amount, **{**fields, **values})

    def hold(self, amount: int) -> UUID:
        call_id = uuid7()
        apply(holds=(bank.Hold(call_id, self.wallet.pk, amount),))
        return call_id

    def settle(self, call_id: UUID, amount: int) -> None:
        apply(settles=(bank.Settle(call_id, self.wallet.pk, amount),))

    def charge(self, amount: int) -> UUID:
        """A call that held and cost as much."""
        call_id = self.hold(amount)
        self.settle(call_id, amount)
        return call_id

    def refund(self, call_id: UUID, amount: int) -> Transfer:
        return ledger.refund(
            self.people.group,
            amount,
            operation_id=uuid7(),
            actor=self.people.olga,
            reason="Slow",
            call_id=call_id,
        )

    def left(self) -> list[int]:
        """What is left of each that has something left, in the order in which it is spent."""
        return [one.remaining_nanos for one in read_promotions(self.wallet, only_running=True)]


def apply(settles: tuple[bank.Settle, ...] = (), holds: tuple[bank.Hold, ...] = ()) -> None:
    owner = HoldOwner.objects.create().pk
    with connection.cursor() as cursor:
        cursor.execute(bank.APPLY, bank.apply_arguments(owner, settles, holds))


def come_to_the_end(promotion: Promotion) -> None:
    """Its day is over; nobody has looked yet."""
    Promotion.objects.filter(pk=promotion.pk).update(
        expires_at=timezone.now() - timedelta(seconds=1)
    )


def state_of(promotion: Promotion) -> PromotionState:
    return next(one for one in read_promotions(promotion.wallet) if one.id == promotion.pk)


@pytest.fixture
def trial(db: None) -> Iterator[Trial]:
    people = make_people()
    fund(people, pool_nanos=1_000, wallet_nanos=100)
    yield Trial(people)
    # The holds of these tests have no records of calls: the ledger's own invariants are counted.
    assert {name: n for name, n in count_violations(INVARIANTS).items() if n} == {}


# Giving


def test_a_promotion_is_a_grant_from_promotions_into_the_wallet(trial: Trial) -> None:
    promotion = trial.promote(40, reason="Welcome")
    transfer = Transfer.objects.get(pk=promotion.pk)
    assert (transfer.kind, transfer.amount_nanos, transfer.reason) == ("grant", 40, "Welcome")
    assert transfer.debit_account.kind == "promotions"
    assert transfer.debit_account.balance_nanos == -40
    assert trial.wallet.balance_nanos == 140
    line = Change.objects.get(verb="promotion.given")
    assert (line.group_id, line.after["amount_nanos"]) == (trial.people.group.pk, 40)


def test_the_same_operation_gives_once(trial: Trial) -> None:
    first = trial.promote(40)
    again = {"operation_id": first.pk, "expires_at": first.expires_at}
    assert trial.promote(40, **again) == first
    for change in ({"amount": 41}, {"expires_at": first.expires_at + timedelta(days=1)}):
        values: dict[str, Any] = {"amount": 40, **again, **change}
        with pytest.raises(OperationConflict):
            trial.promote(values.pop("amount"), **values)
    assert trial.wallet.balance_nanos == 140


def test_an_id_of_another_grant_is_no_promotion(trial: Trial) -> None:
    operation_id = uuid4()
    ledger.grant(trial.people.group, 40, operation_id=operation_id, actor=trial.people.alice)
    with pytest.raises(OperationConflict):
        trial.promote(40, operation_id=operation_id)


def test_it_ends_in_the_future_and_is_a_positive_amount(trial: Trial) -> None:
    with pytest.raises(AlreadyExpired):
        trial.promote(1, days=0)
    for amount in (0, -1, NANOS_MAX):
        with pytest.raises(InvalidAmount):
            trial.promote(amount)
    trial.promote(NANOS_MAX - 1)
    with pytest.raises(AccountFull):
        trial.promote(NANOS_MAX - 1)
    assert Promotion.objects.count() == 1


def test_what_a_credit_line_lent_is_settled_first(trial: Trial) -> None:
    Account.objects.filter(pk=trial.wallet.pk).update(credit_line_nanos=50)
    trial.charge(130)
    promotion = trial.promote(40)
    assert trial.left() == [10], "the wallet was 30 below zero"
    assert state_of(promotion).spent_nanos == 30
    trial.charge(60)
    assert trial.left() == []
    promotion = trial.promote(20)
    assert state_of(promotion)[2:4] == (0, 20), "still below zero"


# Spending


def test_promotional_credits_are_spent_before_paid_ones_and_the_first_to_expire_first(
    trial: Trial,
) -> None:
    trial.promote(30, days=20)
    trial.promote(10, days=5)
    trial.promote(20, days=10)
    assert trial.left() == [10, 20, 30]
    trial.charge(15)
    assert trial.left() == [15, 30]
    trial.charge(50)
    assert trial.left() == []
    assert trial.wallet.balance_nanos == 95
    states = read_promotions(trial.wallet)
    assert [one.spent_nanos for one in states] == [30, 20, 10]
    assert {one.state for one in states} == {"spent"}


def test_what_was_charged_before_a_promotion_is_not_its_business(trial: Trial) -> None:
    trial.charge(60)
    trial.promote(30)
    assert trial.left() == [30]


def test_reading_counts_what_no_checkpoint_has_counted_and_writes_nothing(
    trial: Trial,
) -> None:
    promotion = trial.promote(30)
    trial.charge(12)
    checkpoint = PromotionCheckpoint.objects.get()
    assert state_of(promotion)[1:5] == (30, 18, 12, 0)
    promotion.refresh_from_db()
    assert promotion.remaining_nanos == 30
    assert PromotionCheckpoint.objects.get().at == checkpoint.at
    ledger.grant(trial.people.group, 1, operation_id=uuid7(), actor=trial.people.alice)
    promotion.refresh_from_db()
    assert promotion.remaining_nanos == 18, "any move counts"
    assert state_of(promotion)[1:5] == (30, 18, 12, 0)


def test_reading_is_one_query(trial: Trial, django_assert_num_queries: Any) -> None:
    trial.promote(30)
    trial.promote(40)
    wallet = trial.wallet
    with django_assert_num_queries(1):
        assert len(read_promotions(wallet)) == 2


def test_captures_are_counted_once_an_hour_without_a_move(trial: Trial) -> None:
    promotion = trial.promote(30)
    trial.charge(12)
    assert count_captures() == 0, "not yet an hour"
    hours_ago = timezone.now() - timedelta(hours=2)
    PromotionCheckpoint.objects.update(at=hours_ago)
    assert count_captures() == 1
    promotion.refresh_from_db()
    assert (promotion.remaining_nanos, promotion.spent_nanos) == (18, 12)
    PromotionCheckpoint.objects.update(at=timezone.now() - timedelta(hours=2))
    assert count_captures() == 0, "nothing was captured since"
    PromotionCheckpoint.objects.update(at=timezone.now())


# Reclaiming


def test_a_reclaim_takes_paid_credits_only(trial: Trial) -> None:
    trial.promote(40)
    reclaim = partial(ledger.reclaim, trial.people.group, actor=trial.people.alice)
    with pytest.raises(InsufficientCredit) as refusal:
        reclaim(101, operation_id=uuid7())
    assert refusal.value.available_nanos == 100
    reclaim(100, operation_id=uuid7())
    assert trial.left() == [40]
    with pytest.raises(InsufficientCredit):
        reclaim(1, operation_id=uuid7())


@pytest.mark.parametrize(("held", "reclaimable"), [(30, 100), (40, 100), (50, 90), (140, 0)])
def test_running_calls_hold_promotional_credits_first(
    trial: Trial, held: int, reclaimable: int
) -> None:
    trial.promote(40)
    trial.hold(held)
    with pytest.raises(InsufficientCredit) as refusal:
        ledger.reclaim(trial.people.group, 1_000, operation_id=uuid7(), actor=trial.people.alice)
    assert refusal.value.available_nanos == reclaimable


# Refunding


def test_a_refund_goes_back_to_what_paid(trial: Trial) -> None:
    trial.promote(30)
    promotional, mixed, paid = trial.charge(20), trial.charge(20), trial.charge(20)
    trial.refund(paid, 20)
    assert trial.left() == []
    trial.refund(mixed, 12)
    assert trial.left() == [2], "its paid part came back first"
    trial.refund(promotional, 5)
    assert trial.left() == [7]
    assert trial.wallet.balance_nanos == 130 - 60 + 37


def test_a_refund_of_a_call_before_any_promotion_is_paid(trial: Trial) -> None:
    call_id = trial.charge(20)
    trial.promote(30)
    trial.charge(10)
    trial.refund(call_id, 20)
    assert trial.left() == [20]


def test_a_refund_finds_its_promotion_over_several_spans(trial: Trial) -> None:
    first, second = trial.promote(10, days=5), trial.promote(10, days=9)
    calls = []
    for amount in (4, 4, 4, 4):
        calls.append(trial.charge(amount))
        ledger.grant(trial.people.group, 1, operation_id=uuid7(), actor=trial.people.alice)
    trial.refund(calls[2], 3)
    assert (state_of(first).remaining_nanos, state_of(second).remaining_nanos) == (1, 6)
    trial.refund(calls[0], 4)
    assert state_of(first).remaining_nanos == 5


def test_what_an_expired_promotion_paid_comes_back_as_paid_credits(trial: Trial) -> None:
    promotion = trial.promote(30)
    call_id = trial.charge(20)
    come_to_the_end(promotion)
    expire_promotions()
    trial.refund(call_id, 20)
    assert trial.left() == []
    assert trial.wallet.balance_nanos == 120
    assert state_of(promotion)[2:5] == (0, 20, 10)
    expire_promotions()
    assert trial.wallet.balance_nanos == 120


def test_a_refund_into_a_debt_gives_promotions_nothing(trial: Trial) -> None:
    Account.objects.filter(pk=trial.wallet.pk).update(credit_line_nanos=100)
    trial.promote(30)
    call_id = trial.charge(20)
    trial.charge(150)
    trial.refund(call_id, 20)
    assert trial.left() == []
    assert trial.wallet.balance_nanos == -20


def test_a_refund_that_is_sent_twice_gives_back_once(trial: Trial) -> None:
    trial.promote(30)
    call_id, operation_id = trial.charge(20), uuid7()
    for _ in range(2):
        ledger.refund(
            trial.people.group,
            20,
            operation_id=operation_id,
            actor=trial.people.olga,
            reason="Slow",
            call_id=call_id,
        )
    assert trial.left() == [30]
    assert PromotionUse.objects.filter(amount_nanos__lt=0).count() == 1
    assert Change.objects.filter(verb="call.refunded").count() == 1


def test_a_clock_that_is_set_back_stops_no_move_and_changes_no_amount(trial: Trial) -> None:
    promotion, other = trial.promote(30, days=3), trial.promote(30, days=9)
    first = trial.charge(20)
    count_captures_now(trial)
    PromotionCheckpoint.objects.update(at=timezone.now() + timedelta(minutes=10))
    calls = [first, trial.charge(20), trial.charge(30)]
    ledger.grant(trial.people.group, 1, operation_id=uuid7(), actor=trial.people.alice)
    for call_id in calls:
        trial.refund(call_id, 20)
    assert trial.wallet.balance_nanos == 160 - 70 + 1 + 60
    for state in map(state_of, (promotion, other)):
        assert state.amount_nanos == state.remaining_nanos + state.spent_nanos


def test_a_promotion_never_gets_back_more_than_it_paid(
    trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock was ten minutes ahead when a call was counted: a later, paid one seems to be of the same span."""
    promotion = trial.promote(10)
    first = trial.charge(10)
    ahead = timezone.now() + timedelta(minutes=10)
    with monkeypatch.context() as patch:
        patch.setattr("billing.promotion_spending.read_clock", lambda: ahead)
        count_captures_now(trial)
    second = trial.charge(10)
    trial.refund(first, 10)
    trial.refund(second, 10)
    assert state_of(promotion)[2:5] == (10, 0, 0)
    assert trial.wallet.balance_nanos == 110


# Expiring


def test_what_is_left_goes_back_to_promotions(trial: Trial) -> None:
    promotion = trial.promote(40, reason="Welcome")
    trial.charge(15)
    assert expire_promotions() == 0, "its day has not come"
    come_to_the_end(promotion)
    assert expire_promotions() == 25
    assert expire_promotions() == 0
    back = Transfer.objects.get(kind="reclaim")
    assert (back.amount_nanos, back.credit_account.kind) == (25, "promotions")
    assert (back.actor_id, back.reason) == (None, "Welcome")
    assert trial.wallet.balance_nanos == 100
    assert state_of(promotion)[1:5] == (40, 0, 15, 25)
    assert state_of(promotion).state == "ended"


def test_what_calls_hold_follows_when_they_end(trial: Trial) -> None:
    ledger.reclaim(trial.people.group, 100, operation_id=uuid7(), actor=trial.people.alice)
    promotion = trial.promote(40)
    call_id, other = trial.hold(25), trial.hold(10)
    come_to_the_end(promotion)
    assert expire_promotions() == 5
    assert state_of(promotion).state == "ending"
    assert expire_promotions() == 0
    trial.settle(call_id, 20)
    assert expire_promotions() == 5
    trial.settle(other, 0)
    assert expire_promotions() == 10
    assert state_of(promotion)[2:5] == (0, 20, 20)
    assert trial.wallet.balance_nanos == 0


def test_only_the_one_whose_day_has_come_ends(trial: Trial) -> None:
    early, late = trial.promote(40, days=2), trial.promote(40, days=9)
    trial.charge(10)
    come_to_the_end(early)
    assert expire_promotions() == 30
    assert state_of(late).remaining_nanos == 40
    trial.charge(5)
    assert trial.left() == [35]


def test_an_operator_ends_one_before_its_day(trial: Trial) -> None:
    promotion = trial.promote(40)
    trial.charge(10)
    promotions.end_promotion(promotion, trial.people.olga)
    promotions.end_promotion(promotion, trial.people.olga)
    assert state_of(promotion)[2:5] == (0, 10, 30)
    assert Transfer.objects.get(kind="reclaim").actor_id == trial.people.olga.pk
    assert Change.objects.filter(verb="promotion.ended").count() == 1


def test_ending_one_whose_day_has_come_does_not_wait_for_the_clock(trial: Trial) -> None:
    promotion = trial.promote(40)
    come_to_the_end(promotion)
    promotions.end_promotion(promotion, trial.people.olga)
    assert state_of(promotion)[2:5] == (0, 0, 40)
    assert not Change.objects.filter(verb="promotion.ended").exists()


# What PostgreSQL guards


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE billing_promotion SET amount_nanos = 41, remaining_nanos = 41",
        "UPDATE billing_promotion SET remaining_nanos = 39",
        "UPDATE billing_promotion SET remaining_nanos = -1, spent_nanos = 41",
        "UPDATE billing_promotion SET expires_at = expires_at + interval '1 day'",
        "UPDATE billing_promotion SET reason = 'Other'",
        "DELETE FROM billing_promotion",
        "UPDATE billing_promotionuse SET amount_nanos = 1",
        "DELETE FROM billing_promotionuse",
        "INSERT INTO billing_promotionuse (promotion_id, amount_nanos) SELECT id, 5 FROM billing_promotion",
    ],
)
def test_no_program_goes_round_the_rules(trial: Trial, change: str) -> None:
    trial.promote(40)
    trial.charge(5)
    count_captures_now(trial)
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(change)


def count_captures_now(trial: Trial) -> None:
    with transaction.atomic():
        promotions.advance(ledger.lock_accounts([trial.wallet])[trial.wallet.pk])
