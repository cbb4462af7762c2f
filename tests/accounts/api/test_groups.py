"""Groups and their members by program."""

import pytest

from accounts.models import Group
from tests.management import ManagementClient
from tests.people import People


def test_admins_make_groups_in_their_own_organization(
    alice: ManagementClient, bob: ManagementClient, people: People
) -> None:
    body = {"organization": str(people.organization.pk), "name": "Support"}
    assert bob.post("groups", body).status == 403
    made = alice.post("groups", body)
    assert made.status == 201
    assert made.body["organization"] == {"id": body["organization"], "name": "Arden Labs"}
    assert Group.objects.get(pk=made.body["id"]).role_of(people.alice) == "manager"
    assert alice.post("groups", {**body, "name": "sUpport"}).status == 400, "the name is taken"
    foreign = {"organization": str(people.foreign_organization.pk), "name": "Mine"}
    assert alice.post("groups", foreign).status == 404


def test_groups_are_listed_by_organization(olga: ManagementClient, people: People) -> None:
    assert len(olga.get("groups").ids) == 2
    of_one = olga.get(f"groups?organization={people.organization.pk}")
    assert of_one.ids == [str(people.group.pk)]


def test_a_manager_changes_what_a_group_may_call(
    alice: ManagementClient, bob: ManagementClient, people: People
) -> None:
    path = f"groups/{people.group.pk}"
    body = {
        "name": "Lab",
        "allowed_models": ["gpt-5.5", "anthropic/*"],
        "allowed_networks": ["127.1.2.3/8"],
        "expires_at": "2099-01-01T00:00:00Z",
    }
    assert bob.patch(path, body).status == 403
    answer = alice.patch(path, body)
    assert answer.status == 200
    assert answer.body["allowed_networks"] == ["127.0.0.0/8"]
    assert answer.body["name"] == "Lab"
    again = alice.patch(path, {"expires_at": None}).body
    assert again["expires_at"] is None
    assert again["allowed_models"] == ["gpt-5.5", "anthropic/*"]


@pytest.mark.parametrize(
    "body",
    [
        {"name": "Lab", "allowed_models": ["two words"]},
        {"name": "Lab", "allowed_networks": ["10.0.0.0/99"]},
        {"name": "Lab", "allowed_models": "gpt-5.5"},
        {"name": "Lab", "expires_at": "soon"},
        {"name": "Lab", "expires_at": 10**30},
    ],
)
def test_a_change_is_whole_or_nothing(
    alice: ManagementClient, people: People, body: dict[str, object]
) -> None:
    answer = alice.patch(f"groups/{people.group.pk}", body)
    assert answer.status == 400
    assert answer.param.partition(".")[0] in body.keys() - {"name"}
    assert Group.objects.get(pk=people.group.pk).name == "Research"


def test_members_of_a_group_see_each_other(
    alice: ManagementClient, bob: ManagementClient, charlie: ManagementClient, people: People
) -> None:
    path = f"groups/{people.group.pk}/members"
    assert bob.get(path).ids == [people.bob.pk, people.alice.pk]
    assert bob.get(f"{path}/{people.alice.pk}").body["role"] == "manager"
    assert charlie.get(path).status == 404
    assert bob.patch(f"{path}/{people.bob.pk}", {"role": "manager"}).status == 403
    assert alice.patch(f"{path}/{people.bob.pk}", {"role": "manager"}).body["role"] == "manager"
    assert bob.delete(f"{path}/{people.bob.pk}").body["keys_revoked"] == 1
    assert bob.get(path).status == 401


def test_the_end_of_a_group_is_to_come(alice: ManagementClient, people: People) -> None:
    path = f"groups/{people.group.pk}"
    for moment in ("2020-01-01T00:00:00Z", "2099-01-01T00:00:00"):
        assert alice.patch(path, {"expires_at": moment}).param == "expires_at"
    assert alice.get(path).status == 200


def test_networks_are_shown_to_who_manages(
    alice: ManagementClient, bob: ManagementClient, people: People
) -> None:
    path = f"groups/{people.group.pk}"
    alice.patch(path, {"allowed_networks": ["127.0.0.0/8"], "allowed_models": ["gpt-5.5"]})
    assert alice.get(path).body["allowed_networks"] == ["127.0.0.0/8"]
    seen = bob.get(path).body
    assert (seen["allowed_networks"], seen["allowed_models"]) == (None, ["gpt-5.5"])
    assert bob.get("groups").body["data"][0]["allowed_networks"] is None
