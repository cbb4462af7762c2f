"""A call in flight: what it costs, and what is written of it."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.pricing import Usage
from gateway.call import (
    Attempt,
    Call,
    Caller,
    Memo,
    Outcome,
    clean,
    encode_records,
    new_call_id,
    parse_call_id,
    public_call_id,
)
from gateway.errors import BadRequest, PaymentRequired, UpstreamFailed, UpstreamRefused
from tests.gateway.pricing_samples import model, price

USAGE = Usage(input_tokens=100, output_tokens=20)
STANDARD, FLEX, PRIORITY = 400_000, 200_000, 800_000


def call(tier: str = "standard", *, priced: bool = True) -> Call:
    caller = Caller(
        key_id=str(uuid4()),
        key_name="Alice's key",
        public_id="abcdefghjkmn",
        prefix="tollgate",
        digest=bytes(32),
        expires_at=None,
        group_id=str(uuid4()),
        group_name="Alice's group",
        organization_id=str(uuid4()),
        organization_name="Alice's organization",
        wallet_id=7,
    )
    made = Call(new_call_id(), caller, "chat/completions")
    made.requested_model = "small"
    made.tier = tier
    if priced:
        made.model, made.price = model(), price(number=31)
    return made


def amount(made: Call, outcome: Outcome) -> int | None:
    charge = made.charge(outcome)
    return charge.amount_nanos if charge else None


@pytest.mark.parametrize("status", ["completed", "client_gone"])
def test_what_was_generated_is_charged(status: str) -> None:
    assert amount(call(), Outcome(status=status, usage=USAGE)) == STANDARD


@pytest.mark.parametrize("status", ["upstream_failed", "timed_out", "lost", "refused"])
def test_a_failure_is_free_even_with_usage(status: str) -> None:
    assert amount(call(), Outcome(status=status, usage=USAGE)) is None


def test_nothing_used_is_nothing_charged() -> None:
    assert amount(call(), Outcome(status="completed")) is None
    assert amount(call(), Outcome(status="completed", usage=Usage())) is None
    assert amount(call(priced=False), Outcome(status="completed", usage=USAGE)) is None


@dataclass(frozen=True)
class TierCase:
    asked: str
    served: str | None
    paid: int


@pytest.mark.parametrize(
    "case",
    [
        TierCase("standard", None, STANDARD),
        TierCase("standard", "default", STANDARD),
        TierCase("standard", "priority", STANDARD),
        TierCase("standard", "flex", STANDARD),
        TierCase("flex", "flex", FLEX),
        TierCase("flex", None, FLEX),
        TierCase("flex", "default", FLEX),
        TierCase("flex", "priority", FLEX),
        TierCase("priority", "priority", PRIORITY),
        TierCase("priority", None, PRIORITY),
        TierCase("priority", "default", STANDARD),
        TierCase("priority", "standard", STANDARD),
    ],
    ids=str,
)
def test_nobody_pays_for_a_dearer_tier_than_he_asked_for(case: TierCase) -> None:
    outcome = Outcome(status="completed", usage=USAGE, service_tier=case.served)
    assert amount(call(case.asked), outcome) == case.paid


def test_the_record_of_a_completed_call() -> None:
    made = call("flex")
    made.stream = True
    made.hold_nanos = 5000
    made.first_token_at = made.started + 0.25
    made.attempts.append(Attempt(channel="openai:main", status=200, ms=9))
    usage = Usage(
        input_tokens=10,
        cached_input_tokens=1,
        cache_write_tokens=2,
        audio_input_tokens=3,
        output_tokens=20,
        reasoning_tokens=4,
        audio_output_tokens=5,
        basis="estimated",
    )
    outcome = Outcome(status="completed", usage=usage, service_tier="flex")
    charge = made.charge(outcome)
    record = made.record(outcome, charge)
    assert charge is not None
    assert (record.id, record.model, record.price_id) == (made.id, "openai/small", 31)
    assert (record.status, record.stream, record.service_tier) == ("completed", True, "flex")
    assert (record.input_tokens, record.cached_input_tokens) == (10, 1)
    assert (record.cache_write_tokens, record.audio_input_tokens) == (2, 3)
    assert (record.output_tokens, record.reasoning_tokens, record.audio_output_tokens) == (20, 4, 5)
    assert (record.basis, record.hold_nanos, record.list_nanos) == (
        "estimated",
        5000,
        charge.list_nanos,
    )
    assert record.first_token_ms == 250
    assert record.duration_ms >= 0
    assert record.created_at == made.created_at
    assert (record.error_code, record.error_message) == ("", "")
    written = msgspec.json.decode(encode_records([record, record]))
    assert [row["id"] for row in written] == [str(made.id)] * 2
    assert written[0]["attempts"] == [
        {"channel": "openai:main", "status": 200, "error": None, "ms": 9}
    ]


def test_the_record_of_a_refusal_keeps_the_name_that_was_asked_for() -> None:
    made = call(priced=False)
    made.requested_model = "x" * 500
    record = made.record(Outcome(status="refused", error=PaymentRequired("Too poor.")), None)
    assert record.model == "x" * 120
    assert (record.error_code, record.error_message) == ("insufficient_credits", "Too poor.")
    assert (record.price_id, record.basis, record.list_nanos, record.first_token_ms) == (
        None,
        "",
        0,
        None,
    )


def test_a_failure_keeps_its_usage_on_record_without_a_price() -> None:
    made = call()
    outcome = Outcome(status="upstream_failed", usage=USAGE, error=UpstreamFailed("Broke off."))
    record = made.record(outcome, made.charge(outcome))
    assert (record.input_tokens, record.output_tokens, record.list_nanos) == (100, 20, 0)


def stored_texts(made: Call, outcome: Outcome) -> list[str]:
    return [
        text
        for text in msgspec.structs.astuple(made.record(outcome, None))
        if isinstance(text, str)
    ]


HOSTILE = ["a\x00b", "\x00", "\ud83d", "a\udcff", "x\x00" * 400]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_record_holds_nothing_that_postgresql_cannot_store(text: str) -> None:
    # One such text would roll back the batch of every call that ends in the same moment.
    made = call(priced=False)
    made.requested_model = text
    error = UpstreamRefused(400, text, code=text, type_=text, param=text)
    for stored in stored_texts(made, Outcome(status="upstream_failed", error=error)):
        assert "\x00" not in stored
        stored.encode()


def test_error_texts_fit_their_columns() -> None:
    error = BadRequest("m" * 5000, code="c" * 5000)
    record = call().record(Outcome(status="refused", error=error), None)
    assert (len(record.error_code), len(record.error_message)) == (64, 500)


def test_an_error_without_a_code_is_recorded_by_its_type() -> None:
    error = UpstreamRefused(400, "No.", code=None, type_="invalid_request_error", param=None)
    record = call().record(Outcome(status="upstream_failed", error=error), None)
    assert record.error_code == "invalid_request_error"


def test_a_memo_makes_the_record_of_a_call_whose_process_died() -> None:
    made = call("flex")
    made.stream = True
    memo = msgspec.json.decode(made.memo(), type=Memo)
    record = memo.lost_record(made.id, 900, made.created_at, made.created_at + 1.5)
    assert (record.id, record.status, record.model) == (made.id, "lost", "openai/small")
    assert (record.group_id, record.api_key_id) == (made.caller.group_id, made.caller.key_id)
    assert record.organization_id == made.caller.organization_id
    assert (record.endpoint, record.stream, record.service_tier) == (
        "chat/completions",
        True,
        "flex",
    )
    assert (record.price_id, record.hold_nanos, record.duration_ms) == (31, 900, 1500)
    assert (record.error_code, record.list_nanos) == ("gateway_lost", 0)


def test_a_memo_holds_no_secret() -> None:
    made = call()
    assert made.caller.digest.hex() not in made.memo()
    assert made.caller.public_id not in made.memo()


@given(st.uuids())
def test_a_public_id_leads_back_to_its_call(call_id: UUID) -> None:
    assert parse_call_id(public_call_id(call_id)) == call_id


@pytest.mark.parametrize(
    "text",
    [
        "",
        "call_",
        "call_" + "0" * 31,
        "call_" + "0" * 33,
        "call_" + "g" * 32,
        "tsk_0" + "0" * 32,
        "CALL_" + "0" * 32,
        "call_0x" + "0" * 30,
        "call_+" + "0" * 31,
        "call_ " + "0" * 31,
        "call_" + "1_" * 15 + "11",
        "call_" + "٠" * 32,
        str(UUID(int=5)),
    ],
)
def test_any_other_text_is_no_public_id(text: str) -> None:
    assert parse_call_id(text) is None


def test_ids_sort_by_the_time_they_were_made() -> None:
    made = [new_call_id() for _ in range(2000)]
    assert len(set(made)) == 2000
    assert [one.int >> 80 for one in made] == sorted(one.int >> 80 for one in made)


@given(st.text())
def test_cleaned_text_keeps_its_good_characters(text: str) -> None:
    kept = clean(text)
    assert len(kept) == len(text)
    assert all(a == b for a, b in zip(kept, text, strict=True) if a not in "�?")
    kept.encode()


def test_clean_leaves_ordinary_text_alone() -> None:
    ordinary: Any = "Ordinary 안녕 😀\n\ttext"
    assert clean(ordinary) == ordinary
