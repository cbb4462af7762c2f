"""A group's webhook, told by real gateways and workers of what happened in real calls."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connections

from accounts.key_services import revoke_key
from accounts.models import APIKey, Group, User
from billing.limits import set_limits
from gateway.models import Delivery
from tests.billing.bank import orm_on
from tests.flows.picture_works import Works, open_works, wait_until_ended
from tests.gateway.receivers import Receiver, receiver, verify
from tests.gateway.webhook_rows import subscribe
from tests.world import Tenant, World, client

PATIENCE_S = 30


@pytest.fixture
def listener() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


@pytest.fixture
def works(world: World, tmp_path: Path) -> Iterator[Works]:
    with open_works(world, tmp_path, TOLLGATE_ALLOW_LOOPBACK_URLS="1") as made:
        yield made


@pytest.fixture
def orm(world: World, django_db_blocker: Any) -> Iterator[None]:
    kept = connections["default"]
    del connections["default"]
    with orm_on(world.database, django_db_blocker):
        yield
        connections["default"].close()
    connections["default"] = kept


def test_what_happens_in_a_group_is_told_by_the_workers_alone(
    works: Works, world: World, alice: Tenant, listener: Receiver, orm: None, settings: Any
) -> None:
    settings.ALLOW_LOOPBACK_URLS = True
    group, key = Group.objects.get(pk=alice.group_id), APIKey.objects.get(pk=alice.key_id)
    _, secret = subscribe(group, User.objects.get(pk=key.created_by_id), listener.url)

    def next_message() -> dict[str, Any]:
        assert listener.arrived.acquire(timeout=PATIENCE_S), works.crew.log[-4000:]
        return verify(secret, listener.received[-1])

    with client(works.gateway, alice) as http:
        answer = http.post("/v1/text_to_image", json={"model": "gpt-image-2", "prompt": "A cup"})
        task = wait_until_ended(http, answer.json()["task_id"], works.crew)
        message = next_message()
        assert (message["type"], message["data"]) == ("task.ended", task)

        set_limits(key, lifetime_nanos=1)
        chat = {"model": "openai/gpt-5.5", "messages": [{"role": "user", "content": "Hi"}]}
        for _ in range(3):
            refused = http.post("/v1/chat/completions", json=chat)
            while refused.status_code == 200:  # it has not heard of the limit yet
                refused = http.post("/v1/chat/completions", json=chat)
            assert refused.json()["error"]["code"] == "key_budget_exceeded"
        message = next_message()
        assert (message["type"], message["data"]["limit"]) == ("limit.reached", "lifetime")
        assert message["data"]["amount"] == "0.000000001"

    revoke_key(key, None)
    message = next_message()
    assert (message["type"], message["data"]["revoked_by"]) == ("key.revoked", "Tollgate")
    assert len(listener.received) == 3
    ids = {seen.headers["webhook-id"] for seen in listener.received}
    assert len(ids) == 3
    assert set(Delivery.objects.values_list("attempts", flat=True)) == {1}
