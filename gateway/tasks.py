"""Jobs that beat and nudges start. Each can be run twice or not at all without harm."""

import logging
import time

from celery import shared_task
from celery.worker import state
from django.core.management import call_command

from billing.audit import count_violations
from billing.models import AuditRun
from gateway import deliveries, picture_store, task_queue
from gateway.audit import INVARIANTS
from gateway.nudge import nudge_deliveries, nudge_tasks
from gateway.rollups import SLICE, roll_up
from gateway.task_run import run_task

logger = logging.getLogger(__name__)

RUNS_KEPT = 10_000
FILES_AT_ONCE = 1_000
# Other jobs of the clock wait behind it; what is left, the next one takes.
ROLL_UP_MAX_S = 3.0


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


@shared_task  # type: ignore[untyped-decorator]
def run_next_task() -> bool:
    """Claim a task that is due, bring it to its end, and go on with the next. False: there was none, or this worker is
    about to stop.

    If more than one are due, another worker is woken; before, since a broker may keep us waiting and nobody renews
    the lease meanwhile. Going on makes up for messages that came while the group or the provider of what is due had
    all the tasks that it may have: who ends one of those starts the next.
    """
    if is_stopping():
        return False
    if task_queue.has_due_tasks(2):
        nudge_tasks()
    has_run = False
    while not is_stopping() and (claim := task_queue.claim_task()) is not None:
        run_task(claim, is_stopping)
        has_run = True
        if claim.callback_url:
            nudge_deliveries()
    return has_run


@shared_task  # type: ignore[untyped-decorator]
def sweep_tasks() -> int:
    """End what is past its deadline, and wake workers for tasks whose nudge or worker was lost. Answers how many were
    ended."""
    ended = task_queue.expire_tasks()
    for _ in range(task_queue.take_nudges()):
        nudge_tasks()
    if ended:
        nudge_deliveries()
    return ended


@shared_task  # type: ignore[untyped-decorator]
def send_next_delivery() -> bool:
    """Send one callback or webhook that is due, and have somebody look for the next. False: there was none."""
    if is_stopping() or not deliveries.send_next_delivery():
        return False
    nudge_deliveries()
    return True


@shared_task  # type: ignore[untyped-decorator]
def sweep_deliveries() -> int:
    """Wake workers for callbacks and webhooks that are due. Answers how many."""
    count = deliveries.sweep_deliveries()
    for _ in range(count):
        nudge_deliveries()
    return count


@shared_task  # type: ignore[untyped-decorator]
def roll_up_calls() -> int:
    """Add calls that are not in the sums of usage yet, for a few seconds at most. Answers how many."""
    ends_at = time.monotonic() + ROLL_UP_MAX_S
    total = 0
    while True:
        count = roll_up()
        total += count
        if count < SLICE or time.monotonic() > ends_at or is_stopping():
            return total


@shared_task  # type: ignore[untyped-decorator]
def delete_overdue_files() -> int:
    """Delete the files of pictures and uploads whose time is over. Answers how many."""
    return picture_store.delete_overdue(FILES_AT_ONCE)


def is_stopping() -> bool:
    """Whether this worker was asked to end. The asking is an exit code, and 0 is one."""
    asked = (state.should_stop, state.should_terminate)
    return any(code is not None and code is not False for code in asked)
