"""Management keys of the four people, and calls by Alice's and Bob's keys in one group."""

from typing import NamedTuple

import pytest

from accounts.key_services import issue_key
from accounts.models import APIKey
from tests.accounts.api.conftest import alice, bob, charlie, olga
from tests.gateway.call_rows import record
from tests.people import People

__all__ = ["alice", "bob", "charlie", "olga"]


class Keys(NamedTuple):
    """Keys that call models: two of Alice's group, one of Charlie's."""

    alice: APIKey
    bob: APIKey
    charlie: APIKey


@pytest.fixture
def keys(people: People) -> Keys:
    return Keys(
        issue_key(people.group, people.alice, "Alice's key")[0],
        issue_key(people.group, people.bob, "Bob's key")[0],
        issue_key(people.foreign_group, people.charlie, "Charlie's key")[0],
    )


@pytest.fixture
def calls(keys: Keys) -> Keys:
    """Calls that differ in all that can be asked for, and one of Charlie's."""
    record(keys.alice, 10, amount_nanos=5_000_000, list_nanos=10_000_000, stream=True)
    record(keys.alice, 4000, model="anthropic/claude-sonnet-4-6", endpoint="messages")
    record(keys.bob, 20, status="upstream_failed", error_code="upstream_error", basis="")
    record(keys.bob, 90_000, duration_ms=9000, amount_nanos=10**9, list_nanos=2 * 10**9)
    record(
        keys.bob, 30, source="task", endpoint="text_to_image", images=1, model="openai/gpt-image-2"
    )
    record(keys.bob, 400_000, status="refused", error_code="insufficient_credits", basis="")
    record(keys.charlie, 5)
    return keys
