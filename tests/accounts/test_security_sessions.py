"""Sessions: new ones at sign-in, none for ever, and their owner ends them."""

import time
from typing import Any

import pytest
from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.test import Client

from accounts.models import User
from accounts.security_sessions import NOTE_EVERY_S, SEEN_AT, describe
from tests.people import PASSWORD
from tests.sign_in import let_proof_age

LOGIN = "/accounts/login/"
HERE = "/start/"


@pytest.fixture
def bob(db: None) -> User:
    return User.objects.create_user("bob@example.com", PASSWORD, name="Bob")


def sign_in(user: User, agent: str = "", place: str = "192.0.2.1") -> Client:
    """A browser in which the user signed in by the form."""
    browser = Client(headers={"User-Agent": agent} if agent else {}, REMOTE_ADDR=place)
    answer = browser.post(LOGIN, {"login": user.email, "password": PASSWORD})
    assert answer.status_code == 302
    return browser


def is_in(browser: Client) -> bool:
    return bool(browser.get(HERE).status_code == 200)


def test_signing_in_makes_a_new_session(bob: User, client: Client) -> None:
    planted = client.session
    planted["anything"] = 1
    planted.save()
    client.cookies["sessionid"] = planted.session_key
    client.post(LOGIN, {"login": bob.email, "password": PASSWORD})
    assert client.cookies["sessionid"].value != planted.session_key
    assert not Session.objects.filter(pk=planted.session_key).exists()


def test_cookies_are_kept_from_scripts_and_from_other_sites(bob: User, client: Client) -> None:
    client.get(LOGIN)
    client.post(LOGIN, {"login": bob.email, "password": PASSWORD})
    for name in ("sessionid", "csrftoken"):
        cookie = client.cookies[name]
        assert cookie["httponly"] is True
        assert cookie["samesite"] == "Lax"
        assert cookie["domain"] == ""
        assert cookie["secure"] == ""


def test_cookies_stay_on_https_where_the_installation_says_so(
    bob: User, client: Client, settings: Any
) -> None:
    settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = True
    client.get(LOGIN, secure=True)
    client.post(LOGIN, {"login": bob.email, "password": PASSWORD}, secure=True)
    assert client.cookies["sessionid"]["secure"] is True
    assert client.cookies["csrftoken"]["secure"] is True


def test_another_password_ends_all_other_sessions(bob: User) -> None:
    here, there = sign_in(bob), sign_in(bob)
    data = {"oldpassword": PASSWORD, "password1": "another-horse-1", "password2": "another-horse-1"}
    assert here.post("/accounts/password/change/", data).status_code == 302
    assert is_in(here)
    assert not is_in(there)


def test_a_session_ends_after_its_lifetime_however_much_it_is_used(
    bob: User, settings: Any
) -> None:
    browser = sign_in(bob)
    let_proof_age(browser, settings.SESSION_LIFETIME_S - 60)
    assert is_in(browser)
    let_proof_age(browser, settings.SESSION_LIFETIME_S + 1)
    answer = browser.get(HERE)
    assert answer["Location"] == f"{LOGIN}?next={HERE}"
    assert Session.objects.count() == 0


def test_a_session_that_does_not_say_when_it_began_is_over(bob: User) -> None:
    browser = sign_in(bob)
    session = browser.session
    del session["signed_in_at"]
    session.save()
    assert not is_in(browser)


def test_use_puts_off_the_end_of_an_idle_session(bob: User, settings: Any) -> None:
    browser = sign_in(bob)
    is_in(browser)
    first = Session.objects.get().expire_date
    assert abs(first.timestamp() - time.time() - settings.SESSION_COOKIE_AGE) < 10
    assert browser.cookies["sessionid"]["max-age"] == settings.SESSION_COOKIE_AGE
    is_in(browser)
    assert Session.objects.get().expire_date == first, "not written at every request"
    session = browser.session
    session[SEEN_AT] -= NOTE_EVERY_S
    session.save()
    UserSession.objects.update(last_seen_at="2026-01-01T00:00Z", ip="192.0.2.99")
    is_in(browser)
    assert Session.objects.get().expire_date > first
    seen = UserSession.objects.get()
    assert seen.ip == "192.0.2.1"
    assert time.time() - seen.last_seen_at.timestamp() < 10


def test_an_idle_session_ends(bob: User) -> None:
    browser = sign_in(bob)
    Session.objects.update(expire_date="2026-01-01T00:00Z")
    assert not is_in(browser)


def test_signing_out_takes_a_post(bob: User) -> None:
    browser = sign_in(bob)
    assert browser.get("/accounts/logout/").status_code == 200
    assert is_in(browser)
    browser.post("/accounts/logout/")
    assert not is_in(browser)
    assert Session.objects.count() == 0


FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def test_the_list_says_where_one_is_signed_in(bob: User) -> None:
    sign_in(bob, agent=FIREFOX, place="192.0.2.44")
    text = sign_in(bob).get("/accounts/sessions/").content.decode()
    assert "Firefox on Linux" in text
    assert "192.0.2.44" in text
    assert text.count("This one") == 1
    assert text.count("Unknown browser") == 1


def test_one_session_is_ended_from_another(bob: User) -> None:
    there = sign_in(bob)
    ended = UserSession.objects.get()
    here = sign_in(bob)
    assert here.post(f"/accounts/sessions/{ended.pk}/end/").status_code == 302
    assert is_in(here)
    assert not is_in(there)


def test_all_others_are_ended_at_once(bob: User) -> None:
    others = [sign_in(bob), sign_in(bob)]
    here = sign_in(bob)
    here.post("/accounts/sessions/")
    assert is_in(here)
    assert not any(is_in(other) for other in others)


def test_nobody_ends_the_session_of_another(bob: User) -> None:
    bobs = sign_in(bob)
    session = UserSession.objects.get()
    charlie = User.objects.create_user("charlie@example.com", PASSWORD)
    assert sign_in(charlie).post(f"/accounts/sessions/{session.pk}/end/").status_code == 404
    assert is_in(bobs)


@pytest.mark.parametrize(
    ("agent", "said"),
    [
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
         " Chrome/140.0.0.0 Safari/537.36", ("Chrome", "Windows")),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0"
         " Safari/537.36 Edg/140.0", ("Edge", "Windows")),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)"
         " Version/18.0 Safari/605.1.15", ("Safari", "macOS")),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15"
         " CriOS/140.0 Mobile/15E148 Safari/604.1", ("Chrome", "iPhone")),
        (FIREFOX, ("Firefox", "Linux")),
        ("<script>", ("", "")),
    ],
)  # fmt: skip
def test_browsers_are_named(agent: str, said: tuple[str, str]) -> None:
    assert describe(agent) == said


def test_a_name_is_changed_on_the_profile(bob: User) -> None:
    browser = sign_in(bob)
    assert browser.post("/accounts/profile/", {"name": " Robert "}).status_code == 302
    bob.refresh_from_db()
    assert bob.name == "Robert"
    assert browser.post("/accounts/profile/", {"name": "a\x07b"}).status_code == 422
