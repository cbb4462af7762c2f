"""The members of a group: who sees them, who manages them, and what leaving does."""

import pytest
from django.test import Client
from django.urls import reverse

from accounts import key_services, services
from accounts.invitation_models import Invitation
from accounts.models import APIKey, GroupMembership, User
from tests.people import People

pytestmark = pytest.mark.django_db


@pytest.fixture
def dora(people: People) -> User:
    """A colleague in none of the groups."""
    user = User.objects.create_user("dora@example.com", name="Dora Dunn")
    services.join_organization(people.organization, user)
    return user


def url(people: People, name: str, *more: object) -> str:
    return reverse(name, args=[people.group.pk, *more])


def role(people: People, user: User) -> str | None:
    found = GroupMembership.objects.filter(group=people.group, user=user).first()
    return found.role if found else None


def test_who_may_do_what(client: Client, people: People, dora: User) -> None:
    invitation = Invitation.objects.create(
        organization=people.organization, email="x@example.com", expires_at="2100-01-01T00:00Z"
    )
    invitation.places.create(group=people.group)
    actions = [
        url(people, "group_members"),
        url(people, "change_group_role", people.alice.pk),
        url(people, "remove_group_member", people.alice.pk),
        url(people, "resend_group_invitation", invitation.pk),
        url(people, "withdraw_group_invitation", invitation.pk),
    ]
    form = {"role": "member", "colleagues": [dora.pk], "emails": "y@example.com"}
    for user in (people.bob, people.charlie, dora):
        client.force_login(user)
        assert {client.post(action, form).status_code for action in actions} == {404}
    assert role(people, people.alice) == "manager"
    assert role(people, dora) is None
    assert Invitation.objects.waiting().count() == 1
    for user, status in ((people.bob, 200), (people.olga, 200), (people.charlie, 404), (dora, 404)):
        client.force_login(user)
        assert client.get(actions[0]).status_code == status


def test_a_member_sees_the_list_and_nothing_to_change_but_himself(
    client: Client, people: People
) -> None:
    Invitation.objects.create(
        organization=people.organization, email="x@example.com", expires_at="2100-01-01T00:00Z"
    ).places.create(group=people.group)
    client.force_login(people.bob)
    html = client.get(url(people, "group_members")).content.decode()
    assert "Alice Arden" in html
    assert url(people, "remove_group_member", people.bob.pk) in html
    assert url(people, "remove_group_member", people.alice.pk) not in html
    assert "Add people" not in html
    assert "x@example.com" not in html


def test_a_manager_who_is_no_admin_manages(client: Client, people: People, dora: User) -> None:
    people.group.memberships.filter(user=people.bob).update(role="manager")
    client.force_login(people.bob)
    form = {"role": "manager", "colleagues": [dora.pk], "emails": "charlie@example.com"}
    response = client.post(url(people, "group_members"), form)
    assert response["Location"] == url(people, "group_members")
    assert role(people, dora) == "manager"
    html = client.get(response["Location"]).content.decode()
    assert "1 colleague is in the group now." in html
    assert "charlie@example.com is invited by e-mail and waiting to join." in html
    assert role(people, people.charlie) is None
    client.post(url(people, "change_group_role", dora.pk), {"role": "member"})
    assert role(people, dora) == "member"


def test_a_stranger_cannot_be_ticked(client: Client, people: People) -> None:
    client.force_login(people.alice)
    form = {"role": "member", "colleagues": [people.charlie.pk]}
    assert client.post(url(people, "group_members"), form).status_code == 422
    assert role(people, people.charlie) is None


def test_nobody_at_all_is_asked_for_somebody(client: Client, people: People, dora: User) -> None:
    client.force_login(people.alice)
    response = client.post(url(people, "group_members"), {"role": "member"})
    assert response.status_code == 422
    assert "Tick a colleague or write an e-mail address." in response.content.decode()


def test_leaving_tells_which_keys_stop_and_stops_them(client: Client, people: People) -> None:
    key_services.issue_key(people.group, people.bob, "Bob’s laptop")
    key_services.issue_key(people.group, people.alice, "hers")
    client.force_login(people.bob)
    page = url(people, "remove_group_member", people.bob.pk)
    html = client.get(page).content.decode()
    assert "1 key that you made there is revoked" in html
    assert "Bob’s laptop" in html
    assert client.post(page)["Location"] == "/"
    assert [key.name for key in APIKey.objects.usable()] == ["hers"]
    assert client.get(url(people, "group_members")).status_code == 404


def test_an_admin_who_leaves_a_group_still_manages_it(client: Client, people: People) -> None:
    client.force_login(people.alice)
    response = client.post(url(people, "remove_group_member", people.alice.pk))
    assert response["Location"] == url(people, "group_members")
    assert client.get(response["Location"]).status_code == 200
    assert role(people, people.alice) is None


def test_an_invitation_into_the_group_is_sent_again_and_withdrawn(
    client: Client, people: People
) -> None:
    client.force_login(people.alice)
    form = {"role": "member", "emails": "new@example.com"}
    client.post(url(people, "group_members"), form)
    invitation = Invitation.objects.get()
    Invitation.objects.update(mail_due_at=None)
    client.post(url(people, "resend_group_invitation", invitation.pk))
    assert Invitation.objects.get().mail_due_at is not None
    client.post(url(people, "withdraw_group_invitation", invitation.pk))
    assert not invitation.places.exists()


def test_an_invitation_into_another_group_is_none_of_the_managers_business(
    client: Client, people: People
) -> None:
    second = services.create_group(people.organization, "Second", people.alice)
    invitation = Invitation.objects.create(
        organization=people.organization, email="x@example.com", expires_at="2100-01-01T00:00Z"
    )
    invitation.places.create(group=second)
    people.group.memberships.filter(user=people.bob).update(role="manager")
    client.force_login(people.bob)
    for name in ("resend_group_invitation", "withdraw_group_invitation"):
        assert client.post(url(people, name, invitation.pk)).status_code == 404
