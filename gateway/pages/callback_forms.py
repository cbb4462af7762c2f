"""Where to send a test."""

from django import forms
from django.utils.translation import gettext_lazy as _

from gateway.addresses import URL_LENGTH_MAX, UnsafeAddress, check_url
from gateway.deliveries import address_policy
from gateway.pages.outbound_words import OUTBOUND_TEXTS


class CallbackTestForm(forms.Form):
    """An address that may be called. Its name is not resolved here: the sender does that."""

    url = forms.CharField(
        label=_("Address"),
        max_length=URL_LENGTH_MAX,
        widget=forms.URLInput(
            attrs={
                "placeholder": "https://example.com/hooks/tollgate",
                "autocomplete": "url",
                "spellcheck": "false",
            }
        ),
    )

    def clean_url(self) -> str:
        url: str = self.cleaned_data["url"]
        try:
            check_url(url, address_policy())
        except UnsafeAddress as error:
            raise forms.ValidationError(OUTBOUND_TEXTS.say(str(error))) from None
        return url
