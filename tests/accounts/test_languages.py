"""The language of the pages."""

import pytest
from django.contrib.humanize.templatetags.humanize import intcomma
from django.test import Client
from django.urls import reverse
from django.utils import translation

from tests.people import People


def language_of(client: Client, accepts: str = "") -> str:
    html = client.get("/accounts/login/", headers={"accept-language": accepts}).content.decode()
    return html.partition('<html lang="')[2].partition('"')[0]


@pytest.mark.parametrize(
    ("accepts", "language"),
    [
        ("", "en"),
        ("de-DE,de", "en"),
        ("ko-KR,ko;q=0.9,en;q=0.8", "ko"),
        ("zh-CN", "zh-hans"),
        ("zh-TW,zh;q=0.9", "zh-hant"),
        ("zh-HK", "zh-hant"),
        ("zh", "zh-hans"),
    ],
)
@pytest.mark.django_db
def test_the_browser_is_asked_first(client: Client, accepts: str, language: str) -> None:
    assert language_of(client, accepts) == language


def test_a_choice_outlasts_the_browsers_wish_and_is_kept_with_the_user(
    client: Client, people: People
) -> None:
    client.force_login(people.alice)
    url = reverse("group_keys", args=[people.group.pk])
    answer = client.post(reverse("choose_language"), {"language": "ko"}, headers={"referer": url})
    assert (answer.status_code, answer["Location"]) == (302, url)
    people.alice.refresh_from_db()
    assert people.alice.language == "ko"
    assert (
        '<html lang="ko"' in client.get(url, headers={"accept-language": "zh-TW"}).content.decode()
    )

    laptop = Client()
    laptop.force_login(people.alice)
    assert '<html lang="ko"' in laptop.get(url, headers={"accept-language": "de"}).content.decode()


@pytest.mark.parametrize("language", ["xx", "", "ko-bad", "<script>"])
def test_what_is_no_language_of_ours_changes_nothing(
    client: Client, people: People, language: str
) -> None:
    client.force_login(people.alice)
    client.post(reverse("choose_language"), {"language": language})
    people.alice.refresh_from_db()
    assert people.alice.language == ""
    assert language_of(Client()) == "en"


@pytest.mark.django_db
def test_no_other_site_is_led_to(client: Client) -> None:
    answer = client.post(
        reverse("choose_language"), {"language": "ko", "next": "https://evil.example/"}
    )
    assert answer["Location"] == "/"


@pytest.mark.parametrize("language", ["en", "ko", "zh-hans", "zh-hant"])
def test_digits_are_grouped_in_threes(language: str) -> None:
    with translation.override(language):
        assert intcomma(1234567) == "1,234,567"
