"""Messages of alerts are mail alone: what they had of a webhook moved to the gateway's (gateway migration 0011)."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0005_notices"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveConstraint(model_name="notice", name="billing_notice_has_one_receiver"),
        migrations.RemoveField(model_name="notice", name="payload"),
        migrations.RemoveField(model_name="notice", name="url"),
        migrations.AlterField(
            model_name="notice",
            name="user",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.RemoveField(model_name="alertsettings", name="previous"),
        migrations.RemoveField(model_name="alertsettings", name="previous_until"),
        migrations.RemoveField(model_name="alertsettings", name="rotated_at"),
        migrations.RemoveField(model_name="alertsettings", name="sealed"),
        migrations.RemoveField(model_name="alertsettings", name="webhook_url"),
    ]
