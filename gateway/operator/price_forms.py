"""What operators type about models and prices."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.models import Group
from billing.models import Price, PriceRate
from billing.money import format_usd
from billing.picture_pricing import parse_bucket
from billing.price_book import BUCKETS, PriceEntry
from billing.pricing import MAX_SELL_BPS, Rate, RateTable
from gateway.models import Model
from gateway.operator.fields import MomentField, PercentField, RateField, percent_text
from gateway.operator.price_services import ModelFacts

BUCKET_UNITS = {bucket.name: bucket.per for bucket in BUCKETS}
ROWS_MAX = 200
SORTS = {
    "name": _("Name"),
    "list": _("List price"),
    "price": _("Your price"),
    "margin": _("Margin"),
    "since": _("Since"),
}


class BookFilterForm(forms.Form):
    """Which models to list, and in which order; a minus turns the order round."""

    q = forms.CharField(
        label=_("Find"),
        required=False,
        max_length=120,
        widget=forms.SearchInput(),
    )
    provider = forms.ChoiceField(label=_("Provider"), required=False)
    state = forms.ChoiceField(
        label=_("State"),
        required=False,
        choices=[
            ("", _("Any state")),
            ("callable", _("Can be called")),
            ("unpriced", _("Without a price")),
            ("unserved", _("Without a channel")),
            ("disabled", _("Disabled")),
            ("loss", _("Sold below cost")),
            ("upcoming", _("Price to come")),
        ],
    )
    sort = forms.ChoiceField(
        required=False,
        choices=[("", ""), *((f"{sign}{name}", name) for name in SORTS for sign in ("", "-"))],
        widget=forms.HiddenInput,
    )

    def __init__(self, data: Any, providers: Iterable[tuple[str, str]]) -> None:
        super().__init__(data, auto_id="filter_%s")
        self.fields["provider"].choices = [("", _("Any provider")), *providers]  # type: ignore[attr-defined]


class FactsForm(forms.ModelForm):  # type: ignore[type-arg]
    """What a model is called and whether it can be called."""

    alias_text = forms.CharField(
        label=_("Aliases"),
        required=False,
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
        help_text=_("One on each line: callers may name the model by any of them."),
    )

    class Meta:
        model = Model
        fields = (
            "is_enabled",
            "upstream_name",
            "context_length",
            "max_completion_tokens",
            "retires_on",
        )
        labels = {
            "is_enabled": _("Can be called"),
            "upstream_name": _("What the provider calls it"),
            "context_length": _("Input tokens at most"),
            "max_completion_tokens": _("Output tokens at most"),
            "retires_on": _("The provider retires it on"),
        }
        widgets = {"retires_on": forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"})}

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.initial["alias_text"] = "\n".join(self.instance.aliases)

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        for name in ("context_length", "max_completion_tokens"):
            if cleaned.get(name) is not None and cleaned[name] <= 0:
                self.add_error(name, _("A positive number, or nothing where it is not known."))
        return cleaned

    @property
    def facts(self) -> ModelFacts:
        """What was typed. For a valid form."""
        values = self.cleaned_data
        return ModelFacts(
            is_enabled=values["is_enabled"],
            upstream_name=values["upstream_name"],
            aliases=values["alias_text"].split(),
            context_length=values["context_length"],
            max_completion_tokens=values["max_completion_tokens"],
            retires_on=values["retires_on"],
        )


class GroupField(forms.CharField):
    """A group by its id, or as `organization / group`. Its value is the group, None for everybody."""

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        if not text:
            return None
        found = list(self._find(text)[:2])
        if not found:
            raise ValidationError(_("There is no such group."), "unknown")
        if len(found) > 1:
            raise ValidationError(_("Several groups are called so: name it by its id."), "several")
        return found[0]

    def _find(self, text: str) -> Any:
        groups = Group.objects.select_related("organization")
        try:
            return groups.filter(pk=UUID(text))
        except ValueError:
            organization, slash, name = (part.strip() for part in text.rpartition("/"))
        if slash:
            return groups.filter(organization__name=organization, name=name)
        return groups.filter(name=name)


class PriceForm(forms.Form):
    """A dated price, without its rates."""

    effective_from = MomentField(
        label=_("From"), help_text=_("In your time zone. It must be still to come.")
    )
    sell_bps = PercentField(
        label=_("Share of list price, in %"),
        bps_max=MAX_SELL_BPS,
        help_text=_("What callers pay: 50 is half of list."),
    )
    group = GroupField(
        label=_("For one group alone"),
        required=False,
        max_length=300,
        help_text=_("Organization / group, or the group’s id. Empty: for everybody."),
        widget=forms.TextInput(attrs={"list": "groups", "autocomplete": "off"}),
    )
    source = forms.CharField(
        label=pgettext_lazy("of a price", "Source"),
        max_length=Price._meta.get_field("source").max_length,
        required=False,
        help_text=_("Where the list price was read."),
    )
    list_is_estimated = forms.BooleanField(
        label=_("The list price is an estimate of ours"), required=False
    )
    previewed = forms.CharField(required=False, widget=forms.HiddenInput)


class RateForm(forms.Form):
    """One rate. A row without a bucket or without a list price is left out."""

    tier = forms.ChoiceField(label=_("Tier"), choices=PriceRate.Tier.choices)
    above = forms.IntegerField(
        label=_("Above input tokens"), required=False, min_value=0, max_value=10**12, initial=0
    )
    bucket = forms.CharField(
        label=_("Bucket"),
        required=False,
        max_length=32,
        widget=forms.TextInput(
            attrs={"list": "buckets", "autocomplete": "off", "spellcheck": "false"}
        ),
    )
    list_nanos = RateField(label=_("List price, USD"), required=False)
    sell_bps = PercentField(label=_("Own share, %"), bps_max=MAX_SELL_BPS, required=False)

    def clean_bucket(self) -> str:
        name: str = self.cleaned_data["bucket"].strip()
        if name and name not in BUCKET_UNITS and parse_bucket(name) is None:
            raise ValidationError(_("This cannot have a rate."))
        return name

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        has_price = cleaned.get("list_nanos") is not None
        if has_price and not cleaned.get("bucket") and "bucket" not in self.errors:
            self.add_error("bucket", _("What has this price?"))
        return cleaned


class RateFormSet(forms.BaseFormSet):  # type: ignore[type-arg]
    """The rates of a price as rows."""

    def clean(self) -> None:
        if any(self.errors):
            return
        seen = set()
        for form in self.forms:
            values = form.cleaned_data
            if not self._counts(form):
                continue
            place = (values["tier"], values["above"] or 0, values["bucket"])
            if place in seen:
                form.add_error("bucket", _("This stands here twice."))
            seen.add(place)

    @staticmethod
    def _counts(form: Any) -> bool:
        return bool(form.cleaned_data) and form.cleaned_data.get("list_nanos") is not None

    def tables(self, sell_bps: int) -> tuple[RateTable, ...]:
        """What the rows say, at that share where a row has none of its own."""
        tables: dict[tuple[Any, int], dict[str, Rate]] = {}
        for form in self.forms:
            if not self._counts(form):
                continue
            values = form.cleaned_data
            share = sell_bps if values["sell_bps"] is None else values["sell_bps"]
            per = BUCKET_UNITS.get(values["bucket"], 1)
            rates = tables.setdefault((values["tier"], values["above"] or 0), {})
            rates[values["bucket"]] = Rate(values["list_nanos"], per, share)
        return tuple(
            RateTable(tier, above, rates) for (tier, above), rates in sorted(tables.items())
        )


def rate_rows(data: Any, start: Price | None, blank: int) -> RateFormSet:
    """The rates of the price to start from as forms, with so many blank rows below."""
    made = forms.formset_factory(
        RateForm, formset=RateFormSet, extra=blank, max_num=ROWS_MAX, validate_max=True
    )
    order = {"standard": 0, "flex": 1, "priority": 2}
    rates = sorted(
        start.rates.all() if start else (),
        key=lambda r: (
            order[r.tier],
            r.above_input_tokens,
            list(BUCKET_UNITS).index(r.bucket) if r.bucket in BUCKET_UNITS else 99,
            r.list_nanos,
        ),
    )
    rows = [
        {
            "tier": rate.tier,
            "above": rate.above_input_tokens,
            "bucket": rate.bucket,
            "list_nanos": format_usd(rate.list_nanos),
            "sell_bps": "" if rate.sell_bps is None else percent_text(rate.sell_bps),
        }
        for rate in rates
    ]
    return made(data, initial=rows, prefix="rate")  # type: ignore[return-value]


def read_entry(form: PriceForm, rows: RateFormSet) -> PriceEntry:
    """The price that was typed. For valid forms."""
    values = form.cleaned_data
    return PriceEntry(
        effective_from=values["effective_from"],
        sell_bps=values["sell_bps"],
        list_is_estimated=values["list_is_estimated"],
        source=values["source"],
        tables=rows.tables(values["sell_bps"]),
    )


class BookForm(forms.Form):
    """A price book to bring in: as a file first, as its text once its effect was shown."""

    file = forms.FileField(
        label=_("Price book"),
        required=False,
        allow_empty_file=True,
        help_text=_("JSON in the format of the book that ships with Tollgate, 1 MB at most."),
        widget=forms.FileInput(attrs={"accept": "application/json,.json"}),
    )
    text = forms.CharField(required=False, widget=forms.HiddenInput, strip=False)
    plan = forms.CharField(required=False, widget=forms.HiddenInput)
    BYTES_MAX = 1_000_000

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        upload = cleaned.get("file")
        if upload is not None:
            if upload.size > self.BYTES_MAX:
                raise ValidationError(_("This is more than 1 MB."))
            try:
                cleaned["text"] = upload.read().decode()
            except UnicodeDecodeError as error:
                raise ValidationError(_("This is not a text in UTF-8.")) from error
        if not cleaned.get("text") and not self.errors:
            raise ValidationError(_("Choose a file."))
        return cleaned
