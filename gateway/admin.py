"""Operators' back door: Django admin for what has no page of its own. All but limits is read-only: what changes
settings, prices or channels goes through the operator's pages, which leave lines in the audit trail."""

from functools import cached_property
from typing import Any, cast
from uuid import UUID

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django import forms
from django.contrib import admin
from django.contrib.auth.models import Group as PermissionGroup
from django.core.paginator import Paginator
from django.db.models import BinaryField, QuerySet
from django.db.models import Model as DjangoModel
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.models import APIKey, Change, Group, GroupMembership, Membership, Organization, User
from billing.forms import UsdField
from billing.limits import change_limits
from billing.models import (
    LIMIT_NAMES,
    Account,
    AuditRun,
    Hold,
    HoldOwner,
    Limit,
    Price,
    PriceRate,
    Transfer,
)
from billing.money import format_usd
from billing.notice_models import Order
from gateway.models import CallRecord, Channel, ChannelCost, Delivery, Model, Provider, Task

BUDGET_NAMES = tuple(name for name in LIMIT_NAMES if name.endswith("_nanos"))
SECRET_NAMES = frozenset({"password", "data", "session_key", "key", "secret"})
COUNTED_MAX = 5000


class CappedPaginator(Paginator):  # type: ignore[type-arg]
    """Counts no further than a hundred pages: a table of ten million rows is found in by its ids, not by paging."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows.order_by()[:COUNTED_MAX].count())


class ReadOnly(admin.ModelAdmin):  # type: ignore[type-arg]
    """Rows that only the product itself writes. What is secret in them, encrypted or not, is not shown."""

    list_per_page = 50
    show_full_result_count = False
    paginator = CappedPaginator

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: DjangoModel | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: DjangoModel | None = None) -> bool:
        return False

    def get_exclude(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return tuple(
            field.name
            for field in self.model._meta.get_fields()
            if isinstance(field, BinaryField) or field.name in SECRET_NAMES
        )


class FoundById(ReadOnly):
    """Tables with millions of rows: newest first, and found by an id alone, each by an index. `owners` are the columns
    beside the row's own id by which it may be found."""

    owners: tuple[str, ...] = ()
    search_fields = ("id",)
    search_help_text = _("An id, whole.")
    ordering = ("-id",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        if not search_term.strip():
            return queryset, False
        named = _read_id(search_term)
        if named is None:
            return queryset.none(), False
        for column in ("id", *self.owners):
            found = queryset.filter(**{column: named})
            if found.exists():
                return found, False
        return queryset.none(), False


def _read_id(text: str) -> UUID | None:
    """A UUID, also as `call_...` or `tsk_...`."""
    digits = text.strip().removeprefix("call_").removeprefix("tsk_")
    try:
        return UUID(digits)
    except ValueError:
        return None


def _show_usd(name: str, label: Any) -> Any:
    """A column as an amount."""

    @admin.display(description=label, ordering=name)
    def show(obj: Any) -> str:
        nanos = getattr(obj, name)
        return "-" if nanos is None else f"${format_usd(nanos)}"

    return show


def _plain_fields(model: type[DjangoModel]) -> tuple[str, ...]:
    """Every column, foreign keys as the ids that they hold: their rows may be gone."""
    return tuple(field.attname for field in model._meta.fields)


@admin.register(CallRecord)
class CallRecordAdmin(FoundById):
    owners = ("group_id", "api_key_id")
    search_help_text = _("The id of a call, of a group or of a key, whole.")
    list_display = ("public_id", "created_at", "status", "model", "group_id", "api_key_id",
                    _show_usd("amount_nanos", _("charged")))  # fmt: skip
    fields = _plain_fields(CallRecord)
    sortable_by = ()


@admin.register(Transfer)
class TransferAdmin(FoundById):
    list_display = ("id", "created_at", "kind", _show_usd("amount_nanos", _("amount")), "debit_account_id",
                    "credit_account_id", "reason")  # fmt: skip
    fields = ("id", "kind", "amount_nanos", "debit_account_id", "credit_account_id", "call_id", "actor_id", "reason",
              "created_at")  # fmt: skip
    sortable_by = ()


@admin.register(Hold)
class HoldAdmin(FoundById):
    list_display = (
        "id",
        "created_at",
        "state",
        _show_usd("amount_nanos", _("amount")),
        "account_id",
        "owner_id",
    )
    fields = (
        "id",
        "state",
        "amount_nanos",
        "account_id",
        "owner_id",
        "tokens",
        "created_at",
        "resolved_at",
    )
    sortable_by = ()


@admin.register(Task)
class TaskAdmin(FoundById):
    list_display = (
        "id",
        "created_at",
        "status",
        "model",
        "group_id",
        _show_usd("amount_nanos", _("charged")),
    )
    fields = _plain_fields(Task)
    sortable_by = ()


@admin.register(Delivery)
class DeliveryAdmin(FoundById):
    list_display = ("id", "state", "attempts")
    sortable_by = ()


@admin.register(Change)
class ChangeAdmin(FoundById):
    list_display = ("at", "actor_name", "verb", "subject_kind", "subject_name")
    fields = ("id", "at", "actor_id", "actor_name", "organization_id", "group_id", "verb", "subject_kind", "subject_id",
              "subject_name", "before", "after")  # fmt: skip
    sortable_by = ()


@admin.register(Account)
class AccountAdmin(ReadOnly):
    list_display = ("id", "kind", "organization", "group", _show_usd("balance_nanos", _("balance")),
                    _show_usd("held_nanos", _("held")), _show_usd("credit_line_nanos", _("credit line")))  # fmt: skip
    list_select_related = ("organization", "group")
    list_filter = ("kind",)
    search_fields = ("organization__name", "group__name")


@admin.register(Order)
class OrderAdmin(ReadOnly):
    list_display = ("id", "organization", "buyer", _show_usd("amount_nanos", _("amount")), "state", "problem",
                    "created_at")  # fmt: skip
    list_select_related = ("organization", "buyer")
    list_filter = (("problem", admin.EmptyFieldListFilter), "state")
    search_fields = ("organization__name", "buyer__email")
    ordering = ("-id",)


class RateInline(admin.TabularInline):  # type: ignore[type-arg]
    """The rates of a price."""

    model = PriceRate
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Price)
class PriceAdmin(ReadOnly):
    list_display = ("id", "model", "group", "effective_from", "sell_bps", "list_is_estimated")
    list_select_related = ("group",)
    search_fields = ("model", "group__name")
    date_hierarchy = "effective_from"
    inlines = (RateInline,)


@admin.register(AuditRun, HoldOwner)
class RunAdmin(ReadOnly):
    ordering = ("-id",)


@admin.register(ChannelCost)
class ChannelCostAdmin(ReadOnly):
    list_display = ("channel_id", "cost_bps", "effective_from", "created_at")


@admin.register(Provider)
class ProviderAdmin(ReadOnly):
    list_display = ("slug", "name", "dialect", "base_url")


@admin.register(Model)
class ModelAdmin(ReadOnly):
    list_display = ("name", "provider", "mode", "upstream_name", "is_enabled", "retires_on")
    list_select_related = ("provider",)
    list_filter = ("mode", "is_enabled", "provider")
    search_fields = ("name", "upstream_name")


@admin.register(Channel)
class ChannelAdmin(ReadOnly):
    """To look at. Changed on the operator's pages."""

    list_display = ("provider", "name", "base_url", "priority", "weight", "is_enabled")
    list_select_related = ("provider",)


@admin.register(APIKey)
class APIKeyAdmin(ReadOnly):
    list_display = (
        "name",
        "public_id",
        "group",
        "created_by",
        "created_at",
        "expires_at",
        "revoked_at",
    )
    list_select_related = ("group", "created_by")
    search_fields = ("=public_id", "name", "=id")
    ordering = ("-id",)


@admin.register(Organization)
class OrganizationAdmin(ReadOnly):
    list_display = ("name", "created_at")
    search_fields = ("name",)
    ordering = ("-id",)


@admin.register(Group)
class GroupAdmin(ReadOnly):
    list_display = ("name", "organization", "created_at", "expires_at")
    list_select_related = ("organization",)
    search_fields = ("name", "organization__name")
    ordering = ("-id",)


@admin.register(Membership, GroupMembership)
class MembershipAdmin(ReadOnly):
    search_fields = ("user__email",)

    def get_list_select_related(self, request: HttpRequest) -> tuple[str, ...]:
        return ("user", "organization" if self.model is Membership else "group")


@admin.register(User)
class UserAdmin(ReadOnly):
    list_display = ("email", "name", "is_active", "is_staff", "joined_at", "last_login")
    list_filter = ("is_active", "is_staff")
    search_fields = ("email", "name")
    fields = (
        "email",
        "name",
        "is_active",
        "is_staff",
        "is_superuser",
        "language",
        "joined_at",
        "last_login",
    )


class PersonalAdmin(ReadOnly):
    """What belongs to a user: factors, sessions, addresses."""

    list_display = ("user", "__str__")
    list_select_related = ("user",)
    search_fields = ("user__email",)


# Theirs can be edited, or show what opens an account.
for theirs in (Authenticator, UserSession, EmailAddress):
    admin.site.unregister(theirs)
    admin.site.register(theirs, PersonalAdmin)
admin.site.unregister(PermissionGroup)


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
        wanted: Any = {name: getattr(obj, name) for name in LIMIT_NAMES}
        made = change_limits(owner, cast("User", request.user), **wanted)
        obj.pk = obj.pk or (made.pk if made else None)
