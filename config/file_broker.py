"""The built-in broker: a folder of messages, for one machine without Redis or RabbitMQ.

kombu has a transport of this kind as well, but a reader may find its messages half written, and a folder that was
deleted stays away. Here a message appears whole, by a rename, is taken by a rename, and the folder is made again.

Only direct delivery: a message goes to the queue of its routing key, so nothing has to be remembered of bindings.
"""

import contextlib
import os
import time
import uuid
from pathlib import Path
from queue import Empty
from typing import Any

import msgspec
from kombu.transport import virtual

EVENTS = "celeryev"
WAIT_MOST_S = 0.4


class Channel(virtual.Channel):
    """Messages are files named `<nanoseconds>-<uuid>.<queue>`: sorted, they are in order."""

    @property
    def _folder(self) -> Path:
        return Path(self.connection.client.transport_options["folder"])

    def _lookup(self, exchange: str, routing_key: str, default: str | None = None) -> list[str]:
        # Workers announce themselves every two seconds; here nobody listens, and the files would pile up.
        return [] if exchange == EVENTS else [routing_key]

    def _put(self, queue: str, message: dict[str, Any], **_: Any) -> None:
        name = f"{time.time_ns():020}-{uuid.uuid4()}.{queue}"
        draft = self._folder / f"new-{name}"
        try:
            draft.write_bytes(msgspec.json.encode(message))
        except FileNotFoundError:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft.write_bytes(msgspec.json.encode(message))
        draft.replace(self._folder / name)

    def _get(self, queue: str, timeout: float | None = None) -> dict[str, Any]:
        for name in sorted(self._names(queue)):
            taken = self._folder / f"taken-{name}"
            # Another process may be faster, or the folder may just have been deleted.
            with contextlib.suppress(OSError):
                (self._folder / name).rename(taken)
                data = taken.read_bytes()
                taken.unlink(missing_ok=True)
                with contextlib.suppress(msgspec.DecodeError):
                    message: dict[str, Any] = msgspec.json.decode(data)
                    return message
        raise Empty

    def _size(self, queue: str) -> int:
        return len(self._names(queue))

    def _purge(self, queue: str) -> int:
        names = self._names(queue)
        for name in names:
            (self._folder / name).unlink(missing_ok=True)
        return len(names)

    def _names(self, queue: str) -> list[str]:
        try:
            return [
                name
                for name in os.listdir(self._folder)
                if name[0].isdigit() and name.endswith(f".{queue}")
            ]
        except FileNotFoundError:
            return []


class Transport(virtual.Transport):
    """kombu's way to the channel above."""

    Channel = Channel
    driver_type = driver_name = "filesystem"
    implements = virtual.Transport.implements.extend(
        asynchronous=False, exchange_type=frozenset(["direct"])
    )

    @property
    def default_connection_params(self) -> dict[str, Any]:
        """None: kombu would else complain of an address without a host."""
        return {}

    def drain_events(self, connection: Any, timeout: float | None = None, **_: Any) -> None:
        # Between two of these a worker sees that it shall stop; it asks for two seconds.
        super().drain_events(connection, timeout and min(timeout, WAIT_MOST_S))  # type: ignore[no-untyped-call]
