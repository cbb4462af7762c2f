"""Fields about money in the management API: exact texts in, exact texts out."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.api.fields import LineField
from billing.models import NANOS_MAX, Transfer
from billing.money import format_usd, parse_usd

REASON_LENGTH_MAX = Transfer._meta.get_field("reason").max_length


@extend_schema_field({"type": "string", "description": "US dollars, exactly.", "example": "12.50"})
class UsdField(serializers.Field[int, Any, str, Any]):
    """US dollars as a decimal text of up to nine decimals; its value is nano-dollars.

    Taken are positive amounts below 2**62 nano-dollars, and negative ones where `signed`. Numbers are refused: JSON
    readers make floats of them, and 0.1 is none.
    """

    default_error_messages = {
        "text": 'Write the amount as a text, such as "12.50".',
        "positive": "The amount must be above zero.",
        "zero": "The amount must not be zero.",
        "large": "This is more than an account can hold.",
    }

    def __init__(self, *, signed: bool = False, **kwargs: Any) -> None:
        self.signed = signed
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> int:
        if not isinstance(data, str):
            self.fail("text")
        try:
            nanos = parse_usd(data)
        except ValueError as error:
            raise serializers.ValidationError(str(error), "invalid") from None
        if not nanos:
            self.fail("zero" if self.signed else "positive")
        if nanos < 0 and not self.signed:
            self.fail("positive")
        if abs(nanos) >= NANOS_MAX:
            self.fail("large")
        return nanos

    def to_representation(self, value: int) -> str:
        return format_usd(value)


class ReasonField(LineField):
    """Why: one line of text that everybody sees who sees the transfer."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=REASON_LENGTH_MAX, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return str(super().to_internal_value(data))


class CountField(serializers.IntegerField):
    """A whole number; texts and fractions are refused."""

    def to_internal_value(self, data: Any) -> int:
        if type(data) is not int:
            self.fail("invalid")
        return int(super().to_internal_value(data))
