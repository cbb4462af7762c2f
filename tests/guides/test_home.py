"""The home page."""

import re

import pytest
from django.test import Client
from django.urls import reverse

from tests.guides.catalogue_pages import add_model, tokens, words
from tests.people import People

pytestmark = pytest.mark.django_db


def test_a_stranger_sees_the_public_page_and_a_member_his_group(
    client: Client, people: People
) -> None:
    assert client.get("/").status_code == 200
    client.force_login(people.bob)
    assert client.get("/")["Location"] == reverse("group", args=[people.group.pk])
    assert client.get("/ko/").status_code == 200
    assert client.get("/index.md").status_code == 200


@pytest.mark.usefixtures("empty_catalogue")
def test_its_figures_are_those_of_the_price_book(client: Client) -> None:
    add_model("openai/gpt-5.5", tokens(4, 20))
    add_model("anthropic/claude-a", tokens(1, 2))
    add_model("anthropic/claude-unpriced")
    html = client.get("/").text
    assert re.findall(r"<dt>(\w[\w ]*)</dt><dd>([^<]+)</dd>", html) == [
        ("Models", "2"),
        ("Providers", "2"),
        ("Of list price", "50%"),
    ]
    assert "charges half of list price" in html
    said = words(html)
    assert "10,000 × $4.00 per 1M × 50% $0.02" in said
    assert "1,000 × $20.00 per 1M × 50% $0.01" in said
    assert "Charged $0.03" in said


@pytest.mark.usefixtures("empty_catalogue")
def test_it_promises_half_of_list_only_where_that_is_so(client: Client) -> None:
    add_model("openai/gpt-5.5", tokens(4, 20))
    add_model("anthropic/claude-a", tokens(1, 2, bps=8000))
    html = client.get("/").text
    assert "charges half of list price" not in html
    assert "Of list price" not in html
    assert "half of its vendor" not in client.get("/pricing").text


@pytest.mark.usefixtures("empty_catalogue")
def test_it_stands_without_a_single_model(client: Client) -> None:
    for path in ("/", "/index.md", "/pricing", "/models", "/pricing.md", "/models.md", "/status"):
        assert client.get(path).status_code == 200, path


@pytest.mark.usefixtures("price_book")
def test_its_program_calls_this_site(client: Client) -> None:
    html = client.get("/", headers={"Host": "127.0.0.1:8123"}).text
    programs = re.findall(r'<code id="example-code-\d">(.*?)</code>', html, flags=re.DOTALL)
    assert len(programs) == 3
    for program in programs:
        assert "http://127.0.0.1:8123/v1" in program
        assert "TOLLGATE_API_KEY" in program
    assert (
        "http://127.0.0.1:8123/v1"
        in client.get("/index.md", headers={"Host": "127.0.0.1:8123"}).text
    )


@pytest.mark.usefixtures("price_book")
def test_every_link_of_it_leads_somewhere(client: Client) -> None:
    html = client.get("/zh-hant/").text
    links = {link.partition("#")[0] for link in re.findall(r'href="(/[^"]*)"', html)}
    assert len(links) > 20
    broken = [
        link
        for link in sorted(links)
        if not link.startswith("/static/") and client.get(link).status_code not in (200, 302)
    ]
    assert broken == []
