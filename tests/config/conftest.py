"""What the tests of the launcher and the supervisor share: a walkable home, and waiting."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from config.embedded import EmbeddedPostgres

ROOT = Path(__file__).resolve().parents[2]

Until = Callable[..., None]


MEMORY = Path("/dev/shm")
MEMORY_BYTES_MIN = 2 * 1024**3


def fast_folder() -> str:
    """Memory where there is plenty: most of the time these tests take is the disk's."""
    plenty = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= MEMORY_BYTES_MIN
    return str(MEMORY) if plenty else "/tmp"


@contextlib.contextmanager
def walkable_folder(where: str) -> Iterator[Path]:
    """A folder of our own: pytest's temporary folders are closed to the server's account."""
    folder = Path(tempfile.mkdtemp(prefix="tg-", dir=where))
    folder.chmod(0o711)
    yield folder
    deadline = time.monotonic() + 10
    # A server whose launcher was killed may still be putting its files away.
    while folder.exists() and time.monotonic() < deadline:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def home() -> Iterator[Path]:
    """A home folder that is not there yet."""
    with walkable_folder(fast_folder()) as folder:
        yield folder / "home"


@pytest.fixture
def home_on_disk() -> Iterator[Path]:
    """A home folder that is not there yet, where programs may be run from."""
    with walkable_folder("/tmp") as folder:
        yield folder / "home"


@pytest.fixture(scope="module")
def used_home() -> Iterator[Path]:
    """A home folder with a database in it, shared by a module: making one takes a second."""
    with walkable_folder(fast_folder()) as folder:
        with EmbeddedPostgres(folder / "home", for_tests=True):
            pass
        yield folder / "home"


@pytest.fixture
def until() -> Until:
    """`until(condition, timeout_s)`: wait for it, and fail if it does not come."""

    def wait(condition: Callable[[], object], timeout_s: float = 30.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, "it did not happen in time"
            time.sleep(0.01)

    return wait


@pytest.fixture
def runs() -> Callable[[int], bool]:
    """Whether a process runs; one that ended and is not reaped yet does not."""

    def check(pid: int) -> bool:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return False
        return state not in "ZX"

    return check


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a command from the project's root; it is killed, if need be, when the test ends."""
    started: list[subprocess.Popen[str]] = []

    def launch(*argv: object, **environ: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [str(part) for part in argv],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield launch
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
