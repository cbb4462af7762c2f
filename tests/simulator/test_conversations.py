"""simulator.conversations: what is remembered, and for how long."""

import pytest

from simulator.conversations import Conversations
from simulator.errors import ApiError


def test_a_conversation_is_found_by_its_id():
    kept = Conversations()
    kept.keep("resp_1", [{"role": "user", "content": "Hi"}])
    assert kept.recall("resp_1") == [{"role": "user", "content": "Hi"}]
    with pytest.raises(ApiError):
        kept.recall("resp_2")


def test_the_oldest_are_forgotten_first():
    kept = Conversations()
    for number in range(1_001):
        kept.keep(f"resp_{number}", [])
    assert kept.recall("resp_1") == []
    with pytest.raises(ApiError):
        kept.recall("resp_0")
