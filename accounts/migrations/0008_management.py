"""Keys of the management API."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0007_security")]

    operations = [
        migrations.RemoveConstraint(model_name="apikey", name="accounts_apikey_purpose"),
        migrations.AlterField(
            model_name="apikey",
            name="purpose",
            field=models.CharField(
                choices=[
                    ("caller", "Caller"),
                    ("playground", "Playground"),
                    ("manage", "Management"),
                ],
                db_default="caller",
                default="caller",
                editable=False,
                max_length=10,
            ),
        ),
        migrations.AddConstraint(
            model_name="apikey",
            constraint=models.CheckConstraint(
                condition=models.Q(("purpose__in", ["caller", "playground", "manage"])),
                name="accounts_apikey_purpose",
            ),
        ),
    ]
