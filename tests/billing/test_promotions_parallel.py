"""Moves, promotions and codes by many at once, each thread on a connection of its own to a real PostgreSQL."""

import random
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from django.db import connections
from django.utils import timezone

from accounts import services
from accounts.ids import uuid7
from accounts.models import Group, User
from billing import codes, ledger, promotions
from billing.errors import CodeRefused, InsufficientCredit, NotRefundable, TooManyGuesses
from billing.models import Account, Transfer
from billing.promotion_models import Promotion, Redemption, WrongCode
from tests.billing import bank
from tests.billing.bank import connect, in_parallel, new_owner, orm_on, violations
from tests.people import People, fund, make_people
from tests.world import World


@pytest.fixture
def people(fresh_world: World, django_db_blocker: Any) -> Iterator[People]:
    """Alice's group with 1,000 in its wallet and 1,000 in the pool; threads work on the same database. At the end its
    books are clean."""
    with orm_on(fresh_world.database, django_db_blocker):
        [made] = in_parallel(_open)
        assert isinstance(made, People), made
        yield made
    with connect(fresh_world.database) as connection:
        assert violations(connection) == {}


def _open() -> People:
    people = make_people()
    fund(people, pool_nanos=1_000, wallet_nanos=1_000)
    return people


def in_thread(work: Any) -> Any:
    [answer] = in_parallel(work)
    assert not isinstance(answer, Exception), answer
    return answer


def balance_of(group: Group) -> int:
    return int(in_thread(lambda: Account.objects.wallet_of(group).balance_nanos))


def test_a_double_click_moves_once_whichever_the_move(people: People) -> None:
    group, organization = people.group, people.organization
    alice, olga = {"actor": people.alice}, {"actor": people.olga, "reason": "Agreed"}
    later = timezone.now() + timedelta(days=9)
    moves = {
        "deposit": partial(ledger.deposit, organization, 7, **olga),
        "grant": partial(ledger.grant, group, 7, **alice),
        "reclaim": partial(ledger.reclaim, group, 7, **alice),
        "adjust": partial(ledger.adjust, group, -7, **olga),
        "adjust the pool": partial(ledger.adjust, organization, 7, **olga),
        "promote": partial(promotions.promote, group, 7, expires_at=later, **olga),
    }
    for name, move in moves.items():
        answers = in_parallel(*[partial(move, operation_id=uuid7())] * 8)
        assert len({getattr(answer, "pk", answer) for answer in answers}) == 1, (name, answers)
    assert in_thread(lambda: Transfer.objects.count()) == 2 + len(moves)
    assert balance_of(group) == 1_000 + 7 - 7 - 7 + 7


def test_a_code_of_ten_uses_is_redeemed_by_ten_of_fifty(people: People) -> None:
    def open_groups() -> tuple[str, list[tuple[User, Group]]]:
        offer = codes.Offer(
            "promotion", 5, 30, 10, timezone.now() + timedelta(days=1), "Conference"
        )
        [text] = codes.make_codes(offer, 1, operation_id=uuid7(), actor=people.olga)
        places = []
        for number in range(50):
            user = User.objects.create_user(f"user{number}@example.com")
            organization = services.create_organization(user, f"Tenant {number}")
            places.append((user, services.create_group(organization, "Team", user)))
        return text, places

    text, places = in_thread(open_groups)
    works = [
        partial(codes.redeem, text, group, operation_id=uuid7(), actor=user)
        for user, group in places
    ]
    answers = in_parallel(*works)
    redeemed = [answer for answer in answers if isinstance(answer, Redemption)]
    refused = [answer for answer in answers if isinstance(answer, CodeRefused)]
    assert (len(redeemed), len(refused)) == (10, 40), answers
    assert in_thread(lambda: Promotion.objects.count()) == 10
    assert sum(balance_of(group) for _user, group in places) == 50


def test_one_organization_redeems_a_code_once_from_many_groups(people: People) -> None:
    def prepare() -> tuple[str, list[tuple[User, Group]]]:
        offer = codes.Offer("wallet", 5, None, 20, timezone.now() + timedelta(days=1), "Trial")
        [text] = codes.make_codes(offer, 1, operation_id=uuid7(), actor=people.olga)
        places = []
        for number in range(12):
            user = User.objects.create_user(f"user{number}@example.com")
            group = services.create_group(people.organization, f"Team {number}", user)
            places.append((user, group))
        return text, places

    text, places = in_thread(prepare)
    answers = in_parallel(
        *(
            partial(codes.redeem, text, group, operation_id=uuid7(), actor=user)
            for user, group in places
        )
    )
    assert sum(isinstance(answer, Redemption) for answer in answers) == 1, answers


def test_guesses_in_parallel_are_all_counted(people: People) -> None:
    answers = in_parallel(
        *(
            partial(
                codes.redeem,
                codes.mint_code(),
                people.group,
                operation_id=uuid7(),
                actor=people.alice,
            )
            for _ in range(30)
        )
    )
    assert sum(isinstance(answer, CodeRefused) for answer in answers) == codes.GUESSES_MAX
    assert sum(isinstance(answer, TooManyGuesses) for answer in answers) == 20
    assert in_thread(lambda: WrongCode.objects.count()) == codes.GUESSES_MAX


def test_any_number_of_workers_takes_back_once(people: People) -> None:
    def give() -> None:
        for amount in (40, 50, 60):
            promotions.promote(
                people.group,
                amount,
                expires_at=timezone.now() + timedelta(days=1),
                operation_id=uuid7(),
                actor=people.olga,
                reason="Gift",
            )
        Promotion.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    in_thread(give)
    answers = in_parallel(*[promotions.expire_promotions] * 12)
    assert sum(taken for taken in answers if isinstance(taken, int)) == 150, answers
    assert in_thread(lambda: Transfer.objects.filter(kind="reclaim").count()) == 3
    assert balance_of(people.group) == 1_000


def test_everything_at_once_while_calls_run(fresh_world: World, people: People) -> None:
    """Calls settle on their own connections while promotions come, expire, are refunded and reclaimed around them."""
    wallet = in_thread(lambda: Account.objects.wallet_of(people.group).pk)
    works = [partial(_call, fresh_world, wallet, seed) for seed in range(3)]
    works += [partial(_move, people, wallet, seed) for seed in range(3)]
    works += [partial(_expire, seed) for seed in range(2)]
    answers = in_parallel(*works)
    assert [answer for answer in answers if isinstance(answer, Exception)] == []
    in_thread(promotions.expire_promotions)
    states = in_thread(
        lambda: promotions.read_promotions(Account.objects.get(pk=wallet), only_running=False)
    )
    assert states
    for state in states:
        assert (
            state.amount_nanos == state.remaining_nanos + state.spent_nanos + state.returned_nanos
        )


def _call(world: World, wallet: int, seed: int) -> int:
    """Sixty calls of this process."""
    chance = random.Random(seed)
    charged = 0
    with connect(world.database) as connection:
        owner = new_owner(connection)
        for _ in range(60):
            call_id, amount = uuid7(), chance.randint(1, 15)
            applied = bank.apply(connection, owner, (), (bank.Hold(call_id, wallet, amount, 1),))
            if applied.granted[0]:
                taken = bank.apply(
                    connection, owner, (bank.Settle(call_id, wallet, chance.randint(0, amount)),)
                ).taken[0]
                charged += max(taken, 0)
    return charged


def _move(people: People, wallet: int, seed: int) -> None:
    chance = random.Random(100 + seed)
    by: dict[str, Any] = {"actor": people.olga, "reason": "Storm"}
    for _ in range(25):
        verb, amount = (
            chance.choice(["promote", "reclaim", "refund", "adjust"]),
            chance.randint(1, 30),
        )
        # A call may have spent meanwhile what this was to take.
        with suppress(InsufficientCredit):
            if verb == "promote":
                later = timezone.now() + timedelta(days=chance.randint(1, 9))
                promotions.promote(
                    people.group, amount, expires_at=later, operation_id=uuid7(), **by
                )
            elif verb == "reclaim":
                ledger.reclaim(people.group, amount, operation_id=uuid7(), **by)
            elif verb == "adjust":
                ledger.adjust(people.group, amount, operation_id=uuid7(), **by)
            else:
                _refund(people, wallet, chance, by)


def _refund(people: People, wallet: int, chance: random.Random, by: dict[str, Any]) -> None:
    refunded = Transfer.objects.filter(kind="refund").values("call_id")
    captures = Transfer.objects.filter(kind="capture", debit_account=wallet).exclude(
        pk__in=refunded
    )
    found: list[tuple[UUID, int]] = list(captures.values_list("pk", "amount_nanos")[:50])
    if found:
        call_id, charged = chance.choice(found)
        # Another thread may have refunded it meanwhile.
        with suppress(NotRefundable):
            ledger.refund(
                people.group,
                chance.randint(1, charged),
                operation_id=uuid7(),
                call_id=call_id,
                **by,
            )


def _expire(seed: int) -> None:
    chance = random.Random(200 + seed)
    for _ in range(15):
        left = list(Promotion.objects.filter(remaining_nanos__gt=0).values_list("pk", flat=True))
        if left and chance.random() < 0.5:
            past = timezone.now() - timedelta(seconds=1)
            Promotion.objects.filter(pk=chance.choice(left), expires_at__gt=past).update(
                expires_at=past
            )
        promotions.expire_promotions()
    connections.close_all()
