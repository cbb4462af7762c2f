"""Fixtures that start real parts."""

import os
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.core.management import call_command
from django.test import Client

from simulator.process import SimulatorProcess
from tests.people import People, make_people
from tests.sign_in import force_fresh_login
from tests.world import GatewayProcess, Tenant, World, run_command


@pytest.fixture(autouse=True)
def _force_login_is_a_sign_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever a test signs in by `Client.force_login` has just proved who he is."""
    monkeypatch.setattr(Client, "force_login", force_fresh_login)


@pytest.fixture
def people(db: None) -> People:
    """Alice's organization, Bob her colleague, Charlie an outsider, and Olga who runs it all."""
    return make_people()


@pytest.fixture(scope="session")
def price_book(django_db_setup: None, django_db_blocker: Any) -> None:
    """The real price book, once for the run: rates can only be written in the transaction of their price."""
    with django_db_blocker.unblock():
        call_command("load_price_book", verbosity=0)


@pytest.fixture(scope="session")
def server_url() -> str:
    """The URL of the database that `make test` started; other databases are made beside it."""
    return str(settings.DATABASE_URL)


@pytest.fixture(scope="session")
def template_database(server_url: str, worker_id: str) -> Iterator[str]:
    """A migrated database with the price book, for cloning."""
    name = f"template_{worker_id}_{os.getpid()}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        connection.execute(f'CREATE DATABASE "{name}"')
        host, user = connection.info.host, connection.info.user
    url = f"postgresql:///{name}?host={host}&user={user}"
    for command in (["migrate", "-v0"], ["load_price_book"]):
        done = run_command(url, *command)
        assert done.returncode == 0, done.stderr
    yield name
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture(scope="session")
def simulator() -> Iterator[SimulatorProcess]:
    with SimulatorProcess() as process:
        yield process


@pytest.fixture(scope="module")
def world(server_url: str, template_database: str, simulator: SimulatorProcess) -> Iterator[World]:
    """An installation shared by the tests of one module; use `fresh_world` to break things."""
    with World(server_url, template_database, simulator) as made:
        yield made


@pytest.fixture
def fresh_world(
    server_url: str, template_database: str, simulator: SimulatorProcess
) -> Iterator[World]:
    with World(server_url, template_database, simulator) as made:
        yield made


@pytest.fixture(scope="module")
def gateway(world: World) -> GatewayProcess:
    return world.start_gateway()


@pytest.fixture(scope="module")
def alice(world: World) -> Tenant:
    """Owns the organization; her group has credits."""
    return world.add_tenant("Alice", balance="10")


@pytest.fixture(scope="module")
def bob(world: World, alice: Tenant) -> Tenant:
    """Alice's colleague: the same organization, another group."""
    return world.add_tenant("Bob", balance="10", organization_id=alice.organization_id)


@pytest.fixture(scope="module")
def charlie(world: World) -> Tenant:
    """An outsider with an organization of his own."""
    return world.add_tenant("Charlie", balance="10")
