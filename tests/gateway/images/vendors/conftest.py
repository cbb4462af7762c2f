"""A channel to the simulator, and vendors that answer what a test says, for the drivers of image vendors."""

from collections.abc import Iterator

import httpx
import pytest

from gateway.images.vendors.base import Access, Limits
from gateway.images.vendors.http import make_client, make_fetch
from simulator.process import SimulatorProcess
from tests.gateway.far_end import ThreadedFarEnd, threaded_far_end
from tests.gateway.images.vendors.orders import FETCHED, MakeAccess


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with make_client() as made:
        yield made


@pytest.fixture
def access(client: httpx.Client, simulator: SimulatorProcess) -> MakeAccess:
    """A channel to the simulator; its parts may be changed."""

    def make(
        base_url: str = "", credential: str = simulator.api_key, limits: Limits | None = None
    ) -> Access:
        base_url = base_url or simulator.root_url
        return Access(
            base_url=base_url,
            credential=credential,
            client=client,
            fetch=make_fetch(base_url, FETCHED),
            limits=limits or Limits(start_timeout_s=10.0, poll_timeout_s=5.0),
        )

    return make


@pytest.fixture
def far() -> Iterator[ThreadedFarEnd]:
    """A vendor that answers every request with the bytes that a test chose."""
    with threaded_far_end() as made:
        yield made
