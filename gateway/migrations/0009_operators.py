"""What operators see and set."""

import django.db.models.deletion
import django.utils.timezone
from pathlib import Path

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("gateway", "0008_rollups"), ("accounts", "0004_changes")]

    operations = [
        migrations.CreateModel(
            name="ChannelCost",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("cost_bps", models.IntegerField()),
                ("effective_from", models.DateTimeField()),
                (
                    "created_at",
                    models.DateTimeField(default=django.utils.timezone.now, editable=False),
                ),
                (
                    "channel",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="costs",
                        to="gateway.channel",
                    ),
                ),
            ],
            options={
                "ordering": ["-effective_from"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("cost_bps__gte", 0), ("cost_bps__lte", 100000)),
                        name="gateway_channelcost_bps",
                    ),
                    models.UniqueConstraint(
                        fields=("channel", "effective_from"), name="gateway_channelcost_once"
                    ),
                ],
            },
        ),
        migrations.AlterField(
            model_name="provider", name="base_url", field=models.CharField(max_length=200)
        ),
        migrations.RunSQL(Path(__file__).with_suffix(".sql").read_text(), migrations.RunSQL.noop),
    ]
