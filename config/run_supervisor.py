"""Brings a list of steps and services up in order, keeps the services up, stops them in reverse.

What runs is data (Step, Service, Database); config/run.py holds Tollgate's own list. Every child
leads a process group of its own, so that Ctrl-C on the terminal reaches us alone and the order of
stopping is ours, and every child is killed by the kernel when we are (Linux).
"""

import contextlib
import http.client
import math
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from config.embedded import EmbeddedPostgres, PostgresError
from config.process import StopSignals, exit_text, open_log, signal_group, spawn, tail
from config.run_console import Console

HEARTBEAT_S = 0.5
POLL_S = 0.05
STEP_STOP_TIMEOUT_S = 5.0


class StartFailed(Exception):
    """A step or service did not come up: what failed, and the last lines of its log."""

    def __init__(self, text: str, details: list[str]) -> None:
        super().__init__(text)
        self.details = details


class Interrupted(Exception):
    """The operator asked to stop."""


class Probe(Protocol):
    """How to see that a service is ready."""

    def reset(self) -> None:
        """Forget what an earlier start left behind."""

    def facts(self) -> Mapping[str, str] | None:
        """What the service tells about itself, None while it is not ready."""


@dataclass(frozen=True)
class HttpProbe:
    """Ready when a GET answers 200."""

    host: str
    port: int
    path: str

    def reset(self) -> None:
        """Nothing is left behind."""

    def facts(self) -> Mapping[str, str] | None:
        # http.client on purpose: it never looks at the proxy variables, which are not for loopback.
        connection = http.client.HTTPConnection(self.host, self.port, timeout=5)
        try:
            connection.request("GET", self.path)
            return {} if connection.getresponse().status == 200 else None
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()


@dataclass(frozen=True)
class FileProbe:
    """Ready when a file is there; `read` turns its text into facts, None while it is incomplete."""

    path: Path
    read: Callable[[str], Mapping[str, str] | None]

    def reset(self) -> None:
        self.path.unlink(missing_ok=True)

    def facts(self) -> Mapping[str, str] | None:
        try:
            return self.read(self.path.read_text())
        except FileNotFoundError:
            return None


@dataclass(frozen=True)
class Step:
    """A command that has to end well. `{name}` in an argument stands for a fact told by a probe."""

    name: str
    argv: tuple[str, ...]
    timeout_s: float = 600.0


@dataclass(frozen=True)
class Service:
    """A command that stays. Facts in `argv` are filled in at each start."""

    name: str
    argv: tuple[str, ...]
    ready: Probe | None = None
    ready_timeout_s: float = 60.0
    stop_timeout_s: float = 5.0


@dataclass(frozen=True)
class Database:
    """The built-in PostgreSQL."""

    name: str
    server: EmbeddedPostgres


@dataclass(frozen=True)
class Backoff:
    """Seconds before a service that ended is started again; `healthy_after_s` of life reset it."""

    first_s: float = 0.5
    factor: float = 2.0
    limit_s: float = 30.0
    healthy_after_s: float = 30.0

    def delay_s(self, failures: int) -> float:
        # The exponent is bounded because a float overflows after a thousand failures.
        return min(self.first_s * self.factor ** min(failures, 64), self.limit_s)


@dataclass(frozen=True)
class Surroundings:
    """What all children share."""

    root: Path
    logs: Path
    environ: Mapping[str, str]
    signals: StopSignals


class Unit(Protocol):
    """Something that is kept up."""

    name: str

    def start(self) -> None:
        """Start, or start again; raises StartFailed or Interrupted."""

    def ended(self) -> str | None:
        """How it ended, None while it runs."""

    def last_words(self) -> list[str]:
        """The end of its log."""

    def stop(self, hurried: Callable[[], bool]) -> None:
        """Stop it; patience ends when `hurried` says so."""


class ServiceUnit:
    """A Service at work."""

    def __init__(
        self, service: Service, surroundings: Surroundings, facts: Mapping[str, str]
    ) -> None:
        self.name = service.name
        self.service = service
        self.log = surroundings.logs / f"{_file_name(service.name)}.log"
        self._surroundings = surroundings
        self._facts = facts
        self._log_start = 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        if self.service.ready is not None:
            self.service.ready.reset()
        with open_log(self.log) as log:
            self._log_start = log.tell()
            self._process = _start(self.service, log.fileno(), self._surroundings, self._facts)

    def ended(self) -> str | None:
        code = self._process.poll() if self._process is not None else 0
        if code is None:
            return None
        if self._process is not None:
            # Whatever it left running would hold its port or its work.
            signal_group(self._process, signal.SIGKILL)
        return exit_text(code)

    def last_words(self) -> list[str]:
        return tail(self.log, self._log_start)

    def stop(self, hurried: Callable[[], bool]) -> None:
        if self._process is not None:
            signals = self._surroundings.signals
            end(self._process, self.service.stop_timeout_s, signals, hurried)
            self._process = None


class DatabaseUnit:
    """The built-in PostgreSQL at work."""

    def __init__(self, database: Database, surroundings: Surroundings) -> None:
        self.name = database.name
        self._server = database.server
        self._signals = surroundings.signals

    def start(self) -> None:
        try:
            with self._signals.interrupting():
                self._server.start()
        except KeyboardInterrupt:
            raise Interrupted from None
        except PostgresError as error:
            text, *details = str(error).splitlines()
            raise StartFailed(f"{self.name}: {text}", details) from error

    def ended(self) -> str | None:
        return self._server.ended()

    def last_words(self) -> list[str]:
        return tail(self._server.log)

    def stop(self, hurried: Callable[[], bool]) -> None:
        self._server.stop()


def _file_name(name: str) -> str:
    return re.sub(r"\W+", "-", name.lower())


def _start(
    what: Step | Service, output: int, surroundings: Surroundings, facts: Mapping[str, str]
) -> "subprocess.Popen[bytes]":
    argv = [re.sub(r"\{(\w+)\}", lambda found: facts[found[1]], part) for part in what.argv]
    try:
        return spawn(
            argv,
            signal.SIGKILL,
            cwd=surroundings.root,
            env=surroundings.environ,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise StartFailed(f"{what.name}: {argv[0]} cannot be started: {error}", []) from error


def end(
    process: "subprocess.Popen[bytes]",
    timeout_s: float,
    signals: StopSignals,
    hurried: Callable[[], bool],
) -> None:
    """Ask a process to end; at the deadline, or when hurried, kill it with all of its group."""
    deadline = time.monotonic() + timeout_s
    if not hurried():
        process.terminate()
    while process.poll() is None and not hurried():
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            break
        signals.wait(min(left_s, HEARTBEAT_S))
    signal_group(process, signal.SIGKILL)
    process.wait()


@dataclass
class _Kept:
    unit: Unit
    started_at: float
    failures: int = 0
    restart_at: float | None = None


class Supervisor:
    """Runs a plan: `bring_up`, then `keep_up` until the operator asks to stop, then `shut_down`.

    From the main thread only (see config/process.py), inside a StopSignals.
    """

    def __init__(
        self, surroundings: Surroundings, console: Console, backoff: Backoff | None = None
    ) -> None:
        self.facts: dict[str, str] = {}
        self._surroundings = surroundings
        self._signals = surroundings.signals
        self._console = console
        self._backoff = backoff or Backoff()
        self._kept: list[_Kept] = []

    def bring_up(self, plan: Iterable[Step | Service | Database]) -> None:
        """Carry out the plan in order. Raises StartFailed or Interrupted; then shut_down is due."""
        for entry in plan:
            self._heed()
            self._miss_nobody()
            with self._console.step(entry.name):
                if isinstance(entry, Step):
                    self._carry_out(entry)
                elif isinstance(entry, Service):
                    unit = ServiceUnit(entry, self._surroundings, self.facts)
                    self._take_on(unit)
                    self._await_ready(unit)
                else:
                    self._take_on(DatabaseUnit(entry, self._surroundings))

    def keep_up(self) -> None:
        """Start again what ends, until a request to stop."""
        while not self._signals.requests:
            for kept in self._kept:
                with contextlib.suppress(Interrupted):
                    self._attend(kept, time.monotonic())
            due = [kept.restart_at for kept in self._kept if kept.restart_at is not None]
            left_s = min(due, default=float("inf")) - time.monotonic()
            self._signals.wait(min(left_s, HEARTBEAT_S))

    def shut_down(self, patience_s: float = math.inf) -> None:
        """Stop everything, last started first.

        Each gets its own time, `patience_s` at most; a further request to stop ends all patience.
        """
        asked = self._signals.requests
        deadline = math.inf

        def hurried() -> bool:
            # After a failed start nobody has asked before, and the first request is the hurry.
            return self._signals.requests > asked or time.monotonic() > deadline

        while self._kept:
            unit = self._kept[-1].unit
            deadline = time.monotonic() + patience_s
            with self._console.step(f"stop {unit.name}"):
                unit.stop(hurried)
            self._kept.pop()

    def _take_on(self, unit: Unit) -> None:
        # Kept before it is started: a start that is interrupted half way is stopped like any other.
        self._kept.append(_Kept(unit, time.monotonic()))
        unit.start()

    def _carry_out(self, step: Step) -> None:
        path = self._surroundings.logs / f"{_file_name(step.name)}.log"
        with open_log(path) as log:
            since = log.tell()
            process = _start(step, log.fileno(), self._surroundings, self.facts)
        deadline = time.monotonic() + step.timeout_s
        try:
            while process.poll() is None:
                self._heed()
                if time.monotonic() > deadline:
                    text = f"{step.name} took longer than {step.timeout_s:g} s"
                    raise StartFailed(text, tail(path, since))
                self._signals.wait(HEARTBEAT_S)
        finally:
            asked = self._signals.requests
            end(process, STEP_STOP_TIMEOUT_S, self._signals, lambda: self._signals.requests > asked)
        if process.returncode != 0:
            text = f"{step.name} failed ({exit_text(process.returncode)}); its log: {path}"
            raise StartFailed(text, tail(path, since))

    def _await_ready(self, unit: ServiceUnit) -> None:
        probe = unit.service.ready
        deadline = time.monotonic() + unit.service.ready_timeout_s
        while True:
            self._heed()
            self._miss_nobody()
            if probe is None:
                return
            facts = probe.facts()
            if facts is not None:
                self.facts.update(facts)
                return
            if time.monotonic() > deadline:
                text = f"{unit.name} is not ready after {unit.service.ready_timeout_s:g} s"
                raise StartFailed(f"{text}; its log: {unit.log}", unit.last_words())
            self._signals.wait(POLL_S)

    def _miss_nobody(self) -> None:
        """While things come up, one that ends is a failed start and not a matter of patience."""
        for kept in self._kept:
            how = kept.unit.ended()
            if how is not None:
                raise StartFailed(f"{kept.unit.name} ended ({how})", kept.unit.last_words())

    def _heed(self) -> None:
        if self._signals.requests:
            raise Interrupted

    def _attend(self, kept: _Kept, now: float) -> None:
        unit = kept.unit
        if kept.restart_at is None:
            how = unit.ended()
            if how is None:
                return
            if now - kept.started_at >= self._backoff.healthy_after_s:
                kept.failures = 0
            self._postpone(kept, f"{unit.name} ended ({how})", unit.last_words())
        elif now >= kept.restart_at:
            try:
                unit.start()
            except StartFailed as failure:
                self._postpone(kept, str(failure), failure.details)
            else:
                kept.restart_at, kept.started_at = None, time.monotonic()
                self._console.line(f"{unit.name} started again")

    def _postpone(self, kept: _Kept, text: str, details: list[str]) -> None:
        delay_s = self._backoff.delay_s(kept.failures)
        kept.failures += 1
        kept.restart_at = time.monotonic() + delay_s
        self._console.failure(f"{text}; starting again in {delay_s:g} s", details)
