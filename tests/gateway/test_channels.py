"""What operators do with channels: put_channel, reseal_credentials, and the models that a channel serves."""

import base64
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from uvloop import run as run_loop

from accounts.key_services import issue_key
from accounts.models import APIKey
from gateway.channels import reseal_credentials
from gateway.configuration import Configuration
from gateway.credentials import seal, unseal
from gateway.models import CallbackSecret, Channel, Model, Provider
from gateway.provisioning import provide_vendors, put_channel
from gateway.store import Store
from tests.flows.canned import completion
from tests.gateway.far_end import threaded_far_end, whole
from tests.people import make_people
from tests.world import ROOT, World, client

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.filterwarnings("ignore:No directory at:UserWarning"),
]
SECRET = "sk-provider-secret"
URL = "http://vllm:8000/v1"
Put = Callable[..., str]


@pytest.fixture(autouse=True)
def _vendors() -> None:
    provide_vendors()
    for slug in ("openai", "anthropic"):
        for name in ("small", "large"):
            Model.objects.create(
                name=f"{slug}/{name}", provider_id=slug, upstream_name=name, mode="chat"
            )


@pytest.fixture
def put(monkeypatch: pytest.MonkeyPatch) -> Put:
    """Runs put_channel for openai's `main` with that text on its standard input; answers what it printed."""

    def run(*arguments: str, stdin: str = f"{SECRET}\n", name: str = "main") -> str:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        out = io.StringIO()
        call_command("put_channel", "openai", name, *arguments, stdout=out)
        return out.getvalue()

    return run


def main() -> Channel:
    return Channel.objects.get(provider="openai", name="main")


def credential_of(channel: Channel) -> str:
    owner = f"{channel.provider_id}:{channel.name}"
    return unseal(bytes(channel.credential), settings.CREDENTIAL_KEYS, owner)


# put_channel.


def test_a_channel_is_added_with_a_credential_from_standard_input(put: Put) -> None:
    told = put(
        "--base-url", f"{URL}/", "--priority", "-1", "--weight", "0",
        "--model-map", '{"anthropic/small": "claude-7"}',
    )  # fmt: skip
    channel = main()
    assert credential_of(channel) == SECRET
    assert (channel.base_url, channel.priority, channel.weight) == (URL, -1, 0)
    assert channel.model_map == {"anthropic/small": "claude-7"}
    assert channel.is_enabled
    assert SECRET not in told


def test_a_channel_without_wishes_has_the_usual_place(put: Put) -> None:
    put("--base-url", URL)
    assert (main().priority, main().weight, main().model_map) == (0, 1, {})


def test_a_credential_is_changed_and_the_rest_stays(
    put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("--base-url", URL, "--priority", "3", "--model-map", '{"openai/small": "s"}')
    monkeypatch.setenv("VENDOR_KEY", "sk-new")
    put("--credential-env", "VENDOR_KEY", stdin="")
    channel = main()
    assert credential_of(channel) == "sk-new"
    assert (channel.base_url, channel.priority, channel.model_map) == (
        URL,
        3,
        {"openai/small": "s"},
    )


def test_a_channel_is_disabled_without_a_credential_and_enabled_by_putting_it_again(
    put: Put,
) -> None:
    put("--base-url", URL)
    put("--disable", stdin="")
    assert not main().is_enabled
    assert credential_of(main()) == SECRET
    put()
    assert main().is_enabled


def test_a_map_is_emptied_by_an_empty_one(put: Put) -> None:
    put("--base-url", URL, "--model-map", '{"openai/small": "s"}')
    put("--model-map", "{}")
    assert main().model_map == {}


@pytest.mark.parametrize(
    ("arguments", "stdin", "message"),
    [
        ((), SECRET, "base URL"),
        (("--base-url", "ftp://host/v1"), SECRET, "base URL"),
        (("--base-url", "https://user:pass@host/v1"), SECRET, "base URL"),
        (("--base-url", "https://host/v1?key=1"), SECRET, "base URL"),
        (("--base-url", "https://host:0/v1"), SECRET, "base URL"),
        (("--base-url", "https://host:99999/v1"), SECRET, "base URL"),
        (("--base-url", "https://[::1/v1"), SECRET, "base URL"),
        (("--base-url", "https://ho st/v1"), SECRET, "base URL"),
        (("--base-url", f"https://host/{'x' * 200}"), SECRET, "base_url: .*at most 200"),
        (("--base-url", URL), "", "credential"),
        (("--base-url", URL), "two words", "credential"),
        (("--base-url", URL), "schlüssel", "credential"),
        (("--base-url", URL, "--credential-env", "NOT_SET"), SECRET, "NOT_SET"),
        (("--base-url", URL, "--weight", "-1"), SECRET, "greater than or equal to 0"),
        (("--base-url", URL, "--weight", "3000000000"), SECRET, "less than or equal to"),
        (("--base-url", URL, "--priority", "-3000000000"), SECRET, "greater than or equal to"),
        (("--base-url", URL, "--model-map", "{"), SECRET, "no JSON"),
        (("--base-url", URL, "--model-map", "null"), SECRET, "JSON object"),
        (("--base-url", URL, "--model-map", '["openai/small"]'), SECRET, "JSON object"),
        (("--base-url", URL, "--model-map", '{"openai/gone": "x"}'), SECRET, "openai/gone"),
        (("--disable",), "", "no such channel"),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_is_written(
    put: Put, arguments: tuple[str, ...], stdin: str, message: str
) -> None:
    with pytest.raises(CommandError, match=message) as caught:
        put(*arguments, stdin=stdin)
    assert not Channel.objects.exists()
    assert SECRET not in str(caught.value)


def test_a_refused_change_leaves_the_channel_as_it_was(put: Put) -> None:
    put("--base-url", URL)
    with pytest.raises(CommandError):
        put("--weight", "-1", stdin="sk-new")
    assert credential_of(main()) == SECRET


@pytest.mark.parametrize("name", ["", "x" * 81])
def test_a_name_that_does_not_fit_is_refused(put: Put, name: str) -> None:
    with pytest.raises(CommandError):
        put("--base-url", URL, name=name)


def test_an_unknown_provider_is_refused_and_the_known_are_named() -> None:
    with pytest.raises(CommandError, match=r"nobody; there are: anthropic, .*openai"):
        call_command("put_channel", "nobody", "main", "--base-url", URL)


# The models of a channel.


@pytest.mark.parametrize(
    "model_map",
    [[], "openai/small", 5, None, {"openai/small": ""}, {"openai/small": " "}, {"openai/small": 5},
     {"openai/small": None}, {"openai/gone": "x"}, {"small": "x"}, {"": "x"}],
)  # fmt: skip
def test_a_map_of_models_that_makes_no_sense_is_refused(model_map: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        Channel(provider_id="openai", name="main", base_url=URL, model_map=model_map).clean()
    assert set(caught.value.message_dict) == {"model_map"}


@pytest.mark.parametrize("model_map", [{}, {"openai/small": "s", "anthropic/small": "s"}])
def test_a_map_of_known_models_is_taken(model_map: dict[str, str]) -> None:
    Channel(provider_id="openai", name="main", base_url=URL, model_map=model_map).clean()


def test_the_admin_pages_show_a_channel_and_change_none(admin_client: Client, put: Put) -> None:
    put("--base-url", URL)
    address = f"/admin/gateway/channel/{main().pk}/change/"
    assert URL in admin_client.get(address).content.decode()
    fields = {"base_url": "http://vllm:9/v1", "priority": 4, "weight": 0, "is_enabled": "on"}
    assert admin_client.post(address, fields).status_code == 403
    assert (main().base_url, credential_of(main())) == (URL, SECRET)


# Another key for the credentials.

OLD, OLDER = b"o" * 32, b"p" * 32


def channel_under(key: bytes, name: str) -> None:
    channel = put_channel(Provider.objects.get(slug="openai"), name, URL, SECRET)
    channel.credential = seal(f"sk-{name}", key, f"openai:{name}")
    channel.save()


@pytest.fixture
def rotated(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """One channel under each of three keys; answers the one that seals now."""
    key: bytes = settings.CREDENTIAL_KEY
    monkeypatch.setattr(settings, "CREDENTIAL_KEYS", (key, OLD, OLDER))
    for sealed_under, name in ((key, "now"), (OLD, "old"), (OLDER, "older")):
        channel_under(sealed_under, name)
    Channel.objects.filter(name="older").update(is_enabled=False)
    return key


def test_resealed_credentials_open_under_the_current_key_alone(rotated: bytes) -> None:
    kept = bytes(Channel.objects.get(name="now").credential)
    done = reseal_credentials()
    assert (done.resealed, done.current, done.unreadable) == (2, 1, ())
    for channel in Channel.objects.all():
        owner = f"openai:{channel.name}"
        assert unseal(bytes(channel.credential), (rotated,), owner) == f"sk-{channel.name}"
    assert bytes(Channel.objects.get(name="now").credential) == kept
    again = reseal_credentials()
    assert (again.resealed, again.current, again.unreadable) == (0, 3, ())


def test_one_that_opens_under_no_key_is_named_kept_and_fails_the_command(rotated: bytes) -> None:
    channel_under(os.urandom(32), "lost")
    kept = bytes(Channel.objects.get(name="lost").credential)
    out, err = io.StringIO(), io.StringIO()
    with pytest.raises(SystemExit) as caught:
        call_command("reseal_credentials", stdout=out, stderr=err)
    assert caught.value.code == 1
    assert "2 resealed, 1 already under the current key, 1 unreadable" in out.getvalue()
    assert "openai:lost" in err.getvalue()
    assert "sk-" not in out.getvalue() + err.getvalue()
    assert bytes(Channel.objects.get(name="lost").credential) == kept


def callback_secret_under(key: bytes, api_key: APIKey, **fields: Any) -> CallbackSecret:
    owner = f"callback:{api_key.pk}"
    sealed = {name: seal(name, key, owner) for name in ("sealed", "previous")}
    return CallbackSecret.objects.create(api_key=api_key, **sealed, **fields)


def test_secrets_of_callbacks_are_resealed_too(rotated: bytes) -> None:
    people = make_people()
    api_key = issue_key(people.group, people.alice, "ci")[0]
    tomorrow = timezone.now() + timedelta(days=1)
    row = callback_secret_under(OLD, api_key, previous_until=tomorrow)
    done = reseal_credentials()
    assert (done.resealed, done.current, done.unreadable) == (4, 1, ())
    row.refresh_from_db()
    owner = f"callback:{api_key.pk}"
    assert unseal(bytes(row.sealed), (rotated,), owner) == "sealed"
    assert unseal(bytes(row.previous or b""), (rotated,), owner) == "previous"
    assert row.previous_until == tomorrow
    again = reseal_credentials()
    assert (again.resealed, again.current) == (0, 5)


def test_a_callback_s_old_secret_that_signs_no_more_is_dropped(rotated: bytes) -> None:
    people = make_people()
    api_key = issue_key(people.group, people.alice, "ci")[0]
    row = callback_secret_under(rotated, api_key, previous_until=timezone.now())
    CallbackSecret.objects.update(previous=b"under a key that nobody has any more")
    assert reseal_credentials().unreadable == ()
    row.refresh_from_db()
    assert (row.previous, row.previous_until) == (None, None)


def test_a_callback_secret_that_opens_under_no_key_fails_the_command(rotated: bytes) -> None:
    people = make_people()
    api_key = issue_key(people.group, people.alice, "ci")[0]
    callback_secret_under(os.urandom(32), api_key)
    kept = bytes(CallbackSecret.objects.get().sealed)
    out, err = io.StringIO(), io.StringIO()
    with pytest.raises(SystemExit):
        call_command("reseal_credentials", stdout=out, stderr=err)
    assert f"callback:{api_key.pk}: " in err.getvalue()
    assert "rotate it" in err.getvalue()
    assert bytes(CallbackSecret.objects.get().sealed) == kept


def test_a_gateway_opens_what_lies_under_an_old_key_and_a_command_moves_it(
    fresh_world: World,
) -> None:
    old = base64.b64encode(settings.CREDENTIAL_KEY).decode()
    new = base64.b64encode(os.urandom(32)).decode()
    changed = {"TOLLGATE_CREDENTIAL_KEY": new, "TOLLGATE_CREDENTIAL_KEYS_OLD": f"{old}, {old}"}
    alice = fresh_world.add_tenant("Alice", balance="10")
    body = {"model": "deepseek-v4-flash", "messages": [{"role": "user", "content": "hi"}]}

    def answers(**environment: str) -> int:
        gateway = fresh_world.start_gateway(**environment)
        with client(gateway, alice) as caller:
            return caller.post("/v1/chat/completions", json=body).status_code

    with threaded_far_end() as far:
        far.answer_with(whole(completion()))
        fresh_world.put_channel("deepseek", far.base_url, SECRET)
        assert answers(**changed) == 200
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "manage.py", "reseal_credentials"],
            cwd=ROOT,
            env={**os.environ, "DATABASE_URL": fresh_world.database.url, **changed},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        told = "2 resealed, 0 already under the current key, 0 unreadable\n"
        assert (done.returncode, done.stdout) == (0, told)
        assert answers(TOLLGATE_CREDENTIAL_KEY=new) == 200
        keys = [seen.headers["authorization"] for seen in far.requests]
    assert keys == [f"Bearer {SECRET}"] * 2


@pytest.mark.parametrize("text", ["short", "AAAA", f"{'A' * 43}=, nonsense"])
def test_an_old_key_that_is_none_stops_the_start(text: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import config.settings"],
        cwd=ROOT,
        env={**os.environ, "TOLLGATE_CREDENTIAL_KEYS_OLD": text},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "TOLLGATE_CREDENTIAL_KEYS_OLD" in done.stderr
    assert text.split(",")[-1].strip() not in done.stderr.splitlines()[-1]


# What a gateway makes of a channel.


def test_a_mapped_channel_serves_what_it_names_under_its_own_name_there(
    fresh_world: World,
) -> None:
    alice = fresh_world.add_tenant("Alice", balance="10")
    with threaded_far_end() as far:
        far.answer_with(whole(completion()))
        fresh_world.put_channel("deepseek", far.base_url, SECRET, name="mapped", priority=-1)
        fresh_world.database.query(
            "UPDATE gateway_channel SET model_map = %s WHERE name = 'mapped'",
            json.dumps({"openai/gpt-5.5": "deployment-7"}),
        )
        gateway = fresh_world.start_gateway()
        messages = [{"role": "user", "content": "hi"}]
        with client(gateway, alice) as caller:
            for model, status in (("openai/gpt-5.5", 200), ("deepseek-v4-flash", 503)):
                body = {"model": model, "messages": messages}
                assert caller.post("/v1/chat/completions", json=body).status_code == status
        (seen,) = far.requests
    assert json.loads(seen.body)["model"] == "deployment-7"


def test_a_channel_whose_map_cannot_be_read_is_left_out_and_the_others_stay(
    fresh_world: World,
) -> None:
    fresh_world.put_channel("openai", "http://127.0.0.1:1/v1", SECRET, name="odd")
    fresh_world.database.query(
        "UPDATE gateway_channel SET model_map = '[5]'::jsonb WHERE name = 'odd'"
    )

    async def run() -> set[str]:
        store = Store(
            Configuration(
                database_url=fresh_world.database.url,
                key_pepper=settings.KEY_PEPPER,
                credential_keys=settings.CREDENTIAL_KEYS,
            )
        )
        await store.open()
        try:
            catalog = await store.load_catalog()
        finally:
            await store.close()
        return {one.label for one in catalog.channels["openai/gpt-5.5"]}

    assert run_loop(run()) == {"openai:simulator"}
