"""Balances by the management API, now and in the past."""

from datetime import timedelta

from django.utils import timezone

from accounts.ids import uuid7
from billing import promotions
from billing.models import Account, Transfer
from tests.billing.api.asking import USD, error_of
from tests.billing.api.conftest import Askers
from tests.people import People


def test_a_group_tells_what_is_held_and_what_is_free(people: People, askers: Askers) -> None:
    wallet = Account.objects.wallet_of(people.group)
    Account.objects.filter(pk=wallet.pk).update(held_nanos=3 * USD, credit_line_nanos=USD // 2)
    promotions.promote(
        people.group,
        2 * USD,
        expires_at=timezone.now() + timedelta(days=1),
        operation_id=uuid7(),
        actor=people.olga,
        reason="Welcome",
    )
    found = askers.bob.get(f"groups/{people.group.pk}/balance")
    figures = ("balance", "held", "credit_line", "available", "promotional")
    assert [found[name] for name in figures] == ["12.00", "3.00", "0.50", "9.50", "2.00"]
    assert found["runway"] == {"left_s": None, "per_day": "0.00", "history_s": 0}
    assert (found["object"], found["currency"]) == ("balance", "USD")


def test_a_balance_of_the_past(people: People, askers: Askers) -> None:
    path = f"groups/{people.group.pk}/balance"
    then = timezone.now() - timedelta(days=2)
    assert askers.alice.get(path, at=then.isoformat())["balance"] == "0.00"
    now = askers.alice.get(path)["at"]
    askers.alice.move(f"groups/{people.group.pk}/grants", {"amount": "1"})
    past = askers.alice.get(path, at=now)
    assert (past["balance"], past["held"], past["available"]) == ("10.00", None, None)
    pool = f"organizations/{people.organization.pk}/balance"
    assert askers.alice.get(pool, at=now)["balance"] == "100.00"
    assert askers.alice.get(pool)["balance"] == "99.00"


def test_a_moment_that_is_none_is_named(people: People, askers: Askers) -> None:
    later = (timezone.now() + timedelta(hours=1)).isoformat()
    for text in (
        later, "yesterday", "2026-01-01", "2026-01-01T00:00:00", "0001-01-01T00:00:00+14:00", "",
        "9999-12-31T23:59:59-12:00",
    ):  # fmt: skip
        for path in (
            f"groups/{people.group.pk}/balance",
            f"organizations/{people.organization.pk}/balance",
        ):
            assert error_of(askers.alice.get(path, 400, at=text))[1] == "at", text
    refused = askers.alice.get(f"groups/{people.group.pk}/balance", 400, when="now")
    assert error_of(refused)[1] == "when"


def test_who_sees_a_balance(people: People, askers: Askers) -> None:
    for path, statuses in (
        (f"groups/{people.group.pk}/balance", (404, 200, 200, 200)),
        (f"organizations/{people.organization.pk}/balance", (404, 403, 200, 200)),
    ):
        for asker, status in zip(
            (askers.charlie, askers.bob, askers.alice, askers.olga), statuses, strict=True
        ):
            asker.get(path, status)
    assert Transfer.objects.count() == 2
