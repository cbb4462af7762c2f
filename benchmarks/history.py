"""`python -m benchmarks.history`: how long the pages of the call history take with ten million records.

A PostgreSQL of its own is filled by `manage.py seed_calls`, then the views are asked through Django's test client, each
page often and in turn, by a member of the largest group: middleware, session, view and template are in the figures, the
network is not. Exports are streamed, and batches of records written with and without the indexes of the history.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from config.embedded import EmbeddedPostgres
from tests.world import ROOT


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.history", description=__doc__)
    parser.add_argument("--calls", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=25, help="times that each page is asked for")
    parser.add_argument("--export", type=int, default=1_000_000, help="rows of each file, at most")
    parser.add_argument("--batches", type=int, default=200, help="batches of records to write")
    parser.add_argument("--home", type=Path, help="folder that keeps the database for the next run")
    options = parser.parse_args()
    arguments = [
        f"--{name}={getattr(options, name)}" for name in ("calls", "rounds", "export", "batches")
    ]
    with tempfile.TemporaryDirectory(prefix="tollgate-bench-") as folder:
        home: Path = options.home or Path(folder)
        home.mkdir(parents=True, exist_ok=True)
        home.chmod(0o711)  # as root PostgreSQL runs as nobody, who has to walk to its data
        with EmbeddedPostgres(home) as server:
            command = [sys.executable, "-W", "ignore", "-m", "benchmarks.history_pages", *arguments]
            environment = {**os.environ, "DATABASE_URL": server.url}
            done = subprocess.run(command, cwd=ROOT, env=environment, check=False)
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
