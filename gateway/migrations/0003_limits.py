from pathlib import Path

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("gateway", "0002_settle"), ("billing", "0003_limits")]

    operations = [migrations.RunSQL(Path(__file__).with_suffix(".sql").read_text(), migrations.RunSQL.noop)]
