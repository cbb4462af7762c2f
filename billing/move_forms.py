"""What people type to move credits."""

from datetime import date, datetime, time, timedelta

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from billing.forms import AmountInput, UsdField
from billing.models import Transfer

DAYS_MAX = 3_650


class MoveForm(forms.Form):
    """A deposit, grant or reclaim. `operation_id` comes with the first page, so that what is sent twice moves once."""

    amount = UsdField(
        label=_("Amount"),
        widget=AmountInput({"autofocus": True}),
    )
    reason = forms.CharField(
        label=_("Reason"),
        max_length=Transfer._meta.get_field("reason").max_length,
        required=False,
        help_text=_("Everybody in the group sees it in the list of transfers."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    operation_id = forms.UUIDField(required=False, widget=forms.HiddenInput)

    @property
    def details(self) -> list[forms.BoundField]:
        """What is asked below the amount."""
        return [field for field in self.visible_fields() if field.name not in self.above]

    above: tuple[str, ...] = ("amount",)


class ConfirmedMoveForm(MoveForm):
    """The same where nothing is asked again before it is made."""

    operation_id = forms.UUIDField(widget=forms.HiddenInput)


class ReasonedMoveForm(MoveForm):
    """A refund: nobody but an operator makes it, and never without saying why."""

    reason = forms.CharField(
        label=_("Reason"),
        max_length=Transfer._meta.get_field("reason").max_length,
        help_text=_("Everybody in the group sees it in the list of transfers."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )


class AdjustForm(ReasonedMoveForm):
    """A correction of a balance in either direction."""

    direction = forms.ChoiceField(
        label=_("Direction"),
        choices=[("up", _("Add")), ("down", _("Take away"))],
        initial="up",
        widget=forms.RadioSelect,
    )
    above = ("amount", "direction")
    field_order = ("direction", "amount", "reason", "operation_id")


class PromoteForm(ReasonedMoveForm):
    """Promotional credits. The value of `expires_on` is the end of that day in the viewer's time zone."""

    expires_on = forms.DateField(
        label=_("Expires at the end of"),
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        input_formats=["%Y-%m-%d"],
        error_messages={"invalid": _("Write a date such as 2027-01-31.")},
    )
    field_order = ("amount", "expires_on", "reason", "operation_id")

    @property
    def last_day(self) -> date | None:
        """The day at whose end they expire, of a form that is valid."""
        expires_at = self.cleaned_data.get("expires_on")
        return timezone.localdate(expires_at) if expires_at else None

    def clean_expires_on(self) -> datetime:
        day = self.cleaned_data["expires_on"]
        today = timezone.localdate()
        if day < today:
            raise ValidationError(_("This day is over."), "past")
        if day > today + timedelta(days=DAYS_MAX):
            raise ValidationError(_("Choose a day in the next ten years."), "far")
        return timezone.make_aware(datetime.combine(day, time.max))


class RedeemForm(forms.Form):
    """A redeem code."""

    code = forms.CharField(
        label=_("Code"),
        max_length=100,
        widget=forms.TextInput(
            attrs={
                "autocomplete": "off",
                "autocapitalize": "characters",
                "spellcheck": "false",
                "placeholder": "XXXX-XXXX-XXXX-XXXX",
                "autofocus": True,
            }
        ),
    )
    operation_id = forms.UUIDField(widget=forms.HiddenInput)
