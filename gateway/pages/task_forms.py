"""Which tasks to show."""

from typing import Any
from uuid import UUID

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.models import Group
from gateway.models import Task
from gateway.pages.forms import GroupFilterForm
from gateway.pages.task_history import TaskFilter, recent_models
from gateway.pages.task_presentation import LOOKS


class TaskFilterForm(GroupFilterForm):
    """The filters of the gallery. `wanted()` is what they mean."""

    field_order = ("status", "action", "model", "key")
    status = forms.ChoiceField(label=_("Status"), required=False)
    action = forms.ChoiceField(
        label=_("Action"), required=False, choices=[("", _("Any action")), *Task.Action.choices]
    )

    def __init__(self, data: Any, group: Group) -> None:
        super().__init__(data, group, recent_models(group))
        states = [(name, look.label) for name, look in LOOKS.items()]
        self.fields["status"].choices = [("", _("Any status")), *states]  # type: ignore[attr-defined]

    def wanted(self) -> TaskFilter:
        """The filter. For a valid form."""
        values = self.cleaned_data
        return TaskFilter(
            state=values["status"],
            model=values["model"],
            key_id=UUID(values["key"]) if values["key"] else None,
            action=values["action"],
        )
