"""The list of organizations."""

from django.test import Client
from django.urls import reverse

from accounts.models import Organization, User
from accounts.services import create_organization
from tests.people import People


def test_the_list_of_organizations_is_for_those_who_administer_one(
    client: Client, people: People
) -> None:
    url = reverse("organizations")
    assert client.get(url)["Location"] == f"/accounts/login/?next={url}"
    client.force_login(people.bob)
    assert client.get(url).status_code == 404
    client.force_login(people.alice)
    assert client.get(url)["Location"] == reverse("organization", args=[people.organization.pk])


def test_an_admin_of_two_organizations_chooses(client: Client, people: People) -> None:
    create_organization(people.alice, "Second")
    client.force_login(people.alice)
    html = client.get(reverse("organizations")).content.decode()
    assert "Second" in html
    assert "Arden Labs" in html
    assert people.foreign_organization.name not in html


def test_the_operator_finds_an_organization_by_a_part_of_its_name(
    client: Client, people: People
) -> None:
    client.force_login(people.olga)
    html = client.get(reverse("organizations"), {"name": "sons"}).content.decode()
    assert "Crane &amp; Sons" in html
    assert "Arden Labs" not in html
    assert (
        b"No organization of that name"
        in client.get(reverse("organizations"), {"name": "%"}).content
    )


def test_a_long_list_of_organizations_says_that_it_is_cut(client: Client, people: People) -> None:
    Organization.objects.bulk_create(
        Organization(name=f"Tenant {index:03}") for index in range(101)
    )
    client.force_login(User.objects.get(pk=people.olga.pk))
    html = client.get(reverse("organizations")).content.decode()
    assert "There are more" in html
    assert "Tenant 100" not in html
