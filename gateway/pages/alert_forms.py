"""Thresholds of a group's balance, and who hears of them."""

from collections.abc import Iterator
from typing import Any

from django import forms
from django.forms import BoundField
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import Group, User
from billing.alerts import THRESHOLDS_MAX, AlertPlan, can_receive
from billing.forms import AmountInput, UsdField
from billing.money import format_usd


class AlertsForm(forms.Form):
    """The alerts of a group. `plan()` is what the valid form asks for."""

    recipients = forms.ModelMultipleChoiceField(
        label=gettext_lazy("Mail to"), queryset=User.objects.none(), required=False
    )

    def __init__(self, data: Any, group: Group, plan: AlertPlan) -> None:
        thresholds = {
            f"threshold_{number}": format_usd(nanos) for number, nanos in enumerate(plan.thresholds)
        }
        initial = thresholds | {"recipients": list(plan.recipients)}
        super().__init__(data, initial=initial, auto_id="alerts_%s")
        for number in range(THRESHOLDS_MAX):
            self.fields[f"threshold_{number}"] = UsdField(
                label=_("Threshold %(number)d") % {"number": number + 1},
                required=False,
                widget=AmountInput(),
            )
        self.fields["recipients"].queryset = can_receive(group)  # type: ignore[attr-defined]

    @property
    def thresholds(self) -> Iterator[BoundField]:
        """The fields of the thresholds, as they are shown."""
        return (self[f"threshold_{number}"] for number in range(THRESHOLDS_MAX))

    def plan(self) -> AlertPlan:
        values = self.cleaned_data
        nanos = {values[f"threshold_{number}"] for number in range(THRESHOLDS_MAX)}
        return AlertPlan(
            tuple(sorted((one for one in nanos if one), reverse=True)),
            tuple(values["recipients"]),
        )
