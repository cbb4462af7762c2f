"""The far end of an invitation: the link, signing up and in through it, joining and declining."""

import re
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.test import Client
from django.urls import reverse

from accounts import invitations
from accounts.invitation_models import Invitation
from accounts.invitations import Offer, invite
from accounts.models import User
from tests.people import PASSWORD, People

pytestmark = pytest.mark.django_db
NEW = "dora@example.com"


@pytest.fixture
def link(people: People) -> str:
    return link_for(people, NEW)


def link_for(people: People, email: str) -> str:
    """The address in the mail to somebody who is invited into Alice's group by its manager, Bob."""
    people.group.memberships.filter(user=people.bob).update(role="manager")
    invite(
        people.organization, [email], Offer("member", {people.group: "member"}), actor=people.bob
    )
    token = invitations.renew_token(Invitation.objects.get(email=email))
    return reverse("invitation", args=[token])


def sign_up(client: Client, email: str) -> Any:
    form = {"email": email, "password1": PASSWORD}
    return client.post(reverse("account_signup"), form, follow=True)


def is_in(people: People, email: str) -> bool:
    return people.group.memberships.filter(user__email=email).exists()


def test_the_link_says_who_invites_whom_to_what(client: Client, link: str) -> None:
    html = client.get(link).content.decode()
    assert "Join “Arden Labs”" in html
    assert "Bob Brook invites dora@example.com" in html
    assert "Research" in html
    assert "?email=dora%40example.com" in html


def test_the_page_is_the_same_for_who_has_an_account_and_who_has_none(
    client: Client, people: People
) -> None:
    known, unknown = (
        without_name(client.get(link_for(people, f"{name}@example.com")).content.decode(), name)
        for name in ("charlie", "chester")
    )
    assert "Create an account" in known
    assert known == unknown


def without_name(html: str, name: str) -> str:
    """The page without what differs from one to the next: the address and the form's token."""
    return re.sub(r'(csrfmiddlewaretoken" value=")\w+', r"\1", html.replace(name, "somebody"))


def test_who_signs_up_through_the_link_is_in_with_a_confirmed_address(
    client: Client, people: People, link: str
) -> None:
    client.get(link)
    response = sign_up(client, NEW)
    assert is_in(people, NEW)
    assert EmailAddress.objects.get(email=NEW).verified
    html = response.content.decode()
    assert "You are now a member of “Arden Labs”" in html
    assert client.get(link).status_code == 404, "a link is used once"


def test_who_signs_up_without_the_link_waits_until_he_has_confirmed(
    client: Client, people: People, link: str
) -> None:
    response = sign_up(client, NEW)
    assert not is_in(people, NEW)
    html = response.content.decode()
    assert "Arden Labs" not in html, "a stranger may have typed the address"
    assert "Do you expect an invitation?" in html
    address = EmailAddress.objects.get(email=NEW)
    assert not address.verified
    confirm(client, address)
    assert is_in(people, NEW)


def confirm(client: Client, address: EmailAddress) -> None:
    """Follow the link of allauth's own mail."""
    from allauth.account.models import EmailConfirmationHMAC

    key = EmailConfirmationHMAC(address).key
    client.post(reverse("account_confirm_email", args=[key]))


def test_the_link_of_one_address_opens_nothing_for_another(
    client: Client, people: People, link: str
) -> None:
    client.get(link)
    sign_up(client, "eve@example.com")
    assert not is_in(people, "eve@example.com")
    assert not EmailAddress.objects.get(email="eve@example.com").verified
    html = client.get(link).content.decode()
    assert "You are signed in as eve@example.com" in html
    assert client.post(link).status_code == 200
    assert not people.organization.memberships.filter(user__email="eve@example.com").exists()


def test_who_signs_in_after_following_the_link_is_in(client: Client, people: People) -> None:
    user = User.objects.create_user(NEW, PASSWORD)
    EmailAddress.objects.create(user=user, email=NEW, verified=False, primary=True)
    link = link_for(people, NEW)
    client.post(reverse("account_login"), {"login": NEW, "password": PASSWORD})
    assert not is_in(people, NEW), "the address is not confirmed"
    client.logout()
    client.get(link)
    client.post(reverse("account_login"), {"login": NEW, "password": PASSWORD})
    assert is_in(people, NEW)
    assert EmailAddress.objects.get(email=NEW).verified


def test_who_is_signed_in_joins_by_a_button(client: Client, people: People) -> None:
    link = link_for(people, "charlie@example.com")
    client.force_login(people.charlie)
    client.get(link)
    assert not is_in(people, "charlie@example.com"), "looking joins nobody"
    assert client.post(link)["Location"] == reverse("group", args=[people.group.pk])
    assert is_in(people, "charlie@example.com")


def test_a_confirmed_address_joins_from_the_list_of_invitations(
    client: Client, people: People
) -> None:
    link_for(people, "charlie@example.com")
    client.force_login(people.charlie)
    invitation = Invitation.objects.get()
    page = client.get(reverse("memberships")).content.decode()
    assert reverse("join", args=[invitation.pk]) in page
    client.post(reverse("join", args=[invitation.pk]))
    assert is_in(people, "charlie@example.com")


def test_an_invitation_is_declined(client: Client, people: People) -> None:
    link_for(people, "charlie@example.com")
    client.force_login(people.charlie)
    client.post(reverse("decline", args=[Invitation.objects.get().pk]))
    assert not Invitation.objects.waiting().exists()
    assert not is_in(people, "charlie@example.com")


def test_nobody_joins_or_declines_for_another(client: Client, people: People) -> None:
    link_for(people, "charlie@example.com")
    invitation = Invitation.objects.get()
    for user in (people.bob, people.olga):
        client.force_login(user)
        for name in ("join", "decline"):
            assert client.post(reverse(name, args=[invitation.pk])).status_code == 404
    assert Invitation.objects.waiting().exists()


def test_a_link_that_does_not_work_says_so(client: Client) -> None:
    response = client.get(reverse("invitation", args=["nonsense"]))
    assert response.status_code == 404
    assert "does not work any more" in response.content.decode()


def test_whoever_waits_for_nothing_sees_the_usual_page(client: Client) -> None:
    client.force_login(User.objects.create_user("new@example.com"))
    html = client.get(reverse("onboarding")).content.decode()
    assert "One more step" in html
    assert "Do you expect an invitation?" not in html


def test_a_newcomer_sees_what_he_is_invited_to(client: Client, people: People) -> None:
    user = User.objects.create_user(NEW)
    link_for(people, NEW)
    client.force_login(user)
    html = client.get(reverse("onboarding")).content.decode()
    assert "You are invited" in html
    assert "Join Arden Labs" in html
