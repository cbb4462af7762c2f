"""What the web process gives the data plane: Django's storage, and messages to the workers."""

import config.celery  # noqa: F401 - makes our broker the one that nudges go to
from gateway.nudge import nudge_tasks
from gateway.outside import Files
from gateway.picture_store import PicturePort


class ProcessOutside:
    """This process's other half (gateway/outside.py)."""

    def __init__(self) -> None:
        self.files: Files = PicturePort()

    def nudge(self) -> None:
        """Wake a worker."""
        nudge_tasks()
