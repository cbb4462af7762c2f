import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from config.process import (
    Account,
    StopSignals,
    children_of,
    exit_text,
    open_log,
    spawn,
    tail,
)

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of a parent's end")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may change the user")

PARENT_OF_SLEEP = """
import signal, time
from config.process import spawn
print(spawn(["sleep", "600"], signal.SIGKILL, {account}).pid, flush=True)
time.sleep(600)
"""

# As granian does it: the master forks its workers, and only the worker imports the application.
PARENT_OF_WORKER = """
import multiprocessing, os, time
from config.process import die_with_parent
def work():
    die_with_parent()
    print(os.getpid(), flush=True)
    time.sleep(600)
multiprocessing.get_context("{method}").Process(target=work).start()
time.sleep(600)
"""

ORPHAN = """
import os, signal, sys
from config.process import die_with_parent
die_with_parent(signal.SIGTERM, parent=os.getppid() + 1)
print("lives on")
"""


@linux
@pytest.mark.parametrize(
    "account",
    [
        "None",
        pytest.param("__import__('config.process').process.Account(65534, 65534)", marks=as_root),
    ],
)
def test_a_child_is_killed_with_its_parent(account, start, runs, until):
    parent = start(sys.executable, "-c", PARENT_OF_SLEEP.format(account=account))
    child = int(parent.stdout.readline())
    assert runs(child)
    parent.kill()
    until(lambda: not runs(child), 5)


@linux
def test_a_forked_worker_is_killed_with_its_parent(start, runs, until):
    parent = start(sys.executable, "-c", PARENT_OF_WORKER.format(method="fork"))
    worker = int(parent.stdout.readline())
    assert runs(worker)
    parent.kill()
    until(lambda: not runs(worker), 5)


@linux
def test_a_process_whose_parent_went_before_it_asked_ends_itself(start):
    orphan = start(sys.executable, "-c", ORPHAN)
    assert orphan.wait(10) == -signal.SIGTERM
    assert orphan.stdout.read() == ""


@as_root
def test_a_child_runs_as_the_account_and_in_none_of_our_groups():
    child = spawn(["id"], signal.SIGKILL, Account(65534, 65534), stdout=subprocess.PIPE)
    output, _ = child.communicate(timeout=10)
    assert b"uid=65534(nobody)" in output
    assert b"root" not in output


def test_children_are_found():
    with subprocess.Popen(["sleep", "600"]) as child:
        assert child.pid in children_of(os.getpid())
        assert children_of(child.pid) == []
        child.kill()


def test_a_log_is_private_appended_to_and_moved_aside_when_it_is_big(tmp_path: Path):
    path = tmp_path / "logs" / "web.log"
    for text in (b"one\n", b"two\n"):
        with open_log(path) as log:
            log.write(text)
    assert path.read_bytes() == b"one\ntwo\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    os.truncate(path, 11 * 1024 * 1024)
    open_log(path).close()
    assert path.stat().st_size == 0
    assert path.with_name("web.log.1").stat().st_size == 11 * 1024 * 1024


def test_the_tail_of_a_log_begins_where_this_start_began(tmp_path: Path):
    path = tmp_path / "log"
    path.write_text("old\n" + "".join(f"line {number}\n" for number in range(100)))
    assert tail(path, lines=2) == ["line 98", "line 99"]
    assert tail(path, since=path.stat().st_size - 8) == ["line 99"]
    assert tail(tmp_path / "absent") == []
    path.write_text("cut short\n")
    assert tail(path, since=5000) == []


def test_an_exit_is_told_in_words():
    assert exit_text(3) == "exit 3"
    assert exit_text(-9) == "SIGKILL"
    assert exit_text(-200) == "signal 200"


def test_a_signal_ends_the_wait_and_is_counted_once_however_often_it_comes_at_once():
    # A shell that starts us in the background has interrupts ignored.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    with StopSignals() as signals:
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
        began = time.monotonic()
        signals.wait(10)
        assert time.monotonic() - began < 5
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.requests == 1
        time.sleep(0.6)
        os.kill(os.getpid(), signal.SIGINT)
        assert signals.requests == 2
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
    signal.signal(signal.SIGINT, handler)


def test_a_childs_end_ends_the_wait_and_asks_for_nothing():
    with StopSignals() as signals, subprocess.Popen(["sleep", "0.1"]):
        began = time.monotonic()
        signals.wait(10)
        assert time.monotonic() - began < 5
        assert signals.requests == 0


def test_a_request_breaks_into_a_long_call():
    with StopSignals() as signals:
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
        with pytest.raises(KeyboardInterrupt), signals.interrupting():
            time.sleep(10)
        with pytest.raises(KeyboardInterrupt), signals.interrupting():
            pytest.fail("a request that came before is heeded too")
        assert signals.requests == 1
