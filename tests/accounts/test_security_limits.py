"""Attempts are counted: by place and account, over all processes."""

from typing import Any

import httpx
import pytest
from django.core import mail
from django.core.cache import cache
from django.test import Client

from accounts.models import User
from tests.authenticators import App
from tests.people import PASSWORD
from tests.world import GatewayProcess, World, run_command

LOGIN = "/accounts/login/"


@pytest.fixture
def bob(db: None) -> User:
    return User.objects.create_user("bob@example.com", PASSWORD, name="Bob")


def try_password(password: str, place: str = "192.0.2.1", email: str = "bob@example.com") -> Any:
    """A sign-in from a browser of its own."""
    data = {"login": email, "password": password}
    return Client().post(LOGIN, data, REMOTE_ADDR=place)


def test_the_sixth_wrong_password_is_refused_with_a_page_that_says_why(bob: User) -> None:
    for _ in range(5):
        assert try_password("wrong").status_code == 200
    refused = try_password("wrong")
    assert refused.status_code == 429
    assert int(refused["Retry-After"]) > 0
    assert b"Too many attempts" in refused.content
    assert try_password(PASSWORD).status_code == 429, "not even the right one, from there"


def test_the_owner_still_comes_in_from_elsewhere(bob: User) -> None:
    for _ in range(6):
        try_password("wrong")
    assert try_password(PASSWORD, place="198.51.100.7").status_code == 302


def test_right_passwords_are_not_counted(bob: User) -> None:
    for _ in range(8):
        assert try_password(PASSWORD).status_code == 302


def test_a_place_that_tries_many_accounts_is_refused(bob: User) -> None:
    for number in range(20):
        assert try_password("wrong", email=f"{number}@example.com").status_code == 200
    assert try_password("wrong", email="another@example.com").status_code == 429
    assert try_password("wrong", email="another@example.com", place="192.0.2.2").status_code == 200


def test_an_account_that_is_tried_from_everywhere_is_closed_for_a_while(bob: User) -> None:
    for number in range(100):
        assert try_password("wrong", place=f"192.0.2.{number}").status_code == 200
    assert try_password("wrong", place="198.51.100.1").status_code == 429


def test_ipv6_counts_by_network(bob: User) -> None:
    for number in range(5):
        try_password("wrong", place=f"2001:db8::{number}")
    assert try_password("wrong", place="2001:db8::ffff").status_code == 429


def test_a_forwarded_address_is_the_clients_own_word(bob: User) -> None:
    for number in range(6):
        headers = {"X-Forwarded-For": f"203.0.113.{number}"}
        data = {"login": bob.email, "password": "wrong"}
        answer = Client().post(LOGIN, data, headers=headers)
    assert answer.status_code == 429


def test_behind_a_trusted_proxy_its_word_counts(bob: User, settings: Any) -> None:
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
    data = {"login": bob.email, "password": "wrong"}
    for number in range(6):
        forged = {"X-Forwarded-For": f"203.0.113.{number}, 192.0.2.9"}
        answer = Client().post(LOGIN, data, headers=forged)
    assert answer.status_code == 429, "the last entry is the proxy's, the others are forged"
    elsewhere = {"X-Forwarded-For": "192.0.2.10"}
    assert Client().post(LOGIN, data, headers=elsewhere).status_code == 200


def test_codes_are_counted_by_user(bob: User) -> None:
    app = App(bob)
    for place in ("192.0.2.1", "192.0.2.2"):
        client = Client(REMOTE_ADDR=place)
        client.post(LOGIN, {"login": bob.email, "password": PASSWORD})
        answers = [client.post("/accounts/2fa/authenticate/", {"code": "000000"}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    client.post(LOGIN, {"login": bob.email, "password": PASSWORD})
    assert client.post("/accounts/2fa/authenticate/", {"code": app.code()}).status_code == 429


def test_re_authentication_is_counted(bob: User, client: Client) -> None:
    client.force_login(bob)
    answers = [client.post("/accounts/reauthenticate/", {"password": "wrong"}) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 200, 200, 429]


def test_sign_ups_are_counted_by_place(db: None) -> None:
    for number in range(11):
        data = {"email": f"{number}@example.com", "password1": PASSWORD}
        answer = Client().post("/accounts/signup/", data)
    assert answer.status_code == 429
    assert User.objects.count() == 10


def test_nobody_is_flooded_with_mails_to_reset_his_password(bob: User) -> None:
    for number in range(8):
        Client().post(
            "/accounts/password/reset/", {"email": bob.email}, REMOTE_ADDR=f"192.0.2.{number}"
        )
    assert len(mail.outbox) == 5


def test_the_counts_outlive_a_process(db: None) -> None:
    cache.set("seen", 1, 60)
    assert cache.get("seen") == 1
    assert type(cache).__name__ != "LocMemCache"


@pytest.fixture
def two_processes(fresh_world: World) -> tuple[GatewayProcess, GatewayProcess]:
    made = "from accounts.models import User; User.objects.create_user('bob@example.com', 'right-password-1')"
    done = run_command(fresh_world.database.url, "shell", "-c", made)
    assert done.returncode == 0, done.stderr
    return fresh_world.start_gateway(), fresh_world.start_gateway()


def sign_in(process: GatewayProcess, password: str) -> int:
    with httpx.Client(base_url=process.root, trust_env=False, timeout=30) as browser:
        token = browser.get(LOGIN).text.split('csrfmiddlewaretoken" value="')[1].split('"')[0]
        data = {"login": "bob@example.com", "password": password, "csrfmiddlewaretoken": token}
        return browser.post(LOGIN, data=data).status_code


def test_another_process_sees_the_same_count(
    two_processes: tuple[GatewayProcess, GatewayProcess],
) -> None:
    one, other = two_processes
    assert sign_in(other, "right-password-1") == 302
    assert [sign_in(one, "wrong") for _ in range(5)] == [200] * 5
    assert sign_in(other, "wrong") == 429
