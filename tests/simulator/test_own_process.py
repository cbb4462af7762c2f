"""simulator.process and simulator.__main__: starting, stopping, dying with the parent."""

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import httpx
import psutil
import pytest

from simulator.process import SimulatorError, SimulatorProcess

ROOT = str(Path(__file__).resolve().parent.parent.parent)


def launch(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "simulator", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_it_says_where_it_listens_once_and_asks_no_key_unless_told(tmp_path):
    process = launch("--port", "0", "--log", str(tmp_path / "log"))
    try:
        line = process.stdout.readline()
        assert line.startswith("simulator listening on http://127.0.0.1:")
        url = line.split()[-1]
        answer = httpx.post(
            f"{url}/v1/chat/completions",
            json={"model": "m", "messages": [{"role": "user", "content": "hi"}]},
        )
        assert answer.status_code == 200
    finally:
        process.terminate()
        rest, errors = process.communicate(timeout=5)
    assert (rest, errors, process.returncode) == ("", "", 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_within_a_second_with_streams_open_and_logs_them(body, connect, number):
    with SimulatorProcess() as own:
        scripts = {
            "streaming": {"chunk_delay_s": 0.01, "output_tokens": 9_999},
            "hanging": {"hang_after_chunks": 1},
            "unread": {"output_tokens": 400_000},
        }
        for name, script in scripts.items():
            raw = connect(own)
            raw.chat(body(stream=True, simulate=script), call_id=name)
            raw.read_until(b'"delta":{"content":')
        waiting = connect(own)
        waiting.chat(body(simulate={"gate": "never"}), call_id="waiting")
        own.wait_for_entries(4, "received")
        process = psutil.Process(own.pid)
        assert process.children() == []
        began = time.monotonic()
        os.kill(own.pid, number)
        assert own._process.wait(3) == 0
        assert time.monotonic() - began < 1.0
        ends = {entry["call_id"]: entry["outcome"] for entry in own.entries()}
        assert ends == dict.fromkeys([*scripts, "waiting"], "reset")


def test_it_dies_with_its_parent(tmp_path):
    script = textwrap.dedent(
        """
        import sys, time
        from simulator.process import SimulatorProcess
        own = SimulatorProcess()
        own.start()
        print(own.pid, flush=True)
        time.sleep(60)
        """
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    with parent:
        child = psutil.Process(int(parent.stdout.readline()))
        assert child.is_running()
        parent.kill()
        parent.wait()
    deadline = time.monotonic() + 2
    # The dead child stays a zombie until whoever inherited it looks after it.
    try:
        while psutil.pid_exists(child.pid) and child.status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()


def test_a_simulator_that_cannot_start_says_why(tmp_path):
    own = SimulatorProcess(log_path=tmp_path / "missing" / "log")
    with pytest.raises(SimulatorError, match="No such file"):
        own.start()


def test_it_comes_back_on_the_same_port_with_the_same_log(body, connect):
    with SimulatorProcess() as own:
        addresses = set()
        for end in (own.kill, own.stop, own.stop):
            raw = connect(own)
            raw.chat(body())
            assert raw.read_response()[0] == 200
            addresses.add(own.base_url)
            end()
            own.start()
        assert len(addresses) == 1
        assert len(own.entries()) == 3


def test_stopping_twice_and_reading_the_log_afterwards_is_fine(body, connect):
    with SimulatorProcess() as own:
        raw = connect(own)
        raw.chat(body())
        raw.read_response()
        own.stop()
        own.stop()
        assert len(own.entries()) == 1
        with pytest.raises(SimulatorError):
            assert own.pid
