"""Jobs that beat starts. Each can be run twice or not at all without harm."""

import logging

from celery import shared_task
from django.core.management import call_command

from billing.audit import count_violations
from billing.models import AuditRun
from gateway.audit import INVARIANTS

logger = logging.getLogger(__name__)

RUNS_KEPT = 10_000


@shared_task  # type: ignore[untyped-decorator]
def audit_ledger() -> int:
    """Count the violations of every invariant, keep the result, and raise the alarm in the log if there is one."""
    counts = count_violations(INVARIANTS)
    broken = {name: count for name, count in counts.items() if count}
    run = AuditRun.objects.create(violations=broken, total=sum(broken.values()))
    AuditRun.objects.filter(pk__lt=run.pk - RUNS_KEPT).delete()
    if broken:
        logger.critical("the ledger violates its invariants: %s", broken)
    return run.total


@shared_task  # type: ignore[untyped-decorator]
def clear_sessions() -> None:
    """Delete sessions that have ended."""
    call_command("clearsessions")
