from django.db import migrations, models
from django.db.models import Value


class Migration(migrations.Migration):
    dependencies = [("gateway", "0004_dialects")]

    operations = [
        migrations.AlterField(
            model_name="channel",
            name="base_url",
            field=models.CharField(max_length=200),
        ),
        migrations.AddField(
            model_name="channel",
            name="model_map",
            field=models.JSONField(
                blank=True,
                db_default=Value({}, models.JSONField()),
                default=dict,
                help_text=(
                    "Model names and what they are called here; only these are served, of whatever provider. "
                    "Empty: every model of the provider, under its usual name."
                ),
            ),
        ),
    ]
