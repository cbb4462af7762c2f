"""Processes that do not outlive the command that started them, on Linux not even after kill -9.

Everything here is for the main thread: the kernel ties "my parent ended" to the thread that started
the child, not to the whole parent process, so a child started from a short-lived thread would be
stopped with that thread.
"""

import contextlib
import ctypes
import multiprocessing
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, BinaryIO

PR_SET_PDEATHSIG = 1
LOG_BYTES_MAX = 10 * 1024 * 1024
PARENT_IS_GONE = 113
SAME_REQUEST_S = 0.5

# Loaded once, here: loading a library between fork and exec can deadlock.
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform.startswith("linux") else None


@dataclass(frozen=True)
class Account:
    """The operating system account under which a child runs."""

    uid: int
    gid: int


def die_with_parent(signum: signal.Signals = signal.SIGKILL, parent: int | None = None) -> None:
    """Have the kernel send `signum` to this process when its parent ends; nothing off Linux.

    `parent` is the pid that must still be the parent; without it, whoever is the parent now. A
    parent that ended before the call cannot signal any more, so then this process ends itself, with
    the same signal. Call it after a change of user: the kernel forgets the request there.
    """
    if _LIBC is None:
        return
    expected = os.getppid() if parent is None else parent
    if _LIBC.prctl(PR_SET_PDEATHSIG, int(signum), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    forker = multiprocessing.parent_process()
    if os.getppid() != expected or (forker is not None and not forker.is_alive()):
        os.kill(os.getpid(), signum)


def spawn(
    argv: Sequence[str],
    on_parent_death: signal.Signals,
    account: Account | None = None,
    **options: Any,
) -> "subprocess.Popen[bytes]":
    """Start `argv`, which gets `on_parent_death` from the kernel when the calling thread ends.

    It runs as `account`, without one as ourselves; `options` are those of subprocess.Popen. Raises
    OSError where the program cannot be started.
    """
    parent = os.getpid()

    def bind() -> None:
        # Runs in the child after setuid, which would have cleared the request.
        if _LIBC is not None:
            _LIBC.prctl(PR_SET_PDEATHSIG, int(on_parent_death), 0, 0, 0)
            if os.getppid() != parent:
                os._exit(PARENT_IS_GONE)

    if account is not None:
        options |= {"user": account.uid, "group": account.gid, "extra_groups": []}
    return subprocess.Popen(argv, preexec_fn=bind, **options)


def signal_group(process: "subprocess.Popen[bytes]", signum: signal.Signals) -> None:
    """Signal every process of the group that `process` leads; a group that is gone is no error."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signum)


def children_of(pid: int) -> list[int]:
    """Pids of the direct children of `pid`."""
    if Path("/proc/self/stat").exists():
        found = []
        for entry in os.listdir("/proc"):
            if entry.isdigit() and _parent_in_proc(entry) == pid:
                found.append(int(entry))
        return found
    table = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid="], check=True, capture_output=True, text=True
    ).stdout
    pairs = (line.split() for line in table.splitlines())
    return [int(child) for child, parent in pairs if int(parent) == pid]


def _parent_in_proc(entry: str) -> int | None:
    try:
        text = Path("/proc", entry, "stat").read_text(errors="replace")
    except OSError:
        return None  # ended while we were looking
    # The program's name stands in brackets and may hold spaces and brackets itself.
    return int(text.rpartition(")")[2].split()[1])


def open_log(path: Path) -> BinaryIO:
    """Open a log for appending, for its owner alone; one above 10 MB moves to NAME.1 first."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_size > LOG_BYTES_MAX:
            path.replace(path.with_name(path.name + ".1"))
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


def tail(path: Path, since: int = 0, lines: int = 12) -> list[str]:
    """The last `lines` lines written to `path` after byte `since`; none if it cannot be read."""
    try:
        with path.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(min(since, size), size - 16_384))
            return log.read().decode(errors="replace").splitlines()[-lines:]
    except OSError:
        return []


def exit_text(code: int) -> str:
    """`exit 3` or `SIGKILL` for what Popen.returncode says."""
    if code >= 0:
        return f"exit {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


class StopSignals:
    """Counts SIGINT, SIGTERM and SIGHUP instead of dying of them; `wait` ends with any signal.

    A hang-up that was ignored when we were started (nohup) stays ignored. An ignored interrupt does
    not: shells ignore it for background jobs, and a server that cannot be interrupted by its pid
    would be no help.

    `parent` names a make that runs us: make, interrupted by its pid and not from the terminal, does
    not pass the interrupt on; its handler waits for us to end. That counts as a request.
    """

    def __init__(self, parent: int | None = None) -> None:
        self.requests = 0
        # One that had the signal blocked before tells us nothing by it.
        known = parent is not None and not _is_handling_interrupt(parent)
        self._parent = parent if known else None
        self._last_request_at = float("-inf")
        self._interrupting = False
        self._before: Mapping[signal.Signals, Any] = {}
        self._reader = self._writer = self._wakeup_before = -1

    def __enter__(self) -> "StopSignals":
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        self._wakeup_before = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        watched = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            watched.append(signal.SIGHUP)
        before = {signum: signal.signal(signum, self._count) for signum in watched}
        # A child's end has to have a handler to wake `wait`; it asks for nothing.
        before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, _note)
        self._before = before
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)
        signal.set_wakeup_fd(self._wakeup_before)
        os.close(self._reader)
        os.close(self._writer)

    def wait(self, timeout_s: float) -> None:
        """Sleep until any signal arrives, `timeout_s` seconds at most."""
        ready, _, _ = select.select([self._reader], [], [], max(timeout_s, 0))
        if ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._reader, 4096)
        if self._parent is not None and _is_handling_interrupt(self._parent):
            self._parent = None
            self._count(signal.SIGINT, None)

    @contextlib.contextmanager
    def interrupting(self) -> Iterator[None]:
        """Around a long call that knows nothing of us: a request raises KeyboardInterrupt."""
        self._interrupting = True
        try:
            if self.requests:
                raise KeyboardInterrupt
            yield
        finally:
            self._interrupting = False

    def _count(self, signum: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        # One wish arrives several times when a whole process group is signalled and make, which is
        # part of it, passes the signal on as well.
        if now - self._last_request_at >= SAME_REQUEST_S:
            self.requests += 1
        self._last_request_at = now
        if self._interrupting:
            raise KeyboardInterrupt


def _is_handling_interrupt(pid: int) -> bool:
    """Whether SIGINT is blocked in a process, as it is while its handler runs (Linux)."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    blocked = int(status.partition("SigBlk:")[2].split()[0], 16)
    return bool(blocked >> (signal.SIGINT - 1) & 1)


def _note(signum: int, frame: FrameType | None) -> None:
    """A handler that does nothing: having one is what wakes StopSignals.wait."""


def end_all(pids: Iterable[int], signum: signal.Signals) -> None:
    """Signal each pid; those that are gone already are no error."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signum)
