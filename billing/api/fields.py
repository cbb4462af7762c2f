"""Fields about money and time in the management API: exact texts in, exact texts out."""

from datetime import UTC, datetime
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from billing.models import NANOS_MAX, Transfer
from billing.money import format_usd, parse_usd

REASON_LENGTH_MAX = Transfer._meta.get_field("reason").max_length
# Moments outside of it are no dates with some clocks, and no ids.
EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2999, 12, 31, tzinfo=UTC)


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


class MomentField(serializers.DateTimeField):
    """A moment in ISO 8601, with its zone; answered in UTC. Years are 2000 to 2999."""

    default_error_messages = {
        "zone": "The time zone is missing: write such as 2026-01-31T12:00:00Z.",
        "far": "Give a moment between 2000 and 2999.",
        "past": "This moment is over.",
    }

    def __init__(self, *, in_future: bool = False, **kwargs: Any) -> None:
        self.in_future = in_future
        super().__init__(default_timezone=UTC, **kwargs)

    def to_internal_value(self, value: Any) -> datetime:
        if not isinstance(value, str):
            self.fail("invalid", format="YYYY-MM-DDThh:mm:ssZ")
        moment: datetime = super().to_internal_value(value)
        if not EARLIEST < moment < LATEST:
            self.fail("far")
        if self.in_future and moment <= timezone.now():
            self.fail("past")
        return moment

    def enforce_timezone(self, value: datetime) -> datetime:
        if timezone.is_naive(value):
            self.fail("zone")
        return super().enforce_timezone(value)


class ReasonField(serializers.CharField):
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
