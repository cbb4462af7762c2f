"""A site that sells every family of models, with workers for its pictures, and a reader of its guides."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.billing_checks import Books, open_books
from tests.flows.picture_works import open_works
from tests.snippets.charged_calls import Account
from tests.snippets.installed import link_commands
from tests.snippets.reader import Reader
from tests.world import GatewayProcess, Tenant, World


@pytest.fixture(scope="module")
def gateway(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    world.put_other_vendors()
    with open_works(world, tmp_path_factory.mktemp("site")) as works:
        yield works.gateway


@pytest.fixture(scope="module")
def alice(world: World) -> Tenant:
    """Rich enough for the long first turns of agents."""
    return world.add_tenant("Alice", balance="50")


@pytest.fixture(scope="module")
def books(world: World) -> Iterator[Books]:
    with open_books(world) as made:
        yield made


@pytest.fixture(scope="module")
def account(world: World, alice: Tenant, books: Books) -> Account:
    return Account(world, alice, books)


@pytest.fixture(scope="session")
def commands(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The PATH with every client in it."""
    return link_commands(tmp_path_factory.mktemp("bin"))


@pytest.fixture
def reader(tmp_path: Path, commands: str, alice: Tenant) -> Reader:
    return Reader(tmp_path, commands, alice.key)
