"""Promotional credits by the management API."""

from datetime import timedelta

from django.utils import timezone

from billing.models import Account
from tests.billing.api.asking import USD, error_of
from tests.billing.api.conftest import Askers
from tests.people import People


def body(days: int = 30, amount: str = "5") -> dict[str, str]:
    moment = timezone.now() + timedelta(days=days)
    return {"amount": amount, "expires_at": moment.isoformat(), "reason": "Welcome"}


def test_an_operator_gives_and_ends_a_promotion(people: People, askers: Askers) -> None:
    path, given = f"groups/{people.group.pk}/promotions", body()
    made = askers.olga.move(path, given, key="p")
    assert (made["amount"], made["remaining"], made["state"]) == ("5.00", "5.00", "running")
    again = askers.olga.move(path, given, key="p")
    assert again["id"] == made["id"]
    assert Account.objects.wallet_of(people.group).balance_nanos == 15 * USD
    other = askers.olga.move(path, given | {"reason": "Sorry"}, 409, key="p")
    assert error_of(other)[0] == "idempotency_conflict"
    ended = askers.olga.post(f"{path}/{made['id']}/end", status=200)
    assert (ended["state"], ended["returned"]) == ("ended", "5.00")
    assert askers.olga.post(f"{path}/{made['id']}/end", status=200) == ended
    assert Account.objects.wallet_of(people.group).balance_nanos == 10 * USD


def test_promotions_are_listed_latest_first_page_by_page(people: People, askers: Askers) -> None:
    path = f"groups/{people.group.pk}/promotions"
    ids = [askers.olga.move(path, body(n, str(n)))["id"] for n in (5, 3, 4)]
    first = askers.bob.get(path, limit="2")
    second = askers.bob.get(path, limit="2", after=first["next"])
    assert [row["id"] for row in first["data"] + second["data"]] == ids[::-1]
    assert second["next"] is None
    askers.bob.get(path, 400, after=str(people.group.pk))


def test_who_may_give_promotions(people: People, askers: Askers) -> None:
    path = f"groups/{people.group.pk}/promotions"
    made = askers.olga.move(path, body())
    for asker, read in ((askers.charlie, 404), (askers.bob, 200), (askers.alice, 200)):
        asker.get(path, read)
        asker.move(path, body(), 404)
        asker.post(f"{path}/{made['id']}/end", status=404)
    assert askers.bob.get(path)["data"][0]["state"] == "running"


def test_a_promotion_ends_in_the_future(people: People, askers: Askers) -> None:
    path = f"groups/{people.group.pk}/promotions"
    assert error_of(askers.olga.move(path, body(-1), 400))[1] == "expires_at"
    assert error_of(askers.olga.move(path, {"amount": "1"}, 400))[1] == "expires_at"
