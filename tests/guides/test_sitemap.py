"""Files for crawlers."""

from xml.etree import ElementTree

import pytest
from django.test import Client, override_settings

from guides.localization import language_codes
from guides.pages.machines import public_addresses

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("price_book")]
PLACE = "{http://www.sitemaps.org/schemas/sitemap/0.9}"
LINK = "{http://www.w3.org/1999/xhtml}link"


def test_the_sitemap_lists_every_page_in_every_language_and_each_is_there(client: Client) -> None:
    answer = client.get("/sitemap.xml")
    assert answer["Content-Type"] == "application/xml"
    entries = ElementTree.fromstring(answer.content).findall(f"{PLACE}url")
    places = [entry.findtext(f"{PLACE}loc") or "" for entry in entries]
    assert len(places) == len(set(places)) == len(list(public_addresses())) * len(language_codes())
    for name in (
        "",
        "ko/",
        "zh-hant/pricing",
        "models/openai/gpt-5.5",
        "zh-hans/guides/hermes-gpt",
    ):
        assert f"http://testserver/{name}" in places
    for entry in entries:
        links = {link.get("hreflang"): link.get("href") for link in entry.findall(LINK)}
        assert set(links) == {"en", "ko", "zh-Hans", "zh-Hant", "x-default"}
        assert links["x-default"] == links["en"]
        assert entry.findtext(f"{PLACE}loc") in links.values()


def test_a_sample_of_its_addresses_answers(client: Client) -> None:
    for place in ElementTree.fromstring(client.get("/sitemap.xml").content).iter(f"{PLACE}loc"):
        path = (place.text or "").removeprefix("http://testserver")
        if len(path) % 11 == 0 or path.count("/") < 3:
            assert client.get(path).status_code == 200, path


@override_settings(PUBLIC_URL="https://gate.example")
def test_robots_may_read_what_is_public_and_nothing_else(client: Client) -> None:
    text = client.get("/robots.txt").text
    assert "Sitemap: https://gate.example/sitemap.xml" in text
    closed = [line.partition(": ")[2] for line in text.splitlines() if line.startswith("Disallow")]
    assert "/groups/" in closed
    for path in ("/", "/pricing", "/models/openai/gpt-5.5.md", "/ko/guides", "/llms.txt"):
        assert not any(path.startswith(prefix) for prefix in closed), path
    assert "https://gate.example/ko/pricing" in client.get("/sitemap.xml").text
