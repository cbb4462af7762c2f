"""Amounts as people type them."""

import pytest

from billing.move_forms import ConfirmedMoveForm, MoveForm


@pytest.mark.parametrize(
    ("text", "nanos"),
    [
        ("12.50", 12_500_000_000),
        ("$12.50", 12_500_000_000),
        (" 1 ".strip(), 1_000_000_000),
        ("1,000", 1_000_000_000_000),
        ("1,234,567.89", 1_234_567_890_000_000),
        (".5", 500_000_000),
        ("0.000000001", 1),
        ("0.1000000000000", 100_000_000),
        ("007", 7_000_000_000),
    ],
)
def test_an_amount_is_exactly_what_was_typed(text: str, nanos: int) -> None:
    form = MoveForm({"amount": text})
    assert form.is_valid(), form.errors
    assert form.cleaned_data["amount"] == nanos


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "required"),
        ("$", "required"),
        ("0", "not_positive"),
        ("0.00", "not_positive"),
        ("-5", "not_positive"),
        ("−5", "not_positive"),
        ("1,5", "malformed"),
        ("12,34,567", "malformed"),
        ("1e3", "malformed"),
        ("NaN", "malformed"),
        ("١٢", "malformed"),
        ("12.", "malformed"),
        ("1 000", "malformed"),
        ("0.0000000001", "too_fine"),
        ("9" * 19, "too_large"),
        ("9" * 400, "too_large"),
        ("4611686018.427387904", "too_large"),
    ],
)
def test_anything_else_is_refused_with_its_reason(text: str, code: str) -> None:
    errors = MoveForm({"amount": text}).errors.as_data()["amount"]
    assert [error.code for error in errors] == [code]


def test_confirming_needs_the_operation_id() -> None:
    assert set(ConfirmedMoveForm({"amount": "1"}).errors) == {"operation_id"}
    assert set(ConfirmedMoveForm({"amount": "1", "operation_id": "x"}).errors) == {"operation_id"}
