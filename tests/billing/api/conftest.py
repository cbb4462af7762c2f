"""Alice's organization with credits, and management keys of everybody."""

from typing import NamedTuple

import pytest

from tests.billing.api.asking import USD, Asker, asker_of
from tests.people import People, fund


class Askers(NamedTuple):
    """Alice administers, Bob is a member of her group, Charlie an outsider, Olga the operator."""

    alice: Asker
    bob: Asker
    charlie: Asker
    olga: Asker


@pytest.fixture
def askers(people: People) -> Askers:
    fund(people, pool_nanos=100 * USD, wallet_nanos=10 * USD)
    return Askers(
        asker_of(people.alice, people.group),
        asker_of(people.bob, people.group),
        asker_of(people.charlie, people.foreign_group),
        asker_of(people.olga, people.foreign_group),
    )
