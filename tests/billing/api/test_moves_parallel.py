"""Moves that are sent many times at once, each thread on a connection of its own to a real PostgreSQL."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from billing.models import Account, Transfer
from tests.billing.api.asking import USD, Asker, asker_of
from tests.billing.bank import connect, in_parallel, orm_on, violations
from tests.people import People, fund, make_people
from tests.world import World

REPEATS = 20


@pytest.fixture
def rich(fresh_world: World, django_db_blocker: Any) -> Iterator[tuple[People, str]]:
    """Alice's group with $10, $100 in the pool, and her management key. At the end the books are clean."""
    with orm_on(fresh_world.database, django_db_blocker):
        [made] = in_parallel(_open)
        assert not isinstance(made, Exception), made
        yield made
    with connect(fresh_world.database) as connection:
        assert violations(connection) == {}


def _open() -> tuple[People, str]:
    people = make_people()
    fund(people, pool_nanos=100 * USD, wallet_nanos=10 * USD)
    return people, asker_of(people.alice, people.group).text


def grant(people: People, text: str, key: str) -> tuple[int, bool, dict[str, Any]]:
    """Status, whether it is a replay, and the body of one request by a client of its own."""
    answer = Asker(text).send(
        "POST", f"groups/{people.group.pk}/grants", {"amount": "1"}, **{"Idempotency-Key": key}
    )
    return answer.status_code, "Idempotency-Replayed" in answer, json.loads(answer.content)


def works(rich: tuple[People, str], keys: list[str]) -> list[Callable[[], Any]]:
    return [partial(grant, *rich, key) for key in keys]


def state(people: People) -> tuple[int, int, int]:
    """Pool and wallet in nano-dollars, and how many grants there were."""

    def look() -> tuple[int, int, int]:
        pool = Account.objects.pool_of(people.organization).balance_nanos
        wallet = Account.objects.wallet_of(people.group).balance_nanos
        return pool, wallet, Transfer.objects.filter(kind="grant").count()

    [found] = in_parallel(look)
    assert not isinstance(found, Exception), found
    return found


def test_one_key_sent_twenty_times_at_once_moves_once(rich: tuple[People, str]) -> None:
    answers: list[Any] = in_parallel(*works(rich, ["same"] * REPEATS))
    assert [status for status, _, _ in answers] == [201] * REPEATS
    assert [replayed for _, replayed, _ in answers].count(False) == 1
    assert len({body["id"] for _, _, body in answers}) == 1
    assert state(rich[0]) == (99 * USD, 11 * USD, 2)


def test_twenty_keys_at_once_move_each(rich: tuple[People, str]) -> None:
    answers: list[Any] = in_parallel(*works(rich, [f"n{n}" for n in range(REPEATS)]))
    assert [(status, replayed) for status, replayed, _ in answers] == [(201, False)] * REPEATS
    told = [body["balances"][1]["balance"] for _, _, body in answers]
    assert sorted(told) == [f"{n}.00" for n in range(11, 11 + REPEATS)], "each what it left"
    assert state(rich[0]) == (80 * USD, 30 * USD, 1 + REPEATS)
