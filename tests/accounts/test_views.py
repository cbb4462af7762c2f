"""Coming in: anonymous, newcomer, member, operator."""

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Group, GroupMembership, Membership, Organization, User
from accounts.services import create_organization
from tests.people import PASSWORD, People

pytestmark = pytest.mark.django_db


def test_a_stranger_is_led_to_the_sign_in_page(client: Client) -> None:
    response = client.get("/start/")
    assert response.status_code == 302
    assert response["Location"] == "/accounts/login/?next=/start/"


def test_htmx_of_a_stranger_moves_the_whole_page(client: Client, people: People) -> None:
    url = reverse("group_calls", args=[people.group.pk])
    headers = {"HX-Request": "true", "HX-Current-URL": f"http://testserver{url}"}
    response = client.get(url, headers=headers)
    assert response.status_code == 200
    assert response["HX-Redirect"] == f"/accounts/login/?next={url}"
    assert response.content == b""


def test_home_leads_a_member_to_his_first_group(client: Client, people: People) -> None:
    client.force_login(people.bob)
    assert client.get("/")["Location"] == reverse("group", args=[people.group.pk])


def test_home_leads_an_operator_to_the_organizations(client: Client, people: People) -> None:
    client.force_login(people.olga)
    assert client.get("/")["Location"] == reverse("organizations")


def test_home_leads_an_admin_without_groups_to_his_organization(client: Client) -> None:
    user = User.objects.create_user("new@example.com")
    create_organization(user, "Bare")
    client.force_login(user)
    assert client.get("/")["Location"] == reverse("organizations")


def test_a_newcomer_makes_an_organization_and_its_first_group(client: Client) -> None:
    user = User.objects.create_user("new@example.com")
    client.force_login(user)
    assert client.get("/")["Location"] == reverse("onboarding")
    response = client.post(
        reverse("onboarding"), {"organization_name": "Ny AB", "group_name": "Första"}
    )
    group = Group.objects.get()
    assert response["Location"] == reverse("group", args=[group.pk])
    assert (group.organization.name, group.name) == ("Ny AB", "Första")
    assert Membership.objects.get().role == "admin"
    assert GroupMembership.objects.get().role == "manager"


def test_onboarding_makes_both_or_nothing(client: Client) -> None:
    client.force_login(User.objects.create_user("new@example.com"))
    response = client.post(reverse("onboarding"), {"organization_name": "Ny AB", "group_name": ""})
    assert response.status_code == 422
    assert b'aria-invalid="true"' in response.content
    assert not Organization.objects.exists()


def test_a_member_of_no_group_is_told_whom_to_ask(client: Client, people: People) -> None:
    GroupMembership.objects.filter(user=people.bob).delete()
    client.force_login(people.bob)
    assert client.get("/")["Location"] == reverse("onboarding")
    assert b"Ask one of its admins" in client.get(reverse("onboarding")).content


@pytest.mark.parametrize("name", ["account_login", "account_signup", "account_reset_password"])
def test_the_doors_stand_open_to_strangers(client: Client, name: str) -> None:
    response = client.get(reverse(name))
    assert response.status_code == 200
    assert "Tollgate" in response.content.decode()


@pytest.mark.parametrize(
    "name", ["account_change_password", "account_email", "account_logout", "onboarding"]
)
def test_pages_of_ones_own_account_carry_the_frame(
    client: Client, people: People, name: str
) -> None:
    client.force_login(people.bob)
    response = client.get(reverse(name), follow=True)
    assert response.status_code == 200
    assert people.bob.email in response.content.decode()


def test_signing_up_ends_at_onboarding(client: Client) -> None:
    form = {"email": "fresh@example.com", "password1": PASSWORD}
    response = client.post(reverse("account_signup"), form, follow=True)
    assert response.redirect_chain[-1][0] == reverse("onboarding")


def test_a_wrong_password_is_told_without_saying_which_part_was_wrong(client: Client) -> None:
    form = {"login": "nobody@example.com", "password": "wrong-password"}
    response = client.post(reverse("account_login"), form)
    assert response.status_code == 200
    assert 'role="alert"' in response.content.decode()


def test_private_pages_are_kept_out_of_caches(client: Client, people: People) -> None:
    client.force_login(people.bob)
    response = client.get(reverse("group_keys", args=[people.group.pk]))
    assert "no-store" in response["Cache-Control"]


def test_no_page_carries_inline_style_or_script(client: Client, people: People) -> None:
    client.force_login(people.alice)
    html = client.get(reverse("group_usage", args=[people.group.pk])).content.decode()
    assert " style=" not in html
    assert "<style" not in html
    assert " onclick=" not in html
    assert "script-src 'self'" in client.get("/start/")["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("404.html", "nothing here"),
        ("403.html", "may not"),
        ("403_csrf.html", "too old"),
        ("500.html", "our side"),
    ],
)
def test_error_pages_need_nothing_but_their_template(template: str, words: str) -> None:
    from django.template.loader import render_to_string

    assert words in render_to_string(template)


def test_an_unknown_address_gets_the_page_in_style(client: Client) -> None:
    response = client.get("/nowhere/")
    assert response.status_code == 404
    assert "There is nothing here" in response.content.decode()


def test_a_form_without_its_token_gets_the_page_in_style() -> None:
    client = Client(enforce_csrf_checks=True)
    response = client.post(reverse("account_login"), {"login": "x", "password": "y"})
    assert response.status_code == 403
    assert "The form is too old" in response.content.decode()
