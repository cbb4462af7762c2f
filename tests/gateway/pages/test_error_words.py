"""Codes of errors in words."""

from django.test import Client
from django.urls import reverse

from accounts.models import APIKey
from gateway.pages.error_words import REASONS, say_code
from tests.gateway.call_rows import record
from tests.people import People
from tests.shape.error_codes import data_plane_codes
from tests.translated import korean_words


def test_every_code_of_the_data_plane_has_words() -> None:
    assert data_plane_codes() - REASONS.keys() == set()
    assert say_code("a_code_of_a_vendor") == ""


def test_the_page_of_a_call_says_its_code_in_the_language_of_the_reader(
    client: Client, people: People, key: APIKey
) -> None:
    call = record(key, status="refused", basis="", error_code="rate_limited", error_message="Slow.")
    client.force_login(people.bob)
    client.cookies["language"] = "ko"
    with korean_words({"A limit of requests or tokens per minute was reached.": "한도 초과"}):
        html = client.get(reverse("call", args=[people.group.pk, call.public_id])).content.decode()
    assert "<strong>한도 초과</strong> <code>rate_limited</code>" in html
    assert "Slow." in html
