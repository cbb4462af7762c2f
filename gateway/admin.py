"""Operators' back door: Django admin, read-only where rows are immutable."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Model as DjangoModel
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.models import APIKey, Group, Membership, Organization, User
from billing.forms import UsdField
from billing.limits import set_limits
from billing.models import LIMIT_NAMES, Account, AuditRun, Hold, Limit, Price, Transfer
from billing.money import format_usd
from gateway.models import CallRecord, Channel, Delivery, Model, Provider, Task

BUDGET_NAMES = tuple(name for name in LIMIT_NAMES if name.endswith("_nanos"))


class ReadOnly(admin.ModelAdmin):  # type: ignore[type-arg]
    """Rows that only the product itself writes."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: DjangoModel | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: DjangoModel | None = None) -> bool:
        return False


@admin.register(Account, AuditRun, Hold, Transfer, CallRecord, Price, APIKey, Task, Delivery)
class LedgerAdmin(ReadOnly):
    list_per_page = 50
    show_full_result_count = False

    def get_exclude(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("digest",) if self.model is APIKey else ()


@admin.register(Organization, Group, Membership, User)
class AccountsAdmin(ReadOnly):
    list_per_page = 50


class LimitForm(forms.ModelForm):  # type: ignore[type-arg]
    """Limits as people write them: budgets are amounts in US dollars."""

    day_nanos = UsdField(label=_("Credits per day (USD)"), required=False)
    month_nanos = UsdField(label=_("Credits per month (USD)"), required=False)
    lifetime_nanos = UsdField(label=_("Credits in all (USD)"), required=False)

    class Meta:
        model = Limit
        fields = ("api_key", "group", *LIMIT_NAMES)

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        for name in BUDGET_NAMES:
            nanos = getattr(self.instance, name)
            self.initial[name] = "" if nanos is None else format_usd(nanos)


def _show_usd(name: str, label: Any) -> Any:
    """A column of `Limit` as an amount."""

    @admin.display(description=label, ordering=name)
    def show(obj: Limit) -> str:
        nanos = getattr(obj, name)
        return "-" if nanos is None else f"${format_usd(nanos)}"

    return show


@admin.register(Limit)
class LimitAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Limits can be typed; what they have counted is shown. All of them emptied removes them."""

    form = LimitForm
    list_per_page = 50
    list_display = (
        "__str__",
        *(name for name in LIMIT_NAMES if name not in BUDGET_NAMES),
        _show_usd("day_nanos", _("credits per day")),
        _show_usd("month_nanos", _("credits per month")),
        _show_usd("lifetime_nanos", _("credits in all")),
    )
    list_select_related = ("api_key", "group")
    raw_id_fields = ("api_key", "group")
    counters = (
        "window_started_at",
        "window_requests",
        "window_tokens",
        "running_calls",
        _show_usd("held_nanos", _("held")),
        "day",
        _show_usd("day_spent_nanos", _("spent this day")),
        "month",
        _show_usd("month_spent_nanos", _("spent this month")),
        _show_usd("lifetime_spent_nanos", _("spent in all")),
        _show_usd("seeded_nanos", _("spent before there were limits")),
    )
    fields = ("api_key", "group", *LIMIT_NAMES, *counters)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[Any, ...]:
        return self.counters if obj is None else ("api_key", "group", *self.counters)

    def has_delete_permission(self, request: HttpRequest, obj: DjangoModel | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Limit, form: Any, change: bool) -> None:
        """By the verb that others use: counters that moved since the page was opened stay as they are."""
        owner = obj.api_key or obj.group
        assert owner is not None
        made = set_limits(owner, **{name: getattr(obj, name) for name in LIMIT_NAMES})
        obj.pk = obj.pk or (made.pk if made else None)


@admin.register(Provider, Model)
class CatalogAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_per_page = 100

    def has_delete_permission(self, request: HttpRequest, obj: DjangoModel | None = None) -> bool:
        return False


@admin.register(Channel)
class ChannelAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Credentials are neither shown nor typed here: they are encrypted, and set by provisioning."""

    list_display = ("provider", "name", "base_url", "priority", "weight", "is_enabled")
    readonly_fields = ("provider", "name")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False
