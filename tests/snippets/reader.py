"""Somebody who copies snippets: keeps the files where they say, types the commands, and runs the programs."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from gateway.snippets import KEY_PLACEHOLDER, Snippet
from tests.snippets.installed import NODE_MODULES

RUN_TIMEOUT_S = 300
# What looks for news of itself or for prices would reach for the world outside, or wait for it.
OFFLINE: Mapping[str, str] = {
    "AIDER_CHECK_UPDATE": "false",
    "AIDER_ANALYTICS_DISABLE": "true",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",
    "NO_PROXY": "*",
}


class Reader:
    """One home directory and one terminal in it. `key` replaces what snippets leave for the reader to fill in."""

    def __init__(self, home: Path, path: str, key: str) -> None:
        self._key = key
        self._exports: list[str] = []
        self._environment = {**OFFLINE, "HOME": str(home), "PATH": path, "LANG": "C.UTF-8"}
        self.home = home
        self.desk = home / "work"
        self.desk.mkdir()
        (home / "node_modules").symlink_to(NODE_MODULES)

    def copy(self, snippet: Snippet) -> str:
        """Does what the snippet is for; what it printed if it runs. Raises AssertionError where that failed."""
        text = snippet.text.replace(KEY_PLACEHOLDER, self._key)
        if snippet.filename:
            self._keep(snippet.filename, text)
        elif not snippet.runs:
            self._exports.append(text)
        if not snippet.runs:
            return ""
        return self.type(text if snippet.kind == "shell" else f"{snippet.kind} {snippet.filename}")

    def copy_all(self, snippets: Sequence[Snippet]) -> list[str]:
        """What each of them printed."""
        return [self.copy(snippet) for snippet in snippets]

    def type(self, command: str) -> str:
        """What the command printed, in a terminal where the variables of the snippets are set."""
        done = subprocess.run(
            ["/bin/bash", "-o", "pipefail", "-c", "\n".join([*self._exports, command])],
            env=self._environment,
            cwd=self.desk,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=RUN_TIMEOUT_S,
        )
        assert done.returncode == 0, (command, done.stdout[-2000:], done.stderr[-4000:])
        return done.stdout

    def _keep(self, filename: str, text: str) -> None:
        path = self.desk / filename
        if filename.startswith("~/"):
            path = self.home / filename.removeprefix("~/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
        os.chmod(path, 0o600)
