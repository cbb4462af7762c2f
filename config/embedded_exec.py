"""The command line of the built-in PostgreSQL: `python -m config.embedded`."""

import argparse
import contextlib
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from config.embedded import EmbeddedPostgres, PostgresError
from config.embedded_place import make_home
from config.process import spawn
from config.run_secrets import SecretsError, add_secrets

NOT_FOUND = 127


def main(argv: Sequence[str]) -> int:
    """Carry out one command line; the answer is the exit code."""
    parser = argparse.ArgumentParser(prog="python -m config.embedded")
    commands = parser.add_subparsers(dest="command", required=True)
    execute = commands.add_parser("exec", help="run a command beside a server")
    execute.add_argument(
        "--tests", action="store_true", help="fast, not durable, in a home of its own"
    )
    execute.add_argument("--home", type=Path, help="default: $TOLLGATE_HOME, else ./var")
    execute.add_argument("argv", nargs="+", metavar="COMMAND")
    url = commands.add_parser("url", help="print the address of the running server")
    url.add_argument("--home", type=Path, help="default: $TOLLGATE_HOME, else ./var")
    options = parser.parse_args(argv)
    try:
        if options.command == "url":
            return _print_url(options.home or default_home())
        return _execute(options.argv, options.home, options.tests)
    except (PostgresError, SecretsError) as error:
        sys.stderr.write(f"{error}\n")
        return 1


def default_home() -> Path:
    return Path(os.environ.get("TOLLGATE_HOME") or "var")


def _print_url(home: Path) -> int:
    server = EmbeddedPostgres(home)
    # Looked at first, because asking a server for its place makes the folders that lead there.
    if not (server.home / "postgres").exists() or not server.answers():
        sys.stderr.write(f"no PostgreSQL runs on {server.home}\n")
        return 1
    sys.stdout.write(server.url + "\n")
    return 0


def _execute(argv: Sequence[str], home: Path | None, tests: bool) -> int:
    # Until the command runs, a signal unwinds what was begun; afterwards it is the command's.
    for signum in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, _unwind)
    with contextlib.ExitStack() as stack:
        if home is None and tests:
            home = stack.enter_context(_home_for_tests())
        home = Path(os.path.abspath(home or default_home()))
        make_home(home)
        environ = {**os.environ, "TOLLGATE_HOME": str(home)}
        if not environ.get("DATABASE_URL"):
            server = stack.enter_context(EmbeddedPostgres(home, for_tests=tests))
            environ["DATABASE_URL"] = server.url
        add_secrets(environ, home)
        return _run(argv, environ)


@contextlib.contextmanager
def _home_for_tests() -> Iterator[Path]:
    home = Path(tempfile.mkdtemp(prefix="tollgate-"))
    try:
        if os.geteuid() == 0:
            home.chmod(0o711)  # the server's account walks through it
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _run(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run the command on our terminal; its exit code, or 128 + the signal that ended it."""
    try:
        child = spawn(argv, signal.SIGTERM, env=environ)
    except OSError as error:
        sys.stderr.write(f"{argv[0]}: {error.strerror}\n")
        return NOT_FOUND

    def forward(signum: int, frame: FrameType | None) -> None:
        # Ctrl-C reaches the whole foreground group; passing it on would make it two, which means
        # "at once" to many.
        if signum == signal.SIGINT and _in_foreground():
            return
        child.send_signal(signum)

    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(signum, forward)
    code = child.wait()
    return code if code >= 0 else 128 - code


def _in_foreground() -> bool:
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError):
        return False


def _unwind(signum: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + signum)
