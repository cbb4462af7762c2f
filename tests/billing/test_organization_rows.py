"""Organizations in a list."""

import pytest
from django.utils import timezone

from accounts.models import Organization
from billing.organization_rows import read_organizations
from tests.people import People, fund, make_people

USD = 1_000_000_000


@pytest.fixture
def people(db: None) -> People:
    made = make_people()
    fund(made, pool_nanos=100 * USD, wallet_nanos=10 * USD)
    return made


def test_each_organization_tells_its_size_and_its_credits(people: People) -> None:
    ordered = list(Organization.objects.order_by("name"))
    rows = {row.organization.name: row for row in read_organizations(ordered)}
    ours, theirs = rows["Arden Labs"], rows["Crane & Sons"]
    assert (ours.groups, ours.members, ours.pool_nanos, ours.wallets_nanos) == (
        1,
        2,
        100 * USD,
        10 * USD,
    )
    assert (theirs.groups, theirs.members, theirs.pool_nanos, theirs.wallets_nanos) == (1, 1, 0, 0)


def test_an_archived_group_is_not_counted_but_its_wallet_is(people: People) -> None:
    people.group.archived_at = timezone.now()
    people.group.save(update_fields=["archived_at"])
    (row,) = read_organizations([people.organization])
    assert (row.groups, row.wallets_nanos) == (0, 10 * USD)
    assert read_organizations([]) == []
