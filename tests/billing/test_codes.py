"""Redeem codes: what they bring, who can redeem them how often, and what guessing tells."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from accounts.ids import uuid7
from accounts.models import Change
from accounts.services import create_group
from billing import codes, promotions
from billing.audit import INVARIANTS, count_violations
from billing.codes import Offer, make_codes, normalize, redeem
from billing.errors import CodeRedeemedBefore, CodeRefused, OperationConflict, TooManyGuesses
from billing.models import Account, Transfer
from billing.promotion_models import Code, CodeBatch, Redemption, WrongCode
from billing.tasks import forget_wrong_codes
from tests.people import People


def offer(**changes: Any) -> Offer:
    in_a_week = timezone.now() + timedelta(days=7)
    return Offer("wallet", 500, None, 1, in_a_week, "Conference")._replace(**changes)


def make(people: People, count: int = 1, **changes: Any) -> list[str]:
    return make_codes(offer(**changes), count, operation_id=uuid7(), actor=people.olga)


def use(people: People, text: str, **changes: Any) -> Redemption:
    values: dict[str, Any] = {"operation_id": uuid7(), "actor": people.alice, **changes}
    return redeem(text, values.pop("group", people.group), **values)


def balances(people: People) -> tuple[int, int]:
    """Pool and wallet."""
    pool = Account.objects.pool_of(people.organization).balance_nanos
    return pool, Account.objects.wallet_of(people.group).balance_nanos


# The code itself


def test_a_code_is_kept_as_an_hmac_and_its_last_four_characters(people: People) -> None:
    [text] = make(people)
    row = Code.objects.get()
    assert row.last_four == text[-4:]
    assert bytes(row.digest) == codes.digest(text.replace("-", ""))
    with connection.cursor() as cursor:
        cursor.execute("SELECT row_to_json(c)::text FROM billing_code c")
        kept = cursor.fetchone()[0]
    assert text not in kept
    assert text.replace("-", "") not in kept


def test_codes_have_80_random_bits() -> None:
    texts = {codes.mint_code() for _ in range(200)}
    assert len(texts) == 200
    for text in texts:
        assert [len(part) for part in text.split("-")] == [4, 4, 4, 4]
    assert {symbol for text in texts for symbol in text} - {"-"} == set(codes.ALPHABET)
    assert len(codes.ALPHABET) ** codes.LENGTH == 2**80


@pytest.mark.parametrize(
    "typed",
    [
        "0123-4567-89AB-CDEF",
        " 0123456789abcdef ",
        "o123 4567 89ab cdef",
        "oi23–4567—89AB‑CDEF",
        "0l23-4567-89ab-cdef",
        "０１２３-４５６７-８９ＡＢ-ＣＤＥＦ",
    ],
)
def test_a_code_is_read_as_people_type_it(typed: str) -> None:
    assert normalize(typed) == "0123456789ABCDEF"


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "0123-4567-89AB-CDE",
        "0123-4567-89AB-CDEFG",
        "0123-4567-89AB-CDEU",
        "٠١٢٣-٤٥٦٧-89AB-CDEF",
        "0123-4567-89AB-CDÉF",
        "0123\x00456789ABCDEF",
        "A" * 1_000_000,
        "' OR 1=1 --",
    ],
)
def test_what_cannot_be_a_code_is_none(typed: str) -> None:
    assert normalize(typed) is None


# What it brings


@pytest.mark.parametrize(
    ("kind", "expected"), [("wallet", (0, 500)), ("pool", (500, 0)), ("promotion", (0, 500))]
)
def test_a_code_brings_what_it_promised(
    people: People, kind: str, expected: tuple[int, int]
) -> None:
    days = 30 if kind == "promotion" else None
    [text] = make(people, kind=kind, days=days)
    redemption = use(people, text)
    assert balances(people) == expected
    transfer = Transfer.objects.get(pk=redemption.pk)
    assert (transfer.amount_nanos, transfer.actor_id) == (500, people.alice.pk)
    assert transfer.reason == f"code …{text[-4:]}"
    running = promotions.read_promotions(Account.objects.wallet_of(people.group))
    assert [one.remaining_nanos for one in running] == ([500] if kind == "promotion" else [])
    if running:
        assert timedelta(days=29) < running[0].expires_at - timezone.now() <= timedelta(days=30)
    line = Change.objects.get(verb="code.redeemed")
    assert (line.actor, line.group_id) == (people.alice, people.group.pk)
    assert {name: n for name, n in count_violations(INVARIANTS).items() if n} == {}


def test_making_codes_leaves_a_line_without_the_codes(people: People) -> None:
    [text] = make(people)
    line = Change.objects.get(verb="codes.made")
    assert (line.after["count"], line.after["amount_nanos"]) == (1, 500)
    assert text not in str(line.after)


def test_a_batch_that_is_sent_twice_is_made_once(people: People) -> None:
    operation_id = uuid7()
    make_codes(offer(), 3, operation_id=operation_id, actor=people.olga)
    with pytest.raises(OperationConflict):
        make_codes(offer(), 3, operation_id=operation_id, actor=people.olga)
    assert (CodeBatch.objects.count(), Code.objects.count()) == (1, 3)


@pytest.mark.parametrize("count", [0, -1, codes.CODES_MAX + 1])
def test_a_batch_has_a_sensible_number_of_codes(people: People, count: int) -> None:
    with pytest.raises(ValueError, match="1 to 1000"):
        make(people, count)


# How often


def test_an_organization_uses_a_code_once_whichever_of_its_groups(people: People) -> None:
    [text] = make(people, uses_max=5)
    use(people, text)
    second = create_group(people.organization, "Second", people.alice)
    with pytest.raises(CodeRedeemedBefore):
        use(people, text, group=second)
    use(people, text, group=people.foreign_group, actor=people.charlie)
    assert Code.objects.get().uses == 2
    assert balances(people) == (0, 500)


def test_the_same_form_redeems_once(people: People) -> None:
    first, second = make(people, 2)
    operation_id = uuid7()
    redemption = use(people, first, operation_id=operation_id)
    assert use(people, first, operation_id=operation_id) == redemption
    assert use(people, second, operation_id=operation_id) == redemption
    assert balances(people) == (0, 500)
    with pytest.raises(OperationConflict):
        use(people, second, operation_id=operation_id, actor=people.olga)


@pytest.mark.parametrize("reason", ["unknown", "expired", "used up", "disabled", "malformed"])
def test_a_code_that_cannot_be_redeemed_is_refused_without_a_reason(
    people: People, reason: str
) -> None:
    text = refused_code(people, reason)
    with pytest.raises(CodeRefused) as refusal:
        use(people, text)
    assert str(refusal.value) == ""
    assert balances(people) == (0, 0)
    assert WrongCode.objects.get().user == people.alice


def refused_code(people: People, reason: str) -> str:
    if reason == "unknown":
        return codes.mint_code()
    if reason == "malformed":
        return "not a code"
    past = timezone.now() - timedelta(seconds=1)
    [text] = make(people, valid_until=past if reason == "expired" else offer().valid_until)
    if reason == "used up":
        use(people, text, group=people.foreign_group, actor=people.charlie)
    if reason == "disabled":
        codes.disable_codes(CodeBatch.objects.get(), people.olga)
    return text


def test_disabling_one_code_leaves_the_others(people: People) -> None:
    first, second = make(people, 2)
    batch = CodeBatch.objects.get()
    code = Code.objects.get(last_four=first[-4:])
    assert codes.disable_codes(batch, people.olga, code) == 1
    assert codes.disable_codes(batch, people.olga, code) == 0
    with pytest.raises(CodeRefused):
        use(people, first)
    use(people, second)
    line = Change.objects.get(verb="codes.disabled")
    assert line.after == {"disabled": 1, "last_four": code.last_four}


# Guessing


def test_after_ten_wrong_codes_not_even_a_good_one_is_looked_at(people: People) -> None:
    [text] = make(people)
    for _ in range(codes.GUESSES_MAX):
        with pytest.raises(CodeRefused):
            use(people, codes.mint_code())
    with pytest.raises(TooManyGuesses):
        use(people, text)
    assert WrongCode.objects.count() == codes.GUESSES_MAX, "what is not looked at is no guess"
    use(people, text, group=people.foreign_group, actor=people.charlie)


def test_an_hour_later_he_may_try_again(people: People) -> None:
    [text] = make(people)
    hour_ago = timezone.now() - codes.GUESSING - timedelta(seconds=1)
    WrongCode.objects.bulk_create(
        WrongCode(user=people.alice, tried_at=hour_ago) for _ in range(codes.GUESSES_MAX)
    )
    use(people, text)
    assert balances(people) == (0, 500)


def test_a_code_that_was_redeemed_before_is_no_guess(people: People) -> None:
    [text] = make(people)
    use(people, text)
    for _ in range(codes.GUESSES_MAX + 1):
        with pytest.raises(CodeRedeemedBefore):
            use(people, text)
    assert not WrongCode.objects.exists()


def test_guesses_are_forgotten_after_a_day(people: People) -> None:
    for hours in (1, 23, 25):
        tried_at = timezone.now() - timedelta(hours=hours)
        WrongCode.objects.create(user=people.alice, tried_at=tried_at)
    assert forget_wrong_codes() == 1
    assert WrongCode.objects.count() == 2


# What PostgreSQL guards


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE billing_code SET uses = 2",
        "UPDATE billing_code SET uses = 0",
        "UPDATE billing_code SET uses_max = 9",
        "DELETE FROM billing_code",
        "UPDATE billing_codebatch SET amount_nanos = 1",
        "UPDATE billing_redemption SET organization_id = gen_random_uuid()",
        "DELETE FROM billing_redemption",
    ],
)
def test_no_program_goes_round_the_rules(people: People, change: str) -> None:
    [text] = make(people)
    use(people, text)
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(change)


def test_a_redemption_that_the_ledger_refuses_leaves_nothing(people: People) -> None:
    [text] = make(people)
    operation_id = uuid4()
    Transfer.objects.create(
        id=operation_id,
        kind="deposit",
        debit_account=Account.objects.get(organization=people.organization, kind="deposits"),
        credit_account=Account.objects.pool_of(people.organization),
        amount_nanos=7,
    )
    with pytest.raises(OperationConflict):
        use(people, text, operation_id=operation_id)
    assert Code.objects.get().uses == 0
    assert not Redemption.objects.exists()
