"""Charges explained."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from accounts.ids import uuid7
from accounts.key_services import issue_key
from billing.models import Account, Hold, HoldOwner, Price, Transfer
from billing.picture_pricing import charge_pictures
from billing.pricing import Usage, charge_usage
from gateway.models import CallRecord
from gateway.pages import charges
from tests.people import People, make_people

USD = 1_000_000_000
FIRST, LAST = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)


@pytest.fixture
def people(price_book: None, db: None) -> People:
    return make_people()


def settle(
    people: People, usage: Usage | None, model: str = "openai/gpt-5.5", **changes: Any
) -> CallRecord:
    """A call as it is left by its settlement, with its hold and capture; `changes` falsify or extend the record."""
    key = issue_key(people.group, people.alice, "ci")[0]
    price = Price.objects.prefetch_related("rates").filter(model=model).latest("effective_from")
    charge = (
        charge_usage(price.frozen(), usage, changes.get("service_tier", "standard"))
        if usage
        else None
    )
    call_id = uuid7()
    fields: dict[str, Any] = {
        "status": "completed",
        "price_id": price.pk,
        "basis": "reported" if usage else "",
        "hold_nanos": USD,
    }
    if charge and usage:
        fields |= {"list_nanos": charge.list_nanos, "amount_nanos": charge.amount_nanos}
        fields |= {
            name: getattr(usage, name)
            for name in (
                "input_tokens",
                "cached_input_tokens",
                "output_tokens",
                "reasoning_tokens",
                "images",
            )
        }
    fields |= changes
    wallet = Account.objects.wallet_of(people.group)
    if charge and charge.amount_nanos:
        revenue = Account.objects.get(organization=people.organization, kind="revenue")
        taken = charge.amount_nanos - fields.get("written_off_nanos", 0)
        Transfer.objects.create(
            id=call_id,
            kind="capture",
            debit_account=wallet,
            credit_account=revenue,
            amount_nanos=taken,
            call_id=call_id,
        )
    Hold.objects.create(
        id=call_id, account=wallet, owner=HoldOwner.objects.create(), amount_nanos=USD
    )
    return CallRecord.objects.create(
        id=call_id, organization=people.organization, group=people.group, api_key=key, model=model,
        endpoint="chat/completions", created_at=datetime.now(UTC), **fields,
    )  # fmt: skip


def test_a_charge_is_recomputed_to_the_nano_dollar(people: People) -> None:
    call = settle(people, Usage(input_tokens=38, output_tokens=95))
    explained = charges.explain_charge(call)
    assert explained is not None
    assert [
        (line.label, line.quantity, line.list_nanos, line.amount) for line in explained.lines
    ] == [
        ("Input", 38, 5 * USD, "0.000095"),
        ("Output", 95, 30 * USD, "0.001425"),
    ]
    assert (explained.exact_list, explained.exact_sum) == ("0.00304", "0.00152")
    assert explained.amount_nanos == explained.booked_nanos == 1_520_000
    assert explained.agrees
    assert charges.read_settlement(call).agrees
    assert charges.read_settlement(call).released_nanos == USD - 1_520_000


def test_reasoning_is_not_charged_on_top_of_output(people: People) -> None:
    call = settle(people, Usage(input_tokens=1, output_tokens=100, reasoning_tokens=60))
    explained = charges.explain_charge(call)
    assert explained is not None
    assert explained.agrees
    assert [
        (bucket.label, bucket.quantity, bucket.is_part) for bucket in charges.list_buckets(call)
    ] == [
        ("Input", 1, False),
        ("Output", 100, False),
        ("Reasoning", 60, True),
    ]


@pytest.mark.parametrize(
    "change", [{"amount_nanos": 1_520_001}, {"list_nanos": 1}, {"output_tokens": 96}]
)
def test_a_record_that_does_not_fit_its_price_is_exposed(
    people: People, change: dict[str, Any]
) -> None:
    explained = charges.explain_charge(
        settle(people, Usage(input_tokens=38, output_tokens=95), **change)
    )
    assert explained is not None
    assert not explained.agrees


def test_a_record_that_charges_what_the_ledger_did_not_take_is_exposed(people: People) -> None:
    call = settle(people, Usage(input_tokens=38, output_tokens=95))
    call.amount_nanos += 1
    assert not charges.read_settlement(call).agrees


def test_what_was_written_off_counts_as_booked(people: People) -> None:
    call = settle(
        people,
        Usage(input_tokens=38, output_tokens=95),
        amount_nanos=1_000_000,
        written_off_nanos=520_000,
    )
    explained = charges.explain_charge(call)
    assert explained is not None
    assert explained.agrees
    assert charges.read_settlement(call).agrees


def test_long_context_rates_are_named(people: People) -> None:
    call = settle(people, Usage(input_tokens=272_001, output_tokens=1))
    explained = charges.explain_charge(call)
    assert explained is not None
    assert explained.above_input_tokens == 272_000
    assert explained.agrees


def test_a_price_that_is_gone_or_cannot_price_is_said(people: People) -> None:
    gone = charges.explain_charge(settle(people, Usage(input_tokens=1), price_id=2**40))
    assert gone is not None
    assert "not in the price book" in gone.problem
    unpriceable = charges.explain_charge(settle(people, Usage(input_tokens=1), images=3))
    assert unpriceable is not None
    assert "image" in unpriceable.problem
    assert not unpriceable.agrees


def paint(people: People, model: str, count: int, key: str, **changes: Any) -> CallRecord:
    """A task as its last transaction leaves it, charged by the newest price of its model."""
    price = Price.objects.prefetch_related("rates").filter(model=model).latest("effective_from")
    charge = charge_pictures(price.frozen(), count, key)
    fields = {
        "source": "task",
        "images": count,
        "price_key": key,
        "price_id": price.pk,
        "list_nanos": charge.list_nanos,
        "amount_nanos": charge.amount_nanos,
    }
    return settle(people, None, **{"model": model, **fields, **changes})


@pytest.mark.parametrize(
    ("model", "images", "key", "line"),
    [
        ("openai/gpt-image-2", 3, "2k", ("Images, 2k", 3, "image", "0.60", "0.30")),
        ("openai/gpt-4o-image", 4, "4", ("Request for 4", 1, "request", "0.16", "0.08")),
        ("black-forest-labs/flux-kontext-pro", 1, "", ("Images", 1, "image", "0.04", "0.02")),
        ("topaz/topaz-upscale-image", 1, "8", ("Images, 8", 1, "image", "0.80", "0.40")),
    ],
)
def test_the_charge_of_a_task_is_recomputed_from_its_pictures(
    people: People, model: str, images: int, key: str, line: tuple[Any, ...]
) -> None:
    call = paint(people, model, images, key)
    explained = charges.explain_charge(call)
    assert explained is not None
    (only,) = explained.lines
    assert (only.label, only.quantity, only.unit, only.list_amount, only.amount) == line
    assert (explained.exact_list, explained.exact_sum) == line[3:]
    assert explained.agrees
    assert charges.list_buckets(call) == [("Images", images, False)]


@pytest.mark.parametrize("change", [{"images": 2}, {"price_key": "4k"}, {"amount_nanos": 1}])
def test_a_task_that_does_not_fit_its_price_is_exposed(
    people: People, change: dict[str, Any]
) -> None:
    explained = charges.explain_charge(paint(people, "openai/gpt-image-2", 1, "2k", **change))
    assert explained is not None
    assert not explained.agrees


def test_a_task_of_a_key_that_its_price_does_not_list_cannot_be_recomputed(people: People) -> None:
    call = paint(people, "openai/gpt-image-2", 1, "2k", price_key="8k")
    explained = charges.explain_charge(call)
    assert explained is not None
    assert "image[8k]" in explained.problem


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("refused", "by the provider"),
        ("upstream_failed", "could not be made"),
        ("timed_out", "not ready in time"),
        ("client_gone", "cancelled"),
        ("completed", "Fewer pictures"),
    ],
)
def test_tasks_that_charge_nothing_say_why(people: People, status: str, words: str) -> None:
    call = paint(people, "openai/gpt-4o-image", 0, "", status=status)
    assert charges.explain_charge(call) is None
    assert words in charges.explain_free(call)
    shown = [("Images", 0, False)] if status == "completed" else []
    assert charges.list_buckets(call) == shown


def test_rates_of_tokens_are_for_a_million(people: People) -> None:
    explained = charges.explain_charge(settle(people, Usage(input_tokens=1, output_tokens=1)))
    assert explained is not None
    assert [(line.per, line.unit) for line in explained.lines] == [(1_000_000, "1M tokens")] * 2


@pytest.mark.parametrize("status", ["refused", "upstream_failed", "timed_out", "lost"])
def test_failed_calls_say_why_they_are_free(people: People, status: str) -> None:
    call = settle(people, None, status=status)
    assert charges.explain_charge(call) is None
    assert "not charged" in charges.explain_free(call)
    assert charges.list_buckets(call) == []


def test_nothing_known_and_nothing_used_are_two_things(people: People) -> None:
    unknown = settle(people, None, status="client_gone")
    assert "before anything was generated" in charges.explain_free(unknown)
    empty = settle(people, Usage())
    assert "is zero" in charges.explain_free(empty)
    assert [bucket.quantity for bucket in charges.list_buckets(empty)] == [0, 0]


def test_every_status_has_its_words() -> None:
    free = set(CallRecord.Status.values) - {"completed", "client_gone"}
    assert set(charges.WHY_FREE) == free
    assert set(charges.WHY_TASK_FREE) == set(CallRecord.Status.values)
    assert set(charges.BASIS_NOTES) == set(CallRecord.Basis.values)


def test_a_call_of_nobody_has_no_settlement(people: People) -> None:
    call = CallRecord(id=UUID(int=uuid4().int), amount_nanos=5)
    settlement = charges.read_settlement(call)
    assert (settlement.hold, settlement.capture, settlement.agrees) == (None, None, False)
