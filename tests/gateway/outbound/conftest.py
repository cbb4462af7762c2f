"""A certificate authority, a watch on the network, and a server that nobody may reach."""

from collections.abc import Iterator

import pytest

from tests.gateway.outbound_calls import PICTURE
from tests.gateway.outbound_servers import (
    Authority,
    LoopbackServer,
    NetworkWatch,
    answer,
    serving,
)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def network_watch() -> NetworkWatch:
    return NetworkWatch()


@pytest.fixture
def watch(network_watch: NetworkWatch) -> Iterator[NetworkWatch]:
    with network_watch.on():
        yield network_watch


@pytest.fixture
def canary() -> Iterator[LoopbackServer]:
    """Nobody may ever come here."""
    with serving(answer(PICTURE)) as server:
        yield server
        assert server.connections == 0
