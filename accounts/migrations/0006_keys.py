"""Rotation of keys, keys of the playground, and forms that issue a key once."""

from pathlib import Path

from django.db import migrations, models

SQL = (Path(__file__).parent / "0006_keys.sql").read_text()


class Migration(migrations.Migration):
    dependencies = [("accounts", "0005_membership")]

    operations = [
        migrations.AddField(
            model_name="apikey",
            name="operation_digest",
            field=models.BinaryField(max_length=32, null=True, unique=True),
        ),
        migrations.AddField(
            model_name="apikey",
            name="previous_digest",
            field=models.BinaryField(max_length=32, null=True),
        ),
        migrations.AddField(
            model_name="apikey",
            name="previous_public_id",
            field=models.CharField(editable=False, max_length=16, null=True, unique=True),
        ),
        migrations.AddField(
            model_name="apikey",
            name="previous_until",
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="apikey",
            name="purpose",
            field=models.CharField(
                choices=[("caller", "Caller"), ("playground", "Playground")],
                db_default="caller",
                default="caller",
                editable=False,
                max_length=10,
            ),
        ),
        migrations.AddField(
            model_name="apikey",
            name="rotated_at",
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddConstraint(
            model_name="apikey",
            constraint=models.UniqueConstraint(
                condition=models.Q(("purpose", "playground"), ("revoked_at", None)),
                fields=("group", "created_by"),
                name="accounts_apikey_playground_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="apikey",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("previous_digest", None),
                        ("previous_public_id", None),
                        ("previous_until", None),
                    ),
                    models.Q(
                        ("previous_digest__isnull", False),
                        ("previous_public_id__isnull", False),
                        ("previous_until__isnull", False),
                    ),
                    _connector="OR",
                ),
                name="accounts_apikey_previous_whole",
            ),
        ),
        migrations.AddConstraint(
            model_name="apikey",
            constraint=models.CheckConstraint(
                condition=models.Q(("purpose__in", ["caller", "playground"])),
                name="accounts_apikey_purpose",
            ),
        ),
        migrations.RunSQL(SQL, migrations.RunSQL.noop),
    ]
