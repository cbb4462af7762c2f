"""The end of groups and organizations by program."""

import pytest

from accounts.models import Group, Organization
from billing.models import Account
from tests.management import ManagementClient, manage
from tests.people import People, fund


@pytest.fixture
def alice(people: People) -> ManagementClient:
    return manage(people.alice, people.group)


def test_a_group_is_deleted_by_its_name_and_its_credits_go_back(
    alice: ManagementClient, people: People
) -> None:
    fund(people, pool_nanos=5 * 10**9, wallet_nanos=3 * 10**9)
    bob = manage(people.bob, people.group)
    path = f"groups/{people.group.pk}"
    assert bob.delete(f"{path}?confirm=Research").status == 403
    assert manage(people.charlie, people.foreign_group).delete(path).status == 404
    assert alice.delete(path).param == "confirm"
    assert alice.delete(f"{path}?confirm=research").param == "confirm"
    answer = alice.delete(f"{path}?confirm=Research")
    assert answer.body == {"object": "deleted_group", "returned": "3.00"}
    assert Account.objects.pool_of(people.organization).balance_nanos == 8 * 10**9
    assert alice.get(path).status == 401, "its keys are revoked"


def test_what_calls_hold_stands_in_the_way(alice: ManagementClient, people: People) -> None:
    fund(people, wallet_nanos=10**9)
    Account.objects.filter(group=people.group).update(held_nanos=1)
    answer = alice.delete(f"groups/{people.group.pk}?confirm=Research")
    assert (answer.status, answer.code) == (409, "not_empty")
    assert Group.objects.get(pk=people.group.pk).archived_at is None


def test_an_organization_goes_once_it_is_empty(alice: ManagementClient, people: People) -> None:
    path = f"organizations/{people.organization.pk}?confirm=Arden+Labs"
    assert alice.delete(path).code == "not_empty", "it has a group"
    alice.client.force_login(people.alice)
    session = ManagementClient(client=alice.client)
    assert session.delete(f"groups/{people.group.pk}?confirm=Research").status == 200
    assert session.delete(path).status == 204
    assert Organization.objects.get(pk=people.organization.pk).archived_at is not None


def test_an_operator_notes_what_became_of_the_credits(people: People) -> None:
    fund(people, pool_nanos=10**9)
    olga = manage(people.olga, people.foreign_group)
    assert olga.delete(f"groups/{people.group.pk}?confirm=Research").status == 200
    path = f"organizations/{people.organization.pk}?confirm=Arden+Labs"
    assert olga.delete(path).code == "not_empty"
    assert olga.delete(f"{path}&note=a%00b").param == "note"
    assert olga.delete(f"{path}&note=by+wire").status == 204
