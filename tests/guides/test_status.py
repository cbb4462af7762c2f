"""The status page: what it shows of calls, and what it keeps to itself."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from django.core.cache import cache
from django.db import DatabaseError, connection
from django.test import Client
from django.utils import timezone

from accounts.models import APIKey
from gateway.models import Channel
from gateway.rollups import roll_up
from guides import gateway_state
from guides.catalogue import read_catalogue
from guides.health import Bar, Incident, Recent, Service, list_incidents, read_services, worst
from guides.pages import status as page
from guides.words import STATES
from tests.gateway.operator.shop import add_channel, tried
from tests.gateway.pages.conftest import key
from tests.guides.catalogue_pages import add_model, tokens, words
from tests.world import World

__all__ = ["key"]
pytestmark = pytest.mark.django_db
FAILED = {"status": "upstream_failed", "attempt": {"status": 500}}


@pytest.fixture
def shop(empty_catalogue: None) -> Channel:
    """One model of OpenAI with a channel, one of Anthropic without."""
    add_model("openai/one", tokens(4, 20))
    add_model("anthropic/two", tokens(4, 20))
    return add_channel()


def service(provider: str = "openai", stretch: str = "24h") -> Service:
    cache.clear()
    found = read_services(read_catalogue(), stretch)  # type: ignore[arg-type]
    return next(one for one in found if one.provider == provider)


@pytest.mark.parametrize(
    ("calls", "failures", "state"),
    [
        (0, 0, "quiet"),
        (2, 2, "operational"),
        (3, 3, "down"),
        (10, 5, "down"),
        (100, 49, "degraded"),
        (100, 5, "degraded"),
        (100, 4, "operational"),
        (1, 0, "operational"),
    ],
)
def test_the_state_follows_the_share_of_calls_that_failed(
    calls: int, failures: int, state: str
) -> None:
    assert Recent(calls, failures).state == state


def test_a_call_that_another_channel_took_over_counts_as_served(key: APIKey, shop: Channel) -> None:
    bad = {"channel": "openai:main", "status": 503, "error": None, "ms": 5}
    good = {"channel": "openai:spare", "status": 200, "error": None, "ms": 90}
    for _ in range(5):
        tried(key, model="openai/one", attempts=[bad, good])
    assert service().state == "operational"
    for _ in range(5):
        tried(key, model="openai/one", attempts=[good, bad], status="upstream_failed")
    assert service().state == "down"


def test_a_provider_without_a_channel_is_not_served_whatever_was_called(
    key: APIKey, shop: Channel
) -> None:
    for _ in range(5):
        tried(key, model="anthropic/two", **FAILED)
    assert service("anthropic").state == "unserved"
    assert service("openai").state == "quiet"


@pytest.mark.parametrize("is_summed", [False, True])
def test_bars_count_the_calls_of_their_hour_and_day(
    key: APIKey, shop: Channel, is_summed: bool
) -> None:
    hour = 3600
    for _ in range(3):
        late = tried(key, model="openai/one", seconds_ago=2 * hour).created_at
        early = tried(key, model="openai/one", seconds_ago=5 * hour, **FAILED).created_at
    tried(key, model="openai/one", seconds_ago=2 * hour, status="refused", attempts=[])
    tried(key, model="openai/unknown", seconds_ago=2 * hour, **FAILED)
    tried(key, model="openai/one", seconds_ago=30 * hour, **FAILED)
    if is_summed:
        while roll_up():
            pass
    bars = service().bars
    assert len(bars) == 24
    by_state = {bar.state: bar for bar in bars if bar.served or bar.failed}
    good, bad = by_state["operational"], by_state["down"]
    assert (good.served, good.failed, good.permille) == (3, 0, 1000)
    assert good.since <= late < good.since + timedelta(hours=1)
    assert (bad.served, bad.failed, bad.permille) == (0, 3, 0)
    assert bad.since <= early < bad.since + timedelta(hours=1)
    assert service().permille == 500
    days = service(stretch="90d").bars
    assert len(days) == 90
    assert sum(bar.served for bar in days) == 3
    assert sum(bar.failed for bar in days) == 4


def bars(*pairs: tuple[int, int]) -> Iterator[Bar]:
    start = datetime(2026, 11, 1, tzinfo=UTC)
    for at, (served, failed) in enumerate(pairs):
        yield Bar(start + timedelta(hours=at), served, failed)


def incidents(state: str, *pairs: tuple[int, int]) -> list[Incident]:
    found = Service("openai", "OpenAI", "text", state, tuple(bars(*pairs)))  # type: ignore[arg-type]
    return list_incidents([found], timedelta(hours=1))


def test_troubled_hours_in_a_row_are_one_incident() -> None:
    good, bad, worse, quiet = (10, 0), (8, 2), (1, 9), (0, 0)
    found = incidents("operational", bad, good, bad, worse, quiet, bad)
    assert [(one.state, one.since.hour, one.until and one.until.hour) for one in found] == [
        ("degraded", 5, 6),
        ("down", 2, 4),
        ("degraded", 0, 1),
    ]
    assert found[1].permille == 450
    assert incidents("down", good, bad)[0].until is None
    assert incidents("down", bad, good)[0].until is not None
    assert incidents("operational", good, quiet) == []


def test_two_calls_of_which_one_failed_say_nothing() -> None:
    assert Bar(timezone.now(), 1, 1).state == "quiet"
    assert Bar(timezone.now(), 1, 0).state == "operational"
    assert Bar(timezone.now(), 999, 1).permille == 999
    assert worst(["quiet", "degraded", "operational"]) == "degraded"


def test_no_name_of_a_tenant_a_channel_or_a_failure_leaks(key: APIKey, shop: Channel) -> None:
    Channel.objects.filter(pk=shop.pk).update(name="zq7-channel")
    for _ in range(4):
        tried(
            key,
            model="openai/one",
            status="upstream_failed",
            error_message="zq7-words",
            attempts=[
                {"channel": "openai:zq7-channel", "status": None, "error": "zq7-error", "ms": 1}
            ],
        )
    client = Client()
    for path in (
        "/status",
        "/status?range=90d",
        "/status.md",
        "/status.json",
        "/models/openai/one",
    ):
        text = client.get(path).text
        for secret in ("zq7", "vllm", "Research", "Arden", "sk-operator", str(key.pk)):
            assert secret not in text, (path, secret)
    assert "Down" in client.get("/status").text


def test_words_and_json_say_the_same(client: Client, key: APIKey, shop: Channel) -> None:
    for _ in range(4):
        tried(key, model="openai/one", **FAILED)
    answer = client.get("/status.json")
    body = json.loads(answer.text)
    assert answer["Cache-Control"] == "public, max-age=30"
    openai = next(one for one in body["services"] if one["provider"] == "openai")
    assert (openai["status"], openai["served_permille"], openai["kind"]) == ("down", 0, "text")
    assert len(openai["hours"]) == 24
    assert body["incidents"][0]["until"] is None
    cache.clear()
    said = words(client.get("/status").text)
    assert "OpenAI Text 0% served Down" in said
    assert "| OpenAI | Text | Down | 0% |" in client.get("/status.md").text


def test_the_gateways_own_state_is_shown_even_without_its_database(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone() -> list[object]:
        raise DatabaseError("away")

    monkeypatch.setattr(page, "read_components", gone)
    answer = client.get("/status")
    assert answer.status_code == 503
    assert "Tollgate is not answering calls" in answer.text
    assert "public" not in answer.get("Cache-Control", "")
    assert client.get("/status.json").json()["status"] == "down"


def test_notes_and_tasks_that_wait_too_long_are_trouble(key: APIKey, shop: Channel) -> None:
    def states() -> dict[str, str]:
        return {one.slug: one.state for one in gateway_state.read_components()}

    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM gateway_uncounted")
    tried(key, model="openai/one", seconds_ago=30)
    assert states()["jobs"] == "operational"
    tried(key, model="openai/one", seconds_ago=300)
    assert states()["jobs"] == "degraded"
    assert states()["tasks"] == "operational"


def test_a_process_that_answers_calls_is_seen(world: World) -> None:
    body = httpx.get(f"{world.start_gateway().root}/status.json").json()
    assert next(one for one in body["components"] if one["id"] == "api")["status"] == "operational"
    assert body["status"] in ("operational", "degraded")


def test_every_state_has_words_and_a_look() -> None:
    assert set(STATES) == {"operational", "degraded", "down", "unserved", "quiet"}
