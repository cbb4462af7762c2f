"""People of all organizations, as operators find them."""

from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.core import mail
from django.test import Client

from accounts.models import APIKey, Change, User
from tests.authenticators import App
from tests.people import People

PAGE = "/operator/people/"


def found(olga: Client, query: str) -> set[str]:
    return {user.email.partition("@")[0] for user in olga.get(PAGE + query).context["rows"]}


def test_people_are_found_by_name_address_and_state(olga: Client, people: People) -> None:
    User.objects.filter(pk=people.charlie.pk).update(is_active=False)
    assert found(olga, "") == {"alice", "bob", "charlie", "olga"}
    assert found(olga, "?q=BROOK") == {"bob"}
    assert found(olga, "?q=alice@") == {"alice"}
    assert found(olga, "?state=off") == {"charlie"}
    assert found(olga, "?state=operator") == {"olga"}
    assert found(olga, "?q=nobody") == set()


def test_a_person_is_shown_with_places_and_keys(olga: Client, people: People, key: APIKey) -> None:
    page = olga.get(f"{PAGE}{people.alice.pk}/")
    html = page.content.decode()
    assert "Arden Labs" in html
    assert "Research" in html
    assert page.context["keys"] == 1


def test_a_person_is_shut_out_and_let_in_again(olga: Client, people: People, key: APIKey) -> None:
    page = f"{PAGE}{people.alice.pk}/"
    assert olga.post(f"{page}deactivate/").status_code == 302
    people.alice.refresh_from_db()
    key.refresh_from_db()
    assert not people.alice.is_active
    assert key.revoked_at is not None
    assert olga.post(f"{page}reactivate/").status_code == 302
    people.alice.refresh_from_db()
    key.refresh_from_db()
    assert people.alice.is_active
    assert key.revoked_at is not None
    verbs = Change.objects.filter(actor=people.olga).values_list("verb", flat=True)
    assert {"user.deactivated", "user.reactivated"} <= set(verbs)


def test_nobody_shuts_himself_out(olga: Client, people: People) -> None:
    olga.post(f"{PAGE}{people.olga.pk}/deactivate/")
    people.olga.refresh_from_db()
    assert people.olga.is_active


@pytest.mark.parametrize("is_active", [True, False])
def test_a_reset_goes_to_who_may_sign_in(olga: Client, people: People, is_active: bool) -> None:
    User.objects.filter(pk=people.bob.pk).update(is_active=is_active)
    answer = olga.post(f"{PAGE}{people.bob.pk}/reset/")
    assert answer.status_code == (302 if is_active else 404)
    assert [one.to for one in mail.outbox] == ([["bob@example.com"]] if is_active else [])
    assert Change.objects.filter(verb="user.reset_sent").count() == int(is_active)


def test_a_lost_second_factor_is_removed_with_a_reason_and_a_mail(
    olga: Client, people: People, django_capture_on_commit_callbacks: Any
) -> None:
    App(people.bob)
    page = f"{PAGE}{people.bob.pk}/"
    assert "Remove a lost second factor" in olga.get(page).content.decode()
    nameless = olga.post(f"{page}second-factor/", {"reason": " "})
    assert nameless.status_code == 422
    assert Authenticator.objects.filter(user=people.bob).count() == 2
    with django_capture_on_commit_callbacks(execute=True):
        answer = olga.post(f"{page}second-factor/", {"reason": "Showed his passport."})
    assert answer.status_code == 302
    assert not Authenticator.objects.filter(user=people.bob).exists()
    told = Change.objects.get(verb="user.second_factor_removed")
    assert (told.actor, told.after) == (people.olga, {"reason": "Showed his passport."})
    assert told.before == {"kinds": ["recovery_codes", "totp"]}
    [sent] = mail.outbox
    assert sent.to == ["bob@example.com"]
    assert "did not ask for this" in sent.body


def test_nobody_removes_his_own_second_factor_here(olga: Client, people: People) -> None:
    App(people.olga)
    olga.post(f"{PAGE}{people.olga.pk}/second-factor/", {"reason": "Too much work."})
    assert Authenticator.objects.filter(user=people.olga).count() == 2
    assert not Change.objects.filter(verb="user.second_factor_removed").exists()
