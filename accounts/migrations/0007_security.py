"""The cache that all processes share: it counts attempts (accounts/security_limits.py)."""

from pathlib import Path

from django.db import migrations

SQL = Path(__file__).with_suffix(".sql").read_text()


class Migration(migrations.Migration):
    dependencies = [("accounts", "0006_keys")]

    operations = [migrations.RunSQL(SQL, "DROP TABLE tollgate_cache")]
