"""Moves in sight: both balances, what can be moved, and one operation id for one state of the accounts."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from billing import ledger, promotions
from billing.errors import InsufficientCredit
from billing.models import Account
from billing.prepared_moves import operation_id_of, prepare_move
from tests.people import People, fund, make_people

USD = 1_000_000_000


@pytest.fixture
def people(db: None) -> People:
    made = make_people()
    fund(made, pool_nanos=100 * USD, wallet_nanos=10 * USD)
    return made


def test_a_move_knows_both_balances_before_and_after(people: People) -> None:
    grant = prepare_move("grant", people.organization, people.group)
    assert grant.limit_nanos == 100 * USD
    assert [tuple(side) for side in grant.sides(3 * USD)] == [
        ("Unassigned pool", 100 * USD, 97 * USD),
        ("Research", 10 * USD, 13 * USD),
    ]
    reclaim = prepare_move("reclaim", people.organization, people.group)
    assert [side.after_nanos for side in reclaim.sides(10 * USD)] == [0, 110 * USD]
    deposit = prepare_move("deposit", people.organization, None)
    assert [side.after_nanos for side in deposit.sides(5 * USD)] == [105 * USD]


def test_more_than_there_is_has_no_balance_afterwards(people: People) -> None:
    wallet = Account.objects.wallet_of(people.group)
    Account.objects.filter(pk=wallet.pk).update(held_nanos=4 * USD, credit_line_nanos=50 * USD)
    reclaim = prepare_move("reclaim", people.organization, people.group)
    assert reclaim.limit_nanos == 6 * USD
    assert [side.after_nanos for side in reclaim.sides(6 * USD + 1)] == [None, None]


def test_what_is_promotional_stays_in_the_wallet(people: People) -> None:
    promotions.promote(
        people.group,
        4 * USD,
        expires_at=timezone.now() + timedelta(days=1),
        operation_id=uuid4(),
        actor=people.olga,
        reason="Welcome",
    )
    reclaim = prepare_move("reclaim", people.organization, people.group)
    assert (reclaim.limit_nanos, reclaim.promotional_nanos) == (10 * USD, 4 * USD)
    Account.objects.filter(group=people.group).update(held_nanos=6 * USD)
    reclaim = prepare_move("reclaim", people.organization, people.group)
    assert reclaim.limit_nanos == 8 * USD, "calls hold promotional credits first"
    with pytest.raises(InsufficientCredit) as refusal:
        take(people, 9 * USD)
    assert refusal.value.available_nanos == reclaim.limit_nanos, "the ledger says the same"
    Account.objects.filter(group=people.group).update(held_nanos=0)


def take(people: People, amount: int) -> None:
    ledger.reclaim(people.group, amount, operation_id=uuid4(), actor=people.alice)


def test_an_adjustment_downwards_is_bounded_and_one_upwards_is_not(people: People) -> None:
    down = prepare_move("adjust_down", people.organization, people.group)
    assert down.limit_nanos == 10 * USD
    up = prepare_move("adjust_up", people.organization, None)
    assert up.limit_nanos is None
    assert [side.label for side in up.sides(1)] == ["Given by the operator", "Unassigned pool"]


def test_an_operation_id_is_of_one_person_one_move_and_one_state(people: People) -> None:
    def grant_id(user: object = people.alice, kind: str = "grant") -> object:
        return operation_id_of(prepare_move(kind, people.organization, people.group), user)  # type: ignore[arg-type]

    first = grant_id()
    assert first == grant_id(), "two tabs"
    assert len({first, grant_id(people.olga), grant_id(kind="reclaim")}) == 3
    take(people, 1)
    assert grant_id() != first, "something moved"
