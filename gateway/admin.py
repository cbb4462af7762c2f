"""Operators' back door: Django admin, read-only where rows are immutable."""

from typing import Any

from django.contrib import admin
from django.db.models import Model as DjangoModel
from django.http import HttpRequest

from accounts.models import APIKey, Group, Membership, Organization, User
from billing.models import Account, AuditRun, Hold, Price, Transfer
from gateway.models import CallRecord, Channel, Model, Provider


class ReadOnly(admin.ModelAdmin):  # type: ignore[type-arg]
    """Rows that only the product itself writes."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: DjangoModel | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: DjangoModel | None = None) -> bool:
        return False


@admin.register(Account, AuditRun, Hold, Transfer, CallRecord, Price, APIKey)
class LedgerAdmin(ReadOnly):
    list_per_page = 50
    show_full_result_count = False

    def get_exclude(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("digest",) if self.model is APIKey else ()


@admin.register(Organization, Group, Membership, User)
class AccountsAdmin(ReadOnly):
    list_per_page = 50


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
