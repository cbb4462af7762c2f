"""Organizations by program."""

from accounts import services
from accounts.models import Change, Organization
from tests.management import ManagementClient, manage
from tests.people import People


def test_a_key_sees_its_own_organization_alone(people: People) -> None:
    other = services.create_organization(people.alice, "Second")
    services.create_group(other, "There", people.alice)
    alice = manage(people.alice, people.group)
    assert alice.get("organizations").ids == [str(people.organization.pk)]
    assert alice.get(f"organizations/{other.pk}").status == 404
    assert alice.get("groups").ids == [str(people.group.pk)]


def test_an_operator_s_key_sees_all(olga: ManagementClient, people: People) -> None:
    assert set(olga.get("organizations").ids) == {
        str(people.organization.pk),
        str(people.foreign_organization.pk),
    }


def test_an_organization_says_what_one_is_in_it(
    alice: ManagementClient, bob: ManagementClient, olga: ManagementClient, people: People
) -> None:
    path = f"organizations/{people.organization.pk}"
    roles = [client.get(path).body["role"] for client in (alice, bob, olga)]
    assert roles == ["admin", "member", None]
    assert alice.get(path).body.keys() == {"id", "object", "name", "role", "created_at"}


def test_admins_rename_and_others_do_not(
    alice: ManagementClient, bob: ManagementClient, charlie: ManagementClient, people: People
) -> None:
    path = f"organizations/{people.organization.pk}"
    assert bob.patch(path, {"name": "Mine"}).code == "forbidden"
    assert charlie.patch(path, {"name": "Mine"}).status == 404
    assert alice.patch(path, {"name": " Labs "}).body["name"] == "Labs"
    line = Change.objects.filter(verb="organization.renamed").get()
    assert line.actor == people.alice


def test_a_key_makes_no_organization_but_an_operator_s_and_a_session_do(
    alice: ManagementClient, olga: ManagementClient, people: People
) -> None:
    assert alice.post("organizations", {"name": "More"}).status == 403
    made = olga.post("organizations", {"name": "More"})
    assert made.status == 201
    assert made.headers["Location"] == f"/api/v1/organizations/{made.body['id']}"
    alice.client.force_login(people.alice)
    session = ManagementClient(client=alice.client)
    assert session.post("organizations", {"name": "Again"}).body["role"] == "admin"
    assert Organization.objects.count() == 4
