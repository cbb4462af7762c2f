"""What the frame of every page offers to whom."""

import pytest
from django.contrib.auth.models import AnonymousUser
from django.test import RequestFactory

from accounts import services
from accounts.models import Group, Organization
from accounts.navigation import arrange, navigation, own_groups, own_organizations
from tests.people import make_people


def test_a_stranger_gets_colours_and_nothing_else() -> None:
    request = RequestFactory().get("/")
    request.user = AnonymousUser()
    assert navigation(request) == {"theme": "auto"}


@pytest.mark.parametrize(
    ("cookie", "theme"), [("dark", "dark"), ("light", "light"), ('"><script>', "auto")]
)
def test_the_theme_cookie_is_one_of_two_words(cookie: str, theme: str) -> None:
    request = RequestFactory().get("/")
    request.COOKIES["theme"] = cookie
    assert navigation(request)["theme"] == theme


@pytest.mark.django_db
def test_everybody_switches_between_his_own_groups() -> None:
    people = make_people()
    Group.objects.create(organization=people.organization, name="Alice administers this one")
    assert [group.name for group in own_groups(people.alice)] == [
        "Alice administers this one",
        "Research",
    ]
    assert own_groups(people.bob) == [people.group]
    assert own_groups(people.charlie) == [people.foreign_group]
    assert own_groups(people.olga) == []


@pytest.mark.django_db
def test_only_admins_get_the_link_to_their_organization() -> None:
    people = make_people()
    assert own_organizations(people.alice) == [people.organization]
    assert own_organizations(people.bob) == []
    assert Organization.objects.administered_by(people.olga).count() == 2


@pytest.mark.django_db
def test_the_switcher_has_groups_by_organization_and_organizations_without_any() -> None:
    people = make_people()
    bare = services.create_organization(people.alice, "Bare")
    services.add_member(people.foreign_group, people.alice)
    switcher = arrange(own_groups(people.alice), own_organizations(people.alice))
    assert [
        (each.organization, each.groups, each.is_administered) for each in switcher.sections
    ] == [
        (people.organization, [people.group], True),
        (bare, [], True),
        (people.foreign_organization, [people.foreign_group], False),
    ]


@pytest.mark.django_db
def test_what_was_deleted_is_not_switched_to() -> None:
    people = make_people()
    services.archive_group(people.group, actor=people.alice, before={})
    assert own_groups(people.alice) == []
    services.archive_organization(people.organization, actor=people.olga, before={}, note="")
    assert own_organizations(people.alice) == []


@pytest.mark.django_db
def test_only_a_long_switcher_has_a_filter() -> None:
    people = make_people()
    for number in range(6):
        services.create_group(people.organization, f"Team {number}", people.alice)
    assert not arrange(own_groups(people.alice), []).has_filter
    services.create_group(people.organization, "Team 7", people.alice)
    assert arrange(own_groups(people.alice), []).has_filter
