"""Invitations by program."""

import pytest

from accounts.models import Invitation
from tests.management import ManagementClient
from tests.people import People


@pytest.fixture(autouse=True)
def no_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows are the queue of the mails; the nudge is tried with a worker elsewhere."""
    monkeypatch.setattr("accounts.api.invitations.nudge_invitations", lambda: None)


def invitations(people: People) -> str:
    return f"organizations/{people.organization.pk}/invitations"


def test_admins_invite_into_organization_and_groups(
    alice: ManagementClient, people: People
) -> None:
    body = {
        "emails": ["Dora@Example.com", "charlie@example.com", "bob@example.com"],
        "groups": [{"id": str(people.group.pk), "role": "manager"}],
    }
    answer = alice.post(invitations(people), body)
    assert answer.status == 201
    assert answer.body == {
        "object": "invitation_outcome",
        "joined": ["charlie@example.com"],
        "waiting": ["dora@example.com"],
        "unchanged": ["bob@example.com"],
    }
    (row,) = alice.get(invitations(people)).body["data"]
    assert row["email"] == "dora@example.com"
    assert row["groups"][0]["role"] == "manager"
    assert row["invited_by"] == "alice@example.com"
    assert "digest" not in row
    assert "token" not in row


def test_members_and_strangers_invite_nobody(
    bob: ManagementClient, charlie: ManagementClient, people: People
) -> None:
    body = {"emails": ["dora@example.com"]}
    assert bob.post(invitations(people), body).status == 403
    assert charlie.post(invitations(people), body).status == 404
    assert bob.get(invitations(people)).status == 403
    assert not Invitation.objects.exists()


def test_a_group_of_others_is_none(alice: ManagementClient, people: People) -> None:
    body = {"emails": ["dora@example.com"], "groups": [{"id": str(people.foreign_group.pk)}]}
    answer = alice.post(invitations(people), body)
    assert (answer.status, answer.param) == (400, "groups.0.id")


def test_an_invitation_is_sent_again_and_withdrawn(
    alice: ManagementClient, charlie: ManagementClient, people: People
) -> None:
    alice.post(invitations(people), {"emails": ["dora@example.com"]})
    one = f"{invitations(people)}/{Invitation.objects.get().pk}"
    assert charlie.delete(one).status == 404
    assert alice.post(f"{one}/resend").status == 400, "its first mail is due still"
    Invitation.objects.update(mail_due_at=None)
    assert alice.post(f"{one}/resend").status == 202
    assert alice.get(one).body["email"] == "dora@example.com"
    assert alice.delete(one).status == 204
    assert alice.get(one).status == 404


def test_a_group_s_manager_invites_into_it_alone(
    alice: ManagementClient, bob: ManagementClient, people: People
) -> None:
    path = f"groups/{people.group.pk}"
    assert bob.post(f"{path}/members", {"emails": ["dora@example.com"]}).status == 403
    answer = alice.post(f"{path}/members", {"emails": ["dora@example.com"], "role": "manager"})
    assert answer.body["waiting"] == ["dora@example.com"]
    (row,) = alice.get(f"{path}/invitations").body["data"]
    assert row["groups"] == [{"id": str(people.group.pk), "name": "Research", "role": "manager"}]
    Invitation.objects.update(mail_due_at=None)
    assert alice.post(f"{path}/invitations/{row['id']}/resend").status == 202
    assert alice.delete(f"{path}/invitations/{row['id']}").status == 204
    assert alice.get(f"{path}/invitations").ids == []
