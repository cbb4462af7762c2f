"""The simulator's own record of what it received and served: JSON lines that outlive it."""

import contextlib
import mmap
import os
from pathlib import Path
from typing import Any

import msgspec


class Totals(msgspec.Struct):
    """What a right bill is made of, whatever was reported: tokens served.

    `input` holds `cached`, `cache_write` and `cache_write_1h`, which do not overlap; `output` holds
    `reasoning`.
    """

    input: int
    cached: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    output: int = 0
    reasoning: int = 0

    def cut(self, generated: int) -> None:
        """Make these the totals of an answer that ended after so many tokens."""
        self.output = generated
        self.reasoning = min(self.reasoning, generated)


class PictureTotals(Totals):
    """Totals of a call for pictures: `image_input` is part of `input`, `image_output` of `output`."""

    image_input: int = 0
    image_output: int = 0

    def cut(self, generated: int) -> None:
        """Make these the totals of an answer that ended after so many tokens."""
        self.output = self.image_output = generated


class Work(msgspec.Struct):
    """The pictures of one call: how many, the pixels of all, and `WIDTHxHEIGHT` of each.

    `job` is the id of the job that will make them, if they are not in the answer itself.
    """

    pictures: int
    pixels: int
    resolution: str
    job: str | None = None


class Received(msgspec.Struct, tag_field="event", tag="received", omit_defaults=True):
    """A call arrived. `at` in epoch seconds; `call_id` is the caller's x-client-request-id.

    `dialect`: the API that was spoken: chat, responses, messages, embeddings, generate, images,
    flux, topaz. The last four fields, which only a call for pictures has, are as in `Work`.
    """

    id: str
    call_id: str | None
    model: str | None
    stream: bool
    at: float
    key_fingerprint: str | None
    dialect: str
    pictures: int | None = None
    pixels: int | None = None
    resolution: str | None = None
    job: str | None = None


class Ended(msgspec.Struct, tag_field="event", tag="ended", omit_defaults=True):
    """A call ended, however it ended.

    `usage` is what was reported to the caller, or null; `totals` is null if nothing was served. The
    last four fields are as in `Work`, and only there if the answer to a call for pictures began.
    """

    id: str
    call_id: str | None
    model: str | None
    stream: bool
    at: float
    key_fingerprint: str | None
    dialect: str
    outcome: str
    status: int | None
    usage: msgspec.Raw
    generated_tokens: int
    input_tokens: int | None
    sent_bytes: int
    totals: Totals | None
    pictures: int | None = None
    pixels: int | None = None
    resolution: str | None = None
    job: str | None = None


class CallLog:
    """An append-only file, one `os.write` per line, so a kill loses no finished line."""

    def __init__(self, path: Path) -> None:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._descriptor = os.open(path, flags, 0o600)
        self._encode = msgspec.json.Encoder().encode

    def write(self, line: Received | Ended) -> None:
        """Append one line. Raises OSError if it could not be written whole."""
        data = self._encode(line) + b"\n"
        if os.write(self._descriptor, data) != len(data):
            raise OSError("the call log took only part of a line")

    def read(self, call_id: str | None, limit: int) -> list[Any]:
        """The latest `limit` entries, of one call if `call_id` is given; oldest first."""
        size = os.fstat(self._descriptor).st_size
        if not size or limit < 1:
            return []
        needle = b"" if call_id is None else b',"call_id":' + self._encode(call_id) + b","
        found: list[Any] = []
        with mmap.mmap(self._descriptor, size, prot=mmap.PROT_READ) as content:
            end = size
            while end > 0 and len(found) < limit:
                hit = content.rfind(needle, 0, end) if needle else end - 1
                if hit < 0:
                    break
                start = content.rfind(b"\n", 0, hit) + 1
                stop = content.find(b"\n", hit)
                with contextlib.suppress(msgspec.DecodeError):
                    found.append(msgspec.json.decode(content[start : stop if stop >= 0 else size]))
                end = start
        found.reverse()
        return found

    def close(self) -> None:
        """Close the file; later writes fail."""
        os.close(self._descriptor)


def read_entries(path: Path, event: str | None = None) -> list[dict[str, Any]]:
    """All whole entries of a log file, oldest first; a torn last line is left out."""
    entries = []
    for line in path.read_bytes().split(b"\n")[:-1]:
        entry = msgspec.json.decode(line)
        if event is None or entry["event"] == event:
            entries.append(entry)
    return entries
