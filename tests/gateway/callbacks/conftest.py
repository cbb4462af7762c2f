"""People, a key, and a receiver on loopback."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections

from accounts.key_services import issue_key
from accounts.models import APIKey
from tests.billing.bank import orm_on
from tests.gateway.receivers import Receiver, receiver
from tests.people import People, make_people
from tests.world import World


@pytest.fixture(autouse=True)
def _loopback(settings: Any) -> None:
    settings.ALLOW_LOOPBACK_URLS = True


@pytest.fixture
def key(people: People) -> APIKey:
    return issue_key(people.group, people.alice, "ci")[0]


@pytest.fixture
def shared(fresh_world: World, django_db_blocker: Any) -> Iterator[APIKey]:
    """A key in a database where every thread and process sees what the others have committed."""
    kept = connections["default"]
    del connections["default"]
    with orm_on(fresh_world.database, django_db_blocker):
        made = make_people()
        yield issue_key(made.group, made.alice, "ci")[0]
        connections["default"].close()
    connections["default"] = kept


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as made:
        yield made
