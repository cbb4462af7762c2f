"""Closings, alerts, messages and orders; balances of the past."""

from pathlib import Path

import accounts.ids
import django.db.models.deletion
import django.db.models.functions.datetime
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0004_changes"),
        ("billing", "0004_promotions"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Alert",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("threshold_nanos", models.BigIntegerField()),
                ("is_armed", models.BooleanField()),
                ("fired_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="AlertRecipient",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="AlertSettings",
            fields=[
                (
                    "group",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="alert_settings",
                        serialize=False,
                        to="accounts.group",
                    ),
                ),
                ("base_url", models.CharField(blank=True, default="", max_length=200)),
                ("webhook_url", models.CharField(blank=True, default="", max_length=2048)),
                ("sealed", models.BinaryField(null=True)),
                ("previous", models.BinaryField(null=True)),
                ("previous_until", models.DateTimeField(null=True)),
                ("rotated_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="Closing",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("day", models.DateField()),
                ("balance_nanos", models.BigIntegerField()),
                ("captured_nanos", models.BigIntegerField()),
                ("captures", models.BigIntegerField()),
            ],
        ),
        migrations.CreateModel(
            name="Notice",
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
                ("is_test", models.BooleanField(default=False)),
                ("threshold_nanos", models.BigIntegerField()),
                ("balance_nanos", models.BigIntegerField()),
                ("url", models.CharField(blank=True, default="", max_length=2048)),
                ("payload", models.TextField(blank=True, default="")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "Waiting"),
                            ("delivered", "Delivered"),
                            ("failed", "Failed"),
                        ],
                        default="waiting",
                        max_length=9,
                    ),
                ),
                ("log", models.JSONField(default=list)),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(),
                        default=django.utils.timezone.now,
                    ),
                ),
                (
                    "next_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(),
                        default=django.utils.timezone.now,
                    ),
                ),
                ("ended_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="Order",
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
                ("amount_nanos", models.BigIntegerField()),
                ("currency", models.CharField(default="usd", max_length=3)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("open", "Waiting for the payment"),
                            ("paid", "Paid"),
                            ("expired", "Expired"),
                            ("failed", "Failed"),
                        ],
                        default="open",
                        max_length=7,
                    ),
                ),
                ("session_id", models.CharField(blank=True, default="", max_length=255)),
                ("checkout_url", models.CharField(blank=True, default="", max_length=2048)),
                ("refunded_nanos", models.BigIntegerField(default=0)),
                ("taken_back_nanos", models.BigIntegerField(default=0)),
                ("problem", models.CharField(blank=True, default="", max_length=300)),
                (
                    "created_at",
                    models.DateTimeField(default=django.utils.timezone.now, editable=False),
                ),
                ("ended_at", models.DateTimeField(editable=False, null=True)),
            ],
        ),
        migrations.AddIndex(
            model_name="transfer",
            index=models.Index(
                condition=models.Q(("kind", "capture"), _negated=True),
                fields=["debit_account", "-created_at"],
                name="billing_transfer_moved_out",
            ),
        ),
        migrations.AddIndex(
            model_name="transfer",
            index=models.Index(
                condition=models.Q(("kind", "capture"), _negated=True),
                fields=["credit_account", "-created_at"],
                name="billing_transfer_moved_in",
            ),
        ),
        migrations.AddField(
            model_name="alert",
            name="group",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="alerts",
                to="accounts.group",
            ),
        ),
        migrations.AddField(
            model_name="alertrecipient",
            name="group",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="alert_recipients",
                to="accounts.group",
            ),
        ),
        migrations.AddField(
            model_name="alertrecipient",
            name="user",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="closing",
            name="account",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="billing.account",
            ),
        ),
        migrations.AddField(
            model_name="notice",
            name="group",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="accounts.group",
            ),
        ),
        migrations.AddField(
            model_name="notice",
            name="user",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="order",
            name="buyer",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="order",
            name="organization",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="orders",
                to="accounts.organization",
            ),
        ),
        migrations.AddConstraint(
            model_name="alert",
            constraint=models.UniqueConstraint(
                fields=("group", "threshold_nanos"), name="billing_alert_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="alert",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("threshold_nanos__gt", 0), ("threshold_nanos__lt", 4611686018427387904)
                ),
                name="billing_alert_positive",
            ),
        ),
        migrations.AddConstraint(
            model_name="alertrecipient",
            constraint=models.UniqueConstraint(
                fields=("group", "user"), name="billing_alertrecipient_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="closing",
            constraint=models.UniqueConstraint(
                fields=("account", "day"), name="billing_closing_once"
            ),
        ),
        migrations.AddIndex(
            model_name="notice",
            index=models.Index(fields=["group", "-id"], name="billing_notice_of_group"),
        ),
        migrations.AddIndex(
            model_name="notice",
            index=models.Index(
                condition=models.Q(("state", "waiting")),
                fields=["next_at"],
                name="billing_notice_waiting",
            ),
        ),
        migrations.AddConstraint(
            model_name="notice",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("url", ""), ("user__isnull", False)),
                    models.Q(("user__isnull", True), models.Q(("url", ""), _negated=True)),
                    _connector="OR",
                ),
                name="billing_notice_has_one_receiver",
            ),
        ),
        migrations.AddConstraint(
            model_name="notice",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("ended_at__isnull", True), ("state", "waiting")),
                    models.Q(("ended_at__isnull", False), ("state__in", ["delivered", "failed"])),
                    _connector="OR",
                ),
                name="billing_notice_state",
            ),
        ),
        migrations.AddIndex(
            model_name="order",
            index=models.Index(fields=["organization", "-id"], name="billing_order_of_org"),
        ),
        migrations.AddConstraint(
            model_name="order",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("amount_nanos__gt", 0), ("amount_nanos__lt", 4611686018427387904)
                ),
                name="billing_order_positive",
            ),
        ),
        migrations.AddConstraint(
            model_name="order",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("refunded_nanos__gte", 0),
                    ("taken_back_nanos__gte", 0),
                    ("taken_back_nanos__lte", models.F("refunded_nanos")),
                ),
                name="billing_order_refunds",
            ),
        ),
        migrations.AddConstraint(
            model_name="order",
            constraint=models.UniqueConstraint(
                condition=models.Q(("session_id", ""), _negated=True),
                fields=("session_id",),
                name="billing_order_session",
            ),
        ),
        migrations.RunSQL(Path(__file__).with_suffix(".sql").read_text(), migrations.RunSQL.noop),
    ]
