"""What the supervisor says: one quiet line for each step, colour only on a terminal."""

import contextlib
import os
import time
from collections.abc import Iterator
from typing import TextIO

NAME_WIDTH = 22
STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}


class Console:
    """Lines on a stream; a reader that went away (a closed pipe) never stops the work."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._colour = stream.isatty() and "NO_COLOR" not in os.environ

    def line(self, text: str = "", style: str | None = None) -> None:
        self._write(self.styled(text, style) + "\n")

    def styled(self, text: str, style: str | None) -> str:
        return f"\x1b[{STYLES[style]}m{text}\x1b[0m" if style and self._colour else text

    def failure(self, text: str, details: list[str]) -> None:
        """What went wrong, and indented below it the lines that tell why."""
        self.line(text, "red")
        for detail in details:
            self.line(f"    {detail}")

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        """`  name    1.2 s`, the time once the body has ended; the name stands while it runs."""
        self._write(f"  {name:<{NAME_WIDTH}}")
        began = time.monotonic()
        try:
            yield
        except BaseException:
            self.line("not done", "yellow")
            raise
        self.line(f"{time.monotonic() - began:5.1f} s", "dim")

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:
            # What is buffered would fail again when Python flushes it at the end, and turn our exit
            # code into 120: let it flow into nothing.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
