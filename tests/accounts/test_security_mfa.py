"""Second factors: apps, recovery codes, and what operators need."""

import re
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from cryptography.exceptions import InvalidTag
from django.core import mail
from django.test import Client

from accounts.models import User
from accounts.security_mfa import MFAAdapter, has_second_factor, reseal_second_factors
from tests.authenticators import App, code_of
from tests.people import PASSWORD
from tests.sign_in import let_proof_age

LOGIN = "/accounts/login/"
CODE = "/accounts/2fa/authenticate/"


@pytest.fixture
def bob(db: None) -> User:
    return User.objects.create_user("bob@example.com", PASSWORD, name="Bob")


def give_password(user: User) -> Client:
    """A browser that waits for the code."""
    browser = Client()
    answer = browser.post(LOGIN, {"login": user.email, "password": PASSWORD})
    assert answer["Location"] == CODE
    return browser


def is_in(browser: Client) -> bool:
    return bool(browser.get("/start/").status_code == 200)


def test_the_password_alone_does_not_sign_in(bob: User) -> None:
    App(bob)
    assert not is_in(give_password(bob))


def test_the_code_of_the_app_signs_in(bob: User) -> None:
    app, browser = App(bob), give_password(bob)
    assert browser.post(CODE, {"code": app.code(2)}).status_code == 200, "not one of tomorrow"
    assert browser.post(CODE, {"code": app.code()}).status_code == 302
    assert is_in(browser)


@pytest.mark.parametrize("steps", [-1, 1])
def test_clocks_may_differ_by_a_step(bob: User, steps: int) -> None:
    app, browser = App(bob), give_password(bob)
    browser.post(CODE, {"code": app.code(steps)})
    assert is_in(browser)


def test_a_code_is_good_once(bob: User, monkeypatch: pytest.MonkeyPatch) -> None:
    app = App(bob)
    code = app.code(1)
    give_password(bob).post(CODE, {"code": code})
    # allauth's own note of it is over after one step; the code is good for three.
    monkeypatch.setattr("allauth.mfa.totp.internal.auth.TOTP._mark_code_used", lambda *_: True)
    again = give_password(bob)
    assert again.post(CODE, {"code": code}).status_code == 200
    assert not is_in(again)


def test_a_recovery_code_signs_in_once(bob: User) -> None:
    code = App(bob).recovery.get_unused_codes()[3]
    browser = give_password(bob)
    browser.post(CODE, {"code": code})
    assert is_in(browser)
    again = give_password(bob)
    again.post(CODE, {"code": code})
    assert not is_in(again)


def test_secrets_are_not_in_the_database_in_the_clear(bob: User) -> None:
    app = App(bob)
    stored = str(list(Authenticator.objects.values_list("data", flat=True)))
    assert app.secret not in stored
    assert MFAAdapter().decrypt(app.authenticator.data["secret"]) == app.secret


def test_an_old_key_still_opens_and_a_foreign_one_does_not(settings: Any) -> None:
    sealed = MFAAdapter().encrypt("secret")
    before = settings.CREDENTIAL_KEYS
    settings.CREDENTIAL_KEYS = (b"n" * 32, *before)
    assert MFAAdapter().decrypt(sealed) == "secret"
    settings.CREDENTIAL_KEYS = (b"n" * 32,)
    with pytest.raises(InvalidTag):
        MFAAdapter().decrypt(sealed)


def test_secrets_move_to_the_current_key(bob: User, settings: Any) -> None:
    app = App(bob)
    codes = app.recovery.get_unused_codes()
    before = settings.CREDENTIAL_KEYS
    settings.CREDENTIAL_KEYS = (b"n" * 32, *before)
    assert reseal_second_factors() == (2, 0, ())
    settings.CREDENTIAL_KEYS = (b"n" * 32,)
    assert reseal_second_factors() == (0, 2, ())
    factors = {one.type: one for one in Authenticator.objects.all()}
    assert MFAAdapter().decrypt(factors["totp"].data["secret"]) == app.secret
    assert factors["recovery_codes"].wrap().get_unused_codes() == codes
    settings.CREDENTIAL_KEYS = (b"x" * 32,)
    assert reseal_second_factors() == (0, 0, ("second factor of bob@example.com",) * 2)


def test_an_app_is_set_up_after_a_proof_and_brings_recovery_codes(
    bob: User, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The test's own transaction is never committed.
    monkeypatch.setattr("django.db.transaction.on_commit", lambda then: then())
    client.force_login(bob)
    assert "/reauthenticate/" in client.get("/accounts/2fa/totp/activate/")["Location"]
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    page = client.get("/accounts/2fa/totp/activate/").content.decode()
    assert 'src="data:image/svg+xml;base64,' in page
    found = re.search(r'id="totp-secret"[^>]*>([A-Z2-7]+)<', page)
    assert found
    code = {"code": code_of(found[1])}
    answer = client.post("/accounts/2fa/totp/activate/", code, follow=True)
    assert answer.redirect_chain[-1][0] == "/accounts/2fa/recovery-codes/"
    assert has_second_factor(bob)
    assert "bob@example.com" in mail.outbox[0].to, "whoever did not do it learns of it"
    codes = client.get("/accounts/2fa/recovery-codes/download/").content.decode().split()
    assert len(codes) == 10
    assert all(code in answer.content.decode() for code in codes)


def test_a_mail_that_does_not_go_out_undoes_nothing(
    bob: User, client: Client, settings: Any
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_PORT = 1
    client.force_login(bob)
    new = "another-horse-battery"
    data = {"oldpassword": PASSWORD, "password1": new, "password2": new}
    assert client.post("/accounts/password/change/", data).status_code == 302
    bob.refresh_from_db()
    assert bob.check_password(new)


def test_recovery_codes_alone_are_no_second_factor(bob: User) -> None:
    app = App(bob)
    app.authenticator.delete()
    assert not has_second_factor(bob)


PROTECTED = ("/organization/", "/admin/", "/")


@pytest.fixture
def olga(db: None) -> User:
    return User.objects.create_superuser("olga@example.com", PASSWORD, name="Olga")


def test_an_operator_without_a_second_factor_is_reminded_on_every_page(
    olga: User, bob: User, client: Client
) -> None:
    client.force_login(olga)
    notice = b"Set up a second factor"
    assert notice in client.get("/organization/").content
    client.force_login(bob)
    assert notice not in client.get("/start/").content
    App(olga)
    client.force_login(olga)
    assert notice not in client.get("/organization/").content


@pytest.mark.parametrize("path", PROTECTED)
def test_an_operator_without_one_sees_nothing_where_it_is_demanded(
    olga: User, client: Client, settings: Any, path: str
) -> None:
    settings.OPERATORS_NEED_MFA = True
    client.force_login(olga)
    assert client.get(path)["Location"] == "/accounts/2fa/"
    assert client.post(path)["Location"] == "/accounts/2fa/"
    assert client.get(path, headers={"HX-Request": "true"})["HX-Redirect"] == "/accounts/2fa/"
    assert client.get("/accounts/2fa/").status_code == 200
    App(olga)
    answer = client.get(path)
    assert answer.status_code == 200 or answer["Location"] != "/accounts/2fa/"


def test_others_are_asked_for_nothing(bob: User, client: Client, settings: Any) -> None:
    settings.OPERATORS_NEED_MFA = True
    client.force_login(bob)
    assert client.get("/start/").status_code == 200


def test_the_admin_has_no_sign_in_page_of_its_own(client: Client, bob: User) -> None:
    assert client.get("/admin/", follow=True).redirect_chain[-1][0].startswith(LOGIN)
    data = {"username": "olga@example.com", "password": PASSWORD}
    assert client.post("/admin/login/", data)["Location"].startswith(LOGIN)
    client.force_login(bob)
    assert client.get("/admin/", follow=True).status_code == 403


def test_changes_in_the_admin_need_a_recent_proof(client: Client, olga: User) -> None:
    client.force_login(olga)
    let_proof_age(client)
    url = "/admin/password_change/"
    assert client.get(url).status_code == 200
    answer = client.post(url, {}, headers={"Referer": f"http://testserver{url}"})
    assert answer["Location"].startswith("/accounts/reauthenticate/?next=%2Fadmin%2F")
    client.force_login(olga)
    assert client.post(url, {}).status_code == 200, "the form, with what it misses"
