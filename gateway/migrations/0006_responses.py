from pathlib import Path

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("gateway", "0005_channels")]

    operations = [
        migrations.AddField(
            model_name="callrecord",
            name="upstream_id",
            field=models.CharField(blank=True, db_default="", default="", max_length=128),
        ),
        migrations.AddIndex(
            model_name="callrecord",
            index=models.Index(
                condition=models.Q(("upstream_id__gt", "")),
                fields=["upstream_id"],
                name="gateway_callrecord_upstream",
            ),
        ),
        migrations.RunSQL(Path(__file__).with_suffix(".sql").read_text(), migrations.RunSQL.noop),
    ]
