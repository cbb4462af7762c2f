"""Indexes of the call history."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("gateway", "0009_operators")]

    operations: list = []
