"""Alerts, statements and payments."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("billing", "0004_promotions")]

    operations: list = []
