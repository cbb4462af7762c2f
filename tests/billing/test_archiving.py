"""Deleting groups and organizations: what is left is settled first, and the ledger stays whole."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.utils import timezone

from accounts import key_services, services
from accounts.ids import uuid7
from accounts.models import APIKey, Change, Group
from billing import codes, ledger
from billing.archiving import NotEmpty, archive_group, archive_organization
from billing.errors import OwnerArchived
from billing.models import Account, Transfer
from billing.promotions import promote
from tests.billing import bank
from tests.people import People, fund, make_people
from tests.world import World

USD = 1_000_000_000


@pytest.fixture
def people(db: None) -> People:
    made = make_people()
    fund(made, pool_nanos=100 * USD, wallet_nanos=10 * USD)
    return made


def pool(people: People) -> int:
    return Account.objects.pool_of(people.organization).balance_nanos


def wallet(people: People) -> Account:
    return Account.objects.wallet_of(people.group)


def hold(people: People, amount_nanos: int) -> None:
    """A call that is running."""
    from tests.billing.test_ledger import batch

    batch((), (bank.Hold(uuid7(), wallet(people).pk, amount_nanos),))


def charge(people: People, amount_nanos: int) -> UUID:
    """A call that was charged; answers its id."""
    from tests.billing.test_ledger import batch

    call_id = uuid7()
    batch((), (bank.Hold(call_id, wallet(people).pk, amount_nanos),))
    batch((bank.Settle(call_id, wallet(people).pk, amount_nanos),), ())
    return call_id


def test_credits_go_back_and_keys_stop_and_the_group_is_out_of_sight(people: People) -> None:
    key = key_services.issue_key(people.group, people.bob, "laptop")[0]
    assert archive_group(people.group, actor=people.alice) == 10 * USD
    assert (pool(people), wallet(people).balance_nanos) == (110 * USD, 0)
    key.refresh_from_db()
    assert key.state == "revoked"
    assert people.group not in Group.objects.visible_to(people.olga)
    last = Transfer.objects.latest("created_at")
    assert (last.kind, last.amount_nanos, last.actor_id) == (
        "reclaim",
        10 * USD,
        people.alice.pk,
    )
    line = Change.objects.get(verb="group.archived")
    assert (line.before["balance_nanos"], line.before["keys"]) == (10 * USD, 1)


def test_a_second_time_nothing_happens(people: People) -> None:
    archive_group(people.group, actor=people.alice)
    assert archive_group(people.group, actor=people.alice) == 0
    assert pool(people) == 110 * USD
    assert Change.objects.filter(verb="group.archived").count() == 1


def test_its_name_is_free_again(people: People) -> None:
    archive_group(people.group, actor=people.alice)
    second = services.create_group(people.organization, "RESEARCH", people.alice)
    archive_group(second, actor=people.alice)
    services.create_group(people.organization, "Research", people.alice)


def test_credits_that_calls_hold_refuse_it_whole(people: People) -> None:
    key = key_services.issue_key(people.group, people.bob, "laptop")[0]
    hold(people, USD)
    with pytest.raises(NotEmpty) as refusal:
        archive_group(people.group, actor=people.alice)
    assert refusal.value.obstacle == "held"
    key.refresh_from_db()
    assert key.state == "active", "nothing of it happened"
    assert pool(people) == 100 * USD
    assert people.group in Group.objects.visible_to(people.alice)


def test_a_debt_refuses_it(people: People) -> None:
    Account.objects.filter(pk=wallet(people).pk).update(credit_line_nanos=50 * USD)
    ledger.reclaim(people.group, 10 * USD, operation_id=uuid7(), actor=people.alice)
    Account.objects.filter(pk=wallet(people).pk).update(balance_nanos=-USD)
    with pytest.raises(NotEmpty) as refusal:
        archive_group(people.group, actor=people.alice)
    assert refusal.value.obstacle == "owed"


def test_a_credit_line_ends_with_the_group(people: People) -> None:
    Account.objects.filter(pk=wallet(people).pk).update(credit_line_nanos=50 * USD)
    archive_group(people.group, actor=people.alice)
    assert wallet(people).available_nanos == 0
    assert Change.objects.get(verb="group.archived").before["credit_line_nanos"] == 50 * USD


def test_promotional_credits_end_and_only_paid_ones_go_back(people: People) -> None:
    promote(
        people.group,
        3 * USD,
        operation_id=uuid7(),
        actor=people.olga,
        reason="Welcome",
        expires_at=timezone.now() + timedelta(days=30),
    )
    assert wallet(people).balance_nanos == 13 * USD
    assert archive_group(people.group, actor=people.alice) == 10 * USD
    assert (pool(people), wallet(people).balance_nanos) == (110 * USD, 0)


def test_the_balances_are_still_the_sums_of_their_transfers(people: People) -> None:
    archive_group(people.group, actor=people.alice)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM billing_account a WHERE balance_nanos <> ("
            " SELECT coalesce(sum(CASE WHEN credit_account_id = a.id THEN amount_nanos ELSE -amount_nanos END), 0)"
            " FROM billing_transfer WHERE a.id IN (credit_account_id, debit_account_id))"
        )
        assert cursor.fetchone() == (0,)


def test_an_organization_goes_when_groups_and_credits_are_gone(people: People) -> None:
    with pytest.raises(NotEmpty) as refusal:
        archive_organization(people.organization, actor=people.alice)
    assert refusal.value.obstacle == "groups"
    archive_group(people.group, actor=people.alice)
    for note in ("", "by transfer"):
        with pytest.raises(NotEmpty) as refusal:
            archive_organization(people.organization, actor=people.alice, note=note)
        assert refusal.value.obstacle == "credits"
    ledger.adjust(
        people.organization, -110 * USD, operation_id=uuid7(), actor=people.olga, reason="refund"
    )
    archive_organization(people.organization, actor=people.alice)
    people.organization.refresh_from_db()
    assert people.organization.archived_at is not None


def test_an_operator_notes_how_credits_were_refunded(people: People) -> None:
    archive_group(people.group, actor=people.alice)
    with pytest.raises(NotEmpty):
        archive_organization(people.organization, actor=people.olga)
    archive_organization(people.organization, actor=people.olga, note="wired back on 3 May")
    line = Change.objects.get(verb="organization.archived")
    assert line.before == {"balance_nanos": 110 * USD, "members": 2}
    assert line.after == {"note": "wired back on 3 May"}


def test_no_group_is_made_in_an_organization_that_is_gone(people: People) -> None:
    archive_group(people.group, actor=people.alice)
    archive_organization(people.organization, actor=people.olga, note="wired back")
    with pytest.raises(Exception, match="was deleted"):
        services.create_group(people.organization, "Late", people.alice)
    assert not APIKey.objects.usable().filter(group__organization=people.organization).exists()


# Whoever looked at the page before goes on with what he saw there


def redeem(people: People) -> object:
    later = timezone.now() + timedelta(days=9)
    offer = codes.Offer("wallet", USD, None, 1, later, "Fair")
    [text] = codes.make_codes(offer, 1, operation_id=uuid7(), actor=people.olga)
    return codes.redeem(text, people.group, operation_id=uuid7(), actor=people.alice)


@pytest.mark.parametrize("verb", ["grant", "promote", "adjust", "refund", "redeem"])
def test_nothing_goes_into_a_group_that_is_gone(people: People, verb: str) -> None:
    """Its wallet is out of everybody's reach: what went there would be lost."""
    later = timezone.now() + timedelta(days=9)
    olga: dict[str, Any] = {"operation_id": uuid7(), "actor": people.olga, "reason": "Agreed"}
    call_id = charge(people, USD)
    moves: dict[str, Callable[[], object]] = {
        "grant": lambda: ledger.grant(people.group, USD, **olga),
        "promote": lambda: promote(people.group, USD, expires_at=later, **olga),
        "adjust": lambda: ledger.adjust(people.group, USD, **olga),
        "refund": lambda: ledger.refund(people.group, USD, **olga, call_id=call_id),
        "redeem": lambda: redeem(people),
    }
    archive_group(people.group, actor=people.alice)
    before = pool(people)
    with pytest.raises(OwnerArchived):
        moves[verb]()
    assert (wallet(people).balance_nanos, pool(people)) == (0, before)


def test_nothing_goes_into_the_pool_of_an_organization_that_is_gone(people: People) -> None:
    archive_group(people.group, actor=people.alice)
    archive_organization(people.organization, actor=people.olga, note="wired back")
    before = pool(people)
    with pytest.raises(OwnerArchived):
        ledger.deposit(people.organization, USD, operation_id=uuid7(), actor=people.olga)
    # What is left there can still be taken out.
    ledger.adjust(
        people.organization, -before, operation_id=uuid7(), actor=people.olga, reason="wired back"
    )
    assert pool(people) == 0


def test_a_grant_that_waits_for_the_deletion_is_refused(
    fresh_world: World, django_db_blocker: Any
) -> None:
    """Both at once, again and again: what the group had and what was granted is in the pool in the end."""
    with bank.orm_on(fresh_world.database, django_db_blocker):
        [people] = bank.in_parallel(make_people)
        assert isinstance(people, People)
        bank.in_parallel(lambda: fund(people, pool_nanos=100 * USD))

        for attempt in range(6):

            def make(name: str = f"Group {attempt}") -> Group:
                return services.create_group(people.organization, name, people.alice)

            [group] = bank.in_parallel(make)
            assert isinstance(group, Group)

            def grant(group: Group = group) -> object:
                return ledger.grant(group, USD, operation_id=uuid7(), actor=people.alice)

            def archive(group: Group = group) -> object:
                return archive_group(group, actor=people.alice)

            bank.in_parallel(grant, archive, grant)
            balance = partial(lambda one: Account.objects.wallet_of(one).balance_nanos, group)
            assert bank.in_parallel(balance) == [0]
        assert bank.in_parallel(lambda: pool(people)) == [100 * USD]
