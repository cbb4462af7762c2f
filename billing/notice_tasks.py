"""Jobs of alerts and closings. Each can be run twice or not at all without harm."""

from celery import shared_task

from billing import alert_mail, alerts, closings


@shared_task  # type: ignore[untyped-decorator]
def check_balances() -> int:
    """Find balances below their thresholds. Answers how many groups get a message."""
    return alerts.check_balances()


@shared_task  # type: ignore[untyped-decorator]
def send_alert_mail() -> int:
    """Send the mail of alerts that is due. Answers how many were tried."""
    return alert_mail.send_mail()


@shared_task  # type: ignore[untyped-decorator]
def close_days() -> int:
    """Close the days that are over. Answers how many closings were made."""
    return closings.close_days()
