"""What people type about money."""

import re
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from billing.models import NANOS_MAX
from billing.money import parse_usd

_GROUPED = re.compile(r"[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?")
_PLAIN = re.compile(r"[0-9]*\.?[0-9]+")


class AmountInput(forms.TextInput):
    """Where an amount is typed; more attributes may be given."""

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        usual = {"maxlength": 40, "inputmode": "decimal", "autocomplete": "off"}
        super().__init__(usual | {"placeholder": "0.00"} | (attrs or {}))


class UsdField(forms.CharField):
    """A positive amount in US dollars as people write it: `12.50`, `$1,000`. Its value is nano-dollars."""

    default_error_messages: ClassVar[dict[str, Any]] = {
        "malformed": _("Write an amount in US dollars, such as 12.50."),
        "not_positive": _("The amount must be above zero."),
        "too_fine": _("An amount has at most nine decimals."),
        "too_large": _("This is more than an account can hold."),
    }

    def to_python(self, value: object) -> Any:
        text = (super().to_python(value) or "").removeprefix("$").strip()
        if not text:
            return None
        if text.startswith(("-", "−")):
            raise ValidationError(self.error_messages["not_positive"], "not_positive")
        if _GROUPED.fullmatch(text):
            text = text.replace(",", "")
        if not _PLAIN.fullmatch(text) or not text.isascii():
            raise ValidationError(self.error_messages["malformed"], "malformed")
        return self._nanos(f"0{text}" if text.startswith(".") else text)

    def _nanos(self, text: str) -> int:
        if len(text.partition(".")[2].rstrip("0")) > 9:
            raise ValidationError(self.error_messages["too_fine"], "too_fine")
        whole, dot, fraction = text.partition(".")
        try:
            nanos = parse_usd(f"{whole}{dot}{fraction[:9]}")
        except ValueError as error:
            raise ValidationError(self.error_messages["too_large"], "too_large") from error
        if nanos == 0:
            raise ValidationError(self.error_messages["not_positive"], "not_positive")
        if nanos >= NANOS_MAX:
            raise ValidationError(self.error_messages["too_large"], "too_large")
        return nanos

    def has_changed(self, initial: object, data: object) -> bool:
        return bool(data)


class OrganizationFilterForm(forms.Form):
    """Finds an organization by a part of its name."""

    name = forms.CharField(
        label=_("Name"),
        required=False,
        max_length=120,
        widget=forms.SearchInput(),
    )
