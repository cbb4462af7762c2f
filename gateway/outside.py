"""What the data plane is given by the process that it runs in: things that only Django or Celery can do.

Every method blocks; the data plane calls them in threads.
"""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from gateway.images.pictures import PictureFacts


class Files(Protocol):
    """The storage of pictures and uploads. Raises OSError (or its backend's own error) where it cannot be reached."""

    def save_upload(self, group_id: UUID, data: bytes, facts: PictureFacts) -> str:
        """Store a caller's picture; answers its name in the storage."""
        ...

    def read(self, name: str) -> bytes:
        """The file of that name."""
        ...

    def delete(self, names: Sequence[str]) -> None:
        """Delete files; those that are gone already are fine."""
        ...


class Outside(Protocol):
    """The process's other half."""

    @property
    def files(self) -> Files: ...

    def nudge(self) -> None:
        """Wake a worker for a task that was just made. Never raises: a sweep finds what no worker was woken for."""
        ...
