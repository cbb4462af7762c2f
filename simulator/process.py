"""Starts a simulator of one's own for a test or a demonstration, and talks to its control paths."""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode

import msgspec

from simulator.log import read_entries

_START_S = 10.0
_STOP_S = 3.0
_CONTROL_S = 5.0


class SimulatorError(RuntimeError):
    """The simulator did not start, or did not do what it was told."""


class SimulatorProcess:
    """A simulator in a process of its own, on a free port, with a log in a temporary directory.

    A context manager; `base_url` ends in `/v1` and suits an OpenAI client, `root_url` is the same
    without it and suits Anthropic's and Google's. The process dies with
    the thread that started it, so start it from one that outlives the use.
    """

    def __init__(self, *, api_key: str = "sk-simulator", log_path: Path | None = None) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="simulator-")
        self.api_key = api_key
        self.log_path = log_path or Path(self._directory.name, "calls.jsonl")
        self.base_url = ""
        self._root = ""
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None
        # No proxy from the environment may stand between a test and its own loopback server.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def root_url(self) -> str:
        """Where the paths begin that do not stand under `/v1`; empty before the start."""
        return self._root

    @property
    def pid(self) -> int:
        """The process id. Raises SimulatorError if it was not started."""
        if self._process is None:
            raise SimulatorError("the simulator is not running")
        return self._process.pid

    def start(self) -> None:
        """Start and wait until it serves; after a stop, on the same port and with the same log.

        Raises SimulatorError with what it wrote to stderr if it does not come up.
        """
        directory = Path(self._directory.name)
        ready, errors = directory / "ready", directory / "stderr"
        ready.unlink(missing_ok=True)
        command = [sys.executable, "-m", "simulator", "--host", "127.0.0.1"]
        command += ["--port", str(self._port)]
        command += ["--log", str(self.log_path), "--api-key", self.api_key]
        command += ["--ready-file", str(ready), "--die-with-parent"]
        package_parent = str(Path(__file__).resolve().parent.parent)
        path = os.pathsep.join(filter(None, (package_parent, os.environ.get("PYTHONPATH"))))
        with errors.open("ab") as stderr:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                env={**os.environ, "PYTHONPATH": path},
            )
        deadline = time.monotonic() + _START_S
        while not ready.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                problem = SimulatorError(f"the simulator did not start: {errors.read_text()}")
                self.close()
                raise problem
            time.sleep(0.005)
        self._root = ready.read_text().strip()
        self._port = int(self._root.rpartition(":")[2])
        self.base_url = self._root + "/v1"

    def stop(self) -> None:
        """End it with SIGTERM, and by force if that takes too long. The log stays readable."""
        if self._process is None:
            return
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_S)
        self.kill()

    def kill(self) -> None:
        """End it with SIGKILL. The log stays readable."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        self._process = None

    def close(self) -> None:
        """Stop it and remove its temporary directory, and the log with it unless it lies elsewhere."""
        self.stop()
        self._directory.cleanup()

    def complaints(self) -> str:
        """What it wrote to stderr: empty unless something in it failed."""
        return Path(self._directory.name, "stderr").read_text()

    def open_gate(self, name: str) -> None:
        """Let through the calls that wait at the gate, and later ones."""
        self._control("POST", f"gates/{quote(name)}/open")

    def close_gate(self, name: str) -> None:
        """Hold back calls that reach the gate from now on."""
        self._control("DELETE", f"gates/{quote(name)}")

    def set_defaults(self, **script: Any) -> None:
        """The script for calls without their own; no arguments clear it."""
        self._control("POST", "defaults", msgspec.json.encode(script))

    def state(self) -> dict[str, Any]:
        """`in_flight`, `received`, `served`, `waiting` per gate, `polls`, `downloads`, `jobs` by state."""
        found: dict[str, Any] = self._control("GET", "state")
        return found

    def jobs(self, limit: int = 100) -> list[dict[str, Any]]:
        """The latest jobs, oldest first: id, dialect, model, state, polls, downloads, resolution."""
        found: list[dict[str, Any]] = self._control("GET", f"jobs?limit={limit}")["jobs"]
        return found

    def requests(self, call_id: str | None = None, limit: int = 100) -> list[dict[str, Any]]:
        """The latest requests as they arrived: path, headers, body; oldest first."""
        query = {"limit": str(limit)} | ({"call_id": call_id} if call_id is not None else {})
        found: list[dict[str, Any]] = self._control("GET", f"requests?{urlencode(query)}")[
            "requests"
        ]
        return found

    def entries(self, event: str | None = "ended") -> list[dict[str, Any]]:
        """The log's entries of one event (None: of all), oldest first; also after a kill."""
        return read_entries(self.log_path, event) if self.log_path.exists() else []

    def wait_for_entries(
        self, count: int, event: str | None = "ended", timeout_s: float = 5.0
    ) -> list[dict[str, Any]]:
        """The entries once there are at least `count`. Raises SimulatorError after the timeout."""
        deadline = time.monotonic() + timeout_s
        while len(found := self.entries(event)) < count:
            if time.monotonic() > deadline:
                raise SimulatorError(f"{len(found)} of {count} entries after {timeout_s} s")
            time.sleep(0.005)
        return found

    def _control(self, method: str, path: str, body: bytes | None = None) -> Any:
        request = urllib.request.Request(  # noqa: S310 - always our own http URL
            f"{self._root}/__simulator/{path}",
            data=body,
            method=method,
            headers={"content-type": "application/json"},
        )
        try:
            with self._opener.open(request, timeout=_CONTROL_S) as answer:
                return msgspec.json.decode(answer.read())
        except urllib.error.HTTPError as refused:
            with refused:
                raise SimulatorError(
                    f"{method} {path}: {refused.code} {refused.read().decode()}"
                ) from None
