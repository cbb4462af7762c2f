"""The job runner: `celery -A config worker` and `celery -A config beat`.

The broker only wakes workers; what must not be lost stands in PostgreSQL. So the built-in default, a folder of
files, is enough for one machine; Redis or RabbitMQ are named by CELERY_BROKER_URL.
"""

import os
from typing import Any

from celery import Celery
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

POLL_S = 0.2


def _transport_options(broker_url: str) -> dict[str, Any]:
    """The folders of the file broker: what one side writes the other reads."""
    if not broker_url.startswith("filesystem:"):
        return {}
    folder = settings.CELERY_BROKER_FOLDER
    for name in ("messages", "control"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    messages = str(folder / "messages")
    return {
        "data_folder_in": messages,
        "data_folder_out": messages,
        "control_folder": str(folder / "control"),
        "polling_interval": POLL_S,
    }


app = Celery("tollgate")
app.conf.update(
    broker_url=settings.CELERY_BROKER_URL,
    broker_transport_options=_transport_options(settings.CELERY_BROKER_URL),
    broker_connection_retry_on_startup=True,
    task_ignore_result=True,
    task_acks_late=True,
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    timezone="UTC",
    beat_schedule={
        "audit the ledger": {"task": "gateway.tasks.audit_ledger", "schedule": 60.0},
        "forget old sessions": {"task": "gateway.tasks.clear_sessions", "schedule": 6 * 3600.0},
    },
)
app.autodiscover_tasks()
