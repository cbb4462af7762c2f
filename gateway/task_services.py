"""What people do with tasks on the pages."""

from django.db import connection

from accounts.ids import uuid7
from gateway.models import Task


def cancel_task(task: Task) -> bool:
    """End a task that no worker has begun, and release what is held for it. False: one has, or it has ended."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT gateway_cancel_task(%s, %s, %s)", (task.pk, task.group_id, uuid7()))
        row = cursor.fetchone()
    return bool(row and row[0])
