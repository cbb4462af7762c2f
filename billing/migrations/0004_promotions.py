"""Promotional credits and redeem codes."""

from pathlib import Path

import accounts.ids
import django.db.models.deletion
import django.db.models.expressions
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0004_changes"),
        ("billing", "0003_limits"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="PromotionCheckpoint",
            fields=[
                (
                    "wallet",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="promotion_checkpoint",
                        serialize=False,
                        to="billing.account",
                    ),
                ),
                ("at", models.DateTimeField()),
                ("balance_nanos", models.BigIntegerField()),
                ("captured_nanos", models.BigIntegerField()),
            ],
        ),
        migrations.CreateModel(
            name="CodeBatch",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=accounts.ids.uuid7,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("wallet", "Paid credits for the group’s wallet"),
                            ("pool", "Paid credits for the organization’s pool"),
                            ("promotion", "Promotional credits for the group’s wallet"),
                        ],
                        max_length=9,
                    ),
                ),
                ("amount_nanos", models.BigIntegerField()),
                ("days", models.IntegerField(null=True)),
                ("uses_max", models.IntegerField()),
                ("valid_until", models.DateTimeField()),
                ("note", models.CharField(max_length=200)),
                (
                    "created_at",
                    models.DateTimeField(default=django.utils.timezone.now, editable=False),
                ),
                (
                    "created_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["-created_at", "-id"],
            },
        ),
        migrations.CreateModel(
            name="Code",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("digest", models.BinaryField(max_length=32, unique=True)),
                ("last_four", models.CharField(max_length=4)),
                ("uses", models.IntegerField(db_default=0, default=0)),
                ("uses_max", models.IntegerField()),
                ("disabled_at", models.DateTimeField(null=True)),
                (
                    "batch",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="codes",
                        to="billing.codebatch",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Promotion",
            fields=[
                ("id", models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ("amount_nanos", models.BigIntegerField()),
                ("remaining_nanos", models.BigIntegerField()),
                ("spent_nanos", models.BigIntegerField(db_default=0, default=0)),
                ("returned_nanos", models.BigIntegerField(db_default=0, default=0)),
                ("reason", models.CharField(max_length=300)),
                ("started_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
                (
                    "wallet",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="promotions",
                        to="billing.account",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="PromotionUse",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("amount_nanos", models.BigIntegerField()),
                ("began_at", models.DateTimeField(null=True)),
                ("ended_at", models.DateTimeField(null=True)),
                ("from_nanos", models.BigIntegerField(null=True)),
                ("captured_nanos", models.BigIntegerField(null=True)),
                ("transfer_id", models.UUIDField(null=True)),
                (
                    "promotion",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="uses",
                        to="billing.promotion",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Redemption",
            fields=[
                ("id", models.UUIDField(editable=False, primary_key=True, serialize=False)),
                (
                    "redeemed_at",
                    models.DateTimeField(default=django.utils.timezone.now, editable=False),
                ),
                (
                    "code",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="redemptions",
                        to="billing.code",
                    ),
                ),
                (
                    "group",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="accounts.group",
                    ),
                ),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="accounts.organization",
                    ),
                ),
                (
                    "redeemed_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["-redeemed_at", "-id"],
            },
        ),
        migrations.CreateModel(
            name="WrongCode",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("tried_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.AddConstraint(
            model_name="codebatch",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("amount_nanos__gt", 0),
                    ("amount_nanos__lt", 4611686018427387904),
                    ("uses_max__gt", 0),
                ),
                name="billing_codebatch_positive",
            ),
        ),
        migrations.AddConstraint(
            model_name="codebatch",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("days__gt", 0), ("days__isnull", False), ("kind", "promotion")),
                    models.Q(("days", None), ("kind__in", ["wallet", "pool"])),
                    _connector="OR",
                ),
                name="billing_codebatch_kind",
            ),
        ),
        migrations.AddConstraint(
            model_name="code",
            constraint=models.CheckConstraint(
                condition=models.Q(("uses__gte", 0), ("uses__lte", models.F("uses_max"))),
                name="billing_code_uses",
            ),
        ),
        migrations.AddIndex(
            model_name="promotion",
            index=models.Index(
                condition=models.Q(("remaining_nanos__gt", 0)),
                fields=["wallet", "expires_at"],
                name="billing_promotion_left",
            ),
        ),
        migrations.AddIndex(
            model_name="promotion",
            index=models.Index(
                condition=models.Q(("remaining_nanos__gt", 0)),
                fields=["expires_at"],
                name="billing_promotion_due",
            ),
        ),
        migrations.AddIndex(
            model_name="promotion",
            index=models.Index(
                fields=["wallet", "-started_at"], name="billing_promotion_of_wallet"
            ),
        ),
        migrations.AddConstraint(
            model_name="promotion",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("amount_nanos__gt", 0), ("amount_nanos__lt", 4611686018427387904)
                ),
                name="billing_promotion_positive",
            ),
        ),
        migrations.AddConstraint(
            model_name="promotion",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "amount_nanos",
                        django.db.models.expressions.CombinedExpression(
                            django.db.models.expressions.CombinedExpression(
                                models.F("remaining_nanos"), "+", models.F("spent_nanos")
                            ),
                            "+",
                            models.F("returned_nanos"),
                        ),
                    ),
                    ("remaining_nanos__gte", 0),
                    ("returned_nanos__gte", 0),
                    ("spent_nanos__gte", 0),
                ),
                name="billing_promotion_adds_up",
            ),
        ),
        migrations.AddIndex(
            model_name="promotionuse",
            index=models.Index(fields=["promotion", "ended_at"], name="billing_promotionuse_spans"),
        ),
        migrations.AddConstraint(
            model_name="promotionuse",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("amount_nanos__gt", 0),
                        ("began_at__isnull", False),
                        ("began_at__lt", models.F("ended_at")),
                        (
                            "captured_nanos__gte",
                            django.db.models.expressions.CombinedExpression(
                                models.F("from_nanos"), "+", models.F("amount_nanos")
                            ),
                        ),
                        ("captured_nanos__isnull", False),
                        ("ended_at__isnull", False),
                        ("from_nanos__gte", 0),
                        ("from_nanos__isnull", False),
                        ("transfer_id", None),
                    ),
                    models.Q(
                        ("began_at", None),
                        ("ended_at", None),
                        ("transfer_id__isnull", False),
                        ("captured_nanos", None),
                        ("from_nanos", None),
                        models.Q(("amount_nanos", 0), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="billing_promotionuse_span_or_transfer",
            ),
        ),
        migrations.AddConstraint(
            model_name="redemption",
            constraint=models.UniqueConstraint(
                fields=("code", "organization"), name="billing_redemption_once"
            ),
        ),
        migrations.AddIndex(
            model_name="wrongcode",
            index=models.Index(fields=["user", "tried_at"], name="billing_wrongcode_of_user"),
        ),
        migrations.RunSQL(Path(__file__).with_suffix(".sql").read_text(), migrations.RunSQL.noop),
    ]
