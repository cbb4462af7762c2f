"""Who moves money or changes keys shows once more that it is he."""

import time
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.contrib.messages import get_messages
from django.core import mail
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path
from django.utils.http import urlencode

from accounts.models import User
from accounts.reauthentication import recently_authenticated
from accounts.views import signed_in
from config.urls import urlpatterns as real_urlpatterns
from tests.people import PASSWORD
from tests.sign_in import let_proof_age

ASKED = "/accounts/reauthenticate/"


@signed_in
@recently_authenticated
def change(request: HttpRequest) -> HttpResponse:
    return HttpResponse("changed" if request.method == "POST" else "form")


@signed_in
@recently_authenticated(on_get=True)
def secret(request: HttpRequest) -> HttpResponse:
    return HttpResponse("secret")


urlpatterns = [path("change/", change), path("secret/", secret), *real_urlpatterns]
pytestmark = pytest.mark.urls(__name__)


@pytest.fixture
def bob(db: None) -> User:
    return User.objects.create_user("bob@example.com", PASSWORD, name="Bob")


@pytest.fixture
def bobs(bob: User, settings: Any) -> Client:
    """Bob's browser; he signed in a moment ago."""
    settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)
    made = Client()
    made.force_login(bob)
    return made


def asked_for(page: str) -> str:
    return f"{ASKED}?{urlencode({'next': page})}"


def test_a_sign_in_suffices_for_a_while(bobs: Client) -> None:
    assert bobs.post("/change/").content == b"changed"
    assert bobs.get("/secret/").content == b"secret"


def test_the_real_sign_in_counts(client: Client, bob: User) -> None:
    client.post("/accounts/login/", {"login": bob.email, "password": PASSWORD})
    assert client.post("/change/").content == b"changed"


def test_signing_up_counts(client: Client, db: None) -> None:
    client.post("/accounts/signup/", {"email": "new@example.com", "password1": PASSWORD})
    assert client.post("/change/").content == b"changed"


def test_a_proof_that_is_too_old_is_asked_for_again(bobs: Client, settings: Any) -> None:
    let_proof_age(bobs, settings.ACCOUNT_REAUTHENTICATION_TIMEOUT + 1)
    assert bobs.post("/change/")["Location"].startswith(ASKED)
    let_proof_age(bobs, settings.ACCOUNT_REAUTHENTICATION_TIMEOUT - 5)
    assert bobs.post("/change/").content == b"changed"


def test_pages_that_only_show_something_are_not_guarded(bobs: Client) -> None:
    let_proof_age(bobs)
    assert bobs.get("/change/").content == b"form"
    assert bobs.head("/change/").status_code == 200


def test_pages_that_ask_for_it_are_guarded_on_get_too(bobs: Client) -> None:
    let_proof_age(bobs)
    assert bobs.get("/secret/?a=1")["Location"] == asked_for("/secret/?a=1")
    assert bobs.head("/secret/").status_code == 302


def test_after_the_proof_the_guarded_page_opens(bobs: Client) -> None:
    let_proof_age(bobs)
    question = bobs.get("/secret/?a=1")["Location"]
    answer = bobs.post(ASKED, {"password": PASSWORD, "next": "/secret/?a=1"}, follow=True)
    assert question == asked_for("/secret/?a=1")
    assert answer.redirect_chain == [("/secret/?a=1", 302)]
    assert answer.content == b"secret"


def test_a_wrong_password_proves_nothing(bobs: Client) -> None:
    let_proof_age(bobs)
    bobs.post("/change/")
    assert bobs.post(ASKED, {"password": "wrong", "next": "/change/"}).status_code == 200
    assert bobs.post("/change/").status_code == 302


def test_a_post_is_not_repeated_but_the_user_comes_back_to_its_page(bobs: Client) -> None:
    let_proof_age(bobs)
    answer = bobs.post("/change/", headers={"Referer": "http://testserver/start/?x=1#there"})
    assert answer["Location"] == asked_for("/start/?x=1")
    done = bobs.post(ASKED, {"password": PASSWORD, "next": "/start/?x=1"})
    assert done["Location"] == "/start/?x=1"
    said = [str(message) for message in get_messages(done.wsgi_request)]
    assert said == ["Thank you. What you had sent was not carried out: please do it again."]
    assert bobs.post("/change/").content == b"changed"


@pytest.mark.parametrize("referer", ["https://evil.example/x", "javascript:alert(1)", "", "//evil"])
def test_nobody_is_sent_to_a_foreign_page(bobs: Client, referer: str) -> None:
    let_proof_age(bobs)
    answer = bobs.post("/change/", headers={"Referer": referer} if referer else {})
    assert answer["Location"] == asked_for("/")


def test_a_question_that_was_left_does_not_catch_the_next_one(bobs: Client) -> None:
    let_proof_age(bobs)
    bobs.post("/change/", headers={"Referer": "http://testserver/start/"})
    bobs.get("/secret/")
    done = bobs.post(ASKED, {"password": PASSWORD, "next": "/secret/"})
    assert done["Location"] == "/secret/"
    assert list(get_messages(done.wsgi_request)) == []


def test_by_htmx_the_whole_page_moves(bobs: Client) -> None:
    let_proof_age(bobs)
    headers = {"HX-Request": "true", "HX-Current-URL": "http://testserver/start/?x=1"}
    post = bobs.post("/change/", headers=headers)
    assert (post.status_code, post["HX-Redirect"]) == (200, asked_for("/start/?x=1"))
    assert post.content == b""
    get = bobs.get("/secret/?dialog", headers=headers)
    assert get["HX-Redirect"] == asked_for("/secret/?dialog")


def test_whoever_has_nothing_to_prove_himself_with_is_refused(bobs: Client, bob: User) -> None:
    bob.set_unusable_password()
    bob.save()
    bobs.force_login(bob)
    let_proof_age(bobs)
    assert bobs.post("/change/", follow=True).status_code == 403


def test_others_are_led_to_the_sign_in_page(client: Client, db: None) -> None:
    assert client.post("/change/")["Location"].startswith("/accounts/login/")


def test_the_session_of_somebody_else_proves_nothing(bobs: Client, db: None) -> None:
    """allauth keeps the records in the session; they count for the user who made them only."""
    bobs.post(ASKED, {"password": PASSWORD})
    other = User.objects.create_user("charlie@example.com", PASSWORD)
    bobs.force_login(other)
    let_proof_age(bobs)
    session = bobs.session
    assert session["signed_in_at"] < time.time() - 3600
    assert bobs.post("/change/").status_code == 302


@pytest.mark.parametrize("action", ["add", "primary", "remove", "send"])
def test_addresses_are_not_changed_by_whoever_finds_a_browser_open(
    bobs: Client, bob: User, action: str
) -> None:
    """By mail to an address of his own he would set a new password, and so prove to be Bob ever after."""
    EmailAddress.objects.create(user=bob, email=bob.email, verified=True, primary=True)
    EmailAddress.objects.create(user=bob, email="spare@example.com", verified=True)
    let_proof_age(bobs)
    email = "thief@example.com" if action == "add" else "spare@example.com"
    answer = bobs.post("/accounts/email/", {f"action_{action}": "", "email": email})
    assert answer["location"].startswith(ASKED)
    rows = EmailAddress.objects.order_by("email").values_list("email", "primary")
    assert list(rows) == [("bob@example.com", True), ("spare@example.com", False)]
    assert mail.outbox == []
