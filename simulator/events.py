"""Server-sent events of the dialects that write JSON events, and their text cut into deltas."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from simulator.script import Script

ENCODE = msgspec.json.Encoder().encode
_BETWEEN_SURROGATES = re.compile(r"(?<=\\ud[89ab][0-9a-f]{2})(?=\\ud[c-f][0-9a-f]{2})")


class EventLines:
    """Frames events as a script wants them: its line ends, its comments."""

    def __init__(self, script: Script) -> None:
        self._newline = b"\r\n" if script.crlf else b"\n"
        self._blank = self._newline * 2
        self._lead = b": keep-alive" + self._blank if script.comments else b""

    def data(self, body: bytes) -> bytes:
        """An event without a name."""
        return self._lead + b"data: " + body + self._blank

    def named(self, name: bytes, body: bytes) -> bytes:
        """An event with a name."""
        return b"%bevent: %b%bdata: %b%b" % (self._lead, name, self._newline, body, self._blank)


def cut_deltas(pieces: Sequence[str], script: Script) -> Iterator[tuple[bytes, int]]:
    """The pieces as JSON strings of as many tokens as a script wants, with their tokens."""
    size = max(1, len(pieces)) if script.line_bytes is not None else script.chunk_tokens
    for start in range(0, len(pieces), size):
        chunk = pieces[start : start + size]
        text = "".join(chunk)
        texts = halve_surrogates(text) if script.split_surrogates else [ENCODE(text)]
        for half in texts[:-1]:
            yield half, 0
        yield texts[-1], len(chunk)


def halve_surrogates(text: str) -> list[bytes]:
    """The text as JSON strings cut between the escaped halves of each character beyond the BMP."""
    escaped = json.dumps(text)[1:-1]
    return [b'"%b"' % part.encode() for part in _BETWEEN_SURROGATES.split(escaped)]


def as_object(text: str) -> Any:
    """The JSON in a text; a text that was cut off is an empty object."""
    try:
        return json.loads(text)
    except ValueError:
        return {}
