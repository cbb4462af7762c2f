"""Where the gateway processes of one server show each other their counters, so that any of them can answer for all.

prometheus_client's own way for several processes was looked at and left: it writes each addition into a mapped file
under a lock (several times the cost of ours, on the way of every call), needs a hook in the supervisor to drop the
gauges of a process that has ended, and takes no metrics that are worked out at reading. Here each process writes its
totals into a file of its own once a second, and whoever is asked adds up.

The folder is named after the process that started them all (granian's own), so servers that share a home do not mix,
and a restart begins anew, as counters may. A process that ended leaves its file: what it counted stays counted, or else
Prometheus would take the fall for a restart and count everything again. Its successor folds such files into one.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from gateway.metrics.counting import Totals

logger = logging.getLogger(__name__)

WRITE_EVERY_S = 1.0
FORGET_AFTER_S = 7 * 24 * 3600.0
ENDED = "ended"
LOCK = "lock"
_decoder = msgspec.msgpack.Decoder(Totals)


class Board:
    """The folder of this server's processes, below `parent`; with None, this process stands alone.

    `read_own` answers this process's totals as of now.
    """

    def __init__(self, parent: Path | None, read_own: Callable[[], Totals]) -> None:
        self._parent = parent
        self._read_own = read_own
        self._folder: Path | None = None
        self._written = b""
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Join the board. Where that cannot be, this process stands alone, and says so in the log."""
        if self._parent is None:
            return
        folder = self._parent / _server_name(os.getppid())
        try:
            await asyncio.to_thread(_prepare, self._parent, folder)
        except OSError as error:
            logger.warning("metrics are of one process alone: %s", error)
            return
        self._folder = folder
        self._task = asyncio.create_task(self._run(), name="metrics board")

    async def stop(self) -> None:
        """Leave the last totals behind."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            await self._write()

    async def read(self) -> Totals:
        """The sum over all processes, with this one's totals as of now."""
        totals = Totals({}, {}, {})
        totals.add(self._read_own(), is_running=True)
        if self._folder is not None:
            for other, is_running in await asyncio.to_thread(_read_others, self._folder):
                totals.add(other, is_running=is_running)
        return totals

    async def _run(self) -> None:
        while True:
            await self._write()
            await asyncio.sleep(WRITE_EVERY_S)

    async def _write(self) -> None:
        encoded = msgspec.msgpack.encode(self._read_own())
        if encoded == self._written or self._folder is None:
            return
        try:
            await asyncio.to_thread(_replace, self._folder / str(os.getpid()), encoded)
        except OSError as error:
            logger.warning("metrics of this process cannot be shared: %s", error)
        self._written = encoded


def _server_name(pid: int) -> str:
    """A name for the server that this process belongs to: a pid alone would come again."""
    began = ""
    with contextlib.suppress(OSError, IndexError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        began = fields[19]  # proc(5): starttime
    return f"{socket.gethostname()}-{pid}-{began}"


def _prepare(parent: Path, folder: Path) -> None:
    """Make the folder, fold into one what ended processes left in it, and delete folders of servers long gone."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for other in parent.iterdir():
        if time.time() - other.stat().st_mtime > FORGET_AFTER_S and other != folder:
            shutil.rmtree(other, ignore_errors=True)
    with _locked(folder, fcntl.LOCK_EX):
        totals = Totals({}, {}, {})
        ended = [path for path in _files(folder) if not _is_running(path)]
        for path in ended:
            totals.add(_read(path), is_running=False)
        if ended:
            _replace(folder / ENDED, msgspec.msgpack.encode(totals))
        for path in ended:
            if path.name != ENDED:
                path.unlink(missing_ok=True)


def _read_others(folder: Path) -> list[tuple[Totals, bool]]:
    own = str(os.getpid())
    # Nobody folds meanwhile: what is moved from one file to another would be seen twice or not at all.
    with _locked(folder, fcntl.LOCK_SH):
        others = [path for path in _files(folder) if path.name != own]
        return [(_read(path), _is_running(path)) for path in others]


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name.isdigit() or path.name == ENDED]


def _is_running(path: Path) -> bool:
    if path.name == ENDED:
        return False
    try:
        os.kill(int(path.name), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _read(path: Path) -> Totals:
    try:
        return _decoder.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError) as error:
        logger.warning("%s cannot be read: %s", path, error)
        return Totals({}, {}, {})


def _replace(path: Path, data: bytes) -> None:
    new = path.with_name(f"{path.name}.new")
    new.write_bytes(data)
    new.replace(path)


@contextlib.contextmanager
def _locked(folder: Path, kind: int) -> Iterator[None]:
    with open(folder / LOCK, "w") as lock:
        fcntl.flock(lock, kind)
        yield
