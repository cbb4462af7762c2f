"""Which transfers to list, and of when to tell the balance."""

import re
from typing import Any
from uuid import UUID

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from billing.forms import UsdField
from billing.models import Account, Transfer
from billing.transfers import INCOMING, OUTGOING, TransferFilter, people_in

CUSTOM = "custom"
PERIODS = [
    ("", _("Any time")),
    ("24h", _("Last 24 hours")),
    ("7d", _("Last 7 days")),
    ("30d", _("Last 30 days")),
    (CUSTOM, _("From … to …")),
]
VIEWS = [("", pgettext_lazy("calls", "One by one")), ("days", pgettext_lazy("calls", "Per day"))]
_ID = re.compile(r"(?:call_|tsk_|transfer_)?([0-9a-f]{32})", re.IGNORECASE)


class MinuteField(forms.DateTimeField):
    """A moment in the viewer's zone, to the minute."""

    widget = forms.DateTimeInput(format="%Y-%m-%dT%H:%M", attrs={"type": "datetime-local"})


class TransferFilterForm(forms.Form):
    """The filters of a list of transfers as they stand in the URL. `wanted()` is what they mean."""

    view = forms.ChoiceField(required=False, choices=VIEWS, widget=forms.HiddenInput)
    kind = forms.ChoiceField(
        label=_("Kind"), required=False, choices=[("", _("Every kind")), *Transfer.Kind.choices]
    )
    direction = forms.ChoiceField(
        label=_("Direction"),
        required=False,
        choices=[("", _("In and out")), (INCOMING, _("In")), (OUTGOING, _("Out"))],
    )
    person = forms.ChoiceField(label=_("Person"), required=False)
    period = forms.ChoiceField(label=_("Time"), required=False, choices=PERIODS)
    since = MinuteField(label=_("From"), required=False)
    until = MinuteField(label=_("To (before)"), required=False)
    least = UsdField(
        label=_("Amount at least"),
        required=False,
        widget=forms.TextInput(
            attrs={"inputmode": "decimal", "maxlength": 40, "placeholder": _("At least $")}
        ),
    )
    search = forms.CharField(
        label=_("Search"),
        required=False,
        max_length=120,
        widget=forms.TextInput(attrs={"type": "search", "placeholder": _("Call ID or reason")}),
    )

    def __init__(self, data: Any, account: Account) -> None:
        super().__init__(data, auto_id="filter_%s")
        people = [(str(pk), name) for pk, name in people_in(account)]
        self.fields["person"].choices = [("", _("Anybody")), *people]  # type: ignore[attr-defined]

    @property
    def is_custom(self) -> bool:
        return bool(self.data.get("period") == CUSTOM)

    @property
    def by_day(self) -> bool:
        return bool(self.data.get("view") == "days")

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        since, until = values.get("since"), values.get("until")
        if values.get("period") == CUSTOM and since and until and since >= until:
            self.add_error("until", _("The end must be after the beginning."))
        return values

    def wanted(self, spans: dict[str, Any]) -> TransferFilter:
        """What the valid form asks for; `spans` are the beginnings of the periods that end now."""
        values = self.cleaned_data
        is_custom = values["period"] == CUSTOM
        found = _ID.fullmatch(values["search"].strip().replace("-", ""))
        return TransferFilter(
            kind=values["kind"],
            actor_id=int(values["person"]) if values["person"] else None,
            direction=values["direction"],
            least_nanos=values["least"] or 0,
            since=values["since"] if is_custom else spans.get(values["period"]),
            until=values["until"] if is_custom else None,
            reason="" if found else values["search"].strip(),
            id=UUID(hex=found[1]) if found else None,
            by_day=values["view"] == "days" and not found,
        )

    def query(self) -> dict[str, str]:
        """What must stand in the URL to show the same again: nothing that is empty."""
        return {name: self.data[name] for name in self.fields if self.data.get(name)}


class BalanceAtForm(forms.Form):
    """A moment of the past."""

    at = MinuteField(
        label=_("Balance as of"),
        error_messages={"invalid": _("Choose a date and a time.")},
    )

    def __init__(self, data: Any) -> None:
        super().__init__(data, auto_id="balance_%s")


def encode_query(query: dict[str, str]) -> str:
    """The query as it stands in a URL."""
    encoded = QueryDict(mutable=True)
    encoded.update(query)
    return encoded.urlencode()
