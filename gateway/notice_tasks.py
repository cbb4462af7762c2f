"""The job that posts alerts to webhooks. It can be run twice or not at all without harm."""

from celery import shared_task

from gateway import alert_deliveries


@shared_task  # type: ignore[untyped-decorator]
def send_alerts() -> int:
    """Post the alerts that are due. Answers how many were tried."""
    return alert_deliveries.send_alerts()
