"""Renaming and deleting groups and organizations."""

import pytest
from django.test import Client
from django.urls import reverse

from accounts import key_services, services
from accounts.models import APIKey, Change, Group, Organization
from billing.archiving import archive_group
from billing.models import Account
from tests.people import People, fund, make_people

pytestmark = pytest.mark.django_db
USD = 1_000_000_000


@pytest.fixture
def people() -> People:
    made = make_people()
    fund(made, wallet_nanos=10 * USD)
    return made


def url(people: People, name: str) -> str:
    owner = people.organization if "organization" in name else people.group
    return reverse(name, args=[owner.pk])


def test_who_may_open_what(client: Client, people: People) -> None:
    people.group.memberships.filter(user=people.bob).update(role="manager")
    dora = services.add_member(people.group, people.charlie).user
    names = ["group_settings", "delete_group", "organization_settings", "delete_organization"]
    for user, statuses in (
        (people.alice, [200, 200, 200, 200]),
        (people.olga, [200, 200, 200, 200]),
        (people.bob, [200, 404, 404, 404]),
        (dora, [404, 404, 404, 404]),
    ):
        client.force_login(user)
        assert [client.get(url(people, name)).status_code for name in names] == statuses


def test_a_manager_renames_the_group_but_is_not_offered_its_deletion(
    client: Client, people: People
) -> None:
    people.group.memberships.filter(user=people.bob).update(role="manager")
    client.force_login(people.bob)
    page = url(people, "group_settings")
    assert url(people, "delete_group") not in client.get(page).content.decode()
    assert client.post(page, {"name": " Field  work "})["Location"] == page
    people.group.refresh_from_db()
    assert people.group.name == "Field  work"
    line = Change.objects.get(verb="group.renamed")
    assert (line.before, line.after) == ({"name": "Research"}, {"name": "Field  work"})


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("SECOND", "has a group of that name already"),
        ("two\nlines", "no line breaks"),
        ("", "This field is required"),
    ],
)
def test_a_name_is_refused_and_the_old_one_stays_on_the_page(
    client: Client, people: People, name: str, reason: str
) -> None:
    services.create_group(people.organization, "Second", people.alice)
    client.force_login(people.alice)
    response = client.post(url(people, "group_settings"), {"name": name})
    assert response.status_code == 422
    html = response.content.decode()
    assert reason in html
    assert "<h1>Research</h1>" in html
    assert Group.objects.filter(name="Research").exists()


def test_the_name_it_has_is_no_change(client: Client, people: People) -> None:
    client.force_login(people.alice)
    client.post(url(people, "group_settings"), {"name": "Research"})
    client.post(url(people, "organization_settings"), {"name": "Arden Labs"})
    assert not Change.objects.filter(verb__endswith=".renamed").exists()


def test_an_admin_renames_the_organization(client: Client, people: People) -> None:
    client.force_login(people.alice)
    client.post(url(people, "organization_settings"), {"name": "Arden & Co"})
    assert Organization.objects.filter(name="Arden & Co").exists()
    assert Change.objects.filter(verb="organization.renamed").count() == 1


def test_a_group_is_deleted_by_typing_its_name(client: Client, people: People) -> None:
    key_services.issue_key(people.group, people.bob, "laptop")
    client.force_login(people.alice)
    page = url(people, "delete_group")
    html = client.get(page).content.decode()
    assert "1 key is revoked" in html
    assert "$10.00 goes back to the pool" in html
    wrong = client.post(page, {"typed_name": "research"})
    assert wrong.status_code == 422
    assert "That is not its name." in wrong.content.decode()
    assert APIKey.objects.usable().exists()
    response = client.post(page, {"typed_name": "Research "})
    assert response["Location"] == reverse("organization", args=[people.organization.pk])
    html = client.get(response["Location"]).content.decode()
    assert "$10.00 went back to the pool." in html
    assert f'href="{reverse("group", args=[people.group.pk])}"' not in html
    assert Account.objects.pool_of(people.organization).balance_nanos == 10 * USD
    assert not APIKey.objects.usable().exists()
    for name in ("group_settings", "delete_group", "group_keys", "group_members"):
        assert client.get(url(people, name)).status_code == 404


def test_a_group_whose_calls_hold_credits_is_not_offered_for_deletion(
    client: Client, people: People
) -> None:
    Account.objects.filter(group=people.group).update(held_nanos=USD)
    client.force_login(people.alice)
    page = url(people, "delete_group")
    assert "are running and hold credits" in client.get(page).content.decode()
    response = client.post(page, {"typed_name": "Research"})
    assert response.status_code == 422
    assert Group.objects.visible_to(people.alice).exists()


def test_an_organization_is_deleted_once_it_is_empty(client: Client, people: People) -> None:
    client.force_login(people.alice)
    page = url(people, "delete_organization")
    assert "still has groups" in client.get(page).content.decode()
    archive_group(people.group, actor=people.alice)
    assert "There are credits in the pool" in client.get(page).content.decode()
    assert client.post(page, {"typed_name": "Arden Labs"}).status_code == 422
    Account.objects.filter(organization=people.organization, kind="pool").update(balance_nanos=0)
    assert client.post(page, {"typed_name": "Arden Labs"})["Location"] == "/"
    assert client.get(url(people, "organization_settings")).status_code == 404


def test_an_operator_deletes_one_with_credits_and_notes_the_refund(
    client: Client, people: People
) -> None:
    archive_group(people.group, actor=people.alice)
    client.force_login(people.olga)
    page = url(people, "delete_organization")
    assert client.post(page, {"typed_name": "Arden Labs"}).status_code == 422
    client.post(page, {"typed_name": "Arden Labs", "note": "wired back"})
    assert Change.objects.get(verb="organization.archived").after == {"note": "wired back"}
