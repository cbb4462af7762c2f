"""Jobs that beat and nudges start. Each can be run twice or not at all without harm."""

import logging

from celery import current_app, shared_task
from django.db import transaction

from accounts import invitation_mail

logger = logging.getLogger(__name__)

# A nudge that nobody took for so long has been replaced by the clock's.
NUDGE_LIFETIME_S = 60


@shared_task  # type: ignore[untyped-decorator]
def send_invitations() -> int:
    """Send the mail of invitations that is due. Answers how many went out."""
    return invitation_mail.send_due()


def nudge_invitations() -> None:
    """Wake a worker for mail once the transaction commits. Raises nothing: the clock finds what is due, too."""
    transaction.on_commit(_nudge)


def _nudge() -> None:
    try:
        current_app.send_task(
            "accounts.tasks.send_invitations",
            expires=NUDGE_LIFETIME_S,
            expiration=NUDGE_LIFETIME_S,
            retry=False,
        )
    except Exception as error:
        logger.warning("no worker can be woken to send invitations, the clock has to do: %s", error)
