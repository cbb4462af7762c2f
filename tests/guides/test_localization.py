"""Public pages in their languages: the address decides, and each page names its twins."""

import re

import pytest
from django.test import Client, override_settings
from django.urls import reverse

from guides.localization import language_codes, language_prefix
from tests.people import People

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("price_book")]
PATHS = ["", "pricing", "models", "models/openai/gpt-5.5", "status"]
TAGS = {"en": "en", "ko": "ko", "zh-hans": "zh-Hans", "zh-hant": "zh-Hant"}


def address(language: str, path: str) -> str:
    return f"/{language_prefix(language)}{path}"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("language", language_codes())
def test_the_address_decides_the_language_whatever_cookie_and_browser_say(
    client: Client, language: str, path: str
) -> None:
    other = "ko" if language != "ko" else "zh-hant"
    client.cookies["language"] = other
    answer = client.get(address(language, path), headers={"Accept-Language": other})
    assert answer.status_code == 200
    assert f'<html lang="{TAGS[language]}"' in answer.text
    assert answer["Content-Language"] == language


def test_a_users_own_language_does_not_win_either(client: Client, people: People) -> None:
    people.bob.language = "ko"
    people.bob.save()
    client.force_login(people.bob)
    assert '<html lang="en"' in client.get("/pricing").text


@pytest.mark.parametrize("path", PATHS)
def test_every_page_names_all_its_languages_and_itself(client: Client, path: str) -> None:
    for language in language_codes():
        html = client.get(address(language, path)).text
        found = dict(re.findall(r'<link rel="alternate" hreflang="([^"]+)" href="([^"]+)"', html))
        root = "http://testserver"
        expected = {TAGS[code]: root + address(code, path) for code in language_codes()}
        assert found == expected | {"x-default": root + address("en", path)}
        assert f'<link rel="canonical" href="{root}{address(language, path)}">' in html


@override_settings(PUBLIC_URL="https://gate.example")
def test_machines_are_told_the_public_address(client: Client) -> None:
    html = client.get("/ko/pricing").text
    assert '<link rel="canonical" href="https://gate.example/ko/pricing">' in html
    assert '<meta property="og:url" content="https://gate.example/ko/pricing">' in html


@pytest.mark.parametrize("path", PATHS)
def test_every_page_has_a_twin_in_markdown_and_names_it(client: Client, path: str) -> None:
    for language in language_codes():
        twin = address(language, path or "index") + ".md"
        assert (
            f'type="text/markdown" href="http://testserver{twin}"'
            in client.get(address(language, path)).text
        )
        answer = client.get(twin)
        assert answer["Content-Type"] == "text/markdown; charset=utf-8"
        assert answer.text.startswith("# ")
        assert "<" not in re.sub(r"```.*?```", "", answer.text, flags=re.DOTALL)
        assert "&#" not in answer.text
        assert "&amp;" not in answer.text


def test_a_reader_of_another_language_is_offered_the_page_in_it(client: Client) -> None:
    html = client.get("/pricing", headers={"Accept-Language": "zh-TW"}).text
    assert '<p class="offer" lang="zh-Hant"><a href="/zh-hant/pricing"' in html
    assert 'class="offer"' not in client.get("/pricing").text
    assert 'class="offer"' not in client.get("/pricing", headers={"Accept-Language": "fr"}).text
    korean = client.get("/ko/pricing", headers={"Accept-Language": "en"}).text
    assert '<p class="offer" lang="en"><a href="/pricing"' in korean


def test_the_menu_of_languages_leads_to_the_same_page(client: Client) -> None:
    html = client.get("/ko/models/openai/gpt-5.5").text
    assert html.count('href="/zh-hans/models/openai/gpt-5.5"') >= 2


@pytest.mark.parametrize("path", ["pricing", "models", "status", "models/openai/gpt-5.5"])
def test_a_slash_at_the_end_leads_to_the_address_without(client: Client, path: str) -> None:
    for language in language_codes():
        answer = client.get(f"{address(language, path)}/?q=gpt&sort=-input")
        assert answer.status_code == 301
        assert answer["Location"] == f"{address(language, path)}?q=gpt&sort=-input"


def test_strangers_answers_may_be_kept_and_those_of_members_not(
    client: Client, people: People
) -> None:
    answer = client.get("/pricing")
    assert answer["Cache-Control"] == "public, max-age=60"
    assert {"Cookie", "Accept-Language"} <= set(answer["Vary"].split(", "))
    assert not answer.cookies
    client.force_login(people.bob)
    answer = client.get("/pricing")
    assert "private" in answer["Cache-Control"]
    assert "public" not in answer["Cache-Control"]


def test_members_get_a_way_to_their_dashboard_and_strangers_one_in(
    client: Client, people: People
) -> None:
    assert reverse("account_login") in client.get("/pricing").text
    client.force_login(people.bob)
    html = client.get("/pricing").text
    assert reverse("account_login") not in html
    assert ">Dashboard</a>" in html


@pytest.mark.parametrize("path", ["/nothing", "/ko/nothing", "/de/pricing", "/en/pricing"])
def test_no_page_answers_for_what_is_not_there(client: Client, path: str) -> None:
    assert client.get(path).status_code == 404


def test_nothing_is_written_by_a_post(client: Client) -> None:
    assert client.post("/pricing").status_code == 405
