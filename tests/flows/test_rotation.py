"""Rotated keys on the data plane: which text works when, in every process."""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from uvloop import run as run_loop

from accounts import key_services, keys
from accounts.models import APIKey
from gateway.configuration import Configuration
from gateway.store import Store
from tests.billing.bank import in_parallel, orm_on
from tests.world import GatewayProcess, Tenant, World, client

HEARD_S = 1.0
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def gateways(world: World) -> list[GatewayProcess]:
    return [world.start_gateway(), world.start_gateway()]


@pytest.fixture(scope="module")
def clients(gateways: list[GatewayProcess]) -> Iterator[list[httpx.Client]]:
    opened = [client(gateway) for gateway in gateways]
    yield opened
    for one in opened:
        one.close()


@pytest.fixture
def tenant(world: World) -> Tenant:
    return world.add_tenant("Rotating", balance="1")


@pytest.fixture
def change(world: World, django_db_blocker: Any) -> Iterator[Callable[..., Any]]:
    """Calls a service on the tenant's key as Django does, on this world's database."""
    with orm_on(world.database, django_db_blocker):

        def run(service: Callable[..., Any], tenant: Tenant, *arguments: Any) -> Any:
            def work() -> Any:
                return service(APIKey.objects.get(pk=tenant.key_id), None, *arguments)

            [answer] = in_parallel(work)
            assert not isinstance(answer, Exception), answer
            return answer

        yield run


def status(http: httpx.Client, key: str) -> int:
    return http.get("/v1/me", headers={"authorization": f"Bearer {key}"}).status_code


def statuses(clients: list[httpx.Client], *texts: str) -> list[int]:
    return [status(http, text) for http in clients for text in texts]


def wait_until(condition: Callable[[], bool]) -> float:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < 5
        time.sleep(0.01)
    return time.monotonic() - began


def test_both_texts_work_in_the_grace_and_belong_to_one_key(
    clients: list[httpx.Client], tenant: Tenant, change: Any
) -> None:
    assert statuses(clients, tenant.key) == [200, 200]
    new = change(key_services.rotate_key, tenant, HOUR)
    assert statuses(clients, new) == [200, 200], "at once: nobody knew it before"
    time.sleep(HEARD_S)
    assert statuses(clients, tenant.key, new) == [200] * 4
    told = [
        http.get("/v1/me", headers={"authorization": f"Bearer {text}"}).json()
        for http in clients
        for text in (tenant.key, new)
    ]
    assert {one["key"]["id"] for one in told} == {str(tenant.key_id)}


def test_without_grace_the_old_text_stops_within_a_second(
    clients: list[httpx.Client], tenant: Tenant, change: Any
) -> None:
    statuses(clients, tenant.key)
    new = change(key_services.rotate_key, tenant, timedelta())
    assert wait_until(lambda: statuses(clients, tenant.key) == [401, 401]) < HEARD_S + 0.2
    assert statuses(clients, new) == [200, 200]


def test_the_old_text_stops_when_the_grace_ends_though_it_is_cached(
    world: World, clients: list[httpx.Client], tenant: Tenant, change: Any
) -> None:
    new = change(key_services.rotate_key, tenant, HOUR)
    world.database.query(
        "UPDATE accounts_apikey SET previous_until = now() + interval '2 s' WHERE id = %s",
        tenant.key_id,
    )
    time.sleep(HEARD_S)
    assert statuses(clients, tenant.key) == [200, 200]
    took = wait_until(lambda: statuses(clients, tenant.key) == [401, 401])
    assert took < 1.3
    assert statuses(clients, new) == [200, 200]


@pytest.mark.parametrize("service", [key_services.revoke_key, key_services.end_rotation])
def test_revoking_stops_both_texts_and_ending_the_rotation_the_old_one(
    clients: list[httpx.Client], tenant: Tenant, change: Any, service: Any
) -> None:
    new = change(key_services.rotate_key, tenant, HOUR)
    time.sleep(HEARD_S)
    assert statuses(clients, tenant.key, new) == [200] * 4
    change(service, tenant)
    time.sleep(HEARD_S + 0.1)
    new_status = 401 if service is key_services.revoke_key else 200
    assert statuses(clients, tenant.key, new) == [401, new_status] * 2


def test_the_text_from_before_two_rotations_stops(
    clients: list[httpx.Client], tenant: Tenant, change: Any
) -> None:
    second = change(key_services.rotate_key, tenant, HOUR)
    statuses(clients, tenant.key, second)
    third = change(key_services.rotate_key, tenant, HOUR)
    time.sleep(HEARD_S + 0.1)
    assert statuses(clients, tenant.key, second, third) == [401, 200, 200] * 2


def test_a_guess_at_the_old_text_is_refused(
    clients: list[httpx.Client], tenant: Tenant, change: Any
) -> None:
    new = change(key_services.rotate_key, tenant, HOUR)
    old_head, new_head = (text.rsplit("-", 1)[0] for text in (tenant.key, new))
    crossed = [
        f"{old_head}-{new.rsplit('-', 1)[1]}",
        f"{new_head}-{tenant.key.rsplit('-', 1)[1]}",
        f"{old_head}-{'A' * 43}",
    ]
    assert statuses(clients, *crossed) == [401] * 6


def test_the_end_of_the_grace_is_the_expiry_of_the_old_text_alone(
    world: World, tenant: Tenant, change: Any
) -> None:
    new = change(key_services.rotate_key, tenant, HOUR)

    async def find() -> list[Any]:
        url = world.database.url
        store = Store(Configuration(database_url=url, key_pepper=b"", credential_keys=()))
        await store.pool.open()
        try:
            return [
                await store.find_caller(keys.public_id_of(text) or "") for text in (tenant.key, new)
            ]
        finally:
            await store.close()

    old_caller, new_caller = run_loop(find())
    assert new_caller.expires_at is None
    assert abs(old_caller.expires_at - (time.time() + 3600)) < 30
    assert old_caller.key_id == new_caller.key_id == str(tenant.key_id)
