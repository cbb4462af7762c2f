"""Which calls to show."""

from collections.abc import Mapping
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.models import APIKey, Group
from billing.forms import AmountInput, UsdField
from gateway.models import CallRecord
from gateway.pages.call_search import parse_digits
from gateway.pages.history import CallFilter, called_models, error_codes

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
STREAMS = [("", _("Streamed or not")), ("yes", _("Streamed")), ("no", _("Not streamed"))]
# What `gateway.surfaces` and the endpoints of pictures write into records.
ENDPOINTS = (
    "chat/completions",
    "responses",
    "messages",
    "messages/count_tokens",
    "generateContent",
    "generateContent/count_tokens",
    "embeddings",
    "images/generations",
    "images/edits",
    "text_to_image",
    "edit_image",
    "upscale_image",
)
SIZES = (25, 50, 100)
SIZE_DEFAULT = 50
# A name longer than this was never recorded.
NAME_CHARS_MAX = 120
DURATION_MAX_S = 100_000
EARLIEST, LATEST = datetime(2000, 1, 1), datetime(2999, 12, 31)  # noqa: DTZ001 - in whatever zone

Query = Mapping[str, str | list[str]]


def encode_query(query: Query) -> str:
    """The query as it stands in a URL."""
    return urlencode(query, doseq=True)


class GroupFilterForm(forms.Form):
    """Filters of a list of one group as they stand in the URL; among them are always its keys and `models`."""

    key = forms.ChoiceField(label=_("Key"), required=False)
    model = forms.ChoiceField(label=pgettext_lazy("of a provider", "Model"), required=False)

    def __init__(self, data: Any, group: Group, models: list[str]) -> None:
        super().__init__(data, auto_id="filter_%s")
        self.keys = list(
            APIKey.objects.filter(group=group)
            .values_list("pk", "name", "created_by", "created_by__name", "created_by__email")
            .order_by("-pk")
        )
        asked = self.data.get("model", "")
        models = _with_asked(models, asked)  # an old link may name one that was not called lately
        fields = self.fields
        fields["key"].choices = [("", _("Any key")), *((str(key[0]), key[1]) for key in self.keys)]  # type: ignore[attr-defined]
        fields["model"].choices = [("", _("Any model")), *((name, name) for name in models)]  # type: ignore[attr-defined]

    def query(self) -> dict[str, Any]:
        """What must stand in the URL to show the same again: nothing that is empty."""
        return {name: self.data[name] for name in self.fields if self.data.get(name)}


def _with_asked(names: list[str], asked: str) -> list[str]:
    plain = asked and len(asked) <= NAME_CHARS_MAX and "\x00" not in asked
    return [*names, asked] if plain and asked not in names else names


class CallFilterForm(GroupFilterForm):
    """The filters of the call history. `wanted()` is what they mean."""

    field_order = (
        "source",
        "key",
        "member",
        "model",
        "status",
        "period",
        "since",
        "until",
        "endpoint",
        "stream",
        "error",
        "charge_min",
        "duration_min",
        "find",
        "size",
    )
    source = forms.ChoiceField(
        required=False, choices=[("", ""), *CallRecord.Source.choices], widget=forms.HiddenInput
    )
    member = forms.ChoiceField(label=_("Member"), required=False)
    status = forms.MultipleChoiceField(
        label=_("Status"),
        required=False,
        choices=CallRecord.Status.choices,
        widget=forms.CheckboxSelectMultiple,
    )
    period = forms.ChoiceField(label=_("Time"), required=False, choices=PERIODS)
    since = forms.DateTimeField(label=_("From"), required=False)
    until = forms.DateTimeField(label=_("To (before)"), required=False)
    endpoint = forms.ChoiceField(
        label=_("Endpoint"),
        required=False,
        choices=[("", _("Any endpoint")), *((name, f"/v1/{name}") for name in ENDPOINTS)],
    )
    stream = forms.ChoiceField(label=_("Streaming"), required=False, choices=STREAMS)
    error = forms.ChoiceField(label=_("Error code"), required=False)
    charge_min = UsdField(
        label=_("Charged at least, USD"),
        required=False,
        widget=AmountInput(),
    )
    duration_min = forms.DecimalField(
        label=_("Took at least, seconds"),
        required=False,
        min_value=Decimal("0.001"),
        max_value=DURATION_MAX_S,
        max_digits=9,
        decimal_places=3,
        localize=False,
        widget=forms.TextInput(
            attrs={"inputmode": "decimal", "autocomplete": "off", "placeholder": "0"}
        ),
    )
    find = forms.CharField(label=_("Call id"), required=False, max_length=80)
    size = forms.ChoiceField(
        label=_("Calls on a page"),
        required=False,
        choices=[(str(size), str(size)) for size in SIZES],
    )

    def __init__(self, data: Any, group: Group) -> None:
        super().__init__(data, group, called_models(group))
        fields: Any = self.fields
        members = {str(key[2]): key[3] or key[4] for key in self.keys}
        fields["member"].choices = [("", _("Any member")), *members.items()]
        codes = _with_asked(error_codes(group), self.data.get("error", ""))
        fields["error"].choices = [("", _("Any error code")), *((code, code) for code in codes)]
        for name in ("since", "until"):
            fields[name].widget = forms.DateTimeInput(
                format="%Y-%m-%dT%H:%M", attrs={"type": "datetime-local"}
            )

    @property
    def is_custom(self) -> bool:
        return bool(self.data.get("period") == CUSTOM)

    def clean_size(self) -> int:
        return int(self.cleaned_data["size"] or SIZE_DEFAULT)

    def clean_find(self) -> str:
        text = self.cleaned_data["find"].strip()
        return parse_digits(text) if text else ""

    def clean_since(self) -> datetime | None:
        return _of_our_era(self.cleaned_data["since"])

    def clean_until(self) -> datetime | None:
        return _of_our_era(self.cleaned_data["until"])

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
        took = values["duration_min"]
        return CallFilter(
            source=values["source"],
            key_ids=self._key_ids(),
            model=values["model"],
            statuses=tuple(values["status"]),
            endpoint=values["endpoint"],
            stream={"yes": True, "no": False}.get(values["stream"]),
            error_code=values["error"],
            charge_min_nanos=values["charge_min"],
            duration_min_ms=None if took is None else int(took * 1000),
            since=since,
            until=until,
            id_digits=values["find"],
        )

    def _key_ids(self) -> tuple[UUID, ...] | None:
        key, member = self.cleaned_data["key"], self.cleaned_data["member"]
        if not key and not member:
            return None
        return tuple(
            pk
            for pk, _name, owner, *_rest in self.keys
            if (not key or str(pk) == key) and (not member or str(owner) == member)
        )

    def _span(self, now: datetime) -> tuple[datetime | None, datetime | None]:
        period = self.cleaned_data["period"]
        if period == CUSTOM:
            return self.cleaned_data["since"], self.cleaned_data["until"]
        if period == "today":
            return timezone.make_aware(datetime.combine(timezone.localdate(now), time.min)), None
        return (now - SPANS[period], None) if period in SPANS else (None, None)

    def query(self) -> dict[str, Any]:
        """What must stand in the URL to show the same again: nothing that is empty, and nothing that is usual."""
        query = super().query()
        if statuses := self["status"].value():
            query["status"] = list(statuses)
        if query.get("size") == str(SIZE_DEFAULT):
            del query["size"]
        spans = () if self.is_custom else ("since", "until")
        return {name: value for name, value in query.items() if name not in spans}


def _of_our_era(moment: datetime | None) -> datetime | None:
    """The moment, unless it is so far away that its surroundings are not dates. Raises ValidationError."""
    if moment is not None and not EARLIEST < moment.replace(tzinfo=None) < LATEST:
        raise forms.ValidationError(_("Give a date between 2000 and 2999."))
    return moment
