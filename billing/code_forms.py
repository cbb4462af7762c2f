"""What operators type to make redeem codes."""

from datetime import datetime, time, timedelta
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from billing import codes
from billing.forms import AmountInput, UsdField
from billing.move_forms import DAYS_MAX
from billing.promotion_models import CodeBatch

USES_MAX = 100_000


class CodesForm(forms.Form):
    """A batch of codes; its `offer` is what each of them gives."""

    note = forms.CharField(
        label=_("Note"),
        max_length=CodeBatch._meta.get_field("note").max_length,
        help_text=_("What the codes are for. Only operators see it."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "autofocus": True}),
    )
    amount = UsdField(
        label=_("Amount of each redemption"),
        widget=AmountInput(),
    )
    kind = forms.ChoiceField(
        label=_("Kind"), choices=CodeBatch.Kind.choices, widget=forms.RadioSelect, initial="wallet"
    )
    days = forms.IntegerField(
        label=_("Days until they expire"),
        required=False,
        min_value=1,
        max_value=DAYS_MAX,
        help_text=_("Counted from the redemption. Only promotional credits expire."),
        widget=forms.NumberInput(attrs={"autocomplete": "off"}),
    )
    count = forms.IntegerField(
        label=_("How many codes"), min_value=1, max_value=codes.CODES_MAX, initial=1
    )
    uses = forms.IntegerField(
        label=_("Uses of each code"),
        min_value=1,
        max_value=USES_MAX,
        initial=1,
        help_text=_("An organization can use a code once."),
    )
    valid_until = forms.DateField(
        label=_("Can be redeemed until the end of"),
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        input_formats=["%Y-%m-%d"],
        error_messages={"invalid": _("Write a date such as 2027-01-31.")},
    )
    operation_id = forms.UUIDField(widget=forms.HiddenInput)

    def clean_valid_until(self) -> datetime:
        day = self.cleaned_data["valid_until"]
        today = timezone.localdate()
        if day < today:
            raise ValidationError(_("This day is over."), "past")
        if day > today + timedelta(days=DAYS_MAX):
            raise ValidationError(_("Choose a day in the next ten years."), "far")
        return timezone.make_aware(datetime.combine(day, time.max))

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if cleaned.get("kind") != CodeBatch.Kind.PROMOTION:
            cleaned["days"] = None
        elif "days" in cleaned and cleaned["days"] is None:
            self.add_error("days", _("Say after how many days they expire."))
        return cleaned

    def offer(self) -> codes.Offer:
        """What the valid form says."""
        values = self.cleaned_data
        return codes.Offer(
            kind=values["kind"],
            amount_nanos=values["amount"],
            days=values["days"],
            uses_max=values["uses"],
            valid_until=values["valid_until"],
            note=values["note"],
        )
