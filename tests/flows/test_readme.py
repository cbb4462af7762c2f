"""README, as a newcomer reads it: every block of commands is run as it stands there, against a live gateway.

Blocks marked `sh` and `python` are run, one after the other; only the address and the place of demo.json are others.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.image_tasks import put_image_channels
from tests.world import ROOT, GatewayProcess, Tenant, World

README = (ROOT / "README.md").read_text()
ADDRESS = "http://127.0.0.1:8000"
BLOCKS = re.findall(r"^```(sh|python)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def live(world: World) -> GatewayProcess:
    world.put_other_vendors()
    put_image_channels(world)
    return world.start_gateway()


@pytest.fixture
def folder(tmp_path: Path, alice: Tenant) -> Path:
    """Where `make run` was called."""
    (tmp_path / "var").mkdir()
    (tmp_path / "var/demo.json").write_text(json.dumps({"api_key": alice.key}))
    return tmp_path


def run(kind: str, text: str, gateway: GatewayProcess, folder: Path, key: str = "") -> str:
    """What the block printed. Raises where one of its commands failed."""
    text = text.replace(ADDRESS, gateway.base_url.removesuffix("/v1"))
    # A newcomer reads an answer that is an error; a test takes it for a failure.
    script = text.replace("curl ", "curl -sS --fail-with-body -w '\\n' ")
    command = ["bash", "-euc", script] if kind == "sh" else [sys.executable, "-c", text]
    environ = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environ |= {"NO_PROXY": "*"} | ({"TOLLGATE_API_KEY": key} if key else {})
    done = subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def answers(printed: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in printed.splitlines() if line.strip()]


def test_readme_has_blocks_that_can_be_run() -> None:
    kinds = [kind for kind, _text in BLOCKS]
    assert kinds.count("sh") >= 5
    assert kinds.count("python") >= 1
    loose = [
        line for kind, text in re.findall(r"^```(\w*)\n(.*?)^```$", README, re.M | re.S)
        if kind not in ("sh", "python")
        for line in text.splitlines()
        if "curl" in line
    ]  # fmt: skip
    assert loose == [], "a curl that nobody runs"


def test_the_first_block_leads_to_a_billed_call(
    world: World, live: GatewayProcess, alice: Tenant, folder: Path
) -> None:
    kind, text = BLOCKS[0]
    before = len(world.records(alice))
    [answer] = answers(run(kind, text, live, folder))
    assert answer["choices"][0]["message"]["content"]
    [call] = world.records(alice)[before:]
    assert call["status"] == "completed"
    assert call["amount_nanos"] > 0


@pytest.mark.parametrize("number", range(1, len(BLOCKS)))
def test_every_other_block_does_what_it_says(
    live: GatewayProcess, alice: Tenant, folder: Path, number: int
) -> None:
    kind, text = BLOCKS[number]
    printed = run(kind, text, live, folder, alice.key)
    assert printed.strip()
    if kind == "sh":
        assert len(answers(printed)) == text.count("curl ")


def test_the_figures_of_the_price_are_those_of_the_price_book(world: World) -> None:
    listed, charged = re.findall(r"\n?(0\.00\d+) USD (?:at list|to the caller)", README)
    rates = {
        row["bucket"]: row["list_nanos"]
        for row in world.database.query(
            "SELECT r.bucket, r.list_nanos FROM billing_pricerate r JOIN billing_price p ON p.id = r.price_id"
            " WHERE p.model = 'openai/gpt-5.5' AND r.tier = 'standard' AND r.above_input_tokens = 0"
        )
    }
    nanos = (38 * rates["input"] + 95 * rates["output"]) // 1_000_000
    assert (listed, charged) == (f"{nanos / 1e9:.5f}", f"{nanos / 2e9:.5f}")
