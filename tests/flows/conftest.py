"""Official clients pointed at a gateway with the channels of all vendors of text, and the books of what they cost."""

from collections.abc import Iterator

import pytest

from tests.flows.billing_checks import Books, open_books
from tests.flows.sdk_clients import Speaker, Speakers, speak_openai
from tests.world import GatewayProcess, Tenant, World


@pytest.fixture(scope="module")
def all_vendors_gateway(world: World) -> GatewayProcess:
    world.put_other_vendors()
    return world.start_gateway()


@pytest.fixture(scope="module")
def books(world: World) -> Iterator[Books]:
    with open_books(world) as made:
        yield made


@pytest.fixture
def each_call_is_recorded_once_and_charged_as_listed(books: Books) -> Iterator[None]:
    with books.watch():
        yield


@pytest.fixture(scope="module")
def speakers(
    all_vendors_gateway: GatewayProcess, alice: Tenant, books: Books
) -> Iterator[Speakers]:
    """OpenAI's clients with Alice's key; modules of other clients have their own."""
    with speak_openai(all_vendors_gateway, alice.key, books) as made:
        yield made


@pytest.fixture
def speaker(speakers: Speakers, kind: str) -> Speaker:
    return speakers[kind]
