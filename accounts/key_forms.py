"""What people type about a key: its name, when it ends, and from where it may be used."""

import ipaddress
from datetime import date, datetime, time, timedelta
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from accounts import dates
from accounts.forms import one_line
from accounts.models import APIKey

STAYS, NEVER, ON_A_DAY = "stays", "never", "day"
DAYS = (7, 30, 90)


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


class ExpiryForm(forms.Form):
    """When something ends: `expires_at` in the cleaned data, None for never.

    A number of days counts from now; a day ends with its last moment in the viewer's zone. `current` is what is set
    already: it stays unless something else is chosen.
    """

    expiry = forms.ChoiceField(label=_("Expiry"), widget=forms.RadioSelect)
    last_day = forms.DateField(
        label=_("Last day"),
        required=False,
        input_formats=["%Y-%m-%d"],
        help_text=_("It stops at the end of that day in your time zone."),
        widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}),
    )

    def __init__(self, *args: Any, current: datetime | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.current = current
        fields: Any = self.fields
        fields["expiry"].choices = list(self._choices())
        fields["expiry"].initial = STAYS if current else NEVER
        fields["last_day"].widget.attrs["min"] = timezone.localdate().isoformat()

    def _choices(self) -> Any:
        if self.current:
            yield STAYS, dates.minute(self.current)
        yield NEVER, _("Never")
        for days in DAYS:
            yield str(days), ngettext("%(count)d day", "%(count)d days", days) % {"count": days}
        yield ON_A_DAY, _("On a day")

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if "expiry" in cleaned and "last_day" in cleaned:
            try:
                cleaned["expires_at"] = self._moment(cleaned["expiry"], cleaned["last_day"])
            except ValidationError as error:
                self.add_error("last_day", error)
        return cleaned

    def _moment(self, expiry: str, last_day: date | None) -> datetime | None:
        if expiry == STAYS:
            return self.current
        if expiry == NEVER:
            return None
        if expiry != ON_A_DAY:
            return timezone.now() + timedelta(days=int(expiry))
        if last_day is None:
            raise ValidationError(_("Choose the day."))
        if last_day < timezone.localdate():
            raise ValidationError(_("That day is over."))
        try:
            return timezone.make_aware(datetime.combine(last_day + timedelta(days=1), time.min))
        except (OverflowError, ValueError):
            raise ValidationError(_("That day is too far away.")) from None


class NetworksField(forms.CharField):
    """Addresses and networks, one a line; its value is the list of their texts. Errors name the line."""

    widget = forms.Textarea

    def to_python(self, value: object) -> Any:
        networks = []
        for number, line in enumerate((super().to_python(value) or "").splitlines(), 1):
            text = line.strip()
            if not text:
                continue
            try:
                ipaddress.ip_network(text, strict=False)
            except ValueError:
                raise ValidationError(
                    _("Line %(line)d: “%(text)s” is no address and no network."),
                    params={"line": number, "text": text[:60]},
                ) from None
            networks.append(text)
        return networks

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value
