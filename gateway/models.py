"""What was called: providers, channels, models and the record of every call."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q, Value
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import APIKey, Group, Organization
from gateway.operator_models import ChannelCost
from gateway.rollup_models import UsageSum
from gateway.task_models import CallbackSecret, Delivery, Picture, Task, Upload
from gateway.webhooks.models import WebhookEndpoint, WebhookEvent

__all__ = [
    "CallRecord",
    "CallRecordQuerySet",
    "CallbackSecret",
    "Channel",
    "ChannelCost",
    "Delivery",
    "Model",
    "Picture",
    "Provider",
    "Task",
    "Upload",
    "UsageSum",
    "WebhookEndpoint",
    "WebhookEvent",
]

NOT_A_BASE_URL = _("A base URL is http(s)://host/path, without user, query and fragment.")


class Provider(models.Model):
    """A vendor: `dialect` names the module in gateway/providers that speaks to it."""

    slug = models.SlugField(primary_key=True, max_length=40)
    name = models.CharField(max_length=80)
    dialect = models.CharField(max_length=40)
    # No URLField: that refuses the names of hosts inside one's own network.
    base_url = models.CharField(max_length=200)

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Refuse an address that cannot be called."""
        if not _is_base_url(self.base_url):
            raise ValidationError({"base_url": NOT_A_BASE_URL})


class Channel(models.Model):
    """One credential and base URL at a provider. Lower `priority` first; equal ones share by weight, and one of
    weight 0 stands by for them."""

    provider = models.ForeignKey(Provider, on_delete=models.PROTECT, related_name="channels")
    name = models.CharField(max_length=80)
    base_url = models.CharField(max_length=200)  # as of a provider
    credential = models.BinaryField(editable=False)
    priority = models.IntegerField(default=0)
    weight = models.PositiveIntegerField(default=1)
    model_map = models.JSONField(
        default=dict,
        db_default=Value({}, models.JSONField()),
        blank=True,
        help_text=_(
            "Model names and what they are called here; only these are served, of whatever provider. "
            "Empty: every model of the provider, under its usual name."
        ),
    )
    is_enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["provider", "name"], name="gateway_channel_once"),
        ]

    def __str__(self) -> str:
        return f"{self.provider_id}: {self.name}"

    def clean(self) -> None:
        """Refuse an address that cannot be called, and a model_map that names what nobody can call or gives it no
        name here."""
        errors: dict[str, Any] = {}
        if not _is_base_url(self.base_url):
            errors["base_url"] = NOT_A_BASE_URL
        names = self.model_map
        if not isinstance(names, dict) or not all(
            isinstance(name, str) and name.strip() for name in names.values()
        ):
            errors["model_map"] = _(
                "This must be one JSON object: each model's name with its name here."
            )
        else:
            known = Model.objects.filter(name__in=names).values_list("name", flat=True)
            if unknown := sorted(names.keys() - set(known)):
                errors["model_map"] = _("No such model: %(names)s.") % {"names": ", ".join(unknown)}
        if errors:
            raise ValidationError(errors)


def _is_base_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        named = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        return False
    plain = all("!" <= letter <= "~" for letter in text)
    return bool(named and plain and not {"@", "?", "#"} & set(text))


class Model(models.Model):
    """What a caller may name: `provider/model`, or one of the aliases."""

    name = models.CharField(primary_key=True, max_length=120)
    provider = models.ForeignKey(Provider, on_delete=models.PROTECT, related_name="models")
    upstream_name = models.CharField(max_length=120)
    aliases = models.JSONField(default=list)
    mode = models.CharField(max_length=32)
    context_length = models.IntegerField(null=True, blank=True)
    max_completion_tokens = models.IntegerField(null=True, blank=True)
    retires_on = models.DateField(null=True, blank=True)
    is_enabled = models.BooleanField(default=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class CallRecordQuerySet(models.QuerySet["CallRecord"]):
    def of_group(self, group: Group) -> CallRecordQuerySet:
        """The group's calls, newest first."""
        return self.filter(group=group).order_by("-id")


class CallRecord(models.Model):
    """The row of one call: written once, by the transaction that settles it.

    Buckets are disjoint, except that reasoning stands inside output. `price`, the buckets and the tier recompute the
    charge. The ledger points here by `id` without a foreign key: history may be pruned, the ledger stays.
    """

    class Source(models.TextChoices):
        API = "api", _("API")
        TASK = "task", _("Task")

    class Status(models.TextChoices):
        COMPLETED = "completed", _("Completed")
        UPSTREAM_FAILED = "upstream_failed", _("Upstream failed")
        CLIENT_GONE = "client_gone", _("Client left")
        TIMED_OUT = "timed_out", _("Timed out")
        LOST = "lost", _("Lost")
        REFUSED = "refused", _("Refused")

    class Basis(models.TextChoices):
        REPORTED = "reported", _("Reported by the provider")
        COUNTED = "counted", _("Counted")
        ESTIMATED = "estimated", _("Estimated")

    id = models.UUIDField(primary_key=True, editable=False)
    organization = models.ForeignKey(
        Organization,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )
    group = models.ForeignKey(
        Group, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    api_key = models.ForeignKey(
        APIKey, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    source = models.CharField(max_length=4, choices=Source, default=Source.API)
    endpoint = models.CharField(max_length=32)
    model = models.CharField(max_length=120, blank=True)
    status = models.CharField(max_length=16, choices=Status)
    stream = models.BooleanField(default=False)
    service_tier = models.CharField(max_length=8, default="standard")
    created_at = models.DateTimeField()
    duration_ms = models.IntegerField(default=0)
    first_token_ms = models.IntegerField(null=True)
    input_tokens = models.BigIntegerField(default=0)
    cached_input_tokens = models.BigIntegerField(default=0)
    cache_write_tokens = models.BigIntegerField(default=0)
    cache_write_1h_tokens = models.BigIntegerField(default=0)
    output_tokens = models.BigIntegerField(default=0)
    reasoning_tokens = models.BigIntegerField(default=0)
    audio_input_tokens = models.BigIntegerField(default=0)
    audio_output_tokens = models.BigIntegerField(default=0)
    images = models.IntegerField(default=0)
    # Which of the price's rates for pictures applied: resolution, count or factor.
    price_key = models.CharField(max_length=32, blank=True, default="", db_default="")
    basis = models.CharField(max_length=9, choices=Basis, blank=True)
    price_id = models.BigIntegerField(null=True)
    hold_nanos = models.BigIntegerField(default=0)
    list_nanos = models.BigIntegerField(default=0)
    amount_nanos = models.BigIntegerField(default=0)
    written_off_nanos = models.BigIntegerField(default=0)
    error_code = models.CharField(max_length=64, blank=True)
    error_message = models.CharField(max_length=500, blank=True)
    # The provider's id of an answer that a later call may continue (Responses), and by which it is found.
    upstream_id = models.CharField(max_length=128, blank=True, default="", db_default="")
    attempts = models.JSONField(default=list)

    objects = CallRecordQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(amount_nanos__gte=0, list_nanos__gte=0, written_off_nanos__gte=0),
                name="gateway_callrecord_amounts",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["completed", "client_gone"]) | Q(amount_nanos=0),
                name="gateway_callrecord_failures_are_free",
            ),
        ]
        indexes = [
            models.Index(fields=["group", "-id"], name="gateway_callrecord_of_group"),
            models.Index(fields=["api_key", "-id"], name="gateway_callrecord_of_key"),
            models.Index(
                fields=["upstream_id"],
                condition=Q(upstream_id__gt=""),
                name="gateway_callrecord_upstream",
            ),
        ]

    def __str__(self) -> str:
        return f"call_{self.id.hex}"

    @property
    def public_id(self) -> str:
        """The id as callers see it, in `x-request-id` and in the API."""
        return f"call_{self.id.hex}"
