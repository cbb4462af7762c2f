"""Fields about prices, and fields that take only what JSON means by them."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from billing.money import format_usd, parse_usd
from billing.pricing import MAX_LIST_NANOS


@extend_schema_field({"type": "string", "description": "US dollars, exactly.", "example": "1.25"})
class RateField(serializers.Field[int, Any, str, Any]):
    """A list price in US dollars as a decimal text, which may be zero; its value is nano-dollars."""

    default_error_messages = {
        "text": 'Write the price as a text, such as "1.25".',
        "range": "A price is between 0 and a million dollars per unit.",
    }

    def to_internal_value(self, data: Any) -> int:
        if not isinstance(data, str):
            self.fail("text")
        try:
            nanos = parse_usd(data)
        except ValueError as error:
            raise serializers.ValidationError(str(error), "invalid") from None
        if not 0 <= nanos <= MAX_LIST_NANOS:
            self.fail("range")
        return nanos

    def to_representation(self, value: int) -> str:
        return format_usd(value)


class TextField(serializers.CharField):
    """A text; numbers are none."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return str(super().to_internal_value(data))


class NamesField(serializers.DictField):
    """Names of models, and what they are called elsewhere: plain text on both sides."""

    child = TextField(max_length=120)
    key = TextField(max_length=120)

    def to_internal_value(self, data: Any) -> dict[str, str]:
        names: dict[str, str] = super().to_internal_value(data)
        for name in names:
            self.key.run_validation(name)
        return names


class FlagField(serializers.BooleanField):
    """true or false, not a word for it."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data
