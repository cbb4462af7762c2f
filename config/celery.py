"""The job runner: `celery -A config worker` and `celery -A config beat`.

The broker only wakes workers; what must not be lost stands in PostgreSQL. So the built-in default, a folder of
files, is enough for one machine; Redis or RabbitMQ are named by CELERY_BROKER_URL.

Three queues, so that nothing waits behind pictures: `celery` has the clock's jobs, `callbacks` the messages to callers'
addresses, `tasks` the image tasks.
"""

import os
from typing import Any

from celery import Celery
from celery.schedules import crontab
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

POLL_S = 0.2
CONNECT_TIMEOUT_S = 1.0
# Must be longer than a read of Redis waits for a message, which is a second.
SILENCE_TIMEOUT_S = 2.0
SWEEP_S = 2.0
ROLL_UP_S = 5.0
# What a sweep would find the next one finds too: a queue that nobody read for an hour has a minute's worth of them.
SWEEP_LIFETIME_S = 60


def broker_options(broker_url: str) -> dict[str, Any]:
    """The settings of Celery that depend on the broker."""
    scheme = broker_url.partition(":")[0]
    if scheme == "filesystem":
        folder = settings.CELERY_BROKER_FOLDER / "messages"
        return {
            "broker_transport": "config.file_broker:Transport",
            "broker_transport_options": {"folder": str(folder), "polling_interval": POLL_S},
            # That would have to reach every worker; a message in a folder reaches one.
            "worker_enable_remote_control": False,
        }
    if scheme in ("redis", "rediss"):
        timeouts = {
            "socket_connect_timeout": CONNECT_TIMEOUT_S,
            "socket_timeout": SILENCE_TIMEOUT_S,
            "socket_keepalive": True,
        }
        return {"broker_transport_options": timeouts}
    return {"broker_heartbeat": 10}


def _queue(name: str) -> dict[str, str]:
    return {"exchange": name, "exchange_type": "direct", "routing_key": name}


def _sweep(task: str) -> dict[str, Any]:
    options = {"expires": SWEEP_LIFETIME_S, "expiration": SWEEP_LIFETIME_S}
    return {"task": task, "schedule": SWEEP_S, "options": options}


def _clock(task: str, every_s: float) -> dict[str, Any]:
    options = {"expires": every_s, "expiration": every_s}
    return {"task": task, "schedule": every_s, "options": options}


app = Celery("tollgate")
app.conf.update(
    broker_url=settings.CELERY_BROKER_URL,
    broker_connection_timeout=CONNECT_TIMEOUT_S,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    task_queues={name: _queue(name) for name in ("celery", "tasks", "callbacks")},
    task_default_queue="celery",
    task_default_exchange="celery",
    task_default_routing_key="celery",
    task_routes={
        "gateway.tasks.run_next_task": {"queue": "tasks"},
        "gateway.tasks.send_next_delivery": {"queue": "callbacks"},
    },
    task_publish_retry_policy={"max_retries": 1, "interval_start": 0.1},
    task_ignore_result=True,
    # Every job can be run twice or not at all without harm; one that kills its worker shall not come back.
    task_acks_late=False,
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    worker_timer_precision=0.25,  # its clock is waited for at the end
    timezone="UTC",
    beat_schedule={
        "audit the ledger": {"task": "gateway.tasks.audit_ledger", "schedule": 60.0},
        "forget old sessions": {"task": "gateway.tasks.clear_sessions", "schedule": 6 * 3600.0},
        "sweep tasks": _sweep("gateway.tasks.sweep_tasks"),
        "sweep deliveries": _sweep("gateway.tasks.sweep_deliveries"),
        "roll up calls": _sweep("gateway.tasks.roll_up_calls") | {"schedule": ROLL_UP_S},
        "send invitations": {"task": "accounts.tasks.send_invitations", "schedule": 30.0},
        "expire promotions": {"task": "billing.tasks.expire_promotions", "schedule": 30.0},
        "count captures of promotions": {"task": "billing.tasks.count_captures", "schedule": 600.0},
        "forget wrong codes": {"task": "billing.tasks.forget_wrong_codes", "schedule": 3600.0},
        "check balances": _clock("billing.notice_tasks.check_balances", 20.0),
        "send alert mail": _clock("billing.notice_tasks.send_alert_mail", 10.0),
        "send mail about webhooks": _clock("gateway.notice_tasks.send_webhook_mail", 30.0),
        "close days": {
            "task": "billing.notice_tasks.close_days",
            "schedule": crontab(minute="20", hour="*/6"),
        },
        "delete old files": {"task": "gateway.tasks.delete_overdue_files", "schedule": 600.0},
    },
    **broker_options(settings.CELERY_BROKER_URL),
)
app.autodiscover_tasks()
app.autodiscover_tasks(related_name="notice_tasks")
