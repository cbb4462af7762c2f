"""Promotional credits and redeem codes."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("billing", "0003_limits")]

    operations: list = []
