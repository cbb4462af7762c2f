"""Closings, low-balance alerts with their messages, and orders of credits. See billing/README.md."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.ids import uuid7
from accounts.models import Group, Organization, User

# As everywhere in the ledger (billing.models, which imports this module).
NANOS_MAX = 2**62


class Closing(models.Model):
    """What a pool or wallet had at the end of a day (UTC) on which something moved, and what calls took that day.

    Derived from the transfers, so that a balance of the past need not add up millions of them: written by
    `billing_close_days`, proved by `manage.py audit`, and made again after it was deleted.
    """

    id = models.BigAutoField(primary_key=True)
    account = models.ForeignKey(
        "billing.Account",
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )
    day = models.DateField()
    balance_nanos = models.BigIntegerField()
    captured_nanos = models.BigIntegerField()
    captures = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "day"], name="billing_closing_once")
        ]

    def __str__(self) -> str:
        return f"{self.account_id} at the end of {self.day}"


class AlertSettings(models.Model):
    """`base_url` is where the group's alerts were last saved, for links where the installation does not know its
    address."""

    group = models.OneToOneField(
        Group, on_delete=models.CASCADE, primary_key=True, related_name="alert_settings"
    )
    base_url = models.CharField(max_length=200, blank=True, default="")

    def __str__(self) -> str:
        return f"alerts of {self.group}"


class AlertRecipient(models.Model):
    """Somebody who manages the group and wants mail when its balance is low."""

    group = models.ForeignKey(Group, on_delete=models.CASCADE, related_name="alert_recipients")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["group", "user"], name="billing_alertrecipient_once")
        ]

    def __str__(self) -> str:
        return f"{self.user} of {self.group}"


class Alert(models.Model):
    """A threshold of a group's balance. Armed, it fires when the balance is below it, once; it is armed again when
    the balance is above it by a twentieth (`alerts.check_wallets`)."""

    id = models.BigAutoField(primary_key=True)
    group = models.ForeignKey(Group, on_delete=models.CASCADE, related_name="alerts")
    threshold_nanos = models.BigIntegerField()
    is_armed = models.BooleanField()
    fired_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["group", "threshold_nanos"], name="billing_alert_once"),
            models.CheckConstraint(
                condition=Q(threshold_nanos__gt=0, threshold_nanos__lt=NANOS_MAX),
                name="billing_alert_positive",
            ),
        ]

    def __str__(self) -> str:
        return f"below {self.threshold_nanos} of {self.group}"


class Notice(models.Model):
    """One mail of an alert. A row that waits is its own queue entry: whoever sends it keeps it locked meanwhile.

    `log` has the tries: {"at", "error"}.
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        DELIVERED = "delivered", _("Delivered")
        FAILED = "failed", _("Failed")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    group = models.ForeignKey(Group, on_delete=models.CASCADE, related_name="+", db_index=False)
    is_test = models.BooleanField(default=False)
    threshold_nanos = models.BigIntegerField()
    balance_nanos = models.BigIntegerField()
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    state = models.CharField(max_length=9, choices=State, default=State.WAITING)
    log = models.JSONField(default=list)
    created_at = models.DateTimeField(default=timezone.now, db_default=Now())
    next_at = models.DateTimeField(default=timezone.now, db_default=Now())
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(state="waiting", ended_at__isnull=True)
                | Q(state__in=["delivered", "failed"], ended_at__isnull=False),
                name="billing_notice_state",
            ),
        ]
        indexes = [
            models.Index(fields=["group", "-id"], name="billing_notice_of_group"),
            models.Index(
                fields=["next_at"], condition=Q(state="waiting"), name="billing_notice_waiting"
            ),
        ]

    def __str__(self) -> str:
        return f"msg_{self.id.hex}"


class Order(models.Model):
    """Credits that an organization buys. Its deposit has the order's own id, so that there is never a second one.

    `session_id` and `checkout_url` are the provider's, empty until it answered; `refunded_nanos` is what the provider
    gave back in all, `taken_back_nanos` what of it left the pool again. `problem` is for the operator.
    """

    class State(models.TextChoices):
        OPEN = "open", _("Waiting for the payment")
        PAID = "paid", _("Paid")
        EXPIRED = "expired", _("Expired")
        FAILED = "failed", _("Failed")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="orders")
    buyer = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    amount_nanos = models.BigIntegerField()
    currency = models.CharField(max_length=3, default="usd")
    state = models.CharField(max_length=7, choices=State, default=State.OPEN)
    session_id = models.CharField(max_length=255, blank=True, default="")
    checkout_url = models.CharField(max_length=2048, blank=True, default="")
    refunded_nanos = models.BigIntegerField(default=0)
    taken_back_nanos = models.BigIntegerField(default=0)
    problem = models.CharField(max_length=300, blank=True, default="")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    ended_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(amount_nanos__gt=0, amount_nanos__lt=NANOS_MAX),
                name="billing_order_positive",
            ),
            models.CheckConstraint(
                condition=Q(refunded_nanos__gte=0, taken_back_nanos__gte=0)
                & Q(taken_back_nanos__lte=F("refunded_nanos")),
                name="billing_order_refunds",
            ),
            models.UniqueConstraint(
                fields=["session_id"], condition=~Q(session_id=""), name="billing_order_session"
            ),
        ]
        indexes = [models.Index(fields=["organization", "-id"], name="billing_order_of_org")]

    def __str__(self) -> str:
        return f"order_{self.id.hex}"
