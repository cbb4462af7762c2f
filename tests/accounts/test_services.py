"""The writes to accounts: what each leaves behind, and what it refuses."""

from collections.abc import Iterator

import psycopg
import pytest
from django.core.exceptions import ValidationError

from accounts import keys, services
from accounts.ids import uuid7
from accounts.models import Change, Group, GroupMembership, Membership, Organization, User
from billing.models import Account
from tests.world import World


@pytest.fixture
def alice(db: None) -> User:
    return User.objects.create_user("alice@example.com", name="Alice")


@pytest.fixture
def bob(db: None) -> User:
    return User.objects.create_user("bob@example.com", name="Bob")


@pytest.fixture
def group(alice: User) -> Group:
    organization = services.create_organization(alice, "Arden Labs")
    return services.create_group(organization, "Research", alice)


def test_the_maker_of_an_organization_is_its_only_admin(alice: User, bob: User) -> None:
    organization = services.create_organization(alice, "Arden Labs")
    members = Membership.objects.filter(organization=organization).values_list("user", "role")
    assert list(members) == [(alice.pk, "admin")]
    assert organization.name == "Arden Labs"


def test_a_new_organization_and_a_new_group_have_their_accounts_with_nothing_on_them(
    group: Group,
) -> None:
    accounts = Account.objects.filter(organization=group.organization)
    assert sorted((account.kind, account.group_id) for account in accounts if account.group_id) == [
        ("wallet", group.pk)
    ]
    assert {account.balance_nanos for account in accounts} == {0}
    assert len(accounts) == 6


def test_two_organizations_may_have_the_same_name(alice: User) -> None:
    made = [services.create_organization(alice, "Arden Labs") for _ in "ab"]
    assert made[0].pk != made[1].pk


def test_the_maker_of_a_group_manages_it(group: Group, alice: User) -> None:
    members = GroupMembership.objects.filter(group=group).values_list("user", "role")
    assert list(members) == [(alice.pk, "manager")]


@pytest.mark.parametrize("name", ["Research", "research", "RESEARCH"])
def test_a_second_group_of_the_same_name_is_refused_in_words(
    group: Group, alice: User, name: str
) -> None:
    with pytest.raises(ValidationError, match="has a group of that name already"):
        services.create_group(group.organization, name, alice)
    assert Group.objects.filter(organization=group.organization).count() == 1


@pytest.mark.parametrize("name", ["", "n" * 121])
def test_a_group_has_a_name_that_fits(group: Group, alice: User, name: str) -> None:
    with pytest.raises(ValidationError):
        services.create_group(group.organization, name, alice)


def test_the_same_name_in_another_organization_is_another_group(group: Group, bob: User) -> None:
    other = services.create_organization(bob, "Brook & Co")
    assert services.create_group(other, group.name, bob).pk != group.pk


def test_a_new_member_of_a_group_is_in_its_organization_too(group: Group, bob: User) -> None:
    services.add_member(group, bob)
    assert group.role_of(bob) == "member"
    assert Membership.objects.get(user=bob, organization=group.organization).role == "member"
    assert list(Organization.objects.visible_to(bob)) == [group.organization]


def test_a_member_can_be_put_in_charge_from_the_start(group: Group, bob: User) -> None:
    services.add_member(group, bob, GroupMembership.Role.MANAGER)
    assert group.role_of(bob) == "manager"
    assert Membership.objects.get(user=bob).role == "member"


def test_adding_somebody_again_changes_neither_of_his_roles(
    group: Group, alice: User, bob: User
) -> None:
    services.add_member(group, bob, GroupMembership.Role.MANAGER)
    Membership.objects.filter(user=bob).update(role="admin")
    services.add_member(group, bob)
    assert GroupMembership.objects.get(group=group, user=bob).role == "manager"
    assert Membership.objects.get(user=bob).role == "admin"
    assert group.memberships.count() == 2


# What gateway processes are told


@pytest.fixture
def listening(world: World) -> Iterator[psycopg.Connection]:
    with psycopg.connect(world.database.url, autocommit=True) as connection:
        connection.execute("LISTEN tollgate_keys")
        yield connection


def heard(connection: psycopg.Connection) -> list[str]:
    return [note.payload for note in connection.notifies(timeout=1, stop_after=1)]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("UPDATE accounts_apikey SET revoked_at = now() WHERE id = %(key)s", "key"),
        ("DELETE FROM accounts_apikey WHERE id = %(key)s", "key"),
        ("UPDATE accounts_group SET name = 'Renamed' WHERE id = %(group)s", "all"),
        ("UPDATE accounts_organization SET name = 'Renamed' WHERE id = %(organization)s", "all"),
    ],
)
def test_a_change_of_a_key_or_of_whom_it_belongs_to_is_announced_when_it_commits(
    world: World, listening: psycopg.Connection, change: str, told: str
) -> None:
    tenant = world.add_tenant("Alice")
    assert heard(listening) == [keys.public_id_of(tenant.key)]
    names = {
        "key": tenant.key_id,
        "group": tenant.group_id,
        "organization": tenant.organization_id,
    }
    with psycopg.connect(world.database.url) as connection:
        connection.execute(change, names)
        assert list(listening.notifies(timeout=0.05)) == []
        connection.commit()
    assert heard(listening) == ["*" if told == "all" else keys.public_id_of(tenant.key)]


def test_a_change_that_is_rolled_back_is_not_announced(
    world: World, listening: psycopg.Connection
) -> None:
    tenant = world.add_tenant(f"Alice {uuid7()}")
    heard(listening)
    with psycopg.connect(world.database.url) as connection:
        connection.execute("UPDATE accounts_apikey SET revoked_at = now()")
        connection.rollback()
    listening.execute("SELECT 1")
    assert list(listening.notifies(timeout=0.05)) == []
    world.database.query("UPDATE accounts_apikey SET name = 'Later' WHERE id = %s", tenant.key_id)
    assert heard(listening) == [keys.public_id_of(tenant.key)]


def test_a_person_changes_his_name_with_a_line_in_the_trail(alice: User) -> None:
    services.rename_user(alice, "Alice Arden")
    services.rename_user(alice, "Alice Arden")
    alice.refresh_from_db()
    assert alice.name == "Alice Arden"
    [line] = Change.objects.filter(verb="user.renamed")
    assert (line.before, line.after) == ({"name": "Alice"}, {"name": "Alice Arden"})
    assert line.actor == alice
    assert line.organization_id is None, "the admins of his organizations need not know"
