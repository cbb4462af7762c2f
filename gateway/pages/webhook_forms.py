"""What a webhook is told of, and which of its messages to show."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from gateway.addresses import URL_LENGTH_MAX, UnsafeAddress, check_url
from gateway.deliveries import address_policy
from gateway.models import Delivery, WebhookEvent
from gateway.pages.outbound_words import OUTBOUND_TEXTS
from gateway.webhooks.models import SUBSCRIBABLE
from gateway.webhooks.services import DESCRIPTION_CHARS_MAX, EndpointPlan

EXPLAINED = {
    WebhookEvent.Type.TASK_ENDED: _("An image task was completed, failed or was cancelled."),
    WebhookEvent.Type.BALANCE_LOW: _("The balance fell below a threshold of the group’s alerts."),
    WebhookEvent.Type.LIMIT_REACHED: _("A budget of a key or of the group refuses calls."),
    WebhookEvent.Type.KEY_REVOKED: _("A key of the group was revoked."),
}


class WebhookForm(forms.Form):
    """A webhook of a group. `plan()` is what the valid form asks for."""

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
    description = forms.CharField(
        label=_("Description"), max_length=DESCRIPTION_CHARS_MAX, required=False
    )
    events = forms.MultipleChoiceField(
        label=_("Events"),
        choices=[(name, WebhookEvent.Type(name).label) for name in SUBSCRIBABLE],
        error_messages={"required": _("Choose at least one event.")},
    )
    is_enabled = forms.BooleanField(label=_("Switched on"), required=False)

    def __init__(self, data: Any, plan: EndpointPlan | None = None) -> None:
        initial = plan._asdict() if plan else {"is_enabled": True, "events": SUBSCRIBABLE}
        super().__init__(data, initial=initial, auto_id="webhook_%s")

    def clean_url(self) -> str:
        """Its name is not resolved here: the sender does that."""
        url: str = self.cleaned_data["url"]
        try:
            check_url(url, address_policy())
        except UnsafeAddress as error:
            raise forms.ValidationError(OUTBOUND_TEXTS.say(str(error))) from None
        return url

    @property
    def event_rows(self) -> list[tuple[str, Any, Any, bool]]:
        """Name, label, what it means, and whether it is chosen."""
        chosen = self["events"].value() or []
        return [
            (
                name,
                WebhookEvent.Type(name).label,
                EXPLAINED[WebhookEvent.Type(name)],
                name in chosen,
            )
            for name in SUBSCRIBABLE
        ]

    def plan(self) -> EndpointPlan:
        values = self.cleaned_data
        return EndpointPlan(
            url=values["url"],
            events=tuple(values["events"]),
            description=values["description"],
            is_enabled=values["is_enabled"],
        )


class LogFilterForm(forms.Form):
    """Which messages of a webhook to show."""

    state = forms.ChoiceField(
        label=_("State"), required=False, choices=[("", _("Any state")), *Delivery.State.choices]
    )
    event = forms.ChoiceField(
        label=_("Event"), required=False, choices=[("", _("Any event")), *WebhookEvent.Type.choices]
    )

    def __init__(self, data: Any) -> None:
        super().__init__(data, auto_id="filter_%s")

    def conditions(self) -> dict[str, str]:
        """For `filter()` of deliveries; what makes no sense in a link filters nothing."""
        values = self.cleaned_data if self.is_valid() else {}
        asked = {"state": values.get("state"), "event__type": values.get("event")}
        return {name: value for name, value in asked.items() if value}
