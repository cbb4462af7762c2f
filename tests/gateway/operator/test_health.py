"""How channels do, by the attempts of the last hour."""

import pytest

from accounts.models import APIKey
from gateway.operator import health
from gateway.operator.health import Health, read_healths
from tests.gateway.operator.shop import tried

pytestmark = pytest.mark.django_db
MAIN = "openai:main"


def of_main() -> Health:
    return read_healths().of(MAIN)


def test_tries_of_the_last_hour_are_counted_by_channel(key: APIKey) -> None:
    for ms in (100, 200, 300, 4000):
        tried(key, attempt={"ms": ms})
    tried(key, channel="openai:other", attempt={"ms": 9})
    tried(key, seconds_ago=3700, attempt={"ms": 9})
    found = of_main()
    assert (found.tries, found.failures, found.p50_ms, found.p95_ms) == (4, 0, 200, 4000)
    assert (found.state, found.error_percent) == ("good", "0.0%")
    assert read_healths().of("openai:other").tries == 1


def test_each_attempt_of_a_call_counts_for_its_own_channel(key: APIKey) -> None:
    first = {"channel": MAIN, "status": 503, "error": None, "ms": 5}
    second = {"channel": "openai:spare", "status": 200, "error": None, "ms": 90}
    tried(key, attempts=[first, second])
    found = of_main()
    assert (found.tries, found.failures, found.failed_status) == (1, 1, 503)
    assert read_healths().of("openai:spare").failures == 0


@pytest.mark.parametrize(
    ("attempt", "status", "counts"),
    [
        ({"status": 500}, "upstream_failed", True),
        ({"status": None, "error": "refused to connect"}, "upstream_failed", True),
        ({"status": None}, "timed_out", True),
        ({"status": 200}, "upstream_failed", True),
        ({"status": 401}, "upstream_failed", True),
        ({"status": 429}, "upstream_failed", True),
        ({"status": 400}, "upstream_failed", False),
        ({"status": 422}, "upstream_failed", False),
        ({"status": 200}, "completed", False),
        ({"status": 200}, "client_gone", False),
        ({"status": None}, "client_gone", False),
    ],
)
def test_what_counts_against_a_channel(
    key: APIKey, attempt: dict[str, object], status: str, counts: bool
) -> None:
    tried(key, attempt=attempt, status=status, error_message="as told")
    assert (of_main().tries, of_main().failures) == (1, int(counts))


def test_the_last_error_is_the_newest_one(key: APIKey) -> None:
    tried(
        key, seconds_ago=300, attempt={"status": 500}, status="upstream_failed", error_message="old"
    )
    tried(
        key,
        seconds_ago=30,
        attempt={"error": "broke off"},
        status="upstream_failed",
        error_message="new",
    )
    tried(key, seconds_ago=10)
    found = of_main()
    assert found.failed_with == "broke off"
    assert found.failed_at is not None
    assert found.last_at is not None
    assert found.failed_at < found.last_at


@pytest.mark.parametrize(
    ("tries", "failures", "state"),
    [(0, 0, "idle"), (100, 4, "good"), (100, 5, "degraded"), (2, 2, "degraded"), (4, 2, "failing")],
)
def test_the_state_follows_from_the_share_of_failures(
    tries: int, failures: int, state: str
) -> None:
    assert Health(tries, failures).state == state


def test_no_more_than_the_newest_calls_are_read(
    key: APIKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "READ_MAX", 3)
    for seconds in (10, 20, 30, 40):
        oldest = tried(key, seconds_ago=seconds)
    found = read_healths()
    assert (found.of(MAIN).tries, found.is_cut) == (3, True)
    assert found.since > oldest.created_at
