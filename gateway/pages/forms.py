"""Which calls to show."""

from datetime import datetime, time, timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.http import QueryDict
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.models import APIKey, Group
from gateway.models import CallRecord
from gateway.pages.history import CallFilter, recent_models

SPANS = {"24h": timedelta(hours=24), "7d": timedelta(days=7), "30d": timedelta(days=30)}
CUSTOM = "custom"
PERIODS = [
    ("", _("Any time")),
    ("today", _("Today")),
    ("24h", _("Last 24 hours")),
    ("7d", _("Last 7 days")),
    ("30d", _("Last 30 days")),
    (CUSTOM, _("From … to …")),
]


def encode_query(query: dict[str, str]) -> str:
    """The query as it stands in a URL."""
    encoded = QueryDict(mutable=True)
    encoded.update(query)
    return encoded.urlencode()


class GroupFilterForm(forms.Form):
    """Filters of a list of one group as they stand in the URL; among them are always its keys and `models`."""

    key = forms.ChoiceField(label=_("Key"), required=False)
    model = forms.ChoiceField(label=pgettext_lazy("of a provider", "Model"), required=False)

    def __init__(self, data: Any, group: Group, models: list[str]) -> None:
        super().__init__(data, auto_id="filter_%s")
        keys = APIKey.objects.filter(group=group).values_list("pk", "name")
        asked = self.data.get("model", "")
        if asked and asked not in models:
            models = [*models, asked]  # an old link may name one that was not called lately
        fields = self.fields
        fields["key"].choices = [("", _("Any key")), *((str(pk), name) for pk, name in keys)]  # type: ignore[attr-defined]
        fields["model"].choices = [("", _("Any model")), *((name, name) for name in models)]  # type: ignore[attr-defined]

    def query(self) -> dict[str, str]:
        """What must stand in the URL to show the same again: nothing that is empty."""
        return {name: self.data[name] for name in self.fields if self.data.get(name)}


class CallFilterForm(GroupFilterForm):
    """The filters of the call history. `wanted()` is what they mean."""

    field_order = ("source", "key", "model", "status", "period", "since", "until")
    source = forms.ChoiceField(
        required=False, choices=[("", ""), *CallRecord.Source.choices], widget=forms.HiddenInput
    )
    status = forms.ChoiceField(
        label=_("Status"),
        required=False,
        choices=[("", _("Any status")), *CallRecord.Status.choices],
    )
    period = forms.ChoiceField(label=_("Time"), required=False, choices=PERIODS)
    since = forms.DateTimeField(label=_("From"), required=False)
    until = forms.DateTimeField(label=_("To (before)"), required=False)

    def __init__(self, data: Any, group: Group) -> None:
        super().__init__(data, group, recent_models(group))
        fields = self.fields
        for name in ("since", "until"):
            fields[name].widget = forms.DateTimeInput(
                format="%Y-%m-%dT%H:%M", attrs={"type": "datetime-local"}
            )

    @property
    def is_custom(self) -> bool:
        return bool(self.data.get("period") == CUSTOM)

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        since, until = cleaned.get("since"), cleaned.get("until")
        if self.is_custom and since and until and since >= until:
            self.add_error("until", _("This must be later than the beginning."))
        return cleaned

    def wanted(self, now: datetime) -> CallFilter:
        """The filter at the moment `now`. For a valid form."""
        values = self.cleaned_data
        since, until = self._span(now)
        return CallFilter(
            source=values["source"],
            key_id=UUID(values["key"]) if values["key"] else None,
            model=values["model"],
            status=values["status"],
            since=since,
            until=until,
        )

    def _span(self, now: datetime) -> tuple[datetime | None, datetime | None]:
        period = self.cleaned_data["period"]
        if period == CUSTOM:
            return self.cleaned_data["since"], self.cleaned_data["until"]
        if period == "today":
            return timezone.make_aware(datetime.combine(timezone.localdate(now), time.min)), None
        return (now - SPANS[period], None) if period in SPANS else (None, None)

    def query(self) -> dict[str, str]:
        """What must stand in the URL to show the same again: nothing that is empty."""
        query = super().query()
        spans = () if self.is_custom else ("since", "until")
        return {name: value for name, value in query.items() if name not in spans}


class MonthForm(forms.Form):
    """A month as `2026-11`."""

    month = forms.RegexField(r"^[0-9]{4}-(0[1-9]|1[0-2])$")

    def first_day(self) -> datetime | None:
        """Midnight of the first in the viewer's zone; None for anything that is not a month of our era."""
        if not self.is_valid():
            return None
        year, month = map(int, self.cleaned_data["month"].split("-"))
        return timezone.make_aware(datetime(year, month, 1)) if 2000 <= year <= 2999 else None  # noqa: DTZ001
