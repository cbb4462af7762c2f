"""The people of the page tests.

Alice administers the organization and manages its first group; Bob is her colleague, a plain member of that group;
Charlie is an outsider with an organization of his own; Olga is the operator.
"""

from typing import NamedTuple

from accounts import services
from accounts.ids import uuid7
from accounts.models import Group, Organization, User
from billing import ledger

PASSWORD = "correct-horse-battery"


class People(NamedTuple):
    """Everybody, with Alice's organization and group, and Charlie's."""

    alice: User
    bob: User
    charlie: User
    olga: User
    organization: Organization
    group: Group
    foreign_organization: Organization
    foreign_group: Group


def make_people(*, password: str | None = None) -> People:
    """All four, without a password unless one is given: hashing takes its time."""
    alice = User.objects.create_user("alice@example.com", password, name="Alice Arden")
    bob = User.objects.create_user("bob@example.com", password, name="Bob Brook")
    charlie = User.objects.create_user("charlie@example.com", password, name="Charlie Crane")
    olga = User.objects.create_superuser("olga@example.com", password, name="Olga Orlov")
    organization = services.create_organization(alice, "Arden Labs")
    group = services.create_group(organization, "Research", alice)
    services.add_member(group, bob)
    foreign_organization = services.create_organization(charlie, "Crane & Sons")
    foreign_group = services.create_group(foreign_organization, "Support", charlie)
    return People(
        alice, bob, charlie, olga, organization, group, foreign_organization, foreign_group
    )


def fund(people: People, *, pool_nanos: int = 0, wallet_nanos: int = 0) -> None:
    """Credits for Alice's organization: that much stays in the pool, that much goes to her group's wallet."""
    organization, group = people.organization, people.group
    ledger.deposit(organization, pool_nanos + wallet_nanos, operation_id=uuid7(), actor=people.olga)
    if wallet_nanos:
        ledger.grant(group, wallet_nanos, operation_id=uuid7(), actor=people.alice)
