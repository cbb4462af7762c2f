"""People, keys, a receiver on loopback, and a webhook that leads to it."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from django.db import connections

from accounts.key_services import issue_key
from accounts.models import APIKey
from gateway.models import WebhookEndpoint
from tests.billing.bank import orm_on
from tests.gateway.receivers import Receiver, receiver
from tests.gateway.webhook_rows import subscribe
from tests.people import People, fund, make_people
from tests.world import World

USD = 10**9


class Hooked(NamedTuple):
    """A webhook that wants everything, its secret, and where it leads."""

    endpoint: WebhookEndpoint
    secret: str
    receiver: Receiver


@pytest.fixture(autouse=True)
def _loopback(settings: Any) -> None:
    settings.ALLOW_LOOPBACK_URLS = True


@pytest.fixture
def key(people: People) -> APIKey:
    return issue_key(people.group, people.alice, "ci")[0]


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


@pytest.fixture
def hooked(people: People, hook: Receiver) -> Hooked:
    return Hooked(*subscribe(people.group, people.alice, hook.url), hook)


@pytest.fixture
def shared(fresh_world: World, django_db_blocker: Any) -> Iterator[People]:
    """People with credits in a database where every thread and process sees what the others have committed."""
    kept = connections["default"]
    del connections["default"]
    with orm_on(fresh_world.database, django_db_blocker):
        made = make_people()
        fund(made, pool_nanos=USD, wallet_nanos=100 * USD)
        yield made
        connections["default"].close()
    connections["default"] = kept
