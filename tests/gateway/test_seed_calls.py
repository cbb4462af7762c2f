"""`manage.py seed_calls`: many calls, after which the books still balance."""

from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db.models import Count, Sum
from django.utils import timezone

from accounts.models import APIKey, Group
from billing.audit import count_violations
from billing.models import Account, Hold, Transfer
from gateway.audit import INVARIANTS
from gateway.management.commands import seed_calls
from gateway.management.commands.seed_calls import ORGANIZATION
from gateway.models import CallRecord
from gateway.pages import charges
from tests.people import People


@pytest.fixture(scope="module")
def price_book(django_db_setup: None, django_db_blocker: Any) -> None:
    with django_db_blocker.unblock():
        call_command("load_price_book", verbosity=0)


def seed(**options: Any) -> str:
    output = StringIO()
    given = {"calls": 900, "charged": 300, "owner": "alice@example.com", "groups": 3, "keys": 2}
    call_command("seed_calls", stdout=output, **given | {"slice": 400, "yes": True} | options)
    return output.getvalue()


def test_it_writes_nothing_without_being_told_twice(people: People) -> None:
    with pytest.raises(CommandError, match="Say --yes"):
        seed(yes=False)
    with pytest.raises(CommandError, match="no user nobody@"):
        seed(owner="nobody@example.com")
    with pytest.raises(CommandError, match="--groups must be at least 1"):
        seed(groups=0)
    assert not CallRecord.objects.exists()
    assert not Group.objects.filter(organization__name=ORGANIZATION).exists()


def test_it_names_the_price_that_is_missing(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seed_calls, "MODELS", ("no/such",))
    with pytest.raises(CommandError, match="run load_price_book first"):
        seed()


def test_so_many_calls_are_spread_over_groups_keys_and_months(
    price_book: None, people: People
) -> None:
    told = seed()
    assert "400 of 900 calls (44%)" in told
    assert "900 of 900 calls (100%)" in told
    calls = CallRecord.objects.all()
    assert calls.count() == 900
    by_group = [row["n"] for row in calls.values("group").annotate(n=Count("id")).order_by("-n")]
    assert len(by_group) == 3
    assert by_group[0] > 2 * by_group[2], "some groups call more than others"
    assert set(calls.values_list("api_key", flat=True)) <= set(
        APIKey.objects.values_list("pk", flat=True)
    )
    assert {"completed", "refused"} <= set(calls.values_list("status", flat=True))
    span = timezone.now() - calls.order_by("id")[0].created_at
    assert 170 < span.days <= 180
    for call in calls.order_by("-id")[:50]:
        assert call.id.int >> 80 == int(call.created_at.timestamp() * 1000)


def test_the_books_balance_and_every_charge_can_be_recomputed(
    price_book: None, people: People
) -> None:
    seed()
    assert sum(count_violations(INVARIANTS).values()) == 0
    charged = CallRecord.objects.filter(amount_nanos__gt=0)
    assert 200 < charged.count() <= 300
    taken = Transfer.objects.filter(kind=Transfer.Kind.CAPTURE).aggregate(sum=Sum("amount_nanos"))
    assert taken["sum"] == charged.aggregate(sum=Sum("amount_nanos"))["sum"]
    assert Hold.objects.count() == charged.count()
    for call in charged[:60]:
        explanation = charges.explain_charge(call)
        assert explanation is not None
        assert explanation.agrees, call
        assert charges.read_settlement(call).agrees
    wallets = Account.objects.filter(kind="wallet", group__organization__name=ORGANIZATION)
    assert {wallet.balance_nanos for wallet in wallets} == {0}


def test_a_second_run_adds_to_the_same_place(price_book: None, people: People) -> None:
    seed()
    seed(calls=100, charged=100)
    assert CallRecord.objects.count() == 1000
    assert Group.objects.filter(organization__name=ORGANIZATION).count() == 3
    assert sum(count_violations(INVARIANTS).values()) == 0
