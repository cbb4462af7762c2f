"""`python -m simulator`: run the stand-in vendor."""

import argparse
import ctypes
import os
import signal
import sys
from pathlib import Path

import uvloop

from simulator.server import run

_PR_SET_PDEATHSIG = 1


def main() -> int:
    """Parse the command line and serve; the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m simulator", description="A stand-in for the model vendors."
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9100, help="0 takes a free one")
    parser.add_argument("--log", type=Path, required=True, help="the call log, appended to")
    parser.add_argument("--api-key", help="demand this key")
    parser.add_argument("--ready-file", type=Path, help="written with the URL once it serves")
    parser.add_argument(
        "--die-with-parent",
        action="store_true",
        help="be killed when the thread that started this process ends (Linux)",
    )
    given = parser.parse_args()
    if given.die_with_parent:
        _die_with_parent()
    try:
        uvloop.run(run(given.host, given.port, given.log, given.api_key, given.ready_file))
    except OSError as problem:
        print(f"simulator: {problem}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent dies."""
    if not sys.platform.startswith("linux"):
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        # The parent died before the request stood, so its signal will never come.
        sys.exit(1)


if __name__ == "__main__":
    sys.exit(main())
