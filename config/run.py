"""`python -m config.run`, behind `make run`: the whole of Tollgate from one command.

It reads PORT (8000; 0 picks a free one), HOST (127.0.0.1), TOLLGATE_HOME (./var), WORKERS (1),
TOLLGATE_TASK_CONCURRENCY (16: image tasks at a time), DATABASE_URL (else the built-in PostgreSQL)
and CELERY_BROKER_URL (else files below the home folder).
"""

import argparse
import contextlib
import dataclasses
import errno
import fcntl
import json
import math
import os
import shlex
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from config.embedded import EmbeddedPostgres, PostgresError
from config.embedded_place import make_home
from config.process import StopSignals, die_with_parent
from config.run_console import Console
from config.run_secrets import SecretsError, add_secrets
from config.run_supervisor import (
    Database,
    FileProbe,
    HttpProbe,
    Interrupted,
    Service,
    StartFailed,
    Step,
    Supervisor,
    Surroundings,
)

ROOT = Path(__file__).resolve().parent.parent
DRAIN_S = 9  # granian's own limit for open answers; ours, a second later, kills what is left
ORPHAN_PATIENCE_S = 1.5
BACKLOG = 4096
CLOCK_THREADS = 8
CALLBACK_THREADS = 8
TAKEN_PORT_PATIENCE_S = 1.5
DEMO_MODEL = "openai/gpt-5.5"
ANY_ADDRESS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - read, not bound
INTERRUPTED = 130


class Refused(Exception):
    """It makes no sense to start; the message says why, in one line."""


@dataclasses.dataclass(frozen=True)
class Site:
    """Where this installation keeps its files and listens."""

    home: Path
    host: str
    port: int
    workers: int
    tasks_at_once: int = 16

    @property
    def reachable_host(self) -> str:
        """The address under which this machine reaches us."""
        return ANY_ADDRESS.get(self.host, self.host)

    @property
    def address(self) -> str:
        host = self.reachable_host
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


def read_site(environ: Mapping[str, str]) -> Site:
    """The site that the environment describes; Refused where a value makes no sense."""
    return Site(
        home=Path(os.path.abspath(environ.get("TOLLGATE_HOME") or "var")),
        host=environ.get("HOST") or "127.0.0.1",
        port=_number(environ, "PORT", 8000, range(65_536)),
        workers=_number(environ, "WORKERS", 1, range(1, 257)),
        tasks_at_once=_number(environ, "TOLLGATE_TASK_CONCURRENCY", 16, range(1, 257)),
    )


def _number(environ: Mapping[str, str], name: str, default: int, allowed: range) -> int:
    text = environ.get(name) or str(default)
    if not text.isascii() or not text.isdigit() or int(text) not in allowed:
        raise Refused(f"{name} must be a number from {allowed[0]} to {allowed[-1]}, not {text!r}")
    return int(text)


@contextlib.contextmanager
def only_one(site: Site) -> Iterator[None]:
    """Hold the home folder: a second supervisor on it is refused, and told of the first."""
    make_home(site.home)
    with open(site.home / "run.lock", "a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            who = lock.read().strip() or "starting"
            raise Refused(f"Tollgate already runs on {site.home} ({who})") from None
        lock.truncate(0)
        lock.write(f"process {os.getpid()}, {site.address}\n")
        lock.flush()
        yield


def refuse_taken_port(host: str, port: int) -> int:
    """The port to listen on, which is free now; 0 becomes a free one. Refused where none is.

    A short wait: a supervisor that was killed a moment ago leaves children the kernel is ending.
    """
    deadline = time.monotonic() + TAKEN_PORT_PATIENCE_S
    while True:
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
                bound: int = probe.getsockname()[1]
                return bound
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise Refused(
                    f"cannot listen on HOST={host} PORT={port}: {error.strerror}"
                ) from error
            if time.monotonic() > deadline:
                raise Refused(
                    f"port {port} on {host} is in use; PORT={port + 1} make run takes another"
                ) from error
            time.sleep(0.1)


def child_environ(site: Site, environ: Mapping[str, str]) -> dict[str, str]:
    """What every child is told; what the operator has set already stands."""
    # Threads that hold pictures for a moment would each leave a heap of its own behind.
    told = {"MALLOC_ARENA_MAX": "2"} | dict(environ)
    told |= {"TOLLGATE_HOME": str(site.home), "PYTHONUNBUFFERED": "1"}
    add_secrets(told, site.home)
    if not told.get("CELERY_BROKER_URL"):
        told["CELERY_BROKER_URL"] = "filesystem://"
        (site.home / "broker").mkdir(mode=0o700, exist_ok=True)
    return told


def make_plan(
    site: Site, environ: Mapping[str, str], server: EmbeddedPostgres | None
) -> list[Step | Service | Database]:
    """Everything that runs, in the order in which it starts; it stops in reverse, web first."""
    manage = (sys.executable, "manage.py")
    return [
        *([Database("PostgreSQL", server)] if server is not None else []),
        Step("translations", (sys.executable, "-m", "config.translations", "compile")),
        Step("migrations", (*manage, "migrate", "--noinput")),
        Step("price book", (*manage, "load_price_book")),
        Step("static files", (*manage, "collectstatic", "--noinput")),
        simulator(site, environ["TOLLGATE_SIMULATOR_KEY"]),
        seed_demo(site, environ["TOLLGATE_SIMULATOR_KEY"]),
        *celery(site),
        Service(
            "web and gateway",
            granian(site, "config.asgi:application"),
            HttpProbe(site.reachable_host, site.port, "/readyz"),
            stop_timeout_s=DRAIN_S + 1,
        ),
    ]


def simulator(site: Site, key: str) -> Service:
    """The stand-in provider; `{simulator_port}` is 0 at first, then the port that it took."""
    ready = site.home / "simulator.ready"
    argv = [sys.executable, "-m", "simulator", "--host", "127.0.0.1", "--port", "{simulator_port}"]
    argv += ["--log", str(site.home / "simulator.log"), "--api-key", key]
    argv += ["--ready-file", str(ready), "--die-with-parent"]
    return Service("simulator", tuple(argv), FileProbe(ready, read_simulator))


def seed_demo(site: Site, simulator_key: str) -> Step:
    """Demo organization, sign-ins, key and channels; what is there already stays."""
    argv = [sys.executable, "manage.py", "seed_demo", "--simulator-url", "{simulator_url}"]
    argv += ["--simulator-key", simulator_key, "--base-url", site.address]
    argv += ["--output", str(site.home / "demo.json")]
    return Step("demo data", tuple(argv))


def celery(site: Site) -> list[Service]:
    """The clock of the background jobs, a worker for what it asks for, one for image tasks and one for callbacks, so
    that none of them waits for another: providers and receivers may hang."""
    command = [sys.executable, "-m", "celery", "-A", "config"]

    def worker(name: str, queues: str, threads: int) -> tuple[str, ...]:
        argv = [*command, "worker", "--queues", queues, "--hostname", f"{name}@%h"]
        argv += ["--pool", "threads", "--concurrency", str(threads), "--loglevel", "warning"]
        # They have nobody to gossip with, and looking for others costs a second at start.
        return (*argv, "--without-gossip", "--without-mingle", "--without-heartbeat")

    beat = [*command, "beat", "--loglevel", "warning"]
    # No pid file: one that outlives a kill -9 would keep beat from starting.
    beat += ["--schedule", str(site.home / "celerybeat-schedule"), "--pidfile", ""]
    return [
        Service("celery worker", worker("celery", "celery", CLOCK_THREADS)),
        Service("task worker", worker("tasks", "tasks", site.tasks_at_once)),
        Service("callback worker", worker("callbacks", "callbacks", CALLBACK_THREADS)),
        Service("celery beat", tuple(beat)),
    ]


def granian(site: Site, application: str) -> tuple[str, ...]:
    """The command line of the web server.

    HTTP/1 with keep-alive, which is what the client libraries pool. An open stream occupies a place
    of `backpressure` for minutes, so there are as many places as the kernel queues connections:
    otherwise some slow streams would keep health checks waiting.
    """
    argv = [sys.executable, "-m", "granian", "--interface", "asgi", "--loop", "uvloop"]
    argv += ["--host", site.host, "--port", str(site.port), "--workers", str(site.workers)]
    argv += ["--http", "1", "--http1-keep-alive", "--no-ws"]
    argv += ["--backlog", str(BACKLOG), "--backpressure", str(BACKLOG)]
    argv += ["--workers-kill-timeout", str(DRAIN_S), "--log-level", "info", "--no-access-log"]
    if site.workers > 1:
        # Otherwise one dead worker ends the others' open streams as well. A single one is left to
        # the supervisor, which shows why it died and waits longer each time.
        argv += ["--respawn-failed-workers", "--respawn-interval", "1"]
    return (*argv, application)


def read_simulator(text: str) -> Mapping[str, str] | None:
    """The facts in the simulator's ready file, which holds its URL."""
    url = text.strip()
    port = urlsplit(url).port
    # On a restart it takes the same port again: the seeded channels know it by this URL.
    return {"simulator_url": url, "simulator_port": str(port)} if port else None


def tell(console: Console, site: Site) -> None:
    """The address, the sign-ins, the key, and how to try and how to stop it."""
    console.line()
    console.line(f"Tollgate is up: {console.styled(site.address, 'bold')}")
    with contextlib.suppress(OSError, ValueError, KeyError):
        demo = json.loads((site.home / "demo.json").read_text())
        console.line()
        for role in ("operator", "admin", "member"):
            email, password = demo[f"{role}_email"], demo[f"{role}_password"]
            console.line(f"  {role:<10}{email:<30}{password}")
        console.line(f"  {'API key':<10}{demo['api_key']}")
        console.line()
        console.line("  " + curl(demo["base_url"], demo["api_key"]))
    console.line()
    here = Path.cwd()
    home = site.home.relative_to(here) if site.home.is_relative_to(here) else site.home
    console.line(f"  Data and logs are in {home}. Ctrl-C stops everything.")
    console.line()


def curl(base_url: str, api_key: str) -> str:
    """A command that makes one call, ready for a shell."""
    body = {"model": DEMO_MODEL, "messages": [{"role": "user", "content": "Hello"}]}
    argv = ["curl", f"{base_url}/chat/completions", "-H", f"Authorization: Bearer {api_key}"]
    argv += ["-H", "Content-Type: application/json", "-d", json.dumps(body)]
    return shlex.join(argv)


def run(site: Site, console: Console, signals: StopSignals, parent: int | None) -> int:
    """Bring everything up, keep it up, stop it; the answer is the exit code.

    Once `parent` has ended (None: it does not matter), stopping is quick: whoever killed it expects
    everything to be gone.
    """
    console.line("Tollgate", "bold")
    with console.step("secrets"):
        environ = child_environ(site, os.environ)
    server = None
    if not environ.get("DATABASE_URL"):
        server = EmbeddedPostgres(site.home)
        environ["DATABASE_URL"] = server.url
    surroundings = Surroundings(ROOT, site.home / "logs", environ, signals)
    supervisor = Supervisor(surroundings, console)
    supervisor.facts["simulator_port"] = "0"
    try:
        supervisor.bring_up(make_plan(site, environ, server))
        tell(console, site)
        supervisor.keep_up()
    except StartFailed as failure:
        console.failure(str(failure), failure.details)
        return 1
    except Interrupted:
        return INTERRUPTED
    finally:
        orphaned = parent is not None and os.getppid() != parent
        supervisor.shut_down(ORPHAN_PATIENCE_S if orphaned else math.inf)
    return 0


def main(argv: Sequence[str]) -> int:
    """The command line; the answer is the exit code."""
    parser = argparse.ArgumentParser(prog="python -m config.run", description=__doc__)
    parser.add_argument(
        "--die-with-parent", action="store_true", help="stop when the starting process ends"
    )
    options = parser.parse_args(argv)
    console = Console(sys.stdout)
    parent = os.getppid() if options.die_with_parent else None
    with StopSignals(parent) as signals:
        if parent is not None:
            die_with_parent(signal.SIGTERM, parent)
        try:
            site = read_site(os.environ)
            with only_one(site):
                port = refuse_taken_port(site.host, site.port)
                bound = dataclasses.replace(site, port=port)
                return run(bound, console, signals, parent)
        except (Refused, SecretsError, PostgresError) as error:
            console.failure(str(error), [])
            return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
