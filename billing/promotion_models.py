"""Promotional credits and redeem codes. docs/decisions/0006-promotional-credits.md says how they are counted."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.ids import uuid7
from accounts.models import Group, Organization, User

# As everywhere in the ledger (billing.models, which imports this module).
NANOS_MAX = 2**62


class PromotionQuerySet(models.QuerySet["Promotion"]):
    def left_in(self, wallet_id: int) -> PromotionQuerySet:
        """Those of which something is left, in the order in which they are spent."""
        return self.filter(wallet=wallet_id, remaining_nanos__gt=0).order_by("expires_at", "id")


class Promotion(models.Model):
    """Credits that were given to a wallet until a day. The id is that of the grant that gave them.

    `remaining_nanos`, `spent_nanos` and `returned_nanos` are as of the wallet's checkpoint and always add up to the
    amount. Written under the lock of the wallet, by promotion_spending.py and promotions.py alone.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    wallet = models.ForeignKey(
        "billing.Account", on_delete=models.PROTECT, related_name="promotions"
    )
    amount_nanos = models.BigIntegerField()
    remaining_nanos = models.BigIntegerField()
    spent_nanos = models.BigIntegerField(default=0, db_default=0)
    returned_nanos = models.BigIntegerField(default=0, db_default=0)
    reason = models.CharField(max_length=300)
    started_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    objects = PromotionQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(amount_nanos__gt=0, amount_nanos__lt=NANOS_MAX),
                name="billing_promotion_positive",
            ),
            models.CheckConstraint(
                condition=Q(
                    remaining_nanos__gte=0,
                    spent_nanos__gte=0,
                    returned_nanos__gte=0,
                    amount_nanos=F("remaining_nanos") + F("spent_nanos") + F("returned_nanos"),
                ),
                name="billing_promotion_adds_up",
            ),
        ]
        indexes = [
            models.Index(
                fields=["wallet", "expires_at"],
                condition=Q(remaining_nanos__gt=0),
                name="billing_promotion_left",
            ),
            models.Index(
                fields=["expires_at"],
                condition=Q(remaining_nanos__gt=0),
                name="billing_promotion_due",
            ),
            models.Index(fields=["wallet", "-started_at"], name="billing_promotion_of_wallet"),
        ]

    def __str__(self) -> str:
        return self.reason


class PromotionCheckpoint(models.Model):
    """Up to when the captures of a wallet are counted into its promotions: its balance then.

    Each move of the wallet but captures advances it, so what was captured since is the difference to the balance now.
    `captured_nanos`: all that was captured before; with the balance it is the sum of the wallet's other moves.
    """

    wallet = models.OneToOneField(
        "billing.Account",
        on_delete=models.PROTECT,
        primary_key=True,
        related_name="promotion_checkpoint",
    )
    at = models.DateTimeField()
    balance_nanos = models.BigIntegerField()
    captured_nanos = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.balance_nanos} at {self.at:%Y-%m-%d %H:%M:%S}"


class PromotionUse(models.Model):
    """What a promotion paid, or got back if negative.

    With a span: of the `captured_nanos` that calls were charged after `began_at` up to `ended_at`, in the order of
    their captures, the promotion paid those from `from_nanos` on. With a transfer: what its own grant paid of a debt,
    or what a refund gave back.
    """

    id = models.BigAutoField(primary_key=True)
    promotion = models.ForeignKey(Promotion, on_delete=models.PROTECT, related_name="uses")
    amount_nanos = models.BigIntegerField()
    began_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    from_nanos = models.BigIntegerField(null=True)
    captured_nanos = models.BigIntegerField(null=True)
    transfer_id = models.UUIDField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    transfer_id=None,
                    began_at__isnull=False,
                    ended_at__isnull=False,
                    from_nanos__isnull=False,
                    captured_nanos__isnull=False,
                    began_at__lt=F("ended_at"),
                    amount_nanos__gt=0,
                    from_nanos__gte=0,
                    captured_nanos__gte=F("from_nanos") + F("amount_nanos"),
                )
                | (
                    Q(transfer_id__isnull=False, began_at=None, ended_at=None)
                    & Q(from_nanos=None, captured_nanos=None)
                    & ~Q(amount_nanos=0)
                ),
                name="billing_promotionuse_span_or_transfer",
            ),
        ]
        indexes = [
            models.Index(fields=["promotion", "ended_at"], name="billing_promotionuse_spans")
        ]

    def __str__(self) -> str:
        return f"{self.amount_nanos} of {self.promotion_id}"


class CodeBatch(models.Model):
    """Redeem codes that an operator made together; what each of them gives, how often and until when."""

    class Kind(models.TextChoices):
        WALLET = "wallet", _("Paid credits for the group’s wallet")
        POOL = "pool", _("Paid credits for the organization’s pool")
        PROMOTION = "promotion", _("Promotional credits for the group’s wallet")

    # Made with the form, so that sending it twice makes one batch.
    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    kind = models.CharField(max_length=9, choices=Kind)
    amount_nanos = models.BigIntegerField()
    # How long promotional credits live once a code is redeemed.
    days = models.IntegerField(null=True)
    uses_max = models.IntegerField()
    valid_until = models.DateTimeField()
    note = models.CharField(max_length=200)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(amount_nanos__gt=0, amount_nanos__lt=NANOS_MAX, uses_max__gt=0),
                name="billing_codebatch_positive",
            ),
            models.CheckConstraint(
                condition=Q(kind="promotion", days__isnull=False, days__gt=0)
                | Q(kind__in=["wallet", "pool"], days=None),
                name="billing_codebatch_kind",
            ),
        ]

    def __str__(self) -> str:
        return self.note


class Code(models.Model):
    """A redeem code: an HMAC of it and what may be shown, its last four characters."""

    id = models.BigAutoField(primary_key=True)
    batch = models.ForeignKey(CodeBatch, on_delete=models.PROTECT, related_name="codes")
    digest = models.BinaryField(max_length=32, unique=True)
    last_four = models.CharField(max_length=4)
    uses = models.IntegerField(default=0, db_default=0)
    uses_max = models.IntegerField()
    disabled_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(uses__gte=0, uses__lte=F("uses_max")), name="billing_code_uses"
            ),
        ]

    def __str__(self) -> str:
        return f"…{self.last_four}"


class Redemption(models.Model):
    """One use of a code. Its id is the operation id of the form, and of the transfer that brought the credits."""

    id = models.UUIDField(primary_key=True, editable=False)
    code = models.ForeignKey(Code, on_delete=models.PROTECT, related_name="redemptions")
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+")
    group = models.ForeignKey(Group, on_delete=models.PROTECT, related_name="+")
    redeemed_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    redeemed_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["-redeemed_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["code", "organization"], name="billing_redemption_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.code} by {self.organization}"


class WrongCode(models.Model):
    """A code that somebody tried in vain. Kept for a day, to stop guessing."""

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    tried_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [models.Index(fields=["user", "tried_at"], name="billing_wrongcode_of_user")]

    def __str__(self) -> str:
        return f"{self.user} at {self.tried_at:%Y-%m-%d %H:%M:%S}"
