"""Jobs, run by a real worker that a real beat wakes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.world import ROOT, World


def start(world: World, home: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """A Celery process on the world's database, with its broker's files under `home`."""
    environment = {
        **os.environ,
        "DATABASE_URL": world.database.url,
        "TOLLGATE_HOME": str(home),
        "CELERY_BROKER_URL": "filesystem://",
        "DJANGO_SETTINGS_MODULE": "config.settings",
    }
    command = [sys.executable, "-W", "ignore", "-m", "celery", "-A", "config", *arguments]
    with (home / f"{arguments[0]}.log").open("ab") as log:
        return subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
        )


def stop(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)


@pytest.fixture
def worker(world: World, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = start(
        world, tmp_path, "worker", "--pool", "threads", "--concurrency", "1", "--loglevel", "info"
    )
    yield process
    stop(process)


def send_audit(world: World, home: Path) -> None:
    program = "import config.celery; from gateway.tasks import audit_ledger; audit_ledger.delay()"
    environment = {
        **os.environ,
        "DATABASE_URL": world.database.url,
        "TOLLGATE_HOME": str(home),
        "DJANGO_SETTINGS_MODULE": "config.settings",
    }
    setup = "import django; django.setup();"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", setup + program],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr


def wait_for_runs(world: World, count: int, home: Path) -> list[dict[str, object]]:
    deadline = time.monotonic() + 20
    while len(runs := world.database.query("SELECT * FROM billing_auditrun ORDER BY id")) < count:
        assert time.monotonic() < deadline, (home / "worker.log").read_text()
        time.sleep(0.1)
    return runs


@pytest.mark.usefixtures("worker")
def test_a_worker_keeps_the_result_of_an_audit_and_raises_the_alarm(
    world: World, tmp_path: Path
) -> None:
    alice = world.add_tenant("Alice", balance="1")
    send_audit(world, tmp_path)
    assert wait_for_runs(world, 1, tmp_path)[-1]["total"] == 0
    world.database.query(
        "UPDATE billing_account SET balance_nanos = balance_nanos + 1 WHERE id = %s",
        alice.wallet_id,
    )
    send_audit(world, tmp_path)
    found = wait_for_runs(world, 2, tmp_path)[-1]
    assert found["violations"] == {"balances": 1, "zero_sum": 1}
    assert "violates its invariants" in (tmp_path / "worker.log").read_text()


def test_every_job_of_the_clock_is_known_to_the_worker() -> None:
    from config.celery import app

    app.loader.import_default_modules()
    assert {entry["task"] for entry in app.conf.beat_schedule.values()} <= set(app.tasks)
