"""Server-sent events as bytes: where one ends, what it carries. Pure.

Events are passed on as they came; nothing here rewrites one.
"""

import re

# The last event of a Responses stream holds the whole answer, reasoning included.
EVENT_BYTES_MAX = 4 * 1024 * 1024
# A line ends with CRLF, LF or CR (WHATWG, "event stream"); an event ends with a line that is empty.
# After two CR an event is over at once: who ends lines with CR alone would otherwise always be one event late.
_EVENT_END = re.compile(rb"\r\r|(?:\r\n|\n)(?:\r\n|\n|\r)")
_LINE_END = re.compile(rb"\r\n|\n|\r")
_OVERLAP = 3  # the longest part of an event's end that can stand in an earlier chunk


class EventTooLong(Exception):
    """A line or event without an end."""


class EventSplitter:
    """Cuts a byte stream into whole events, each with the blank line that ends it.

    Raises EventTooLong when more than `EVENT_BYTES_MAX` bytes arrive without the end of an event.
    """

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """The events that this chunk completes, in order."""
        known = self._parts[-1][-_OVERLAP:] if self._parts else b""
        if not _has_end(known + chunk):
            # Looked through once: joined only when its end is there, or a long event would cost by its square.
            self._keep(chunk)
            return []
        data = b"".join((*self._parts, chunk))
        events = []
        start = 0
        for match in _EVENT_END.finditer(data):
            if _may_go_on(match, data):
                break
            events.append(data[start : match.end()])
            start = match.end()
        self._parts, self._size = [], 0
        self._keep(data[start:])
        return events

    def _keep(self, chunk: bytes) -> None:
        if not chunk:
            return
        if len(chunk) < _OVERLAP and self._parts:
            self._parts[-1] += chunk
        else:
            self._parts.append(chunk)
        self._size += len(chunk)
        if self._size > EVENT_BYTES_MAX:
            raise EventTooLong

    @property
    def rest(self) -> bytes:
        """What came after the last whole event."""
        return b"".join(self._parts)


def _has_end(data: bytes) -> bool:
    match = _EVENT_END.search(data)
    return match is not None and not _may_go_on(match, data)


def _may_go_on(match: "re.Match[bytes]", data: bytes) -> bool:
    """Whether the line feed that belongs to the last carriage return may still come."""
    end = match.group()
    return match.end() == len(data) and end.endswith(b"\r") and end != b"\r\r"


def data_of(event: bytes) -> bytes | None:
    """The event's data: its `data:` lines joined by newlines; None for comments and empty events."""
    text = event.rstrip(b"\r\n")
    if text.startswith(b"data: ") and b"\n" not in text and b"\r" not in text:
        return text[6:]
    lines = []
    for line in _LINE_END.split(text):
        if line.startswith(b"data:"):
            value = line[5:]
            lines.append(value[1:] if value.startswith(b" ") else value)
    return b"\n".join(lines) if lines else None
