"""What operators type: shares of list price, rates, moments."""

import re
from datetime import datetime
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from billing.money import parse_usd
from billing.pricing import MAX_LIST_NANOS

_PERCENT = re.compile(r"([0-9]{1,4})(?:\.([0-9]{1,2}))?")
_AMOUNT = re.compile(r"[0-9]{0,9}(\.[0-9]{1,9})?")


class PercentField(forms.CharField):
    """A share as people write it, `50` or `52.25%`. Its value is basis points."""

    default_error_messages: ClassVar[dict[str, Any]] = {
        "malformed": _("Write a percentage, such as 50 or 52.5."),
        "too_large": _("At most %(most)s %%."),
    }

    def __init__(self, *, bps_max: int, **more: Any) -> None:
        self.bps_max = bps_max
        attributes = {"maxlength": 9, "inputmode": "decimal", "autocomplete": "off"}
        super().__init__(widget=forms.TextInput(attrs=attributes), **more)

    def to_python(self, value: object) -> Any:
        text = (super().to_python(value) or "").removesuffix("%").strip()
        if not text:
            return None
        match = _PERCENT.fullmatch(text)
        if match is None:
            raise ValidationError(self.error_messages["malformed"], "malformed")
        bps = int(match[1]) * 100 + int((match[2] or "").ljust(2, "0"))
        if bps > self.bps_max:
            raise ValidationError(
                self.error_messages["too_large"], "too_large", {"most": self.bps_max // 100}
            )
        return bps


class RateField(forms.CharField):
    """A list price in US dollars, which may be zero. Its value is nano-dollars."""

    default_error_messages: ClassVar[dict[str, Any]] = {
        "malformed": _("Write a price in US dollars, such as 1.25. It cannot be negative."),
        "too_large": _("Beyond a million dollars per unit a price is a slip of the pen."),
    }

    def __init__(self, **more: Any) -> None:
        attributes = {"maxlength": 20, "inputmode": "decimal", "autocomplete": "off"}
        super().__init__(widget=forms.TextInput(attrs=attributes), **more)

    def to_python(self, value: object) -> Any:
        text = (super().to_python(value) or "").removeprefix("$").strip()
        if not text:
            return None
        if not _AMOUNT.fullmatch(text) or text == ".":
            raise ValidationError(self.error_messages["malformed"], "malformed")
        nanos = parse_usd(f"0{text}")
        if nanos > MAX_LIST_NANOS:
            raise ValidationError(self.error_messages["too_large"], "too_large")
        return nanos


class MomentField(forms.DateTimeField):
    """A minute in the viewer's zone."""

    def __init__(self, **more: Any) -> None:
        super().__init__(
            widget=forms.DateTimeInput(format="%Y-%m-%dT%H:%M", attrs={"type": "datetime-local"}),
            **more,
        )

    def clean(self, value: Any) -> datetime | None:
        cleaned: datetime | None = super().clean(value)
        return cleaned


def percent_text(bps: int) -> str:
    """Basis points as the field takes them."""
    whole, rest = divmod(bps, 100)
    return f"{whole}.{rest:02d}".rstrip("0").rstrip(".")
