"""The pages of the playground, and its key."""

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from accounts import keys
from accounts.models import APIKey, User
from tests.people import People


@pytest.mark.parametrize("mode", ["chat", "images"])
def test_the_first_group_of_ones_own_is_taken(client: Client, people: People, mode: str) -> None:
    url = reverse("playground")
    assert client.get(url)["Location"] == f"/accounts/login/?next={url}"
    for user, group in ((people.bob, people.group), (people.charlie, people.foreign_group)):
        client.force_login(user)
        html = client.get(url, {"mode": mode}).content.decode()
        assert f'data-group="{group.pk}"' in html
        assert '<select id="model"' in html


def test_who_is_in_no_group_is_told_what_to_do(client: Client, people: People) -> None:
    client.force_login(people.olga)
    html = client.get(reverse("playground")).content.decode()
    assert "There is no group to pay" in html
    assert reverse("onboarding") in html


@pytest.mark.parametrize("wanted", ["foreign", "00000000-0000-0000-0000-000000000000", "x"])
def test_a_group_of_somebody_else_is_not_found(client: Client, people: People, wanted: str) -> None:
    client.force_login(people.bob)
    group = str(people.foreign_group.pk) if wanted == "foreign" else wanted
    assert client.get(reverse("playground"), {"group": group}).status_code == 404
    assert client.post(reverse("playground_key"), {"group": group}).status_code == 404
    assert not APIKey.objects.filter(purpose="playground").exists()


def issue(client: Client, people: People, user: User) -> str:
    client.force_login(user)
    answer = client.post(reverse("playground_key"), {"group": str(people.group.pk)})
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    return str(answer.json()["key"])


def test_the_key_is_the_same_for_one_person_and_another_for_the_next(
    client: Client, people: People
) -> None:
    first, again, other = (
        issue(client, people, user) for user in (people.bob, people.bob, people.alice)
    )
    assert first == again != other
    made = APIKey.objects.get(created_by=people.bob)
    assert (made.group, made.purpose) == (people.group, "playground")
    assert keys.matches(first, settings.KEY_PEPPER, bytes(made.digest))
    assert made.expires_at is not None


def test_an_answer_is_laid_out_for_those_who_are_signed_in(client: Client, people: People) -> None:
    url = reverse("playground_markdown")
    assert client.post(url, {"text": "x"}).status_code == 302
    client.force_login(people.bob)
    assert client.post(url, {"text": "**x**"}).content == b"<p><strong>x</strong></p>\n"
    assert client.post(url, {"text": "x" * 400_001}).status_code == 413
    assert client.get(url).status_code == 405
