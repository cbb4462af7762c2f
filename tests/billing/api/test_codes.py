"""Redeem codes by the management API."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from billing.models import Account
from billing.promotion_models import CodeBatch, WrongCode
from tests.billing.api.asking import USD, error_of
from tests.billing.api.conftest import Askers
from tests.people import People


def batch(**fields: Any) -> dict[str, Any]:
    later = (timezone.now() + timedelta(days=9)).isoformat()
    return {"note": "Fair", "kind": "wallet", "amount": "2", "valid_until": later, **fields}


def test_codes_are_shown_once(askers: Askers) -> None:
    made = askers.olga.move("code-batches", batch(count=3), key="c")
    assert (len(made["codes"]), made["count"], made["uses"]) == (3, 3, 0)
    shown = askers.olga.get(f"code-batches/{made['id']}")
    assert shown == {name: made[name] for name in shown}
    assert "codes" not in shown
    again = askers.olga.move("code-batches", batch(count=3), 409, key="c")
    assert error_of(again)[0] == "idempotency_conflict"
    assert made["codes"][0] not in str(again)
    assert askers.olga.get("code-batches")["data"] == [shown]
    lasts = [
        row["last_four"] for row in askers.olga.get(f"code-batches/{made['id']}/codes")["data"]
    ]
    assert sorted(lasts) == sorted(text[-4:] for text in made["codes"])


def test_batches_are_listed_newest_first(askers: Askers) -> None:
    ids = [askers.olga.move("code-batches", batch())["id"] for _ in range(3)]
    first = askers.olga.get("code-batches", limit="2")
    second = askers.olga.get("code-batches", limit="2", after=first["next"])
    assert [row["id"] for row in first["data"] + second["data"]] == ids[::-1]


def test_a_code_is_redeemed_once(people: People, askers: Askers) -> None:
    made = askers.olga.move("code-batches", batch(count=2, uses_max=5))
    path, code = f"groups/{people.group.pk}/redemptions", made["codes"][0]
    used = askers.alice.move(path, {"code": code.lower()}, key="r")
    assert (used["amount"], used["code"], used["kind"]) == ("2.00", code[-4:], "wallet")
    assert askers.alice.move(path, {"code": code}, key="r") == used
    other = askers.alice.move(path, {"code": made["codes"][1]}, 409, key="r")
    assert error_of(other)[0] == "idempotency_conflict"
    assert error_of(askers.alice.move(path, {"code": code}, 409))[0] == "code_redeemed"
    assert Account.objects.wallet_of(people.group).balance_nanos == 12 * USD
    listed = askers.olga.get(f"code-batches/{made['id']}/redemptions")["data"]
    assert listed == askers.alice.get(path)["data"] == [used]


def test_wrong_codes_are_counted_and_then_not_looked_at(people: People, askers: Askers) -> None:
    made = askers.olga.move("code-batches", batch())
    path = f"groups/{people.group.pk}/redemptions"
    for _ in range(10):
        refused = askers.alice.move(path, {"code": "0000-0000-0000-0000"}, 400)
        assert error_of(refused) == ("code_refused", "code")
    assert WrongCode.objects.count() == 10, "a refusal must not take its count back"
    answer = askers.alice.send(
        "POST", path, {"code": made["codes"][0]}, **{"Idempotency-Key": "now"}
    )
    assert answer.status_code == 429
    assert int(answer["Retry-After"]) > 3000


def test_a_disabled_code_is_refused(people: People, askers: Askers) -> None:
    made = askers.olga.move("code-batches", batch(count=3))
    path = f"code-batches/{made['id']}"
    codes = askers.olga.get(f"{path}/codes")["data"]
    one = askers.olga.post(f"{path}/codes/{codes[0]['id']}/disable", status=200)
    rest = askers.olga.post(f"{path}/disable", status=200)
    assert (one["disabled"], rest["disabled"]) == (1, 2)
    redeem = f"groups/{people.group.pk}/redemptions"
    for code in made["codes"]:
        askers.alice.move(redeem, {"code": code}, 400)


def test_who_may_do_what_with_codes(people: People, askers: Askers) -> None:
    made = askers.olga.move("code-batches", batch())
    for asker in (askers.alice, askers.bob, askers.charlie):
        asker.get("code-batches", 404)
        asker.get(f"code-batches/{made['id']}/codes", 404)
        asker.move("code-batches", batch(), 404)
        asker.post(f"code-batches/{made['id']}/disable", status=404)
    path, body = f"groups/{people.group.pk}/redemptions", {"code": made["codes"][0]}
    askers.bob.move(path, body, 403)
    askers.charlie.move(path, body, 404)
    assert CodeBatch.objects.count() == 1
    assert Account.objects.wallet_of(people.group).balance_nanos == 10 * USD


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"amount": 2}, "amount"),
        ({"kind": "gift"}, "kind"),
        ({"count": 1001}, "count"),
        ({"count": "1"}, "count"),
        ({"uses_max": 0}, "uses_max"),
        ({"kind": "promotion"}, "days"),
        ({"days": 3}, "days"),
        ({"valid_until": "2020-01-01T00:00:00Z"}, "valid_until"),
        ({"note": ""}, "note"),
        ({"codes": ["A"]}, "codes"),
    ],
)
def test_a_bad_field_of_a_batch_is_named(
    askers: Askers, fields: dict[str, Any], param: str
) -> None:
    assert error_of(askers.olga.move("code-batches", batch(**fields), 400))[1] == param
    assert not CodeBatch.objects.exists()
