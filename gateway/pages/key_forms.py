"""What a key or a group may call, from where, until when and how much: one form for both."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, NamedTuple, cast
from uuid import uuid4

from django import forms
from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.key_forms import ExpiryForm, KeyNameForm, NetworksField
from accounts.key_services import Restrictions
from accounts.models import APIKey, Group
from billing.forms import UsdField
from billing.limits import Limits
from billing.models import LIMIT_NAMES, NANOS_MAX, Limit
from billing.money import format_usd
from gateway.models import Model

BUDGETS = ("month_nanos", "day_nanos", "lifetime_nanos")
RATES = ("requests_per_minute", "tokens_per_minute", "concurrent_calls")
GRACES = {
    "0": timedelta(),
    "1h": timedelta(hours=1),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
}


class ModelChoice(NamedTuple):
    """A box of the picker; `words` is what a search looks in."""

    value: str
    words: str
    is_checked: bool


class ModelGroup(NamedTuple):
    """A provider's part of the picker: the box of all its models, None among what is no longer in the catalog."""

    title: str
    everything: ModelChoice | None
    choices: list[ModelChoice]


class LocalNumber(forms.IntegerField):
    """A positive integer that the ledger can count to."""

    def __init__(self, **options: Any) -> None:
        attrs = {"inputmode": "numeric", "autocomplete": "off"}
        widget = forms.TextInput(attrs=attrs)
        super().__init__(
            required=False, min_value=1, max_value=NANOS_MAX - 1, widget=widget, **options
        )

    def to_python(self, value: Any) -> Any:
        # As it is written in most languages and on our pages.
        return super().to_python(value.replace(",", "") if isinstance(value, str) else value)


def _usd(**options: Any) -> UsdField:
    attrs = {"inputmode": "decimal", "autocomplete": "off", "maxlength": 40}
    return UsdField(required=False, widget=forms.TextInput(attrs=attrs), **options)


class AccessForm(ExpiryForm):
    """Restrictions and limits of a key or a group."""

    allowed_models = forms.MultipleChoiceField(
        label=_("Models"), required=False, widget=forms.CheckboxSelectMultiple
    )
    allowed_networks = NetworksField(
        label=_("Networks"),
        required=False,
        help_text=_("Addresses or networks such as 10.0.0.0/8, one a line. Empty: from anywhere."),
        widget=forms.Textarea(
            attrs={"rows": 3, "spellcheck": "false", "placeholder": "203.0.113.7\n10.0.0.0/8"}
        ),
    )
    month_nanos = _usd(label=_("Budget per month"))
    day_nanos = _usd(label=_("Budget per day"))
    lifetime_nanos = _usd(label=_("Budget in all"))
    requests_per_minute = LocalNumber(label=_("Requests per minute"))
    tokens_per_minute = LocalNumber(label=_("Tokens per minute"))
    concurrent_calls = LocalNumber(label=_("Calls at a time"))

    def __init__(self, data: Any = None, *, owner: APIKey | Group | None = None) -> None:
        initial = _initial(owner) if owner else {}
        super().__init__(
            data, initial=initial, current=owner.expires_at if owner else None, auto_id="key_%s"
        )
        self.stored_models: list[str] = list(owner.allowed_models) if owner else []
        self.catalog = list(
            Model.objects.filter(is_enabled=True).select_related("provider").order_by("name")
        )
        fields: Any = self.fields
        fields["allowed_models"].choices = [
            (choice.value, choice.value)
            for group in self.model_groups([])
            for choice in (group.everything, *group.choices)
            if choice
        ]

    def model_groups(self, checked: Iterable[str] | None = None) -> list[ModelGroup]:
        """The picker, by provider."""
        wanted = set(self["allowed_models"].value() or [] if checked is None else checked)
        groups: dict[str, ModelGroup] = {}
        known = set()
        for model in self.catalog:
            title, slug = model.provider.name, model.provider_id
            if slug not in groups:
                all_of = f"{slug}/*"
                box = ModelChoice(all_of, f"{title} {slug}".lower(), all_of in wanted)
                groups[slug] = ModelGroup(title, box, [])
                known.add(all_of)
            words = " ".join((title, model.name, *model.aliases)).lower()
            groups[slug].choices.append(ModelChoice(model.name, words, model.name in wanted))
            known.add(model.name)
        answer = sorted(groups.values(), key=lambda group: group.title.lower())
        # An alias, or a model that is no longer sold: it stays unless it is taken away here.
        others = [name for name in self.stored_models if name not in known]
        if others:
            boxes = [ModelChoice(name, name.lower(), name in wanted) for name in others]
            answer.append(ModelGroup("", None, boxes))
        return answer

    @property
    def budgets(self) -> list[forms.BoundField]:
        """Budgets beside the one per month, which stands by itself."""
        return [self[name] for name in BUDGETS[1:]]

    @property
    def rates(self) -> list[forms.BoundField]:
        return [self[name] for name in RATES]

    @property
    def opens_more(self) -> bool:
        """Whether the folded part has something that must be seen."""
        names = ("allowed_models", "allowed_networks", *BUDGETS[1:], *RATES)
        return any(self.errors.get(name) or self[name].value() for name in names)

    def restrictions(self) -> Restrictions:
        values = self.cleaned_data
        return Restrictions(
            allowed_models=values["allowed_models"],
            allowed_networks=values["allowed_networks"],
            expires_at=values["expires_at"],
        )

    def limits(self) -> Limits:
        return cast("Limits", {name: self.cleaned_data[name] for name in LIMIT_NAMES})


def _initial(owner: APIKey | Group) -> dict[str, Any]:
    limit: Limit | None = Limit.objects.filter(**_of(owner)).first()
    shown: dict[str, Any] = {
        "allowed_models": owner.allowed_models,
        "allowed_networks": owner.allowed_networks,
        "name": owner.name,
    }
    for name in LIMIT_NAMES if limit else ():
        value = getattr(limit, name)
        if value is not None:
            shown[name] = format_usd(value) if name in BUDGETS else value
    return shown


def _of(owner: APIKey | Group) -> dict[str, models.Model]:
    return {"api_key": owner} if isinstance(owner, APIKey) else {"group": owner}


def add_errors(form: AccessForm, error: ValidationError) -> None:
    """What the services refused, each beside the field that it is about."""
    for name, errors in error.error_dict.items():
        form.add_error(name if name in form.fields else None, errors)


class KeyForm(KeyNameForm, AccessForm):
    """A key: a new one, or the one that is changed. One for the management API has nothing that is about calls; what
    the form says of that, where it is hidden, is not looked at."""

    field_order = ("name", "purpose", "expiry", "last_day")

    def __init__(self, data: Any = None, *, owner: APIKey | None = None) -> None:
        super().__init__(data, owner=owner)
        self.is_management = owner is not None and owner.purpose == APIKey.Purpose.MANAGE

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if self.is_management:
            for name in ("allowed_models", *LIMIT_NAMES):
                self.errors.pop(name, None)
        return cleaned

    def restrictions(self) -> Restrictions:
        if not self.is_management:
            return super().restrictions()
        values = self.cleaned_data
        return Restrictions(
            allowed_networks=values["allowed_networks"], expires_at=values["expires_at"]
        )

    def limits(self) -> Limits:
        return Limits() if self.is_management else super().limits()


class NewKeyForm(KeyForm):
    """A key that is issued once, however often the form is sent: `operation_id` is made with the form."""

    purpose = forms.ChoiceField(
        label=_("What it is for"),
        required=False,
        choices=[
            (APIKey.Purpose.CALLER, _("Call models")),
            (APIKey.Purpose.MANAGE, _("Manage (management API)")),
        ],
        initial=APIKey.Purpose.CALLER,
        widget=forms.RadioSelect,
    )
    operation_id = forms.UUIDField(widget=forms.HiddenInput, initial=uuid4)

    def clean_purpose(self) -> str:
        purpose: str = self.cleaned_data["purpose"] or APIKey.Purpose.CALLER
        self.is_management = purpose == APIKey.Purpose.MANAGE
        return purpose


class RotationForm(forms.Form):
    """How long the present secret goes on working. `seen` is the public id that the page showed."""

    grace = forms.ChoiceField(
        label=_("The present secret stops"),
        choices=[
            ("0", _("Immediately")),
            ("1h", _("In 1 hour")),
            ("24h", _("In 24 hours")),
            ("7d", _("In 7 days")),
        ],
        initial="24h",
        widget=forms.RadioSelect,
    )
    seen = forms.CharField(widget=forms.HiddenInput, max_length=16)
    operation_id = forms.UUIDField(widget=forms.HiddenInput, initial=uuid4)

    def clean_grace(self) -> timedelta:
        return GRACES[self.cleaned_data["grace"]]


class KeyFilterForm(forms.Form):
    """Which keys to list, as it stands in the URL."""

    state = forms.ChoiceField(
        required=False, choices=[("", _("Active")), ("all", _("All"))], widget=forms.HiddenInput
    )
    owner = forms.ChoiceField(
        required=False,
        choices=[("", _("Everybody’s")), ("me", _("Mine"))],
        widget=forms.HiddenInput,
    )
    name = forms.CharField(
        label=_("Name"),
        required=False,
        max_length=80,
        widget=forms.TextInput(attrs={"type": "search", "autocomplete": "off"}),
    )
