"""The real workers and the real clock of `make run`, on a world's database, to be killed."""

import os
import random
import signal
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from config.process import spawn
from config.run import Site, celery
from tests.world import ROOT, World

CLOCK_WORKER, TASK_WORKER, BEAT = "celery worker", "task worker", "celery beat"
CALLBACK_WORKER = "callback worker"


class Crew:
    """Celery processes with the command lines of config/run.py. Their home is `home`, and the pictures this test's.

    A context manager: all are killed at the end. `settings` are environment variables.
    """

    def __init__(self, world: World, home: Path, tasks_at_once: int = 8, **settings: str) -> None:
        self.home = home
        self._plan = {
            service.name: service.argv
            for service in celery(Site(home, "127.0.0.1", 0, 1, tasks_at_once))
        }
        pictures = Path(os.environ["TOLLGATE_HOME"], "pictures")
        pictures.mkdir(exist_ok=True)
        (home / "pictures").symlink_to(pictures)
        self._environment = {
            **os.environ,
            "DATABASE_URL": world.database.url,
            "TOLLGATE_HOME": str(home),
            "CELERY_BROKER_URL": "filesystem://",
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "PYTHONWARNINGS": "ignore",
            **settings,
        }
        self._running: list[tuple[str, subprocess.Popen[bytes]]] = []
        self.kills = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        while self._running:
            self._end(self._running.pop()[1], signal.SIGKILL)

    @property
    def broker(self) -> Path:
        """The folder of the built-in broker."""
        return self.home / "broker"

    @property
    def log(self) -> str:
        """What all of them wrote."""
        return "\n".join(path.read_text() for path in sorted(self.home.glob("*.log")))

    def start(self, *names: str) -> None:
        """One more process of each name."""
        for name in names:
            with (self.home / f"{name.replace(' ', '-')}.log").open("ab") as log:
                process = spawn(
                    self._plan[name],
                    signal.SIGKILL,
                    cwd=ROOT,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            self._running.append((name, process))

    def kill_one(self, name: str, chance: random.Random) -> None:
        """kill -9 of one process of that name; another one takes its place."""
        chosen = chance.choice([entry for entry in self._running if entry[0] == name])
        self._running.remove(chosen)
        self._end(chosen[1], signal.SIGKILL)
        self.kills += 1
        self.start(name)

    def stop_one(self, name: str, patience_s: float) -> int:
        """SIGTERM to one process of that name; its exit code. Raises TimeoutExpired."""
        chosen = next(entry for entry in self._running if entry[0] == name)
        chosen[1].terminate()
        code = chosen[1].wait(patience_s)
        self._running.remove(chosen)
        return code

    def ended(self) -> list[str]:
        """Names of those that ended by themselves."""
        return [name for name, process in self._running if process.poll() is not None]

    def _end(self, process: "subprocess.Popen[bytes]", signum: int) -> None:
        if process.poll() is None:
            os.killpg(process.pid, signum)
        process.wait(10)
