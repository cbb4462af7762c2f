"""Members of an organization by program."""

from accounts.key_services import issue_key
from accounts.models import Membership
from tests.management import ManagementClient
from tests.people import People


def members(people: People) -> str:
    return f"organizations/{people.organization.pk}/members"


def test_admins_list_members_with_their_groups(
    alice: ManagementClient, bob: ManagementClient, charlie: ManagementClient, people: People
) -> None:
    rows = alice.get(members(people)).body["data"]
    assert [(row["email"], row["role"]) for row in rows] == [
        ("bob@example.com", "member"),
        ("alice@example.com", "admin"),
    ]
    assert rows[0]["groups"] == [{"id": str(people.group.pk), "name": "Research", "role": "member"}]
    assert bob.get(members(people)).status == 403
    assert charlie.get(members(people)).status == 404


def test_one_sees_oneself_and_admins_see_everybody(
    alice: ManagementClient, bob: ManagementClient, people: People
) -> None:
    assert bob.get(f"{members(people)}/{people.bob.pk}").body["id"] == people.bob.pk
    assert bob.get(f"{members(people)}/{people.alice.pk}").status == 403
    assert alice.get(f"{members(people)}/{people.bob.pk}").status == 200
    assert alice.get(f"{members(people)}/{people.charlie.pk}").status == 404
    assert alice.get(f"{members(people)}/{10**30}").status == 404


def test_roles_change_and_the_last_admin_stays(alice: ManagementClient, people: People) -> None:
    own = f"{members(people)}/{people.alice.pk}"
    refused = alice.patch(own, {"role": "member"})
    assert refused.status == 400
    assert "last admin" in refused.body["error"]["message"]
    assert alice.patch(f"{members(people)}/{people.bob.pk}", {"role": "admin"}).status == 200
    assert alice.patch(own, {"role": "member"}).status == 200
    assert alice.get(members(people)).status == 403, "the key has lost its power at once"


def test_who_is_removed_loses_his_keys(
    alice: ManagementClient, bob: ManagementClient, people: People
) -> None:
    issue_key(people.group, people.bob, "ci")
    assert bob.delete(f"{members(people)}/{people.alice.pk}").status == 403
    answer = alice.delete(f"{members(people)}/{people.bob.pk}")
    assert answer.body == {"object": "removal", "keys_revoked": 2}
    assert bob.get("groups").status == 401
    assert alice.delete(f"{members(people)}/{people.alice.pk}").status == 400
    assert Membership.objects.filter(organization=people.organization).count() == 1


def test_everybody_may_leave(bob: ManagementClient, people: People) -> None:
    assert bob.delete(f"{members(people)}/{people.bob.pk}").body["keys_revoked"] == 1
