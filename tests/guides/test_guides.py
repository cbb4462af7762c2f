"""The guides as pages: every one in every language, with prices and models of this moment."""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.core.management import call_command
from django.http import HttpResponse
from django.test import Client

from accounts.key_services import issue_key
from gateway.models import Model
from gateway.snippets.clients import CLIENTS, LEFT_OUT
from gateway.snippets.families import FAMILIES
from guides import guides_list
from guides.pairs import find_pair, list_pairs
from guides.texts.clients import CLIENT_TEXTS
from guides.texts.endpoints import ENDPOINT_TEXTS
from guides.texts.families import FAMILY_TEXTS
from tests.guides.guide_pages import LANGUAGES, TAGS, fetch_all, guide_paths, read_html
from tests.people import People

ROOT = "http://testserver"

Pages = dict[str, dict[str, HttpResponse]]

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("price_book")]


@pytest.fixture(scope="module")
def pages(django_db_setup: None, price_book: None, django_db_blocker: Any) -> Pages:
    """The answer to every page about guides, by language and path."""
    with django_db_blocker.unblock():
        return {code: fetch_all(Client(), guide_paths(code)) for code in LANGUAGES}


def test_every_client_and_family_that_goes_together_has_a_guide() -> None:
    slugs = [pair.slug for pair in list_pairs()]
    assert len(slugs) == len(set(slugs)) == len(CLIENTS) * (len(FAMILIES) + 1) - len(LEFT_OUT)
    assert {"hermes-gpt", "openclaw-gpt", "hermes-gpt-image", "claude-code-claude"} <= set(slugs)
    assert CLIENT_TEXTS.keys() == {client.slug for client in CLIENTS}
    assert FAMILY_TEXTS.keys() == {family.slug for family in FAMILIES}
    assert {pair.endpoint for pair in list_pairs()} == ENDPOINT_TEXTS.keys()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_guide_is_a_whole_page_in_its_language(pages: Pages, language: str) -> None:
    for path, answer in pages[language].items():
        html = answer.content.decode()
        page = read_html(html)
        assert page.all("html", lang=TAGS[language]), path
        assert not re.search(r"%\(|\{\{|\{%", page.text), path
        assert len(page.all("h1")) == 1, path
        identifiers = [a["id"] for _, a in page.elements if "id" in a]
        assert len(identifiers) == len(set(identifiers)), path
        assert "style=" not in html, path
        assert "public" in answer["Cache-Control"], path


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_guide_names_itself_and_its_other_languages(pages: Pages, language: str) -> None:
    for path, answer in pages[language].items():
        page = read_html(answer.content.decode())
        own = path.removeprefix(f"/{language}")
        expected = {TAGS[code]: f"{ROOT}/{code}{own}" for code in LANGUAGES if code != "en"}
        expected |= {"en": f"{ROOT}{own}", "x-default": f"{ROOT}{own}"}
        alternates = [a for a in page.all("link", rel="alternate") if "hreflang" in a]
        assert {a["hreflang"]: a["href"] for a in alternates} == expected
        assert [a["href"] for a in page.all("link", rel="canonical")] == [f"{ROOT}{path}"]
        twins = page.all("link", rel="alternate", type="text/markdown")
        assert [a["href"] for a in twins] == [f"{ROOT}{path}.md"]


def test_every_link_of_a_guide_leads_somewhere(client: Client, pages: Pages) -> None:
    led: set[str] = set()
    for path, answer in (pages["en"] | pages["zh-hant"]).items():
        page = read_html(answer.content.decode())
        identifiers = {a["id"] for _, a in page.elements if "id" in a}
        for link in page.all("a"):
            href = link["href"]
            if href.startswith("#"):
                assert href[1:] in identifiers, (path, href)
            elif href.startswith("/"):
                led.add(href)
    assert {"/models/openai/gpt-5.5", "/zh-hant/models/openai/gpt-5.5"} <= led
    known = {path for found in pages.values() for path in found}
    for href in led - known:
        # Pages for who is signed in lead to the sign-in page.
        assert client.get(href).status_code in (200, 302), href


def test_a_button_copies_what_stands_beside_it(client: Client) -> None:
    page = read_html(client.get("/guides/hermes-gpt").content.decode())
    identifiers = [a["id"] for a in page.all("code") if "id" in a]
    targets = [a["data-copy"] for a in page.all("button") if "data-copy" in a]
    assert targets == identifiers != []


def test_an_unknown_guide_is_missing(client: Client) -> None:
    for slug in ("hermes-nothing", "claude-code-gpt", "nobody", "gpt"):
        assert find_pair(slug) is None
        assert client.get(f"/guides/{slug}").status_code == 404
        assert client.get(f"/ko/guides/{slug}.md").status_code == 404


def test_snippets_name_the_host_that_the_reader_knows(client: Client, settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["testserver", "gateway.example"]
    text = client.get("/guides/curl-gpt", headers={"host": "gateway.example"}).content.decode()
    assert "http://gateway.example/v1/chat/completions" in text
    assert "testserver" not in text
    settings.PUBLIC_URL = "https://models.example"
    text = client.get("/guides/curl-gpt").content.decode()
    assert "https://models.example/v1/chat/completions" in text
    assert "testserver" not in text


def test_a_host_that_is_not_ours_is_not_told_back(client: Client) -> None:
    for path in ("/guides", "/guides/curl-gpt", "/guides/curl-gpt.md", "/llms.txt"):
        answer = client.get(path, headers={"host": "evil.example"})
        assert answer.status_code == 400
        assert b"evil.example" not in answer.content


def test_a_reader_who_is_signed_in_sees_the_name_of_his_key_and_no_secret(
    client: Client, people: People
) -> None:
    secret = issue_key(people.group, people.bob, "ci <b>`</code> nightly")[1]
    assert b"nightly" not in client.get("/guides/curl-gpt").content
    client.force_login(people.bob)
    for path in ("/guides/curl-gpt", "/guides/curl-gpt.md"):
        answer = client.get(path)
        text = answer.content.decode()
        assert "# key: ci" in text
        assert "nightly" in text
        assert secret.rpartition("-")[2] not in text
        assert "private" in answer["Cache-Control"]
        assert "public" not in answer["Cache-Control"]
    assert "<b>" not in client.get("/guides/curl-gpt").content.decode()
    client.force_login(people.charlie)
    assert b"nightly" not in client.get("/guides/curl-gpt").content


def add_model(tmp_path: Path, name: str, **facts: object) -> None:
    """Put one more model into the price book, as an operator does by a file."""
    book = {
        "currency": "USD",
        "read_on": "2026-11-21",
        "models": [
            {
                "name": name,
                "aliases": [name.partition("/")[2]],
                "mode": "chat",
                "context_length": 123_456_000,
                "max_completion_tokens": 64_000,
                "retires_on": None,
                "source": "https://example.com/prices",
                "prices": [
                    {
                        "effective_from": "2026-01-01",
                        "sell_bps": 3750,
                        "list_is_estimated": False,
                        "tables": [
                            {
                                "tier": "standard",
                                "above_input_tokens": 0,
                                "per_million": {"input": "0.0008", "output": "0.0016"},
                            }
                        ],
                    }
                ],
                **facts,
            }
        ],
    }
    path = tmp_path / "book.json"
    path.write_text(json.dumps(book))
    call_command("load_price_book", str(path), verbosity=0)


def test_a_new_model_appears_without_a_change_of_any_file(client: Client, tmp_path: Path) -> None:
    paths = ["/guides/curl-gpt", "/ko/guides/codex-gpt", "/zh-hans/guides/aider-gpt.md"]
    for path in paths:
        assert "gpt-99-turbo" not in client.get(path).content.decode()
    add_model(tmp_path, "openai/gpt-99-turbo")
    for path in paths:
        text = client.get(path).content.decode()
        assert "/models/openai/gpt-99-turbo" in text, path
        assert "$0.0003" in text, path
        assert "$0.0006" in text, path
        assert "123,456,000" in text, path
    text = client.get("/guides/curl-gpt.md").content.decode()
    assert "The least expensive is `gpt-99-turbo`." in text
    assert "`gpt-99-turbo` has the longest context, 123,456,000 tokens." in text
    assert "between 37.5% and 50% of the list price" in text
    assert "gpt-99-turbo" not in client.get("/guides/curl-claude").content.decode()
    titles = [one.title for one in guides_list.guides_of_model("openai/gpt-99-turbo")]
    assert "Use GPT with Hermes Agent" in titles


def test_a_model_that_its_maker_retired_is_no_example_and_comes_last(
    client: Client, tmp_path: Path
) -> None:
    add_model(tmp_path, "openai/gpt-99-turbo", retires_on="2026-02-01")
    text = client.get("/guides/curl-gpt.md").content.decode()
    assert text.rindex("[`gpt-99-turbo`]") > text.rindex("[`gpt-4o`]")
    assert "The least expensive is `gpt-99-turbo`." not in text


def test_a_hostile_model_name_is_shown_as_text(client: Client) -> None:
    Model.objects.filter(name="openai/gpt-5.5").update(aliases=["`<i>x</i>`"])
    text = client.get("/guides/hermes-gpt").content.decode()
    assert "<i>x" not in text
    assert "&lt;i&gt;x&lt;/i&gt;" in text


def test_a_family_without_models_says_so(client: Client) -> None:
    Model.objects.filter(provider="gemini").update(is_enabled=False)
    answer = client.get("/guides/curl-gemini.md")
    assert answer.status_code == 200
    assert "No model of this family can be called here at the moment." in answer.content.decode()


def test_the_index_leads_to_every_guide_and_says_why_one_is_missing(client: Client) -> None:
    html = client.get("/guides").content.decode()
    page = read_html(html)
    links = {urlsplit(a["href"]).path for a in page.all("a")}
    assert {f"/guides/{pair.slug}" for pair in list_pairs()} <= links
    assert html.count(str(LEFT_OUT["aider", "gpt-image"])) >= 2


def test_guides_are_listed_for_the_site_map() -> None:
    addresses = guides_list.guide_addresses()
    assert ("guides", {}) in addresses
    assert ("guide", {"slug": "vercel-ai-gemini"}) in addresses
    assert len(addresses) == len(list_pairs()) + 1
    assert guides_list.guides_of_model("nobody/nothing") == []
