"""The test button: a real request to a simulated vendor, and what it says."""

import time

import pytest

from gateway.models import Channel, Model, Provider
from gateway.operator import channel_tests
from gateway.operator.channel_tests import testable_models as list_testable
from gateway.operator.channel_tests import try_channel
from gateway.provisioning import provide_vendors, put_channel
from simulator.process import SimulatorProcess
from tests.gateway.far_end import head, threaded_far_end, whole
from tests.gateway.operator.shop import LONG_AGO, SECRET, add_channel, add_model, entry, sell
from tests.gateway.outbound_servers import Play, drip, say_nothing, serving
from tests.world import free_port

pytestmark = pytest.mark.django_db

PLACES = {
    "openai": ("/v1", "chat"),
    "anthropic": ("/v1", "chat"),
    "gemini": ("/v1beta/openai", "chat"),
    "deepseek": ("/v1", "chat"),
}


def channel_at(simulator: SimulatorProcess, provider: str, path: str) -> Channel:
    provide_vendors()
    root = simulator.base_url.removesuffix("/v1")
    return put_channel(Provider.objects.get(slug=provider), "main", root + path, simulator.api_key)


@pytest.mark.parametrize("provider", PLACES)
def test_each_dialect_answers_a_call_of_a_few_tokens(
    simulator: SimulatorProcess, provider: str
) -> None:
    path, mode = PLACES[provider]
    model = add_model(f"{provider}/tiny", mode=mode)
    tested = try_channel(channel_at(simulator, provider, path), model)
    assert (tested.is_good, tested.status) == (True, 200), tested
    assert tested.text
    assert tested.model == model.name
    assert 0 < tested.ms < 15_000
    assert simulator.api_key not in repr(tested)


@pytest.mark.parametrize(
    ("mode", "name"), [("responses", "gpt-5.4-pro"), ("embedding", "text-embedding-3-small")]
)
def test_models_of_other_surfaces_are_called_on_theirs(
    simulator: SimulatorProcess, mode: str, name: str
) -> None:
    model = add_model(f"openai/{name}", mode=mode)
    tested = try_channel(channel_at(simulator, "openai", "/v1"), model)
    assert (tested.is_good, tested.status) == (True, 200), tested
    assert bool(tested.text) is (mode == "responses")


def test_without_a_model_the_account_is_asked_after(simulator: SimulatorProcess) -> None:
    tested = try_channel(channel_at(simulator, "openai", "/v1"), None)
    assert (tested.is_good, tested.status, tested.model) == (True, 200, "")


def test_a_bad_credential_is_told_without_it(simulator: SimulatorProcess) -> None:
    channel = add_channel(base_url=simulator.base_url)
    tested = try_channel(channel, add_model())
    assert (tested.is_good, tested.status) == (False, 401)
    assert tested.text
    assert SECRET not in repr(tested)


@pytest.mark.parametrize("form", ['{{"error": {{"message": "bad key {}"}}}}', "bad key {}"])
def test_a_vendor_that_repeats_the_credential_is_not_quoted(form: str) -> None:
    plain = "looks-like-no-key-at-all"  # what looks like one is cut out of errors anyway
    channel = add_channel()
    with threaded_far_end() as far:
        far.answer_with(whole(form.format(plain).encode(), status="403 Forbidden"))
        tested = try_channel(
            put_channel(channel.provider, "main", far.base_url, plain), add_model()
        )
    assert (tested.is_good, tested.status) == (False, 403)
    assert plain not in repr(tested)
    assert "bad key" in tested.text
    assert far.requests[0].headers["authorization"] == f"Bearer {plain}"


@pytest.mark.parametrize("form", ['{{"error": {{"message": "{}"}}}}', "{}"])
def test_a_part_of_the_credential_at_the_end_of_what_is_shown_is_not_quoted(form: str) -> None:
    plain = "looks-like-no-key-at-all"
    said = "w" * (channel_tests.TEXT_CHARS_MAX - len(plain) // 2) + plain
    channel = add_channel()
    with threaded_far_end() as far:
        far.answer_with(whole(form.format(said).encode(), status="403 Forbidden"))
        tested = try_channel(
            put_channel(channel.provider, "main", far.base_url, plain), add_model()
        )
    assert tested.text.startswith("www")
    assert "looks" not in tested.text


def test_a_redirect_is_not_followed() -> None:
    with threaded_far_end() as far:
        far.answer_with(head("302 Found", f"location: {far.base_url}", "content-length: 0"))
        tested = try_channel(add_channel(base_url=far.base_url), add_model())
    assert (tested.is_good, tested.status, len(far.requests)) == (False, 302, 1)


def test_an_address_where_nobody_listens_is_told_as_no_answer() -> None:
    channel = add_channel(base_url=f"http://127.0.0.1:{free_port()}/v1")
    tested = try_channel(channel, add_model())
    assert (tested.is_good, tested.status) == (False, None)
    assert "ConnectError" in tested.text


@pytest.mark.parametrize(
    "play", [say_nothing, drip(head("200 OK", "content-type: application/json"), b" ")]
)
def test_a_vendor_that_never_ends_is_left_at_the_deadline(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel_tests, "TIMEOUT_S", 0.4)
    with serving(play) as server:
        began = time.monotonic()
        tested = try_channel(add_channel(base_url=f"{server.url}/v1"), add_model())
        assert time.monotonic() - began < 3
    assert not tested.is_good
    assert tested.text.startswith("There was no whole answer within")


def test_a_credential_that_does_not_open_is_not_sent(simulator: SimulatorProcess) -> None:
    channel = add_channel(base_url=simulator.base_url)
    Channel.objects.update(credential=b"\x01" + b"x" * 40)
    channel.refresh_from_db()
    tested = try_channel(channel, add_model())
    assert (tested.is_good, tested.status, tested.ms) == (False, None, 0)


def test_the_cheapest_chat_model_of_the_channel_comes_first() -> None:
    channel = add_channel()
    dear, cheap = add_model("openai/dear"), add_model("openai/cheap")
    add_model("openai/pictures", mode="image_generation")
    add_model("openai/off", is_enabled=False)
    add_model("openai/vectors", mode="embedding")
    add_model("anthropic/other")
    sell(dear, entry(20, 80, start=LONG_AGO))
    sell(cheap, entry(1, 2, start=LONG_AGO))
    names = [model.name for model in list_testable(channel)]
    assert names == ["openai/cheap", "openai/dear", "openai/vectors"]
    channel.model_map = {"anthropic/other": "x"}
    assert [model.name for model in list_testable(channel)] == ["anthropic/other"]
    assert Model.objects.count() == 6
