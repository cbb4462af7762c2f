"""A key for the pages."""

import pytest

from accounts.key_services import issue_key
from accounts.models import APIKey
from tests.people import People


@pytest.fixture
def key(people: People) -> APIKey:
    return issue_key(people.group, people.alice, "ci")[0]
