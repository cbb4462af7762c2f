"""How much: money accounts, transfers, holds and the price book.

The rules that keep money right live in PostgreSQL (constraints here, triggers and functions in migration 0002):
whatever writes to these tables, in Python or by hand, is held to them. README.md in this folder lists them.
"""

from __future__ import annotations

from datetime import datetime
from typing import cast

from django.contrib.postgres.functions import TransactionNow
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.ids import uuid7
from accounts.models import APIKey, Group, Organization
from billing import notice_models as notice_models
from billing import pricing
from billing import promotion_models as promotion_models

NANOS_MAX = 2**62
LIMIT_NAMES = (
    "requests_per_minute",
    "tokens_per_minute",
    "concurrent_calls",
    "day_nanos",
    "month_nanos",
    "lifetime_nanos",
)


class AccountQuerySet(models.QuerySet["Account"]):
    def pool_of(self, organization: Organization) -> Account:
        return self.get(organization=organization, kind=Account.Kind.POOL)

    def wallet_of(self, group: Group) -> Account:
        return self.get(group=group, kind=Account.Kind.WALLET)

    def wallets_of(self, organization: Organization) -> AccountQuerySet:
        """The organization's wallets with their groups, by group name."""
        return (
            self.filter(organization=organization, kind=Account.Kind.WALLET)
            .select_related("group")
            .order_by("group__name")
        )


class Account(models.Model):
    """A place where credits stand. Platform accounts (deposits, revenue, promotions, write-offs) are kept per
    organization as well, so that two tenants never wait for the same row."""

    class Kind(models.TextChoices):
        POOL = "pool", _("Pool")
        WALLET = "wallet", _("Wallet")
        DEPOSITS = "deposits", _("Deposits")
        REVENUE = "revenue", _("Revenue")
        PROMOTIONS = "promotions", _("Promotions")
        WRITEOFFS = "writeoffs", _("Write-offs")

    id = models.BigAutoField(primary_key=True)
    kind = models.CharField(max_length=10, choices=Kind)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+")
    group = models.ForeignKey(Group, on_delete=models.PROTECT, null=True, related_name="+")
    balance_nanos = models.BigIntegerField(default=0)
    held_nanos = models.BigIntegerField(default=0)
    credit_line_nanos = models.BigIntegerField(default=0)

    objects = AccountQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    kind__in=["pool", "wallet", "deposits", "revenue", "promotions", "writeoffs"]
                ),
                name="billing_account_kind",
            ),
            models.CheckConstraint(
                condition=Q(kind="wallet", group__isnull=False)
                | (~Q(kind="wallet") & Q(group__isnull=True)),
                name="billing_account_wallets_are_of_groups",
            ),
            models.CheckConstraint(
                condition=Q(held_nanos__gte=0), name="billing_account_held_nonnegative"
            ),
            models.CheckConstraint(
                condition=Q(credit_line_nanos__gte=0),
                name="billing_account_credit_line_nonnegative",
            ),
            models.CheckConstraint(
                condition=Q(kind="wallet") | Q(held_nanos=0, credit_line_nanos=0),
                name="billing_account_only_wallets_hold",
            ),
            models.CheckConstraint(
                condition=Q(kind__in=["deposits", "promotions", "writeoffs"])
                | Q(balance_nanos__gte=F("held_nanos") - F("credit_line_nanos")),
                name="billing_account_never_overspent",
            ),
            models.UniqueConstraint(
                fields=["group"], condition=Q(kind="wallet"), name="billing_account_one_wallet"
            ),
            models.UniqueConstraint(
                fields=["organization", "kind"],
                condition=~Q(kind="wallet"),
                name="billing_account_one_of_a_kind",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of {self.group or self.organization}"

    @property
    def available_nanos(self) -> int:
        """What a new hold may take: balance less what is held, and the credit line if the operator gave one."""
        return self.balance_nanos - self.held_nanos + self.credit_line_nanos


class TransferQuerySet(models.QuerySet["Transfer"]):
    def touching(self, account: Account) -> TransferQuerySet:
        """Transfers from or to the account, newest first."""
        return self.filter(Q(debit_account=account) | Q(credit_account=account)).order_by("-id")


class Transfer(models.Model):
    """An immutable move of a positive amount from the debit to the credit account. Its id is the operation's id:
    the same id a second time changes nothing. A capture carries the id of its call."""

    class Kind(models.TextChoices):
        DEPOSIT = "deposit", _("Deposit")
        GRANT = "grant", _("Grant")
        RECLAIM = "reclaim", _("Reclaim")
        CAPTURE = "capture", _("Capture")
        REFUND = "refund", _("Refund")
        ADJUST = "adjust", _("Adjustment")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    kind = models.CharField(max_length=8, choices=Kind)
    debit_account = models.ForeignKey(
        Account, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    credit_account = models.ForeignKey(
        Account, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    amount_nanos = models.BigIntegerField()
    call_id = models.UUIDField(null=True)
    actor_id = models.BigIntegerField(null=True)
    reason = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(default=timezone.now, db_default=Now())

    objects = TransferQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    kind__in=["deposit", "grant", "reclaim", "capture", "refund", "adjust"]
                ),
                name="billing_transfer_kind",
            ),
            models.CheckConstraint(
                condition=Q(amount_nanos__gt=0, amount_nanos__lt=NANOS_MAX),
                name="billing_transfer_positive",
            ),
            models.CheckConstraint(
                condition=~Q(debit_account=F("credit_account")), name="billing_transfer_moves"
            ),
            models.CheckConstraint(
                condition=~Q(kind="capture") | Q(call_id__isnull=False, call_id=F("id")),
                name="billing_transfer_captures_its_call",
            ),
            models.UniqueConstraint(
                fields=["call_id", "kind"],
                condition=~Q(kind="capture") & Q(call_id__isnull=False),
                name="billing_transfer_once_per_call",
            ),
        ]
        indexes = [
            models.Index(fields=["debit_account", "-id"], name="billing_transfer_debits"),
            models.Index(
                fields=["credit_account", "-id"],
                condition=~Q(kind="capture"),
                name="billing_transfer_credits",
            ),
            # Moves by people, by time: the two above are ordered by ids, which are whatever their callers chose.
            models.Index(
                fields=["debit_account", "-created_at"],
                condition=~Q(kind="capture"),
                name="billing_transfer_moved_out",
            ),
            models.Index(
                fields=["credit_account", "-created_at"],
                condition=~Q(kind="capture"),
                name="billing_transfer_moved_in",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.amount_nanos}"


class Limit(models.Model):
    """What one key or one group may use, and what it has used so far. NULL in a column of a limit: no limit.

    Counters are written by `billing_apply` and `billing_release_lost` alone, in the transaction of the holds that they
    count. Those of a window, a day or a month that has ended stand until the next call. Days and months are UTC.
    """

    id = models.BigAutoField(primary_key=True)
    api_key = models.OneToOneField(
        APIKey, on_delete=models.CASCADE, null=True, blank=True, related_name="limit"
    )
    group = models.OneToOneField(
        Group, on_delete=models.CASCADE, null=True, blank=True, related_name="limit"
    )
    requests_per_minute = models.BigIntegerField(_("requests per minute"), null=True, blank=True)
    tokens_per_minute = models.BigIntegerField(_("tokens per minute"), null=True, blank=True)
    concurrent_calls = models.BigIntegerField(_("calls at a time"), null=True, blank=True)
    day_nanos = models.BigIntegerField(_("credits per day"), null=True, blank=True)
    month_nanos = models.BigIntegerField(_("credits per month"), null=True, blank=True)
    lifetime_nanos = models.BigIntegerField(_("credits in all"), null=True, blank=True)

    window_started_at = models.DateTimeField(null=True, editable=False)
    window_requests = models.BigIntegerField(default=0, db_default=0, editable=False)
    window_tokens = models.BigIntegerField(default=0, db_default=0, editable=False)
    running_calls = models.BigIntegerField(default=0, db_default=0, editable=False)
    held_nanos = models.BigIntegerField(default=0, db_default=0, editable=False)
    day = models.DateField(null=True, editable=False)
    day_spent_nanos = models.BigIntegerField(default=0, db_default=0, editable=False)
    month = models.DateField(null=True, editable=False)
    month_spent_nanos = models.BigIntegerField(default=0, db_default=0, editable=False)
    lifetime_spent_nanos = models.BigIntegerField(default=0, db_default=0, editable=False)
    # The part of the lifetime that was spent before there was a limit to count it.
    seeded_nanos = models.BigIntegerField(default=0, db_default=0, editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(api_key__isnull=True, group__isnull=False)
                | Q(api_key__isnull=False, group__isnull=True),
                name="billing_limit_of_one",
                violation_error_message=_("A limit is of one key or of one group."),
            ),
            *(
                models.CheckConstraint(
                    condition=Q(**{f"{name}__isnull": True})
                    | Q(**{f"{name}__gt": 0, f"{name}__lt": NANOS_MAX}),
                    name=f"billing_limit_{name}_positive",
                    violation_error_message=_("A limit is a positive number."),
                )
                for name in LIMIT_NAMES
            ),
        ]

    def __str__(self) -> str:
        return f"Limits of {self.api_key or self.group}"


class HoldOwner(models.Model):
    """One running gateway process. It keeps an advisory lock on its id while it lives; holds of an owner whose
    lock is free and whose `seen_at` is old are released as lost, and the owner is closed.

    `busy_since` is when the oldest call that it had in flight began, as of `seen_at`: no open hold of it is older.
    """

    id = models.BigAutoField(primary_key=True)
    started_at = models.DateTimeField(db_default=Now())
    seen_at = models.DateTimeField(db_default=Now())
    busy_since = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"process {self.pk}"


class Hold(models.Model):
    """An amount reserved for one call, whose id it bears; open until captured or released, once."""

    class State(models.TextChoices):
        OPEN = "open", _("Open")
        CAPTURED = "captured", _("Captured")
        RELEASED = "released", _("Released")

    id = models.UUIDField(primary_key=True, editable=False)
    account = models.ForeignKey(
        Account, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    owner = models.ForeignKey(
        HoldOwner,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )
    amount_nanos = models.BigIntegerField()
    state = models.CharField(max_length=8, choices=State, default=State.OPEN)
    # What the gateway needs to write the record of a call whose process died; emptied when the hold ends.
    memo = models.TextField(blank=True)
    created_at = models.DateTimeField(db_default=Now())
    resolved_at = models.DateTimeField(null=True)
    # Whose counters this hold is part of, in which of their windows, and what it brought there.
    key_limit = models.ForeignKey(
        Limit,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        null=True,
        related_name="+",
    )
    group_limit = models.ForeignKey(
        Limit,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        null=True,
        related_name="+",
    )
    tokens = models.BigIntegerField(default=0, db_default=0)
    key_window_at = models.DateTimeField(null=True)
    group_window_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(amount_nanos__gt=0, amount_nanos__lt=NANOS_MAX),
                name="billing_hold_positive",
            ),
            models.CheckConstraint(
                condition=Q(state="open", resolved_at__isnull=True)
                | Q(state__in=["captured", "released"], resolved_at__isnull=False),
                name="billing_hold_state",
            ),
        ]
        # No index on `state`: with one, ending a hold would write to every index of the table.

    def __str__(self) -> str:
        return f"{self.state} {self.amount_nanos}"


class PriceQuerySet(models.QuerySet["Price"]):
    def in_force(self, moment: datetime) -> PriceQuerySet:
        """For each model (and group, where one has its own) the newest price that has begun."""
        return (
            self.filter(effective_from__lte=moment)
            .order_by("model", "group_id", "-effective_from", "-id")
            .distinct("model", "group_id")
        )


class Price(models.Model):
    """A dated entry of the price book. Never edited: a new price is a new row. `model` is the canonical name
    `provider/model`; `group` is set where one group has a price of its own."""

    id = models.BigAutoField(primary_key=True)
    model = models.CharField(max_length=120)
    group = models.ForeignKey(
        Group, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    effective_from = models.DateTimeField()
    sell_bps = models.IntegerField(default=5000)
    list_is_estimated = models.BooleanField(default=False)
    source = models.CharField(max_length=300, blank=True)
    # The time of the transaction: rates are taken only in the one that makes their price (migration 0002).
    created_at = models.DateTimeField(db_default=TransactionNow(), editable=False)

    objects = PriceQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(sell_bps__gte=0, sell_bps__lte=100_000), name="billing_price_sell_bps"
            ),
            models.UniqueConstraint(
                fields=["model", "group", "effective_from"],
                nulls_distinct=False,
                name="billing_price_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model} from {self.effective_from:%Y-%m-%d}"

    def frozen(self) -> pricing.Price:
        """The price as the pure pricing functions take it."""
        tables: dict[tuple[pricing.Tier, int], dict[str, pricing.Rate]] = {}
        for rate in self.rates.all():
            bps = self.sell_bps if rate.sell_bps is None else rate.sell_bps
            tier = cast(pricing.Tier, rate.tier)
            table = tables.setdefault((tier, rate.above_input_tokens), {})
            table[rate.bucket] = pricing.Rate(rate.list_nanos, rate.per, bps)
        return pricing.Price(
            id=self.pk,
            model=self.model,
            group_id=str(self.group_id) if self.group_id else None,
            effective_from=self.effective_from,
            tables=tuple(
                pricing.RateTable(tier, above, rates)
                for (tier, above), rates in sorted(tables.items())
            ),
        )


class PriceRate(models.Model):
    """The list price of one bucket: `list_nanos` nano-dollars for each `per` units."""

    class Tier(models.TextChoices):
        STANDARD = "standard", _("Standard")
        FLEX = "flex", _("Flex")
        PRIORITY = "priority", pgettext_lazy("service tier", "Priority")

    price = models.ForeignKey(Price, on_delete=models.PROTECT, related_name="rates")
    tier = models.CharField(max_length=8, choices=Tier, default=Tier.STANDARD)
    above_input_tokens = models.BigIntegerField(default=0)
    bucket = models.CharField(max_length=32)
    list_nanos = models.BigIntegerField()
    per = models.IntegerField(default=1_000_000)
    sell_bps = models.IntegerField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(list_nanos__gte=0, list_nanos__lte=10**15),
                name="billing_pricerate_list",
            ),
            models.CheckConstraint(
                condition=Q(per__in=[1, 1_000_000]), name="billing_pricerate_per"
            ),
            models.CheckConstraint(
                condition=Q(tier__in=["standard", "flex", "priority"]),
                name="billing_pricerate_tier",
            ),
            models.CheckConstraint(
                condition=Q(above_input_tokens__gte=0), name="billing_pricerate_threshold"
            ),
            models.CheckConstraint(
                condition=Q(sell_bps__isnull=True) | Q(sell_bps__gte=0, sell_bps__lte=100_000),
                name="billing_pricerate_sell_bps",
            ),
            models.UniqueConstraint(
                fields=["price", "tier", "above_input_tokens", "bucket"],
                name="billing_pricerate_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.bucket} {self.list_nanos}/{self.per}"


class AuditRun(models.Model):
    """The result of one check of the ledger: how many violations each invariant had."""

    id = models.BigAutoField(primary_key=True)
    ran_at = models.DateTimeField(db_default=Now())
    violations = models.JSONField(default=dict)
    total = models.BigIntegerField(default=0)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.total} violations at {self.ran_at:%Y-%m-%d %H:%M:%S}"
