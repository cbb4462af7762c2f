"""What a newcomer and an operator bring in: the price book, channels, the demonstration."""

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import msgspec
import pytest
from django.conf import settings
from django.db import connection

from accounts import keys
from accounts.key_services import revoke_key
from accounts.models import APIKey, Group, User
from billing.models import Account, Price, PriceRate
from billing.price_book import read_price_book
from gateway import demo
from gateway.credentials import unseal
from gateway.models import Channel, Model, Provider
from gateway.providers import DIALECTS
from gateway.provisioning import load_price_book, provide_vendors, put_channel

pytestmark = pytest.mark.django_db
SIMULATOR = demo.Simulator("http://127.0.0.1:1/v1", "sk-simulated")
BASE_URL = "http://127.0.0.1:8000/v1"


@pytest.fixture(autouse=True)
def _no_real_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for slug in DIALECTS:
        monkeypatch.delenv(f"{variable(slug)}_API_KEY", raising=False)
        monkeypatch.delenv(f"{variable(slug)}_BASE_URL", raising=False)


def variable(slug: str) -> str:
    """How the environment variables of a vendor begin."""
    return {"black-forest-labs": "BLACK_FOREST_LABS"}.get(slug, slug.upper())


@dataclass(frozen=True)
class Book:
    entries: Any


@pytest.fixture
def book() -> Book:
    return Book(read_price_book())


def test_the_price_book_is_loaded_once(book: Book) -> None:
    load_price_book(book.entries)
    prices = sum(len(entry.prices) for entry in book.entries)
    assert (Model.objects.count(), Price.objects.count()) == (len(book.entries), prices)
    rates = PriceRate.objects.count()
    again = load_price_book(book.entries)
    assert (again.models, again.prices) == (0, 0)
    assert PriceRate.objects.count() == rates


def test_the_loaded_price_is_the_one_that_the_file_says(book: Book) -> None:
    load_price_book(book.entries)
    loaded = Price.objects.get(model="openai/gpt-5.5").frozen()
    entry = next(entry for entry in book.entries if entry.name == "openai/gpt-5.5")
    assert {(t.tier, t.above_input_tokens): t.rates for t in loaded.tables} == {
        (t.tier, t.above_input_tokens): t.rates for t in entry.prices[0].tables
    }
    model = Model.objects.get(name="openai/gpt-5.5")
    assert (model.provider_id, model.upstream_name, model.aliases) == (
        "openai",
        "gpt-5.5",
        ["gpt-5.5"],
    )


def test_a_new_price_of_a_known_model_is_added_and_the_old_one_stays(book: Book) -> None:
    name = "openai/gpt-image-two"
    booked = next(entry for entry in book.entries if entry.name == "openai/gpt-image-2")
    entry = msgspec.structs.replace(booked, name=name, aliases=())
    load_price_book([msgspec.structs.replace(entry, prices=entry.prices[:1])])
    before = Price.objects.get(model=name).frozen()
    load_price_book([entry])
    old, new = Price.objects.filter(model=name).order_by("effective_from")
    assert old.frozen() == before
    assert "image_output" in before.tables[0].rates
    assert set(new.frozen().tables[0].rates) == {"image[1k]", "image[2k]", "image[4k]"}
    assert (old.list_is_estimated, new.list_is_estimated) == (False, True)
    assert old.source == "https://developers.openai.com/api/docs/pricing"
    assert "estimate" in new.source


def test_a_model_is_asked_for_by_the_name_that_its_provider_knows(book: Book) -> None:
    load_price_book(book.entries)
    model = Model.objects.get(name="openai/gpt-4o-image")
    assert (model.upstream_name, model.mode) == ("gpt-image-2", "image_generation")
    upscaler = Model.objects.get(name="topaz/topaz-upscale-image")
    assert (upscaler.provider_id, upscaler.mode) == ("topaz", "image_upscale")


def test_a_credential_is_stored_encrypted_and_bound_to_its_channel() -> None:
    provide_vendors()
    channel = put_channel(
        Provider.objects.get(slug="openai"), "main", "https://api.example/v1/", "sk-secret"
    )
    sealed = bytes(Channel.objects.get(pk=channel.pk).credential)
    assert b"sk-secret" not in sealed
    assert unseal(sealed, settings.CREDENTIAL_KEYS, "openai:main") == "sk-secret"
    assert channel.base_url == "https://api.example/v1"


def test_the_demonstration_is_made_once_and_found_again(book: Book) -> None:
    load_price_book(book.entries)
    first = demo.seed(SIMULATOR, BASE_URL, {})
    again = demo.seed(SIMULATOR, BASE_URL, dict(first))
    assert again == first
    row = APIKey.objects.get()
    assert keys.matches(first["api_key"], settings.KEY_PEPPER, bytes(row.digest))
    wallet = Account.objects.wallet_of(Group.objects.get(name="Product"))
    assert wallet.balance_nanos == 60 * 10**9
    for role in ("operator", "admin", "member"):
        assert User.objects.get(email=first[f"{role}_email"]).check_password(
            first[f"{role}_password"]
        )


def test_a_lost_or_useless_demo_file_is_made_anew(book: Book) -> None:
    load_price_book(book.entries)
    first = demo.seed(SIMULATOR, BASE_URL, {})
    revoke_key(APIKey.objects.get(), None)
    again = demo.seed(SIMULATOR, BASE_URL, {**first, "admin_password": "wrong"})
    assert again["api_key"] != first["api_key"]
    assert again["member_password"] == first["member_password"]
    assert User.objects.get(email=again["admin_email"]).check_password(again["admin_password"])


def test_a_real_credential_takes_the_place_of_the_simulator(
    book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_price_book(book.entries)
    demo.seed(SIMULATOR, BASE_URL, {})
    monkeypatch.setenv("XAI_API_KEY", "sk-xai")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-real")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    demo.seed(SIMULATOR, BASE_URL, {})
    live = Channel.objects.filter(is_enabled=True, name="live")
    assert dict(live.values_list("provider", "base_url")) == {
        "openai": "http://127.0.0.1:9/v1",
        "xai": "https://api.x.ai/v1",
    }
    channel = Channel.objects.get(provider="openai", is_enabled=True)
    assert unseal(bytes(channel.credential), settings.CREDENTIAL_KEYS, "openai:live") == "sk-real"
    monkeypatch.delenv("OPENAI_API_KEY")
    demo.seed(SIMULATOR, BASE_URL, {})
    assert Channel.objects.get(provider="openai", is_enabled=True).name == "simulator"


def test_every_vendor_can_be_real(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    load_price_book(book.entries)
    for slug in DIALECTS:
        monkeypatch.setenv(f"{variable(slug)}_API_KEY", f"sk-{slug}")
    demo.seed(SIMULATOR, BASE_URL, {})
    enabled = Channel.objects.filter(is_enabled=True)
    assert dict(enabled.values_list("provider", "base_url")) == {
        slug: vendor.base_url for slug, vendor in DIALECTS.items()
    }
    for channel in enabled:
        bound = f"{channel.provider_id}:live"
        sealed = bytes(channel.credential)
        assert unseal(sealed, settings.CREDENTIAL_KEYS, bound) == f"sk-{channel.provider_id}"


def test_the_simulator_is_called_at_each_vendors_own_paths(book: Book) -> None:
    load_price_book(book.entries)
    demo.seed(SIMULATOR, BASE_URL, {})
    channels = Channel.objects.filter(is_enabled=True).values_list("provider", "base_url")
    addresses = dict(channels)
    assert addresses.pop("gemini") == "http://127.0.0.1:1/v1beta/openai"
    assert addresses.pop("black-forest-labs") == addresses.pop("topaz") == "http://127.0.0.1:1"
    assert set(addresses) == {*DIALECTS} - {"gemini", "black-forest-labs", "topaz"}
    assert set(addresses.values()) == {"http://127.0.0.1:1/v1"}


def test_each_vendor_is_spoken_to_in_its_own_dialect(book: Book) -> None:
    load_price_book(book.entries)
    spoken = dict(Provider.objects.values_list("slug", "dialect"))
    assert {slug: spoken[slug] for slug in DIALECTS} == {slug: slug for slug in DIALECTS}
    assert set(spoken.values()) <= set(DIALECTS)


def test_a_provider_that_an_operator_has_changed_stays_as_it_is() -> None:
    Provider.objects.update_or_create(
        slug="mistral",
        defaults={"name": "Ours", "dialect": "openai", "base_url": "https://llm.example/v1"},
    )
    provide_vendors()
    provider = Provider.objects.get(slug="mistral")
    assert (provider.name, provider.dialect) == ("Ours", "openai")
    assert provider.base_url == "https://llm.example/v1"


def test_a_provider_that_a_book_brought_before_its_dialect_was_known_gets_it() -> None:
    brought = {"name": "Our xAI", "dialect": "openai", "base_url": ""}
    Provider.objects.update_or_create(slug="xai", defaults=brought)
    provide_vendors()
    provider = Provider.objects.get(slug="xai")
    assert (provider.name, provider.dialect) == ("Our xAI", "xai")
    assert provider.base_url == DIALECTS["xai"].base_url


def test_providers_from_before_dialects_are_moved_to_their_own() -> None:
    migration = import_module("gateway.migrations.0004_dialects")
    before = {
        "openai": "openai",
        "gemini": "openai",
        "deepseek": "openai",
        "anthropic": "anthropic",
        "black-forest-labs": "openai",
    }
    for slug, dialect in before.items():
        Provider.objects.update_or_create(
            slug=slug, defaults={"name": slug, "dialect": dialect, "base_url": ""}
        )
    with connection.cursor() as cursor:
        cursor.execute(migration.MOVE)
    after = dict(Provider.objects.filter(slug__in=before).values_list("slug", "dialect"))
    assert after == {**before, "gemini": "gemini", "deepseek": "deepseek"}


def test_the_demo_file_is_for_its_owner_alone(tmp_path: Any) -> None:
    path = tmp_path / "demo.json"
    demo.write(path, {"api_key": "x"})
    demo.write(path, {"api_key": "y"})
    assert path.stat().st_mode & 0o777 == 0o600
    assert demo.read(path) == {"api_key": "y"}
    path.write_text("no json")
    assert demo.read(path) == {}
