from pathlib import Path

import django.db.models.deletion
import django.db.models.functions.datetime
import django.utils.timezone
from django.db import migrations, models

import accounts.ids


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0003_restrictions"),
        ("gateway", "0006_responses"),
    ]

    operations = [
        migrations.CreateModel(
            name="CallbackSecret",
            fields=[
                (
                    "api_key",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="callback_secret",
                        serialize=False,
                        to="accounts.apikey",
                    ),
                ),
                ("sealed", models.BinaryField()),
                ("previous", models.BinaryField(null=True)),
                ("previous_until", models.DateTimeField(null=True)),
                ("rotated_at", models.DateTimeField(default=django.utils.timezone.now)),
            ],
        ),
        migrations.AddField(
            model_name="callrecord",
            name="price_key",
            field=models.CharField(blank=True, db_default="", default="", max_length=32),
        ),
        migrations.CreateModel(
            name="Task",
            fields=[
                ("id", models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ("account_id", models.BigIntegerField()),
                (
                    "action",
                    models.CharField(
                        choices=[
                            ("text_to_image", "Text to image"),
                            ("edit_image", "Image edit"),
                            ("upscale_image", "Upscale"),
                        ],
                        max_length=16,
                    ),
                ),
                ("endpoint", models.CharField(max_length=32)),
                ("requested_model", models.CharField(max_length=120)),
                ("model", models.CharField(max_length=120)),
                ("request", models.JSONField()),
                ("count", models.IntegerField(default=1)),
                ("price_id", models.BigIntegerField()),
                (
                    "price_key",
                    models.CharField(blank=True, db_default="", default="", max_length=32),
                ),
                ("hold_nanos", models.BigIntegerField()),
                ("amount_nanos", models.BigIntegerField(db_default=0, default=0)),
                ("base_url", models.CharField(max_length=200)),
                (
                    "callback_url",
                    models.CharField(blank=True, db_default="", default="", max_length=2048),
                ),
                (
                    "idempotency_key",
                    models.CharField(blank=True, db_default="", default="", max_length=512),
                ),
                ("request_digest", models.CharField(max_length=64)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("pending", "Pending"),
                            ("processing", "Processing"),
                            ("completed", "Completed"),
                            ("failed", "Failed"),
                        ],
                        db_default="pending",
                        default="pending",
                        max_length=10,
                    ),
                ),
                ("progress", models.SmallIntegerField(db_default=0, default=0)),
                (
                    "error_code",
                    models.CharField(blank=True, db_default="", default="", max_length=64),
                ),
                (
                    "error_message",
                    models.CharField(blank=True, db_default="", default="", max_length=500),
                ),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                (
                    "updated_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                ("started_at", models.DateTimeField(null=True)),
                ("ended_at", models.DateTimeField(null=True)),
                ("deadline_at", models.DateTimeField()),
                (
                    "next_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                (
                    "nudged_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                ("lease_until", models.DateTimeField(null=True)),
                ("attempts", models.IntegerField(db_default=0, default=0)),
                ("job", models.JSONField(null=True)),
                (
                    "trials",
                    models.JSONField(db_default=models.Value([], models.JSONField()), default=list),
                ),
                (
                    "events",
                    models.JSONField(db_default=models.Value([], models.JSONField()), default=list),
                ),
                (
                    "api_key",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="accounts.apikey",
                    ),
                ),
                (
                    "group",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="accounts.group",
                    ),
                ),
                (
                    "organization",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="accounts.organization",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Picture",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("position", models.SmallIntegerField()),
                ("name", models.CharField(max_length=200)),
                ("thumbnail", models.CharField(max_length=200)),
                ("content_type", models.CharField(max_length=40)),
                ("extension", models.CharField(max_length=8)),
                ("width", models.IntegerField()),
                ("height", models.IntegerField()),
                ("size_bytes", models.BigIntegerField()),
                ("expires_at", models.DateTimeField()),
                ("deleted_at", models.DateTimeField(null=True)),
                (
                    "task",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="pictures",
                        to="gateway.task",
                    ),
                ),
            ],
            options={
                "ordering": ["position"],
            },
        ),
        migrations.CreateModel(
            name="Delivery",
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
                ("url", models.CharField(max_length=2048)),
                ("payload", models.TextField(blank=True, db_default="", default="")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "Waiting"),
                            ("delivered", "Delivered"),
                            ("failed", "Failed"),
                        ],
                        db_default="waiting",
                        default="waiting",
                        max_length=9,
                    ),
                ),
                ("attempts", models.IntegerField(db_default=0, default=0)),
                (
                    "log",
                    models.JSONField(db_default=models.Value([], models.JSONField()), default=list),
                ),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                (
                    "next_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                (
                    "nudged_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                ("lease_until", models.DateTimeField(null=True)),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "api_key",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="accounts.apikey",
                    ),
                ),
                (
                    "group",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="accounts.group",
                    ),
                ),
                (
                    "task",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="deliveries",
                        to="gateway.task",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Upload",
            fields=[
                ("id", models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=200)),
                ("filename", models.CharField(max_length=200)),
                ("purpose", models.CharField(max_length=40)),
                ("content_type", models.CharField(max_length=40)),
                ("width", models.IntegerField()),
                ("height", models.IntegerField()),
                ("size_bytes", models.BigIntegerField()),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                ("expires_at", models.DateTimeField()),
                ("deleted_at", models.DateTimeField(null=True)),
                (
                    "api_key",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="accounts.apikey",
                    ),
                ),
                (
                    "group",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="accounts.group",
                    ),
                ),
            ],
        ),
        migrations.AddIndex(
            model_name="task",
            index=models.Index(fields=["group", "-id"], name="gateway_task_of_group"),
        ),
        migrations.AddIndex(
            model_name="task",
            index=models.Index(
                condition=models.Q(("status__in", ["pending", "processing"])),
                fields=["next_at"],
                name="gateway_task_unfinished",
            ),
        ),
        migrations.AddIndex(
            model_name="task",
            index=models.Index(
                condition=models.Q(("status__in", ["pending", "processing"])),
                fields=["deadline_at"],
                name="gateway_task_deadline",
            ),
        ),
        migrations.AddConstraint(
            model_name="task",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("ended_at__isnull", True), ("status__in", ("pending", "processing"))),
                    models.Q(("ended_at__isnull", False), ("status__in", ("completed", "failed"))),
                    _connector="OR",
                ),
                name="gateway_task_status",
            ),
        ),
        migrations.AddConstraint(
            model_name="task",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("amount_nanos", 0),
                    models.Q(
                        ("amount_nanos__gt", 0),
                        ("amount_nanos__lte", models.F("hold_nanos")),
                        ("status", "completed"),
                    ),
                    _connector="OR",
                ),
                name="gateway_task_amount",
            ),
        ),
        migrations.AddConstraint(
            model_name="task",
            constraint=models.CheckConstraint(
                condition=models.Q(("progress__gte", 0), ("progress__lte", 100)),
                name="gateway_task_progress",
            ),
        ),
        migrations.AddConstraint(
            model_name="task",
            constraint=models.UniqueConstraint(
                condition=models.Q(("idempotency_key__gt", "")),
                fields=("api_key", "idempotency_key"),
                name="gateway_task_once_per_key",
            ),
        ),
        migrations.AddIndex(
            model_name="picture",
            index=models.Index(
                condition=models.Q(("deleted_at__isnull", True)),
                fields=["expires_at"],
                name="gateway_picture_kept",
            ),
        ),
        migrations.AddConstraint(
            model_name="picture",
            constraint=models.UniqueConstraint(
                fields=("task", "position"), name="gateway_picture_once"
            ),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(fields=["task", "-id"], name="gateway_delivery_of_task"),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(fields=["api_key", "-id"], name="gateway_delivery_of_key"),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("state", "waiting")),
                fields=["next_at"],
                name="gateway_delivery_waiting",
            ),
        ),
        migrations.AddConstraint(
            model_name="delivery",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("ended_at__isnull", True), ("state", "waiting")),
                    models.Q(("ended_at__isnull", False), ("state__in", ["delivered", "failed"])),
                    _connector="OR",
                ),
                name="gateway_delivery_state",
            ),
        ),
        migrations.AddIndex(
            model_name="upload",
            index=models.Index(fields=["group", "-id"], name="gateway_upload_of_group"),
        ),
        migrations.AddIndex(
            model_name="upload",
            index=models.Index(
                condition=models.Q(("deleted_at__isnull", True)),
                fields=["expires_at"],
                name="gateway_upload_kept",
            ),
        ),
        migrations.RunSQL(Path(__file__).with_suffix(".sql").read_text(), migrations.RunSQL.noop),
    ]
