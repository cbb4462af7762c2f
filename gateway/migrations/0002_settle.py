from pathlib import Path

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("gateway", "0001_initial"), ("billing", "0002_ledger")]

    operations = [migrations.RunSQL(Path(__file__).with_suffix(".sql").read_text(), migrations.RunSQL.noop)]
