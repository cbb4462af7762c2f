"""What changes in the database is known in every gateway process within a second."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import httpx
import psycopg
import pytest
from psycopg import AsyncConnection
from uvloop import run as run_loop

from accounts import keys
from gateway import watch
from gateway.watch import FRESH_S, Listeners, Watch
from tests.gateway.database_proxy import database_proxy
from tests.world import GatewayProcess, Tenant, World, client

MODEL = "gpt-5.4-nano"
BODY = {"model": MODEL, "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 20}


class Ear:
    """A Watch, and what it heard."""

    def __init__(self, url: str, owner_id: int) -> None:
        self.keys: list[str] = []
        self.tasks: list[str] = []
        self.catalogs = 0
        self.backends: list[int] = []
        self.is_away = False
        self._url = url
        self.busy_since = time.time()
        self.watch = Watch(
            self._connect,
            owner_id,
            Listeners(self.keys.append, self._on_catalog, self.tasks.append),
            lambda: self.busy_since,
        )

    async def _connect(self) -> AsyncConnection:
        if self.is_away:
            raise psycopg.OperationalError("the database is away")
        connection = await AsyncConnection.connect(self._url, autocommit=True)
        self.backends.append(connection.info.backend_pid)
        return connection

    async def _on_catalog(self) -> None:
        self.catalogs += 1

    async def until(self, condition: Callable[[], bool], timeout_s: float = 3.0) -> float:
        """How long it took."""
        began = time.monotonic()
        async with asyncio.timeout(timeout_s):
            while not condition():
                await asyncio.sleep(0.005)
        return time.monotonic() - began


@pytest.fixture
def owner_id(world: World) -> int:
    return int(world.database.one("INSERT INTO billing_holdowner DEFAULT VALUES RETURNING id"))


@asynccontextmanager
async def listening(world: World, owner_id: int) -> AsyncIterator[Ear]:
    ear = Ear(world.database.url, owner_id)
    await ear.watch.start()
    try:
        await ear.until(lambda: ear.watch.is_fresh)
        yield ear
    finally:
        await ear.watch.stop()


def notify(world: World, channel: str, payload: str) -> None:
    world.database.query("SELECT pg_notify(%s, %s)", channel, payload)


def test_everything_is_forgotten_before_the_first_proof(world: World, owner_id: int) -> None:
    async def run() -> None:
        ear = Ear(world.database.url, owner_id)
        assert not ear.watch.is_fresh
        await ear.watch.start()
        await ear.until(lambda: ear.watch.is_fresh)
        assert ear.keys == ["*"]
        assert ear.catalogs == 1
        await ear.watch.stop()

    run_loop(run())


def test_nothing_waits_on_the_connection_any_more_when_it_is_closed(
    world: World, owner_id: int
) -> None:
    # What still waited would have its socket taken from under the event loop, which aborts the process.
    async def run() -> None:
        ear = Ear(world.database.url, owner_id)
        await ear.watch.start()
        await ear.until(lambda: ear.watch.is_fresh)
        await ear.watch.stop()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_loop(run())


def test_a_changed_key_is_heard_within_a_second(world: World, owner_id: int) -> None:
    async def run() -> float:
        async with listening(world, owner_id) as ear:
            notify(world, "tollgate_keys", "abcdefghjkmn")
            return await ear.until(lambda: "abcdefghjkmn" in ear.keys)

    assert run_loop(run()) < 1.0


def test_no_notification_is_lost_and_while_fresh_none_is_older_than_a_second(
    world: World, owner_id: int
) -> None:
    # `is_fresh` promises just that: the whole worth of the cache.
    async def run() -> None:
        sent: list[tuple[float, str]] = []
        async with listening(world, owner_id) as ear:
            async with await AsyncConnection.connect(world.database.url, autocommit=True) as other:
                for number in range(500):
                    name = f"key{number}"
                    await other.execute("SELECT pg_notify('tollgate_keys', %s)", (name,))
                    sent.append((time.monotonic(), name))
                    await asyncio.sleep(0.004)
                    old = [one for at, one in sent if at < time.monotonic() - 1.0]
                    assert not ear.watch.is_fresh or ear.keys[1 : len(old) + 1] == old
            await ear.until(lambda: "key499" in ear.keys)
            assert ear.keys == ["*", *(name for _, name in sent)]

    run_loop(run())


def test_a_connection_that_falls_silent_is_not_trusted_and_is_replaced(
    world: World, owner_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "ROUND_TIMEOUT_S", 0.5)

    async def run() -> None:
        async with database_proxy(world.database.url) as proxy:
            ear = Ear(proxy.url, owner_id)
            await ear.watch.start()
            await ear.until(lambda: ear.watch.is_fresh)
            proxy.deafen()
            assert await ear.until(lambda: not ear.watch.is_fresh) <= FRESH_S + 0.1
            try:
                await ear.until(lambda: ear.watch.is_fresh)
                assert ear.keys == ["*", "*"]
            finally:
                proxy.cut()
                await ear.watch.stop()

    run_loop(run())


def test_many_changes_of_the_catalog_are_one_reload(world: World, owner_id: int) -> None:
    async def run() -> None:
        async with listening(world, owner_id) as ear:
            before = ear.catalogs
            for _ in range(50):
                notify(world, "tollgate_catalog", "gateway_model")
            await ear.until(lambda: ear.catalogs > before)
            assert ear.catalogs - before < 10
            assert ear.keys == ["*"]

    run_loop(run())


def test_a_lost_connection_is_made_again_and_everything_forgotten(
    world: World, owner_id: int
) -> None:
    async def run() -> None:
        async with listening(world, owner_id) as ear:
            catalogs = ear.catalogs
            world.database.query("SELECT pg_terminate_backend(%s)", ear.backends[-1])
            await ear.until(lambda: ear.keys == ["*", "*"])
            await ear.until(lambda: ear.watch.is_fresh)
            assert ear.catalogs == catalogs + 1
            notify(world, "tollgate_keys", "after")
            await ear.until(lambda: "after" in ear.keys)

    run_loop(run())


def test_without_a_database_nothing_is_fresh_any_more(world: World, owner_id: int) -> None:
    async def run() -> None:
        async with listening(world, owner_id) as ear:
            ear.is_away = True
            world.database.query("SELECT pg_terminate_backend(%s)", ear.backends[-1])
            assert await ear.until(lambda: not ear.watch.is_fresh) <= FRESH_S + 0.1
            await asyncio.sleep(0.3)
            assert not ear.watch.is_fresh
            ear.is_away = False
            await ear.until(lambda: ear.watch.is_fresh)

    run_loop(run())


def test_the_pulse_moves_and_tells_since_when_the_process_is_busy(
    world: World, owner_id: int
) -> None:
    def column(name: str) -> float:
        sql = f"SELECT extract(epoch FROM {name})::float8 FROM billing_holdowner WHERE id = %s"
        return float(world.database.one(sql, owner_id))

    async def run() -> None:
        async with listening(world, owner_id) as ear:
            first = column("seen_at")
            ear.busy_since = 1_000_000.5
            assert await ear.until(lambda: column("seen_at") > first) < 2.0
            assert column("busy_since") == 1_000_000.5

    run_loop(run())


def test_a_catalog_that_cannot_be_read_does_not_deafen_the_process(
    world: World, owner_id: int
) -> None:
    # Such as one bad row that an operator saved: revoked keys must still be heard, and its repair too.
    async def run() -> None:
        async with listening(world, owner_id) as ear:

            async def broken() -> None:
                raise ValueError("two tables for the same tier and threshold")

            heard = ear.watch._listeners
            ear.watch._listeners = heard._replace(on_catalog=broken)
            notify(world, "tollgate_catalog", "billing_price")
            await asyncio.sleep(0.6)
            notify(world, "tollgate_keys", "revoked")
            await ear.until(lambda: "revoked" in ear.keys)
            ear.watch._listeners = heard
            before = ear.catalogs
            notify(world, "tollgate_catalog", "billing_price")
            await ear.until(lambda: ear.catalogs > before)
            await ear.until(lambda: ear.watch.is_fresh)

    run_loop(run())


# Two processes on one database.


@pytest.fixture(scope="module")
def two_gateways(world: World) -> list[GatewayProcess]:
    return [world.start_gateway(), world.start_gateway()]


@pytest.fixture(scope="module")
def clients(two_gateways: list[GatewayProcess]) -> Iterator[list[httpx.Client]]:
    opened = [client(gateway) for gateway in two_gateways]
    yield opened
    for one in opened:
        one.close()


def status(http: httpx.Client, key: str) -> int:
    return http.get("/v1/me", headers={"authorization": f"Bearer {key}"}).status_code


def seconds_until(condition: Callable[[], bool]) -> float:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < 5
        time.sleep(0.01)
    return time.monotonic() - began


@pytest.fixture
def tenant(world: World) -> Tenant:
    return world.add_tenant("Watched", balance="1")


def insert_key(world: World, tenant: Tenant, minted: keys.MintedKey) -> None:
    """Issue one more key for the tenant's group, as the pages do: one row."""
    from django.conf import settings

    world.database.query(
        "INSERT INTO accounts_apikey (id, group_id, created_by_id, name, public_id, prefix, digest, created_at)"
        " SELECT gen_random_uuid(), group_id, created_by_id, 'Second', %s, prefix, %s, now()"
        " FROM accounts_apikey WHERE id = %s",
        minted.public_id,
        keys.digest(minted.text, settings.KEY_PEPPER),
        tenant.key_id,
    )


def test_a_revoked_key_is_refused_by_every_process_within_a_second(
    world: World, clients: list[httpx.Client], tenant: Tenant
) -> None:
    assert [status(http, tenant.key) for http in clients] == [200, 200]
    world.database.query(
        "UPDATE accounts_apikey SET revoked_at = now() WHERE id = %s", tenant.key_id
    )
    assert seconds_until(lambda: all(status(http, tenant.key) == 401 for http in clients)) < 1.0
    for _ in range(10):
        assert [status(http, tenant.key) for http in clients] == [401, 401]
        time.sleep(0.05)


def test_a_key_that_expires_is_refused_by_every_process(
    world: World, clients: list[httpx.Client], tenant: Tenant
) -> None:
    assert [status(http, tenant.key) for http in clients] == [200, 200]
    world.database.query(
        "UPDATE accounts_apikey SET expires_at = now() WHERE id = %s", tenant.key_id
    )
    assert seconds_until(lambda: all(status(http, tenant.key) == 401 for http in clients)) < 1.0


def test_a_new_key_works_at_once_in_every_process(
    world: World, clients: list[httpx.Client], tenant: Tenant
) -> None:
    for _ in range(5):
        minted = keys.mint("tollgate")
        insert_key(world, tenant, minted)
        assert [status(http, minted.text) for http in clients] == [200, 200]


def test_a_key_that_was_tried_before_it_was_issued_works_within_a_second(
    world: World, clients: list[httpx.Client], tenant: Tenant
) -> None:
    minted = keys.mint("tollgate")
    assert [status(http, minted.text) for http in clients] == [401, 401]
    insert_key(world, tenant, minted)
    assert seconds_until(lambda: all(status(http, minted.text) == 200 for http in clients)) < 1.0


def test_a_renamed_group_is_seen_within_a_second(
    world: World, clients: list[httpx.Client], tenant: Tenant
) -> None:
    headers = {"authorization": f"Bearer {tenant.key}"}

    def names() -> set[str]:
        return {http.get("/v1/me", headers=headers).json()["group"]["name"] for http in clients}

    assert names() == {"Watched's group"}
    world.database.query(
        "UPDATE accounts_group SET name = 'Renamed' WHERE id = %s", tenant.group_id
    )
    assert seconds_until(lambda: names() == {"Renamed"}) < 1.0


def test_a_disabled_model_cannot_be_called_within_a_second_and_comes_back(
    world: World, clients: list[httpx.Client], tenant: Tenant
) -> None:
    headers = {"authorization": f"Bearer {tenant.key}"}

    def statuses() -> set[int]:
        posts = [http.post("/v1/chat/completions", json=BODY, headers=headers) for http in clients]
        gets = [http.get(f"/v1/models/{MODEL}") for http in clients]
        return {answer.status_code for answer in (*posts, *gets)}

    assert statuses() == {200}
    for enabled, expected in ((False, {404}), (True, {200})):
        world.database.query(
            "UPDATE gateway_model SET is_enabled = %s WHERE name = %s", enabled, f"openai/{MODEL}"
        )
        assert seconds_until(lambda: statuses() == expected) < 1.0  # noqa: B023


def test_a_new_price_is_charged_within_a_second(
    world: World, clients: list[httpx.Client], tenant: Tenant
) -> None:
    headers = {"authorization": f"Bearer {tenant.key}"}

    def charges() -> set[str]:
        return {
            http.post("/v1/chat/completions", json=BODY, headers=headers).headers[
                "x-tollgate-charge"
            ]
            for http in clients
        }

    [before] = charges()
    with psycopg.connect(world.database.url) as connection:
        [old] = connection.execute(
            "SELECT id FROM billing_price WHERE model = %s", (f"openai/{MODEL}",)
        ).fetchone() or [None]
        [new] = connection.execute(
            "INSERT INTO billing_price"
            " (model, group_id, effective_from, sell_bps, list_is_estimated, source, created_at)"
            " SELECT model, %s, now(), 10000, list_is_estimated, source, now() FROM billing_price WHERE id = %s"
            " RETURNING id",
            (tenant.group_id, old),
        ).fetchone() or [None]
        connection.execute(
            "INSERT INTO billing_pricerate (price_id, tier, above_input_tokens, bucket, list_nanos, per, sell_bps)"
            " SELECT %s, tier, above_input_tokens, bucket, list_nanos, per, sell_bps FROM billing_pricerate"
            " WHERE price_id = %s",
            (new, old),
        )
    doubled = f"{float(before) * 2:.9f}".rstrip("0")
    assert seconds_until(lambda: charges() == {doubled}) < 1.0
    world.audit()


def test_a_channel_whose_credential_does_not_open_harms_no_other(
    world: World, clients: list[httpx.Client], tenant: Tenant
) -> None:
    # Renaming a channel is enough: its credential is bound to its name.
    headers = {"authorization": f"Bearer {tenant.key}"}
    world.put_channel("deepseek", world.simulator.base_url, world.simulator.api_key, name="good")
    world.database.query(
        "INSERT INTO gateway_channel (provider_id, name, base_url, credential, priority, weight, is_enabled,"
        " created_at) SELECT provider_id, 'renamed', base_url, credential, 1, 1, true, now()"
        " FROM gateway_channel WHERE name = 'good'"
    )
    try:
        body = {**BODY, "model": "deepseek-v4-flash"}

        def statuses() -> set[int]:
            return {
                http.post("/v1/chat/completions", json=body, headers=headers).status_code
                for http in clients
            }

        assert seconds_until(lambda: statuses() == {200}) < 1.5
        # Still listening: a key that is revoked now is still noticed.
        assert [status(http, tenant.key) for http in clients] == [200, 200]
        world.database.query(
            "UPDATE accounts_apikey SET revoked_at = now() WHERE id = %s", tenant.key_id
        )
        assert seconds_until(lambda: all(status(http, tenant.key) == 401 for http in clients)) < 1.0
    finally:
        world.database.query("DELETE FROM gateway_channel WHERE name IN ('good', 'renamed')")


def test_a_process_starts_beside_a_channel_whose_credential_does_not_open(
    fresh_world: World,
) -> None:
    fresh_world.put_channel(
        "openai", fresh_world.simulator.base_url, "sk-other", name="second", priority=1
    )
    fresh_world.database.query("UPDATE gateway_channel SET name = 'renamed' WHERE name = 'second'")
    gateway = fresh_world.start_gateway()
    with client(gateway, fresh_world.add_tenant("Early", balance="1")) as http:
        assert http.post("/v1/chat/completions", json=BODY).status_code == 200


def test_a_task_that_has_ended_is_heard_within_a_second(world: World, owner_id: int) -> None:
    async def listen() -> None:
        async with listening(world, owner_id) as ear:
            before = ear.catalogs
            notify(world, "tollgate_tasks", "0190")
            assert await ear.until(lambda: ear.tasks == ["0190"]) < 1
            assert ear.catalogs == before

    run_loop(listen())
