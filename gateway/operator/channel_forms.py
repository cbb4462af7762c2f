"""What operators type about channels."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from gateway.models import Channel, Model, Provider
from gateway.operator.fields import MomentField, PercentField, percent_text
from gateway.operator_models import COST_BPS_MAX, LIST_BPS
from gateway.providers import DIALECTS

SECRET_ATTRIBUTES = {"autocomplete": "off", "spellcheck": "false"}


class ProviderForm(forms.ModelForm):  # type: ignore[type-arg]
    """A vendor of its own, spoken to in one of the known dialects."""

    dialect = forms.ChoiceField(
        label=_("Dialect"),
        choices=[(slug, dialect.name) for slug, dialect in DIALECTS.items()],
        help_text=_("How it is spoken to. Whatever is compatible with OpenAI takes OpenAI’s."),
    )

    class Meta:
        model = Provider
        fields = ("slug", "name", "dialect", "base_url")
        labels = {"slug": _("Short name"), "name": _("Name"), "base_url": _("Base URL")}
        help_texts = {
            "slug": _("Names of its models begin with it: short-name/model."),
            "base_url": _("What new channels start from."),
        }


class PlaceForm(forms.ModelForm):  # type: ignore[type-arg]
    """Where a channel leads and when it is tried."""

    class Meta:
        model = Channel
        fields = ("base_url", "priority", "weight")
        labels = {"base_url": _("Base URL"), "priority": _("Priority"), "weight": _("Weight")}
        help_texts = {
            "priority": _("Lower is tried first."),
            "weight": _("Share among channels of the same priority; 0 stands by for them."),
        }


class CredentialForm(forms.Form):
    """A credential: written once, never shown."""

    credential = forms.CharField(
        label=_("Credential"),
        max_length=4000,
        widget=forms.PasswordInput(attrs=SECRET_ATTRIBUTES),
        help_text=_("Kept encrypted and never shown again: only its fingerprint is."),
    )


class CostForm(forms.Form):
    """From when on a channel costs which share of list price."""

    cost_bps = PercentField(label=_("Share of list price, in %"), bps_max=COST_BPS_MAX)
    effective_from = MomentField(label=_("From"), help_text=_("A full hour to come."))


class NewChannelForm(PlaceForm):
    """Everything that a new channel needs."""

    field_order = ("provider", "name", "base_url", "credential", "priority", "weight", "cost_bps")
    credential = forms.CharField(
        label=_("Credential"),
        max_length=4000,
        widget=forms.PasswordInput(attrs=SECRET_ATTRIBUTES),
        help_text=_("Kept encrypted and never shown again: only its fingerprint is."),
    )
    cost_bps = PercentField(
        label=_("Cost, in % of list price"),
        bps_max=COST_BPS_MAX,
        initial=percent_text(LIST_BPS),
        help_text=_(
            "What the provider bills: 100 is its list price. Margins are reckoned with it."
        ),
    )
    is_enabled = forms.BooleanField(
        label=_("Take calls at once"),
        required=False,
        help_text=_("Leave it off to test the channel first."),
    )

    class Meta(PlaceForm.Meta):
        fields = ("provider", "name", "base_url", "priority", "weight", "is_enabled")  # type: ignore[assignment]
        labels = {**PlaceForm.Meta.labels, "provider": _("Provider"), "name": _("Name")}
        help_texts = {
            **PlaceForm.Meta.help_texts,
            "name": _("Records and logs know it by this name: it cannot be changed."),
        }


class MapRowForm(forms.Form):
    """A model that is served here, and what it is called here."""

    model = forms.CharField(
        label=_("Model"),
        required=False,
        max_length=120,
        widget=forms.TextInput(attrs={"list": "models", "autocomplete": "off"}),
    )
    name = forms.CharField(
        label=_("Its name here"),
        required=False,
        max_length=120,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        model, name = cleaned.get("model"), cleaned.get("name")
        if name and not model:
            self.add_error("model", _("Which model is called so?"))
        return cleaned


class MapFormSet(forms.BaseFormSet):  # type: ignore[type-arg]
    """The map of models as rows; a row whose model is emptied is taken out. Empty: every model of the provider."""

    def clean(self) -> None:
        if any(self.errors):
            return
        names = [form.cleaned_data.get("model") for form in self.forms]
        named = [name for name in names if name]
        if len(set(named)) != len(named):
            raise ValidationError(_("A model stands here twice."))
        known = dict(Model.objects.filter(name__in=named).values_list("name", "upstream_name"))
        for form, name in zip(self.forms, names, strict=True):
            if name and name not in known:
                form.add_error("model", _("No such model."))
        self._upstream_names = known

    @property
    def model_map(self) -> dict[str, str]:
        """What the rows say. A model without a name here keeps its usual one."""
        rows = [form.cleaned_data for form in self.forms if form.cleaned_data.get("model")]
        return {row["model"]: row["name"] or self._upstream_names[row["model"]] for row in rows}


def map_rows(data: Any, channel: Channel, blank: int) -> MapFormSet:
    """The map of the channel as forms, with so many blank rows below."""
    made = forms.formset_factory(
        MapRowForm, formset=MapFormSet, extra=blank, max_num=1000, validate_max=True
    )
    rows = [{"model": model, "name": name} for model, name in sorted(channel.model_map.items())]
    return made(data, initial=rows, prefix="map")  # type: ignore[return-value]


class TestForm(forms.Form):
    """With which model a channel is tried; none: the account is asked after."""

    model = forms.ChoiceField(label=_("With"), required=False)

    def __init__(self, data: Any, models: list[Model], chosen: str = "") -> None:
        super().__init__(data, auto_id="test_%s", initial={"model": chosen})
        choices = [(model.name, model.name) for model in models]
        field = self.fields["model"]
        field.choices = [*choices, ("", _("a question about the account, which costs nothing"))]  # type: ignore[attr-defined]
