"""Indexes of the call history, built while calls go on: each statement is a transaction of its own."""

from pathlib import Path

from django.db import migrations

STATEMENTS = Path(__file__).with_suffix(".sql").read_text().split(";")
NAMES = ("of_model", "of_status", "of_error", "of_tasks")


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("gateway", "0009_operators")]

    operations = [
        migrations.RunSQL(
            [statement for statement in STATEMENTS if "CREATE" in statement],
            [f"DROP INDEX CONCURRENTLY IF EXISTS gateway_callrecord_{name}" for name in NAMES],
        )
    ]
