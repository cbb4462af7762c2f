"""How often one caller may ask."""

from typing import Any

import pytest
from django.core.cache import cache

from accounts.api import throttling
from tests.management import ManagementClient
from tests.people import People


@pytest.fixture(autouse=True)
def at_the_beginning_of_a_minute(db: None, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.API_REQUESTS_PER_MINUTE = 3
    cache.clear()
    monkeypatch.setattr(throttling.time, "time", lambda: 6_000_000_015.0)


def test_each_key_has_its_own_requests_a_minute(
    alice: ManagementClient, bob: ManagementClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [alice.get("organizations").status for _ in range(5)] == [200, 200, 200, 429, 429]
    refused = alice.get("organizations")
    assert refused.code == "rate_limited"
    assert refused.headers["Retry-After"] == "46"
    assert bob.get("organizations").status == 200
    monkeypatch.setattr(throttling.time, "time", lambda: 6_000_000_061.0)
    assert alice.get("organizations").status == 200


def test_sessions_of_one_user_count_together(people: People, alice: ManagementClient) -> None:
    answers = []
    for _ in range(4):
        alice.client.logout()
        alice.client.force_login(people.alice)
        answers.append(ManagementClient(client=alice.client).get("organizations").status)
    assert answers == [200, 200, 200, 429]
