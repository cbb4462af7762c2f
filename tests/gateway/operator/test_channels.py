"""The pages of providers and channels."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import APIKey, Change
from gateway.models import Channel, ChannelCost, Provider
from gateway.operator.channel_services import TESTS_PER_MINUTE
from gateway.provisioning import fingerprint, open_credential
from simulator.process import SimulatorProcess
from tests.gateway.operator.shop import SECRET, URL, add_channel, add_model, tried
from tests.people import People

PAGE = "/operator/channels/"
SCRIPT = "<script>alert(1)</script>"


@pytest.fixture
def channel(people: People) -> Channel:
    add_model()
    return add_channel()


def page_of(channel: Channel, rest: str = "") -> str:
    return f"{PAGE}{channel.pk}/{rest}"


def test_the_list_shows_health_and_cost_and_no_credential(
    olga: Client, channel: Channel, key: APIKey
) -> None:
    ChannelCost.objects.create(
        channel=channel, cost_bps=4250, effective_from=timezone.now() - timedelta(days=1)
    )
    tried(key, attempt={"status": 500}, status="upstream_failed", error_message=SCRIPT)
    html = olga.get(PAGE).content.decode()
    for text in (URL, "Enabled", "Degraded", "100.0%", "42.5%"):
        assert text in html, text
    assert SECRET not in html
    assert SCRIPT not in html


def test_a_channel_shows_its_fingerprint_and_never_its_credential(
    olga: Client, channel: Channel
) -> None:
    html = olga.get(page_of(channel)).content.decode()
    assert fingerprint(channel) in html
    assert SECRET not in html


def test_a_channel_is_added_disabled_unless_asked_otherwise(
    olga: Client, people: People, channel: Channel
) -> None:
    fields: dict[str, Any] = {
        "provider": "openai", "name": "second", "base_url": URL, "credential": "sk-2", "priority": "1", "weight": "2",
        "cost_bps": "60",
    }  # fmt: skip
    assert olga.post(f"{PAGE}new/", fields).status_code == 302
    made = Channel.objects.get(name="second")
    assert (made.priority, made.weight, made.is_enabled) == (1, 2, False)
    assert open_credential(made) == "sk-2"
    assert ChannelCost.objects.get().cost_bps == 6000


@pytest.mark.parametrize(
    "changed",
    [{"name": "main"}, {"name": ""}, {"credential": ""}, {"credential": "two words"}, {"base_url": "ftp://x"},
     {"cost_bps": "1001"}, {"cost_bps": ""}, {"weight": "-1"}, {"provider": "nobody"}],
)  # fmt: skip
def test_a_new_channel_that_makes_no_sense_is_refused(
    olga: Client, channel: Channel, changed: dict[str, str]
) -> None:
    fields = {
        "provider": "openai", "name": "second", "base_url": URL, "credential": "sk-2-typed", "priority": "1",
        "weight": "2", "cost_bps": "60",
    } | changed  # fmt: skip
    answer = olga.post(f"{PAGE}new/", fields)
    assert answer.status_code == 422
    assert "sk-2-typed" not in answer.content.decode(), "a refused form does not repeat it"
    assert Channel.objects.count() == 1


def test_place_credential_switch_and_cost_are_changed(olga: Client, channel: Channel) -> None:
    assert (
        olga.post(
            page_of(channel), {"base_url": "http://b/v1/", "priority": "3", "weight": "0"}
        ).status_code
        == 302
    )
    assert olga.post(page_of(channel, "credential/"), {"credential": "sk-9"}).status_code == 302
    assert olga.post(page_of(channel, "switch/"), {"is_enabled": "0"}).status_code == 302
    begins = (timezone.localtime() + timedelta(hours=2)).replace(minute=0)
    cost = {"cost_bps": "40", "effective_from": f"{begins:%Y-%m-%dT%H:%M}"}
    assert olga.post(page_of(channel, "cost/"), cost).status_code == 302
    channel.refresh_from_db()
    assert (channel.base_url, channel.priority, channel.weight) == ("http://b/v1", 3, 0)
    assert (open_credential(channel), channel.is_enabled) == ("sk-9", False)
    assert ChannelCost.objects.get().cost_bps == 4000
    verbs = Change.objects.filter(subject_kind="channel", actor__isnull=False)
    assert set(verbs.values_list("verb", flat=True)) == {
        "channel.changed", "channel.rotated", "channel.disabled", "channel.cost_set",
    }  # fmt: skip


def test_what_is_refused_stands_on_the_page_with_a_word(olga: Client, channel: Channel) -> None:
    refused = [
        olga.post(page_of(channel), {"base_url": "ftp://b", "priority": "0", "weight": "1"}),
        olga.post(page_of(channel, "credential/"), {"credential": "schlüssel"}),
        olga.post(
            page_of(channel, "cost/"), {"cost_bps": "40", "effective_from": "2026-01-01T00:00"}
        ),
        olga.post(page_of(channel, "models/"), map_of(("openai/gone", "x"))),
        olga.post(page_of(channel, "models/"), map_of(("openai/tiny", "x"), ("openai/tiny", "y"))),
        olga.post(page_of(channel, "models/"), map_of(("", "x"))),
    ]
    assert [answer.status_code for answer in refused] == [422] * 6
    assert ['class="field-error"' in answer.content.decode() for answer in refused] == [True] * 6
    channel.refresh_from_db()
    assert (channel.base_url, channel.model_map) == (URL, {})


def map_of(*rows: tuple[str, str]) -> dict[str, str]:
    fields = {"map-TOTAL_FORMS": str(len(rows)), "map-INITIAL_FORMS": "0", "step": "save"}
    for number, (model, name) in enumerate(rows):
        fields |= {f"map-{number}-model": model, f"map-{number}-name": name}
    return fields


def test_the_map_of_models_is_edited_row_by_row(olga: Client, channel: Channel) -> None:
    add_model("anthropic/other")
    wanted = map_of(("openai/tiny", "tiny-eu"), ("anthropic/other", ""), ("", ""))
    assert olga.post(page_of(channel, "models/"), wanted).status_code == 302
    channel.refresh_from_db()
    assert channel.model_map == {"openai/tiny": "tiny-eu", "anthropic/other": "other"}
    more = olga.post(page_of(channel, "models/"), wanted | {"step": "more"}).content.decode()
    assert 'name="map-7-model"' in more
    assert 'value="tiny-eu"' in more
    assert olga.post(page_of(channel, "models/"), map_of(("", ""))).status_code == 302
    channel.refresh_from_db()
    assert channel.model_map == {}


def test_a_channel_that_was_never_used_is_deleted_from_its_page(
    olga: Client, channel: Channel
) -> None:
    olga.post(page_of(channel, "delete/"))
    assert Channel.objects.count() == 1
    olga.post(page_of(channel, "switch/"), {"is_enabled": "0"})
    assert olga.post(page_of(channel, "delete/")).status_code == 302
    assert Channel.objects.count() == 0


def test_the_test_button_says_what_came_of_it(
    olga: Client, people: People, simulator: SimulatorProcess
) -> None:
    add_model()
    channel = add_channel(base_url=simulator.base_url)
    refused = olga.post(page_of(channel, "test/"), {"model": "openai/tiny"}).content.decode()
    assert "Refused" in refused
    assert "401" in refused
    assert SECRET not in refused
    olga.post(page_of(channel, "credential/"), {"credential": simulator.api_key})
    works = olga.post(page_of(channel, "test/"), {"model": "openai/tiny"}, HTTP_HX_REQUEST="true")
    assert "It works" in works.content.decode()
    assert "<html" not in works.content.decode()
    assert Change.objects.filter(verb="channel.tested").count() == 2
    assert olga.post(page_of(channel, "test/"), {"model": "other/model"}).status_code == 422


def test_too_many_tests_in_a_minute_are_refused(
    olga: Client, channel: Channel, simulator: SimulatorProcess
) -> None:
    Channel.objects.update(base_url=simulator.base_url)
    for _turn in range(TESTS_PER_MINUTE):
        assert olga.post(page_of(channel, "test/"), {"model": ""}).status_code == 200
    answer = olga.post(page_of(channel, "test/"), {"model": ""})
    assert answer.status_code == 422
    assert "a lot of tests" in answer.content.decode()


def test_a_provider_of_its_own_is_added(olga: Client, people: People, channel: Channel) -> None:
    fields = {
        "slug": "own",
        "name": "Own servers",
        "dialect": "openai",
        "base_url": "http://vllm:8000/v1",
    }
    answer = olga.post("/operator/providers/new/", fields)
    assert answer.status_code == 302
    assert Provider.objects.get(slug="own").dialect == "openai"
    assert "http://vllm:8000/v1" in olga.get(answer["Location"]).content.decode()
    for changed in (
        {"slug": "openai"},
        {"slug": "a b"},
        {"dialect": "klingon"},
        {"base_url": "ftp://x"},
    ):
        assert (
            olga.post("/operator/providers/new/", fields | {"slug": "own2"} | changed).status_code
            == 422
        )
