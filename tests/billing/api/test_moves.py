"""Deposits, grants, reclaims, adjustments and refunds by the management API."""

import json
from uuid import UUID

import pytest
from django.db import connection

from accounts.ids import uuid7
from accounts.models import Change
from billing.models import Account, Transfer
from tests.billing import bank
from tests.billing.api.asking import USD, error_of
from tests.billing.api.conftest import Askers
from tests.people import People

BAD_AMOUNTS = [
    "0", "-1", "0.0000000001", "1e400", "NaN", "Infinity", "1,5", "", " 1", "٣", "4611686018.427387904", "1" * 70,
]  # fmt: skip
BAD_JSON = ["1.5", "1", "1e400", "null", "true", '["1"]', '{"usd": "1"}']


def balances(people: People) -> tuple[int, int]:
    """Of the pool and the wallet."""
    pool = Account.objects.pool_of(people.organization).balance_nanos
    return pool, Account.objects.wallet_of(people.group).balance_nanos


def test_a_grant_answers_both_balances_and_where_it_is_listed(
    people: People, askers: Askers
) -> None:
    made = askers.alice.move(
        f"groups/{people.group.pk}/grants", {"amount": "1.000000001", "reason": "May"}
    )
    assert (made["kind"], made["amount"], made["reason"]) == ("grant", "1.000000001", "May")
    assert [(one["kind"], one["balance"]) for one in made["balances"]] == [
        ("pool", "98.999999999"),
        ("wallet", "11.000000001"),
    ]
    assert balances(people) == (98_999_999_999, 11_000_000_001)
    listed = askers.bob.get(f"groups/{people.group.pk}/grants")["data"]
    assert [row["id"] for row in listed][:1] == [made["id"]]
    assert listed[0]["actor"] == {"id": people.alice.pk, "name": "Alice Arden"}
    assert listed[0]["change"] == "1.000000001"


def test_its_address_shows_the_move_alone(people: People, askers: Askers) -> None:
    answer = askers.alice.send(
        "POST", f"groups/{people.group.pk}/reclaims", {"amount": "2"}, **{"Idempotency-Key": "a"}
    )
    path = answer["Location"].removeprefix("/api/v1/")
    [row] = askers.alice.get(path)["data"]
    assert (row["id"], row["change"]) == (json.loads(answer.content)["id"], "2.00")


def test_the_same_key_again_moves_nothing_and_says_so(people: People, askers: Askers) -> None:
    path, headers = f"groups/{people.group.pk}/grants", {"Idempotency-Key": "once"}
    first = askers.alice.send("POST", path, {"amount": "1", "reason": "x"}, **headers)
    again = askers.alice.send("POST", path, {"amount": "1.0", "reason": "x"}, **headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert (first.get("Idempotency-Replayed"), again["Idempotency-Replayed"]) == (None, "true")
    assert first.content == again.content
    assert balances(people) == (99 * USD, 11 * USD)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("groups/{group}/grants", {"amount": "2", "reason": "x"}),
        ("groups/{group}/grants", {"amount": "1", "reason": "y"}),
        ("groups/{group}/reclaims", {"amount": "1", "reason": "x"}),
    ],
)
def test_the_same_key_for_something_else_is_a_conflict(
    people: People, askers: Askers, path: str, body: dict[str, str]
) -> None:
    askers.alice.move(
        f"groups/{people.group.pk}/grants", {"amount": "1", "reason": "x"}, key="once"
    )
    refused = askers.alice.move(path.format(group=people.group.pk), body, 409, key="once")
    assert error_of(refused) == ("idempotency_conflict", "Idempotency-Key")
    assert balances(people) == (99 * USD, 11 * USD)


def test_keys_of_two_people_do_not_meet(people: People, askers: Askers) -> None:
    path = f"groups/{people.group.pk}/grants"
    askers.alice.move(path, {"amount": "1"}, key="once")
    askers.olga.move(path, {"amount": "1"}, key="once")
    assert balances(people) == (98 * USD, 12 * USD)


@pytest.mark.parametrize("key", ["", "x" * 513, "ключ"])
def test_a_move_needs_an_idempotency_key(people: People, askers: Askers, key: str) -> None:
    headers = {"Idempotency-Key": key} if key else {}
    refused = askers.alice.post(f"groups/{people.group.pk}/grants", {"amount": "1"}, 400, **headers)
    assert error_of(refused) == ("invalid_request_error", "Idempotency-Key")
    assert balances(people) == (100 * USD, 10 * USD)


@pytest.mark.parametrize("text", [json.dumps(one) for one in BAD_AMOUNTS] + BAD_JSON)
def test_a_bad_amount_is_named(people: People, askers: Askers, text: str) -> None:
    body = b'{"amount": %s}' % text.encode()
    answer = askers.alice.move(f"groups/{people.group.pk}/grants", body, 400)
    assert error_of(answer) == ("invalid_request_error", "amount")
    assert balances(people) == (100 * USD, 10 * USD)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "amount"),
        ({"amount": "1", "amuont": "1"}, "amuont"),
        ({"amount": "1", "reason": 5}, "reason"),
        ({"amount": "1", "reason": "x" * 301}, "reason"),
        ({"amount": "1", "reason": "a\x00b"}, "reason"),
        ({"amount": "1", "reason": "\ud800"}, "reason"),
    ],
)
def test_a_bad_field_is_named(
    people: People, askers: Askers, body: dict[str, object], param: str
) -> None:
    answer = askers.alice.move(f"groups/{people.group.pk}/grants", body, 400)
    assert error_of(answer) == ("invalid_request_error", param)


def test_more_than_there_is_is_refused(people: People, askers: Askers) -> None:
    for path, amount in (("grants", "100.000000001"), ("reclaims", "10.000000001")):
        refused = askers.alice.move(f"groups/{people.group.pk}/{path}", {"amount": amount}, 402)
        assert error_of(refused) == ("insufficient_credits", "amount")
        assert refused["error"]["type"] == "insufficient_quota"
    assert balances(people) == (100 * USD, 10 * USD)


def test_who_may_move_what(people: People, askers: Askers) -> None:
    """Statuses for the outsider, the member, the admin and the operator."""
    group, organization = people.group.pk, people.organization.pk
    moved = {"amount": "1", "reason": "fair"}
    for path, statuses in (
        (f"groups/{group}/grants", (404, 403, 201, 201)),
        (f"groups/{group}/reclaims", (404, 403, 201, 201)),
        (f"organizations/{organization}/deposits", (404, 404, 404, 201)),
        (f"groups/{group}/adjustments", (404, 404, 404, 201)),
        (f"organizations/{organization}/adjustments", (404, 404, 404, 201)),
    ):
        who = (askers.charlie, askers.bob, askers.alice, askers.olga)
        for asker, status in zip(who, statuses, strict=True):
            before = balances(people)
            asker.move(path, moved, status)
            assert (balances(people) != before) == (status == 201), path


def test_who_may_read_the_moves(people: People, askers: Askers) -> None:
    group, organization = people.group.pk, people.organization.pk
    for path, statuses in (
        (f"groups/{group}/grants", (404, 200, 200)),
        (f"groups/{group}/reclaims", (404, 200, 200)),
        (f"groups/{group}/adjustments", (404, 200, 200)),
        (f"organizations/{organization}/deposits", (404, 403, 200)),
        (f"organizations/{organization}/adjustments", (404, 403, 200)),
    ):
        for asker, status in zip((askers.charlie, askers.bob, askers.alice), statuses, strict=True):
            asker.get(path, status)


def test_a_deposit_fills_the_pool(people: People, askers: Askers) -> None:
    path = f"organizations/{people.organization.pk}/deposits"
    made = askers.olga.move(path, {"amount": "5", "reason": "invoice 7"})
    [pool] = made["balances"]
    assert (pool["kind"], pool["organization"]["name"]) == ("pool", "Arden Labs")
    assert pool["balance"] == "105.00"
    assert askers.alice.get(path)["data"][0]["id"] == made["id"]


def test_an_adjustment_gives_or_takes_and_says_why(people: People, askers: Askers) -> None:
    path = f"groups/{people.group.pk}/adjustments"
    assert askers.olga.move(path, {"amount": "0.5", "reason": "a"})["amount"] == "0.50"
    askers.olga.move(path, {"amount": "-1.5", "reason": "b"})
    assert balances(people) == (100 * USD, 9 * USD)
    assert [row["change"] for row in askers.bob.get(path)["data"]] == ["-1.50", "0.50"]
    assert error_of(askers.olga.move(path, {"amount": "1"}, 400))[1] == "reason"
    assert error_of(askers.olga.move(path, {"amount": "0", "reason": "c"}, 400))[1] == "amount"
    assert Change.objects.filter(verb="credits.adjusted").count() == 2


def capture(people: People, amount_nanos: int) -> UUID:
    """A call that was charged."""
    raw = connection.cursor().connection
    call_id, wallet = uuid7(), Account.objects.wallet_of(people.group)
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO billing_holdowner DEFAULT VALUES RETURNING id")
        [owner] = cursor.fetchone()
        holds = bank.Hold(call_id, wallet.pk, amount_nanos)
        cursor.execute(bank.APPLY, bank.apply_arguments(owner, (), (holds,)))
        settle = bank.Settle(call_id, wallet.pk, amount_nanos)
        cursor.execute(bank.APPLY, bank.apply_arguments(owner, (settle,), ()))
    assert raw is not None
    return call_id


def test_a_call_is_refunded_once_and_by_no_more_than_its_charge(
    people: People, askers: Askers
) -> None:
    call_id = capture(people, 2 * USD)
    path = f"calls/call_{call_id.hex}/refunds"
    for asker in (askers.charlie, askers.bob, askers.alice):
        asker.move(path, {"amount": "1", "reason": "sorry"}, 404)
    too_much = askers.olga.move(path, {"amount": "2.1", "reason": "sorry"}, 400)
    assert error_of(too_much) == ("invalid_request_error", "amount")
    made = askers.olga.move(path, {"amount": "1.5", "reason": "sorry"}, key="refund")
    assert (made["call"], made["balances"][0]["balance"]) == (f"call_{call_id.hex}", "9.50")
    again = askers.olga.move(path, {"amount": "1.5", "reason": "sorry"}, key="refund")
    assert again["id"] == made["id"]
    askers.olga.move(path, {"amount": "0.1", "reason": "more"}, 400)
    assert Transfer.objects.filter(kind="refund").count() == 1


@pytest.mark.parametrize(
    "call_id", ["call_nothing", f"call_{UUID(int=7 << 76 | 2 << 62).hex}", "x" * 300]
)
def test_a_call_that_was_charged_nothing_is_not_found(
    people: People, askers: Askers, call_id: str
) -> None:
    askers.olga.move(f"calls/{call_id}/refunds", {"amount": "1", "reason": "x"}, 404)


def test_a_reason_is_one_line(askers: Askers, people: People) -> None:
    for reason in ("a\nb", "a\x07b", "a\u2028b"):
        body = {"amount": "1", "reason": reason}
        refused = askers.alice.move(f"groups/{people.group.pk}/grants", body, 400)
        assert error_of(refused)[1] == "reason"
