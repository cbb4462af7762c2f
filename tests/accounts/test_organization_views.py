"""The pages about an organization's members, for admin, member, outsider and operator."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts import key_services, services
from accounts.invitation_models import Invitation
from accounts.models import APIKey, Membership, User
from tests.people import People

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


def url(people: People, name: str, *more: object) -> str:
    return reverse(name, args=[people.organization.pk, *more])


def invite(client: Client, people: People, emails: str, **fields: Any) -> Any:
    form = {"emails": emails, "role": "member", **fields}
    return client.post(url(people, "organization_members"), form)


def words(response: Any) -> str:
    return str(response.content.decode())


def test_who_may_open_what(client: Client, people: People) -> None:
    invitation = Invitation.objects.create(
        organization=people.organization, email="x@example.com", expires_at="2100-01-01T00:00Z"
    )
    pages = {
        url(people, "organization_members"): 200,
        url(people, "remove_member", people.bob.pk): 200,
        url(people, "change_member_role", people.bob.pk): 405,
        url(people, "resend_invitation", invitation.pk): 405,
        url(people, "withdraw_invitation", invitation.pk): 405,
    }
    for user in (people.alice, people.olga):
        client.force_login(user)
        assert {page: client.get(page).status_code for page in pages} == pages
    for user in (people.bob, people.charlie):
        client.force_login(user)
        assert {client.get(page).status_code for page in pages} <= {404, 405}
        assert {client.post(page, {"role": "admin"}).status_code for page in pages} == {404}
    client.logout()
    assert {client.post(page).status_code for page in pages} == {302}
    assert Membership.objects.filter(role="admin").count() == 2
    assert Invitation.objects.waiting().count() == 1


def test_the_list_tells_roles_groups_keys_and_whoever_waits(client: Client, people: People) -> None:
    key_services.issue_key(people.group, people.bob, "laptop")
    client.force_login(people.alice)
    invite(client, people, "dora@example.com", groups=[str(people.group.pk)])
    response = client.get(url(people, "organization_members"))
    rows = {row.user: row for row in response.context["people"].rows}
    assert set(rows) == {people.alice, people.bob}
    assert (rows[people.bob].keys, rows[people.bob].is_last_admin) == (1, False)
    assert [place.group for place in rows[people.bob].places] == [people.group]
    assert rows[people.alice].is_last_admin
    assert [each.email for each in response.context["invitations"]] == ["dora@example.com"]
    assert "Waiting to join" in words(response)


def test_a_member_is_found_by_name_or_address(client: Client, people: People) -> None:
    client.force_login(people.alice)
    page = url(people, "organization_members")
    for text in ("brook", "bob@"):
        assert [row.user for row in client.get(page, {"name": text}).context["people"].rows] == [
            people.bob
        ]
    assert "Nobody of that name" in words(client.get(page, {"name": "nobody"}))


def test_known_and_unknown_people_are_invited_at_once(client: Client, people: People) -> None:
    client.force_login(people.alice)
    text = "Charlie <charlie@example.com>; dora@example.com\nEMIL@example.com"
    response = invite(client, people, text, groups=[str(people.group.pk)])
    assert response["Location"] == url(people, "organization_members")
    html = words(client.get(response["Location"]))
    assert "charlie@example.com is in." in html
    assert "2 people are invited by e-mail and waiting to join" in html
    assert people.group.role_of(people.charlie) == "member"
    assert set(Invitation.objects.waiting().values_list("email", flat=True)) == {
        "dora@example.com",
        "emil@example.com",
    }


@pytest.mark.parametrize(
    ("emails", "reason"),
    [
        ("", "This field is required"),
        ("dora@example.com, nonsense", "This is no e-mail address: nonsense"),
        (" ".join(f"p{n}@example.com" for n in range(51)), "At most 50 addresses at a time"),
    ],
)
def test_a_refused_form_says_why_and_invites_nobody(
    client: Client, people: People, emails: str, reason: str
) -> None:
    client.force_login(people.alice)
    response = invite(client, people, emails)
    assert response.status_code == 422
    assert reason in words(response)
    assert not Invitation.objects.exists()


def test_a_group_of_another_organization_cannot_be_offered(client: Client, people: People) -> None:
    client.force_login(people.alice)
    response = invite(client, people, "dora@example.com", groups=[str(people.foreign_group.pk)])
    assert response.status_code == 422
    assert not Invitation.objects.exists()


def test_a_role_is_changed_and_the_last_admin_is_refused_in_words(
    client: Client, people: People
) -> None:
    client.force_login(people.alice)
    page = url(people, "organization_members")
    last = client.post(url(people, "change_member_role", people.alice.pk), {"role": "member"})
    assert last["Location"] == page
    assert "Alice Arden is the last admin" in words(client.get(page))
    client.post(url(people, "change_member_role", people.bob.pk), {"role": "admin"})
    assert "Bob Brook is an admin now" in words(client.get(page))
    own = client.post(url(people, "change_member_role", people.alice.pk), {"role": "member"})
    assert own["Location"] == reverse("memberships"), "the list is no longer hers"
    assert Membership.objects.get(user=people.alice).role == "member"


def test_nonsense_is_no_role(client: Client, people: People) -> None:
    client.force_login(people.alice)
    client.post(url(people, "change_member_role", people.bob.pk), {"role": "owner"})
    assert Membership.objects.get(user=people.bob).role == "member"


def test_before_somebody_is_removed_his_keys_are_named(client: Client, people: People) -> None:
    key_services.issue_key(people.group, people.bob, "Bob’s laptop")
    key_services.issue_key(people.group, people.alice, "hers")
    client.force_login(people.alice)
    page = url(people, "remove_member", people.bob.pk)
    html = words(client.get(page, headers=HTMX))
    assert "<html" not in html, "htmx gets what a dialog shows"
    assert "1 key that was made there" in html
    assert "Bob’s laptop" in html
    assert "hers" not in html
    assert APIKey.objects.usable().count() == 2, "asking removes nobody"
    response = client.post(page)
    assert response["Location"] == url(people, "organization_members")
    assert "1 key is revoked" in words(client.get(response["Location"]))
    assert not people.organization.memberships.filter(user=people.bob).exists()


def test_an_operator_cannot_remove_the_last_admin_either(client: Client, people: People) -> None:
    client.force_login(people.olga)
    response = client.post(url(people, "remove_member", people.alice.pk))
    assert response.status_code == 422
    assert "is the last admin" in words(response)


def test_a_member_leaves_by_himself(client: Client, people: People) -> None:
    client.force_login(people.bob)
    page = url(people, "leave_organization")
    assert "Leave “Arden Labs”?" in words(client.get(page))
    assert client.post(page)["Location"] == "/", "he is in none any more"
    assert not Membership.objects.filter(user=people.bob).exists()
    assert client.get(page).status_code == 404


def test_the_last_admin_does_not_leave(client: Client, people: People) -> None:
    client.force_login(people.alice)
    page = url(people, "leave_organization")
    assert "You are the last admin" in words(client.get(page))
    assert client.post(page).status_code == 422
    assert Membership.objects.get(user=people.alice).role == "admin"


def test_nobody_leaves_an_organization_that_he_is_not_in(client: Client, people: People) -> None:
    for user in (people.charlie, people.olga):
        client.force_login(user)
        assert client.post(url(people, "leave_organization")).status_code == 404


def test_an_invitation_is_sent_again_and_withdrawn(client: Client, people: People) -> None:
    client.force_login(people.alice)
    invite(client, people, "dora@example.com")
    invitation = Invitation.objects.get()
    Invitation.objects.update(mail_due_at=None)
    page = url(people, "organization_members")
    client.post(url(people, "resend_invitation", invitation.pk))
    assert "Another mail to dora@example.com is on its way" in words(client.get(page))
    client.post(url(people, "resend_invitation", invitation.pk))
    assert "has just gone out" in words(client.get(page))
    client.post(url(people, "withdraw_invitation", invitation.pk))
    assert "is withdrawn" in words(client.get(page))
    assert client.post(url(people, "resend_invitation", invitation.pk)).status_code == 404


def test_ones_own_organizations_with_the_way_out_of_each(client: Client, people: People) -> None:
    services.add_member(people.foreign_group, people.bob)
    client.force_login(people.bob)
    html = words(client.get(reverse("memberships")))
    assert "Arden Labs" in html
    assert "Crane &amp; Sons" in html
    assert url(people, "leave_organization") in html
    assert f'href="{url(people, "organization")}"' not in html, "that page is for admins"


def test_the_last_activity_is_kept_to_some_minutes(client: Client, people: People) -> None:
    client.force_login(people.bob)
    client.get(reverse("memberships"))
    first = User.objects.get(pk=people.bob.pk).seen_at
    assert first is not None
    client.get(reverse("memberships"))
    assert User.objects.get(pk=people.bob.pk).seen_at == first
