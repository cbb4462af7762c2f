"""What people type about organizations, groups and keys."""

import unicodedata
from datetime import datetime, time, timedelta
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import APIKey, Group, Organization


def one_line(text: str) -> str:
    """The name without blanks around it. Raises `ValidationError` for one with control characters in it."""
    name = text.strip()
    if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in name):
        raise ValidationError(_("A name has no line breaks or control characters."))
    return name


class OnboardingForm(forms.Form):
    """A new organization and its first group."""

    organization_name = forms.CharField(
        label=_("Organization"),
        max_length=Organization._meta.get_field("name").max_length,
        help_text=_("Your company or team. It owns the credits."),
        widget=forms.TextInput(attrs={"autocomplete": "organization", "autofocus": True}),
    )
    group_name = forms.CharField(
        label=_("First group"),
        max_length=Group._meta.get_field("name").max_length,
        help_text=_("A project or a department. Its members share one wallet; keys belong to it."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )

    def clean_organization_name(self) -> str:
        return one_line(self.cleaned_data["organization_name"])

    def clean_group_name(self) -> str:
        return one_line(self.cleaned_data["group_name"])


class GroupForm(forms.Form):
    """A new group in an organization."""

    group_name = forms.CharField(
        label=_("Name"),
        max_length=Group._meta.get_field("name").max_length,
        widget=forms.TextInput(attrs={"autocomplete": "off", "autofocus": True}),
    )

    def clean_group_name(self) -> str:
        return one_line(self.cleaned_data["group_name"])


class KeyNameForm(forms.Form):
    """What a key is called."""

    name = forms.CharField(
        label=_("Name"),
        max_length=APIKey._meta.get_field("name").max_length,
        help_text=_("What it is for, such as “ci” or “Mina’s laptop”."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "autofocus": True}),
    )

    def clean_name(self) -> str:
        return one_line(self.cleaned_data["name"])


class KeyForm(KeyNameForm):
    """A new key; `expires_at` is the end of the last day that was chosen, in the viewer's time zone."""

    last_day = forms.DateField(
        label=_("Last day"),
        required=False,
        help_text=_(
            "The key stops at the end of that day in your time zone. Leave it empty for a key that stays."
        ),
        widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["last_day"].widget.attrs["min"] = timezone.localdate().isoformat()

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        last_day = cleaned.get("last_day")
        if last_day is None:
            return cleaned | {"expires_at": None}
        if last_day < timezone.localdate():
            self.add_error("last_day", _("That day is over."))
            return cleaned
        try:
            end = datetime.combine(last_day + timedelta(days=1), time.min)
            cleaned["expires_at"] = timezone.make_aware(end)
        except (OverflowError, ValueError):
            self.add_error("last_day", _("That day is too far away."))
        return cleaned
