"""Server-sent events as bytes: where one ends, what it carries. Pure.

Events are passed on as they came; nothing here rewrites one.
"""

import re

EVENT_BYTES_MAX = 1024 * 1024
_EVENT_END = re.compile(rb"\r\n\r\n|\n\n|\r\r")


class EventTooLong(Exception):
    """A line or event without an end."""


class EventSplitter:
    """Cuts a byte stream into whole events, each with the blank line that ends it.

    Raises EventTooLong when more than `EVENT_BYTES_MAX` bytes arrive without the end of an event.
    """

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        """The events that this chunk completes, in order."""
        data = self._rest + chunk if self._rest else chunk
        events = []
        start = 0
        for match in _EVENT_END.finditer(data):
            events.append(data[start : match.end()])
            start = match.end()
        self._rest = data[start:]
        if len(self._rest) > EVENT_BYTES_MAX:
            raise EventTooLong
        return events

    @property
    def rest(self) -> bytes:
        """What came after the last whole event."""
        return self._rest


def data_of(event: bytes) -> bytes | None:
    """The event's data: its `data:` lines joined by newlines; None for comments and empty events."""
    if event.startswith(b"data: ") and event.find(b"\n") >= len(event.rstrip(b"\r\n")):
        return event[6:].rstrip(b"\r\n")
    lines = []
    for line in re.split(rb"\r\n|\n|\r", event):
        if line.startswith(b"data:"):
            value = line[5:]
            lines.append(value[1:] if value.startswith(b" ") else value)
    return b"\n".join(lines) if lines else None
