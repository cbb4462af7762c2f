"""What people type when they come in, and what a name is."""

import unicodedata

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from accounts.models import Group, Organization


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
