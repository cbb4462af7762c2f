"""Who sees and may change what: Alice, Bob, Charlie and the operator, in two organizations that share a person.

Alice administers her organization but is in none of its groups. Bob is a plain member of hers, manages its group
`research`, and administers an organization of his own. Dora is a member of the group `research`. Charlie is an
outsider with an organization of his own.
"""

from datetime import timedelta
from typing import NamedTuple

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts import key_services, services
from accounts.models import APIKey, Group, GroupMembership, Membership, Organization, User

NAMES = ("alice", "bob", "charlie", "dora", "operator")


class Town(NamedTuple):
    people: dict[str, User]
    organizations: dict[str, Organization]
    groups: dict[str, Group]
    keys: dict[str, APIKey]


@pytest.fixture
def town(db: None) -> Town:
    people = {
        name: User.objects.create_user(
            f"{name}@example.com", name=name.title(), is_staff=name == "operator"
        )
        for name in NAMES
    }
    organizations = {
        name: services.create_organization(people[name], f"{name.title()}'s")
        for name in ("alice", "bob", "charlie")
    }
    Membership.objects.create(organization=organizations["alice"], user=people["bob"])
    groups = {
        "research": services.create_group(organizations["alice"], "Research", people["bob"]),
        "support": services.create_group(organizations["alice"], "Support", people["bob"]),
        "bobs": services.create_group(organizations["bob"], "Research", people["bob"]),
        "charlies": services.create_group(organizations["charlie"], "Research", people["charlie"]),
    }
    GroupMembership.objects.filter(group=groups["support"]).delete()
    for name in ("research", "support"):
        services.add_member(groups[name], people["dora"])
    keys = {
        name: key_services.issue_key(groups["research"], people[name], f"{name}'s")[0]
        for name in ("bob", "dora")
    }
    keys["support"] = key_services.issue_key(groups["support"], people["dora"], "Other group")[0]
    # Whatever became of her membership, the key is of that group.
    GroupMembership.objects.filter(group=groups["support"]).delete()
    return Town(people, organizations, groups, keys)


def names_of(found: object, named: dict[str, object]) -> set[str]:
    """The names of what a query found, each once."""
    rows = list(found)  # type: ignore[call-overload]
    names = {name for name, row in named.items() if row in rows}
    assert len(names) == len(rows)
    return names


# Organizations and groups


@pytest.mark.parametrize(
    ("name", "visible", "administered"),
    [
        ("alice", {"alice"}, {"alice"}),
        ("bob", {"alice", "bob"}, {"bob"}),
        ("charlie", {"charlie"}, {"charlie"}),
        ("dora", {"alice"}, set()),
        ("operator", {"alice", "bob", "charlie"}, {"alice", "bob", "charlie"}),
    ],
)
def test_members_see_their_organizations_and_admins_administer_theirs(
    town: Town, name: str, visible: set[str], administered: set[str]
) -> None:
    user, named = town.people[name], dict[str, object](town.organizations)
    assert names_of(Organization.objects.visible_to(user), named) == visible
    assert names_of(Organization.objects.administered_by(user), named) == administered


def test_an_organization_with_many_admins_is_administered_by_none_of_its_members(
    town: Town,
) -> None:
    """The role has to be the user's own, not any member's."""
    organization, dora = town.organizations["alice"], town.people["dora"]
    for name in ("charlie", "bob"):
        Membership.objects.update_or_create(
            organization=organization, user=town.people[name], defaults={"role": "admin"}
        )
    assert organization not in Organization.objects.administered_by(dora)
    assert list(Organization.objects.visible_to(dora)) == [organization]


@pytest.mark.parametrize(
    ("name", "visible"),
    [
        ("alice", {"research", "support"}),
        ("bob", {"research", "bobs"}),
        ("charlie", {"charlies"}),
        ("dora", {"research"}),
        ("operator", {"research", "support", "bobs", "charlies"}),
    ],
)
def test_members_see_their_groups_and_admins_all_of_their_organizations(
    town: Town, name: str, visible: set[str]
) -> None:
    found = Group.objects.visible_to(town.people[name])
    assert names_of(found, dict[str, object](town.groups)) == visible


@pytest.mark.parametrize(
    ("name", "roles"),
    [
        ("alice", {"research": "manager", "support": "manager", "bobs": None, "charlies": None}),
        ("bob", {"research": "manager", "support": None, "bobs": "manager", "charlies": None}),
        ("charlie", {"research": None, "support": None, "bobs": None, "charlies": "manager"}),
        ("dora", {"research": "member", "support": None, "bobs": None, "charlies": None}),
        ("operator", dict.fromkeys(("research", "support", "bobs", "charlies"), "manager")),
    ],
)
def test_a_role_in_a_group_is_the_users_own_or_an_admins(
    town: Town, name: str, roles: dict[str, str | None]
) -> None:
    found = {key: group.role_of(town.people[name]) for key, group in town.groups.items()}
    assert found == roles


def test_an_admin_who_is_a_plain_member_of_a_group_still_manages_it(town: Town) -> None:
    services.add_member(town.groups["research"], town.people["alice"])
    assert town.groups["research"].role_of(town.people["alice"]) == "manager"
    found = Group.objects.visible_to(town.people["alice"]).filter(pk=town.groups["research"].pk)
    assert found.count() == 1


def test_who_leaves_a_group_sees_it_no_longer(town: Town) -> None:
    dora = town.people["dora"]
    GroupMembership.objects.filter(user=dora).delete()
    assert list(Group.objects.visible_to(dora)) == []
    assert town.groups["research"].role_of(dora) is None


def test_a_group_name_is_there_once_in_an_organization_whatever_its_case(town: Town) -> None:
    Group.objects.create(organization=town.organizations["charlie"], name="Support")
    with pytest.raises(IntegrityError, match="accounts_group_name_once"), transaction.atomic():
        Group.objects.create(organization=town.organizations["alice"], name="RESEARCH")


def test_a_person_is_in_an_organization_and_in_a_group_once(town: Town) -> None:
    dora = town.people["dora"]
    with pytest.raises(IntegrityError, match="accounts_membership_once"), transaction.atomic():
        Membership.objects.create(organization=town.organizations["alice"], user=dora)
    with pytest.raises(IntegrityError, match="accounts_groupmembership_once"), transaction.atomic():
        GroupMembership.objects.create(group=town.groups["research"], user=dora)


def test_roles_that_do_not_exist_cannot_be_given(town: Town) -> None:
    charlie = town.people["charlie"]
    with pytest.raises(IntegrityError, match="accounts_membership_role"), transaction.atomic():
        Membership.objects.create(
            organization=town.organizations["alice"], user=charlie, role="owner"
        )
    with pytest.raises(IntegrityError, match="accounts_groupmembership_role"), transaction.atomic():
        GroupMembership.objects.create(group=town.groups["research"], user=charlie, role="admin")


# Keys


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("alice", {"bob", "dora"}),
        ("bob", {"bob", "dora"}),
        ("charlie", set()),
        ("dora", {"dora"}),
        ("operator", {"bob", "dora"}),
    ],
)
def test_managers_manage_all_keys_of_their_group_and_members_their_own(
    town: Town, name: str, keys: set[str]
) -> None:
    found = APIKey.objects.manageable_by(town.people[name], town.groups["research"])
    assert names_of(found, dict[str, object](town.keys)) == keys


def test_an_admin_of_another_organization_manages_no_key_here(town: Town) -> None:
    charlie, group = town.people["charlie"], town.groups["charlies"]
    assert group.role_of(charlie) == "manager"
    assert list(APIKey.objects.manageable_by(charlie, group)) == []


def test_a_key_is_usable_until_it_is_revoked_or_expires(town: Town) -> None:
    key, now = town.keys["dora"], timezone.now()
    moments = {
        "active": (None, None),
        "active for a day": (now + timedelta(days=1), None),
        "expired": (now - timedelta(seconds=1), None),
        "revoked": (None, now),
        "revoked before it expired": (now - timedelta(days=1), now),
    }
    for state, (expires_at, revoked_at) in moments.items():
        key.expires_at, key.revoked_at = expires_at, revoked_at
        key.save()
        assert key.state == state.split()[0]
        assert APIKey.objects.usable().filter(pk=key.pk).exists() is state.startswith("active")


def test_keys_are_listed_newest_first(town: Town) -> None:
    made = [
        key_services.issue_key(town.groups["bobs"], town.people["bob"], name)[0] for name in "abc"
    ]
    ids = sorted((key.pk for key in made), reverse=True)
    assert [key.pk for key in APIKey.objects.filter(group=town.groups["bobs"])] == ids


def test_what_is_shown_of_a_key_does_not_say_its_secret(town: Town) -> None:
    key, text = key_services.issue_key(town.groups["research"], town.people["bob"], "CI")
    assert key.masked == f"tollgate-v1-{key.public_id}-…"
    assert text.startswith(key.masked.removesuffix("…"))


# People


def test_addresses_are_kept_in_lower_case_and_found_in_any(db: None) -> None:
    user = User.objects.create_user("  Alice@Example.COM ")
    assert user.email == "alice@example.com"
    assert User.objects.get_by_natural_key("ALICE@example.com ") == user
    with pytest.raises(IntegrityError, match="email"), transaction.atomic():
        User.objects.create_user("alice@EXAMPLE.com")


def test_a_person_without_a_password_cannot_sign_in_with_none(db: None) -> None:
    user = User.objects.create_user("alice@example.com")
    assert not user.has_usable_password()
    assert not user.check_password("")


def test_passwords_are_kept_as_argon2_hashes(db: None) -> None:
    user = User.objects.create_user("alice@example.com", "correct-horse-battery")
    assert user.password.startswith("argon2")
    assert user.check_password("correct-horse-battery")


def test_a_superuser_is_an_operator(db: None) -> None:
    user = User.objects.create_superuser("olga@example.com")
    assert (user.is_staff, user.is_superuser) == (True, True)
    assert not User.objects.create_user("bob@example.com").is_staff


def test_people_are_shown_by_name_or_address(db: None) -> None:
    assert str(User(email="a@example.com")) == "a@example.com"
    assert str(User(email="a@example.com", name="Alice")) == "Alice"
    assert User(email="a@example.com").get_short_name() == "a@example.com"
