"""Management keys of the four people."""

import pytest

from tests.management import ManagementClient, manage
from tests.people import People


@pytest.fixture
def alice(people: People) -> ManagementClient:
    """Administers her organization and manages its group."""
    return manage(people.alice, people.group)


@pytest.fixture
def bob(people: People) -> ManagementClient:
    """A plain member of Alice's group."""
    return manage(people.bob, people.group)


@pytest.fixture
def charlie(people: People) -> ManagementClient:
    """Administers another organization."""
    return manage(people.charlie, people.foreign_group)


@pytest.fixture
def olga(people: People) -> ManagementClient:
    """The operator; her key stands in Charlie's group."""
    return manage(people.olga, people.foreign_group)
