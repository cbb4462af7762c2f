"""How Tollgate itself does: its database, the processes that answer calls, its jobs, and the queue of image tasks."""

from datetime import timedelta
from typing import NamedTuple

from django.db import connection
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.ids import first_id_at
from gateway.store import OWNER_LOCK_CLASS
from guides.health import State

# A note of a call is summed within seconds, a task is taken up at once: beyond that a job or its workers stand still.
NOTE_AGE_MAX = timedelta(minutes=2)
TASK_AGE_MAX = timedelta(minutes=5)

# Each process that answers calls holds a lock while it lives.
PROCESSES = """
SELECT count(*) FROM pg_locks
WHERE locktype = 'advisory' AND classid = %s AND granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
OLD_NOTE = "SELECT EXISTS (SELECT 1 FROM gateway_uncounted WHERE call_id < %s)"
OLD_TASK = "SELECT EXISTS (SELECT 1 FROM gateway_task WHERE status = 'pending' AND created_at < %s)"


class Component(NamedTuple):
    """A part of the gateway, by a slug for machines and a name for people."""

    slug: str
    name: Promise
    state: State


def read_components() -> list[Component]:
    """All of them. Raises django.db.DatabaseError where the database does not answer."""
    now = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(PROCESSES, [OWNER_LOCK_CLASS])
        has_processes = bool(cursor.fetchone()[0])
        cursor.execute(OLD_NOTE, [first_id_at(now - NOTE_AGE_MAX)])
        has_old_notes = bool(cursor.fetchone()[0])
        cursor.execute(OLD_TASK, [now - TASK_AGE_MAX])
        has_old_tasks = bool(cursor.fetchone()[0])
    return _components(
        api="operational" if has_processes else "down",
        database="operational",
        jobs="degraded" if has_old_notes else "operational",
        tasks="degraded" if has_old_tasks else "operational",
    )


def without_database() -> list[Component]:
    """What is known while the database does not answer: no call can be charged, so none is taken."""
    return _components(api="down", database="down", jobs="down", tasks="down")


def _components(*, api: State, database: State, jobs: State, tasks: State) -> list[Component]:
    return [
        Component("api", _("API"), api),
        Component("database", _("Database"), database),
        Component("jobs", _("Background jobs"), jobs),
        Component("tasks", _("Image tasks"), tasks),
    ]
