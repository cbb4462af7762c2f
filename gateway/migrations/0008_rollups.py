"""Sums of calls, and the calls that are not in them yet."""

from pathlib import Path

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("gateway", "0007_tasks")]

    operations = [
        migrations.CreateModel(
            name="UsageSum",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "api_key_id",
                        "minutes",
                        "began_at",
                        "model",
                        "source",
                        "channel_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "minutes",
                    models.SmallIntegerField(
                        choices=[(15, "Quarter"), (60, "Hour"), (240, "Four Hours"), (1440, "Day")]
                    ),
                ),
                ("began_at", models.DateTimeField()),
                ("organization_id", models.UUIDField()),
                ("group_id", models.UUIDField()),
                ("api_key_id", models.UUIDField()),
                ("member_id", models.BigIntegerField()),
                ("model", models.CharField(blank=True, max_length=120)),
                ("source", models.CharField(max_length=4)),
                ("channel_id", models.BigIntegerField()),
                ("completed", models.BigIntegerField()),
                ("client_gone", models.BigIntegerField()),
                ("upstream_failed", models.BigIntegerField()),
                ("timed_out", models.BigIntegerField()),
                ("lost", models.BigIntegerField()),
                ("refused", models.BigIntegerField()),
                ("input_tokens", models.BigIntegerField()),
                ("cached_input_tokens", models.BigIntegerField()),
                ("cache_write_tokens", models.BigIntegerField()),
                ("cache_write_1h_tokens", models.BigIntegerField()),
                ("output_tokens", models.BigIntegerField()),
                ("reasoning_tokens", models.BigIntegerField()),
                ("audio_input_tokens", models.BigIntegerField()),
                ("audio_output_tokens", models.BigIntegerField()),
                ("images", models.BigIntegerField()),
                ("list_nanos", models.BigIntegerField()),
                ("amount_nanos", models.BigIntegerField()),
                ("written_off_nanos", models.BigIntegerField()),
                ("duration_ms", models.BigIntegerField()),
                ("first_token_ms", models.BigIntegerField()),
                ("first_tokens", models.BigIntegerField()),
                ("latencies", models.DecimalField(decimal_places=0, max_digits=744)),
                ("first_token_latencies", models.DecimalField(decimal_places=0, max_digits=744)),
            ],
            options={
                "indexes": [
                    models.Index(
                        fields=["group_id", "minutes", "began_at"], name="gateway_usagesum_group"
                    ),
                    models.Index(
                        fields=["organization_id", "minutes", "began_at"],
                        name="gateway_usagesum_org",
                    ),
                    models.Index(fields=["minutes", "began_at"], name="gateway_usagesum_time"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("minutes__in", [15, 60, 240, 1440])),
                        name="gateway_usagesum_minutes",
                    )
                ],
            },
        ),
        migrations.RunSQL(Path(__file__).with_suffix(".sql").read_text(), migrations.RunSQL.noop),
    ]
