"""The addresses of allauth and of Django's admin: one rule for each, so that an update brings no open page."""

import pytest
from allauth.mfa.models import Authenticator
from django.test import Client
from django.urls import reverse

from tests.access.addresses import Address, all_addresses
from tests.access.fingerprint import fingerprint
from tests.access.objects import Scene, make_scene

# What somebody who is not signed in may open: the ways in, and the ways back in.
DOORS = frozenset({
    "account_login", "account_signup", "account_logout", "account_inactive", "account_confirm_email",
    "account_email_verification_sent", "account_reset_password", "account_reset_password_done",
    "account_reset_password_from_key", "account_reset_password_from_key_done", "mfa_login_webauthn",
    "mfa_authenticate", "account_complete_password_reset",
})  # fmt: skip
ALLAUTH = [
    one for one in all_addresses() if one.module.startswith("allauth.") and not one.namespace
]
ADMIN = [one for one in all_addresses() if one.namespace == "admin" and one.name != "login"]
VALUES: dict[str, object] = {"uidb36": "1", "key": "1-nonsense", "pk": 1, "content_type_id": 1}


@pytest.fixture
def scene(db: None) -> Scene:
    return make_scene()


def url_of(address: Address) -> str:
    name = f"{address.namespace}:{address.name}" if address.namespace else address.name
    known = VALUES | {"app_label": "accounts", "object_id": "1", "url": "none"}
    return reverse(name, kwargs={key: known[key] for key in address.parameters}) if name else ""


@pytest.mark.parametrize("address", ALLAUTH, ids=lambda one: one.name)
def test_a_stranger_opens_the_doors_only(scene: Scene, address: Address) -> None:
    before = fingerprint()
    for method in ("get", "post"):
        answer = getattr(Client(), method)(url_of(address))
        assert answer.status_code < 500
        if address.name not in DOORS:
            assert answer.status_code in (302, 404, 405)
            if answer.status_code == 302:
                assert answer["Location"].startswith(("/accounts/login/", "/accounts/signup/"))
    assert fingerprint() == before


@pytest.mark.parametrize("address", [one for one in ADMIN if one.name], ids=lambda one: one.name)
def test_the_admin_is_for_operators_alone(scene: Scene, address: Address) -> None:
    if "content_type_id" in address.parameters or address.route.endswith("(?P<url>.*)$"):
        url = "/admin/r/1/1/"
    else:
        url = url_of(address)
    before = fingerprint()
    for user in (None, scene.people.charlie, scene.people.bob, scene.people.alice):
        client = Client()
        if user is not None:
            client.force_login(user)
        for method in ("get", "post"):
            status = getattr(client, method)(url, follow=True).status_code
            refused = (200,) if user is None else (403, 404)
            # Signing out is for everybody; its page says so.
            done = (200,) if address.name == "logout" else ()
            assert status in (*refused, *done, 405), (str(user), method)
    assert {**fingerprint()} == before


def test_nobody_reaches_the_passkey_of_another(scene: Scene) -> None:
    passkey = Authenticator.objects.create(
        user=scene.people.bob,
        type=Authenticator.Type.WEBAUTHN,
        data={"name": "a", "credential": {}},
    )
    charlie = scene.people.charlie
    charlie.set_password("correct-horse-battery")
    charlie.save()
    client = Client()
    client.force_login(charlie)
    client.post("/accounts/reauthenticate/", {"password": "correct-horse-battery"})
    for name in ("mfa_edit_webauthn", "mfa_remove_webauthn"):
        url = reverse(name, args=[passkey.pk])
        assert client.get(url).status_code == 404
        assert client.post(url, {"name": "stolen"}).status_code == 404
    assert Authenticator.objects.get().data["name"] == "a"
