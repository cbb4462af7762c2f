"""Tasks of a group and the prices in force, by program."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from billing.price_book import PriceEntry
from billing.pricing import Rate, RateTable
from gateway.models import Model, Task
from gateway.operator.price_services import price_in_force
from gateway.provisioning import book_price
from tests.gateway.api.conftest import Keys
from tests.gateway.task_rows import FOX, add_picture, add_task
from tests.management import ManagementClient
from tests.people import People


def test_tasks_are_listed_by_what_was_asked_for(
    people: People, keys: Keys, alice: ManagementClient, charlie: ManagementClient
) -> None:
    done = add_task(keys.alice)
    add_picture(done)
    waits = add_task(keys.bob, status="pending", action="edit_image", amount_nanos=0)
    gone = add_task(keys.bob, status="failed", error_code="cancelled", amount_nanos=0)
    add_task(keys.charlie)
    path = f"groups/{people.group.pk}/tasks"
    assert alice.get(path).ids == [one.public_id for one in (gone, waits, done)]
    assert alice.get(f"{path}?status=pending").ids == [waits.public_id]
    assert alice.get(f"{path}?status=cancelled").ids == [gone.public_id]
    assert alice.get(f"{path}?status=failed").ids == []
    assert alice.get(f"{path}?action=edit_image").ids == [waits.public_id]
    assert alice.get(f"{path}?key={keys.alice.pk}").ids == [done.public_id]
    assert alice.get(f"{path}?model=none").ids == []
    first = alice.get(f"{path}?limit=1")
    assert alice.get(f"{path}?limit=1&after={first.body['next']}").ids == [waits.public_id]
    assert charlie.get(path).status == 404


def test_a_task_has_its_pictures_its_key_and_its_bill(
    people: People, keys: Keys, alice: ManagementClient
) -> None:
    task = add_task(keys.alice)
    add_picture(task)
    body = alice.get(f"groups/{people.group.pk}/tasks/{task.public_id}").body
    assert body["images"][0]["url"].startswith(f"http://testserver/pictures/{task.pk.hex}/0.png?")
    assert body["key"] == {"id": str(keys.alice.pk), "name": "Alice's key"}
    assert body["prompt"] == FOX
    assert body["billing"]["currency"] == "USD"


def test_a_member_cancels_tasks_of_his_own_keys(
    people: People, keys: Keys, alice: ManagementClient, bob: ManagementClient
) -> None:
    task = add_task(keys.alice, status="pending", amount_nanos=0)
    path = f"groups/{people.group.pk}/tasks/{task.public_id}/cancel"
    assert bob.post(path).status == 403
    assert Task.objects.get(pk=task.pk).status == "pending"
    done = add_task(keys.bob)
    refused = bob.post(f"groups/{people.group.pk}/tasks/{done.public_id}/cancel")
    assert (refused.status, refused.code) == (409, "task_not_cancellable")


@pytest.mark.parametrize(
    "query", ["status=x", "action=x", "model=%00", "key=x", "after=tsk_1", "limit=x", "x=1"]
)
def test_tasks_refuse_what_makes_no_sense(
    people: People, alice: ManagementClient, query: str
) -> None:
    answer = alice.get(f"groups/{people.group.pk}/tasks?{query}")
    assert (answer.status, answer.param) == (400, query.partition("=")[0])


def all_prices(client: ManagementClient, query: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    after = ""
    while True:
        body = client.get(f"prices?limit=100{after}{query}").body
        found |= {row["id"]: row for row in body["data"]}
        if not body["has_more"]:
            return found
        after = f"&after={body['next']}"


def test_every_model_that_can_be_called_has_its_price(
    alice: ManagementClient, price_book: None
) -> None:
    prices = all_prices(alice)
    assert list(prices) == sorted(prices)
    priced = Model.objects.get(pk="openai/gpt-5.5")
    row = prices[priced.name]
    in_force = price_in_force(priced, None, timezone.now())
    assert in_force is not None
    assert row["price_id"] == in_force.pk
    [rate] = [one for one in row["tables"][0]["rates"] if one["bucket"] == "input"]
    assert (rate["list_price"], rate["price"], rate["sell_bps"]) == ("5.00", "2.50", 5000)
    Model.objects.filter(pk=priced.pk).update(is_enabled=False)
    assert priced.name not in all_prices(alice)


def test_a_price_of_its_own_is_shown_to_its_group_alone(
    people: People, alice: ManagementClient, charlie: ManagementClient, price_book: None
) -> None:
    rates = {"input": Rate(10**9, 10**6, 2500), "output": Rate(10**9, 10**6, 2500)}
    entry = PriceEntry(
        timezone.now() - timedelta(days=1), 2500, False, "", (RateTable("standard", 0, rates),)
    )
    book_price("openai/gpt-5.5", people.group, entry, people.olga)
    mine = all_prices(alice, f"&group={people.group.pk}")["openai/gpt-5.5"]
    assert mine["group"] == str(people.group.pk)
    assert mine["tables"][0]["rates"][0]["price"] == "0.25"
    assert all_prices(alice)["openai/gpt-5.5"]["group"] is None
    assert charlie.get(f"prices?group={people.group.pk}").status == 404
    theirs = all_prices(charlie, f"&group={people.foreign_group.pk}")["openai/gpt-5.5"]
    assert theirs["group"] is None
