"""The job that tells of webhooks that were switched off. It can be run twice or not at all without harm."""

from celery import shared_task

from gateway.webhooks import health


@shared_task  # type: ignore[untyped-decorator]
def send_webhook_mail() -> int:
    """Tell who manages their groups of webhooks that were switched off. Answers how many webhooks."""
    return health.send_mail()
