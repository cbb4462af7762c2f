import fcntl
import http.client
import itertools
import json
import os
import re
import shlex
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from config import run
from config.embedded import EmbeddedPostgres
from config.process import StopSignals, children_of
from config.run_console import Console
from config.run_supervisor import Backoff, Service, Step

HERE = Path(__file__).resolve().parent
NOT_OURS = "postgresql:///not-used"
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of a parent's end")

# Writes what happens to it into FILE: `up NAME PID`, and `down NAME` when it is asked to end.
WELL_BEHAVED = 'trap "echo down {name} >> {file}; exit" TERM; echo up {name} $$ >> {file}; '
WELL_BEHAVED += "while :; do sleep 0.02; done"
STUBBORN = 'trap "" TERM; echo up {name} $$ >> {file}; while :; do sleep 0.02; done'


class Fake:
    """A home with a free port, a diary of its services, and a supervisor to start on it."""

    def __init__(self, home: Path, start: Callable[..., subprocess.Popen[str]]) -> None:
        self.home = home
        self.diary = home.parent / "diary"
        self.diary.touch()
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._start = start

    def service(self, name: str, script: str = WELL_BEHAVED, **more: object) -> dict[str, object]:
        text = script.format(name=name, file=self.diary)
        return {"service": name, "argv": ["sh", "-c", text], **more}

    def run(self, *plan: object, options: tuple[str, ...] = (), **environ: str):
        told = {"TOLLGATE_HOME": str(self.home), "PORT": str(self.port), "HOST": "127.0.0.1"}
        told |= {"DATABASE_URL": NOT_OURS, "CELERY_BROKER_URL": "", **environ}
        argv = [sys.executable, HERE / "fake_site.py", json.dumps(plan), *options]
        return self._start(*argv, **told)

    def entries(self) -> list[str]:
        return [" ".join(line.split()[:2]) for line in self.diary.read_text().splitlines()]

    def pids(self, name: str = "") -> list[int]:
        found = re.findall(rf"^up {name or '.*'} (\d+)$", self.diary.read_text(), re.MULTILINE)
        return [int(each) for each in found]


def lines_until_up(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout is not None
    lines = [process.stdout.readline()]
    while "Ctrl-C" not in lines[-1]:
        assert lines[-1], "it ended instead of coming up"
        lines.append(process.stdout.readline())
    return lines


@pytest.fixture
def fake(home, start) -> Fake:
    return Fake(home, start)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_services_start_in_order_and_stop_in_reverse(fake, until, signum):
    process = fake.run(*(fake.service(name) for name in ("a", "b", "c")))
    told = [line.split()[0] for line in lines_until_up(process) if line.endswith(" s\n")]
    assert told == ["secrets", "a", "b", "c"]
    until(lambda: sorted(fake.entries()) == ["up a", "up b", "up c"])
    process.send_signal(signum)
    assert process.wait(10) == 0
    assert fake.entries()[3:] == ["down c", "down b", "down a"]


def test_a_service_that_ends_is_started_again_after_longer_and_longer_waits(fake, until):
    failing = fake.service("bad", "sleep 0.3; echo this is why; exit 3")
    process = fake.run(failing, fake.service("good"))
    output = ""
    while not re.search("in 2 s\n.+\n", output):
        line = process.stdout.readline()
        assert line
        output += line
    waits = re.findall(
        r"bad ended \(exit 3\); starting again in ([\d.]+) s\n    this is why", output
    )
    assert waits == ["0.5", "1", "2"]
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert fake.entries()[-1] == "down good"


def test_a_service_that_ends_while_others_start_fails_the_start(fake):
    failing = fake.service("bad", "echo this is why; exit 3")
    waiting = {"step": "wait", "argv": ["sleep", "0.5"]}
    process = fake.run(fake.service("good"), failing, waiting, fake.service("late"))
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "bad ended (exit 3)" in output
    assert "    this is why" in output
    assert fake.entries() == ["up good", "down good"]


def test_a_failing_step_shows_the_end_of_its_output_and_leaves_nothing_running(fake, runs):
    script = "sleep 0.3; for n in $(seq 100); do echo line $n; done; echo broken >&2; exit 4"
    step = {"step": "migrations", "argv": ["sh", "-c", script]}
    process = fake.run(fake.service("good"), step, fake.service("late"))
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "migrations failed (exit 4)" in output
    assert "    line 100\n    broken\n" in output
    assert "line 80\n" not in output
    assert fake.entries() == ["up good", "down good"]
    assert not any(runs(pid) for pid in fake.pids())


def test_a_program_that_is_not_there_is_named(fake):
    output, _ = fake.run({"step": "odd", "argv": ["/no/such/program"]}).communicate(timeout=20)
    assert "odd: /no/such/program cannot be started" in output


def test_an_interrupt_during_a_step_ends_the_step_and_all_else(fake, runs, until):
    step = {
        "step": "long",
        "argv": ["sh", "-c", f"echo up long $$ >> {fake.diary}; exec sleep 600"],
    }
    process = fake.run(fake.service("good"), step)
    until(lambda: sorted(fake.entries()) == ["up good", "up long"])
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 130
    assert not any(runs(pid) for pid in fake.pids())
    assert fake.entries()[-1] == "down good"


def test_a_service_that_does_not_end_is_killed_in_time(fake, runs, until):
    process = fake.run(fake.service("first"), fake.service("deaf", STUBBORN, stop_timeout_s=0.5))
    lines_until_up(process)
    until(lambda: len(fake.pids()) == 2)
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert fake.entries()[-1] == "down first"
    assert not any(runs(pid) for pid in fake.pids())


def test_a_second_interrupt_ends_all_patience(fake, runs, until):
    process = fake.run(*(fake.service(name, STUBBORN, stop_timeout_s=600) for name in ("x", "y")))
    lines_until_up(process)
    until(lambda: len(fake.pids()) == 2)
    process.send_signal(signal.SIGINT)
    time.sleep(0.7)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(5) == 0
    assert not any(runs(pid) for pid in fake.pids())


@linux
def test_killing_the_supervisor_leaves_no_process_and_a_new_start_works(fake, runs, until):
    plan = [
        {"database": "PostgreSQL"},
        fake.service("deaf", STUBBORN, stop_timeout_s=0.2),
        {"web": "fake_web:application"},
    ]
    environ = {"DATABASE_URL": "", "PYTHONPATH": f"{HERE}:{HERE.parents[1]}", "WORKERS": "2"}
    process = fake.run(*plan, **environ)
    until(lambda: ask_web(fake.port) is not None)
    workers = {ask_web(fake.port) for _ in range(20)}
    server = int((fake.home / "postgres" / "postmaster.pid").read_text().split()[0])
    pids = [*workers, server, *fake.pids()]
    assert all(runs(pid) for pid in pids)
    process.kill()
    process.wait()
    again = fake.run(*plan, **environ)
    until(lambda: not any(runs(pid) for pid in pids), 5)
    lines_until_up(again)
    again.send_signal(signal.SIGTERM)
    assert again.wait(15) == 0
    assert ask_web(fake.port) is None


def ask_web(port: int) -> int | None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return int(connection.getresponse().read())
    except OSError:
        return None
    finally:
        connection.close()


# A shell that starts us in the background has interrupts ignored, and make would inherit that.
MAKE = (
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL);"
    "os.execlp('make', 'make', '-f', sys.argv[1])"
)


@linux
@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_what_ends_make_ends_everything(fake, start, runs, until, signum):
    # Whoever kills make with -9 waits for nothing; otherwise each service has its own time.
    patience_s = 60 if signum == signal.SIGKILL else 1
    deaf = fake.service("deaf", STUBBORN, stop_timeout_s=patience_s)
    plan = json.dumps([fake.service("good"), deaf])
    command = shlex.join([sys.executable, str(HERE / "fake_site.py"), plan, "--die-with-parent"])
    makefile = fake.diary.with_name("Makefile")
    makefile.write_text(f"run:\n\t@exec {command.replace('$', '$$')}\n")
    environ = {"TOLLGATE_HOME": str(fake.home), "PORT": "0", "DATABASE_URL": NOT_OURS}
    make = start(sys.executable, "-c", MAKE, makefile, MAKEFLAGS="", **environ)
    until(lambda: len(fake.pids()) == 2)
    (supervisor,) = children_of(make.pid)
    make.send_signal(signum)
    until(lambda: not any(runs(pid) for pid in (supervisor, *fake.pids())), 5)
    assert sorted(fake.entries()) == ["down good", "up deaf", "up good"]
    make.wait(5)


def test_what_a_service_leaves_running_when_it_ends_is_ended_too(fake, runs, until):
    script = "sleep 600 & echo up left $! >> {file}; sleep 0.3; exit 1"
    process = fake.run(fake.service("bad", script), fake.service("good"))
    lines_until_up(process)
    until(lambda: len(fake.pids("left")) == 2)
    assert not runs(fake.pids("left")[0])
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0


def test_postgresql_that_was_killed_is_started_again(fake, until):
    process = fake.run({"database": "PostgreSQL"}, fake.service("up"), DATABASE_URL="")
    until(lambda: fake.pids())
    pid_file = fake.home / "postgres" / "postmaster.pid"
    first = int(pid_file.read_text().split()[0])
    os.kill(first, signal.SIGKILL)
    server = EmbeddedPostgres(fake.home)
    until(lambda: pid_file.exists() and pid_file.read_text().split()[0] != str(first))
    until(server.answers)
    with psycopg.connect(server.url) as connection:
        assert connection.execute("SHOW fsync").fetchone() == ("on",)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=20)
    assert "PostgreSQL ended (SIGKILL); starting again in 0.5 s" in output
    assert not server.answers()


def test_the_simulator_comes_back_at_the_same_address(fake, runs, until):
    process = fake.run({"simulator": True}, {"step": "seed", "argv": ["echo", "{simulator_url}"]})
    seeded = fake.home / "logs" / "seed.log"
    until(lambda: seeded.exists() and seeded.read_text())
    url = seeded.read_text().strip()
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", url)
    lines_until_up(process)
    ready = fake.home / "simulator.ready"
    ready.unlink()
    (simulator,) = children_of(process.pid)
    os.kill(simulator, signal.SIGKILL)
    until(lambda: ready.exists() and ready.read_text().strip() == url)
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0


def test_a_port_in_use_is_told_in_one_line_before_anything_starts(fake):
    with socket.create_server(("127.0.0.1", fake.port)):
        output, _ = fake.run(fake.service("good")).communicate(timeout=20)
    taken, free = fake.port, fake.port + 1
    assert output == f"port {taken} on 127.0.0.1 is in use; PORT={free} make run takes another\n"
    assert fake.entries() == []
    assert not (fake.home / "secrets.json").exists()


def test_a_second_supervisor_on_the_same_home_is_refused(fake, until):
    first = fake.run(fake.service("good"))
    lines_until_up(first)
    until(lambda: fake.pids())
    second = fake.run(fake.service("other"), PORT="0")
    output, _ = second.communicate(timeout=20)
    where = f"process {first.pid}, http://127.0.0.1:{fake.port}"
    assert output == f"Tollgate already runs on {fake.home} ({where})\n"
    assert second.returncode == 1
    first.send_signal(signal.SIGTERM)
    assert first.wait(10) == 0
    assert fake.entries() == ["up good", "down good"]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("PORT", "80a", "PORT must be a number from 0 to 65535, not '80a'"),
        ("PORT", "70000", "PORT must be a number from 0 to 65535, not '70000'"),
        ("WORKERS", "0", "WORKERS must be a number from 1 to 256, not '0'"),
        (
            "TOLLGATE_TASK_CONCURRENCY",
            "x",
            "TOLLGATE_TASK_CONCURRENCY must be a number from 1 to 256",
        ),
        ("HOST", "192.0.2.7", "cannot listen on HOST=192.0.2.7 PORT="),
        ("HOST", "no host", "cannot listen on HOST=no host PORT="),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_in_one_line(fake, name, value, words):
    process = fake.run(fake.service("good"), **{name: value})
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 1
    assert words in output
    assert output.count("\n") == 1
    assert fake.entries() == []


def test_a_reader_that_went_away_does_not_keep_it_from_stopping(fake, runs, until):
    process = fake.run(fake.service("good"), PYTHONUNBUFFERED="")
    lines_until_up(process)
    until(lambda: fake.pids())
    process.stdout.close()
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert fake.entries() == ["up good", "down good"]


def test_children_are_told_the_secrets_the_home_and_the_broker(fake):
    secrets = ("TOLLGATE_SECRET_KEY", "TOLLGATE_KEY_PEPPER", "TOLLGATE_CREDENTIAL_KEY")
    names = " ".join((*secrets, "TOLLGATE_HOME", "CELERY_BROKER_URL"))
    step = {"step": "show", "argv": ["sh", "-c", f"for n in {names}; do printenv $n; done; exit 1"]}
    given = dict.fromkeys(secrets, "") | {"TOLLGATE_KEY_PEPPER": "mine"}
    output, _ = fake.run(step, **given).communicate(timeout=20)
    shown = [line.strip() for line in output.splitlines()[-5:]]
    saved = json.loads((fake.home / "secrets.json").read_text())
    assert shown == [
        saved["TOLLGATE_SECRET_KEY"],
        "mine",
        saved["TOLLGATE_CREDENTIAL_KEY"],
        str(fake.home),
        "filesystem://",
    ]
    assert stat.S_IMODE((fake.home / "broker").stat().st_mode) == 0o700
    assert stat.S_IMODE((fake.home / "secrets.json").stat().st_mode) == 0o600


@pytest.mark.parametrize(("given", "told"), [({}, "2"), ({"MALLOC_ARENA_MAX": "7"}, "7")])
def test_children_keep_few_heaps_unless_the_operator_says_otherwise(home, given, told):
    home.mkdir(exist_ok=True)
    assert (
        run.child_environ(run.read_site({"TOLLGATE_HOME": str(home)}), given)["MALLOC_ARENA_MAX"]
        == told
    )


def test_when_all_is_up_it_tells_the_sign_ins_and_a_command_that_works(fake):
    demo = {"base_url": "http://127.0.0.1:8000/v1", "api_key": "tollgate-v1-it's"}
    for role in ("operator", "admin", "member"):
        demo |= {f"{role}_email": f"{role}@example.com", f"{role}_password": f"{role}-pass"}
    fake.home.mkdir()
    (fake.home / "demo.json").write_text(json.dumps(demo))
    process = fake.run(fake.service("good"))
    lines = lines_until_up(process)
    output = "".join(lines)
    assert f"Tollgate is up: http://127.0.0.1:{fake.port}\n" in output
    assert re.search(r"member +member@example.com +member-pass\n", output)
    (command,) = [line for line in lines if line.strip().startswith("curl ")]
    argv = shlex.split(command)
    assert argv[1] == "http://127.0.0.1:8000/v1/chat/completions"
    assert "Authorization: Bearer tollgate-v1-it's" in argv
    assert json.loads(argv[-1])["messages"][0]["role"] == "user"
    assert "\x1b" not in output
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0


def test_the_plan_starts_the_web_last_and_stops_it_first(home):
    site = run.Site(home, "0.0.0.0", 8000, 3)
    plan = run.make_plan(site, {"TOLLGATE_SIMULATOR_KEY": "sim"}, EmbeddedPostgres(home))
    assert [entry.name for entry in plan] == [
        "PostgreSQL",
        "translations",
        "migrations",
        "price book",
        "static files",
        "simulator",
        "demo data",
        "celery worker",
        "task worker",
        "callback worker",
        "celery beat",
        "web and gateway",
    ]
    web = plan[-1]
    assert isinstance(web, Service)
    assert web.stop_timeout_s == 10
    assert ("--workers", "3") in zip(web.argv, web.argv[1:], strict=False)
    assert "--respawn-failed-workers" in web.argv
    seed = plan[6]
    assert isinstance(seed, Step)
    assert "{simulator_url}" in seed.argv
    assert site.address == "http://127.0.0.1:8000"
    assert run.Site(home, "::", 8000, 1).address == "http://[::1]:8000"


def test_what_the_clock_asks_for_waits_neither_for_tasks_nor_for_receivers(home):
    environ = {"TOLLGATE_HOME": str(home), "TOLLGATE_TASK_CONCURRENCY": "40"}
    workers = {
        name: dict(itertools.pairwise(argv))
        for name, argv in ((one.name, one.argv) for one in run.celery(run.read_site(environ)))
    }
    assert workers["celery worker"]["--queues"] == "celery"
    assert workers["task worker"]["--queues"] == "tasks"
    assert workers["callback worker"]["--queues"] == "callbacks"
    assert workers["callback worker"]["--concurrency"] == "8"
    assert workers["task worker"]["--concurrency"] == "40"
    assert len({worker["--hostname"] for name, worker in workers.items() if "worker" in name}) == 3
    assert run.read_site({}).tasks_at_once == 16


def test_waits_grow_to_a_limit():
    waits = [Backoff(0.5, 2, 30).delay_s(failures) for failures in (0, 1, 5, 6, 100_000)]
    assert waits == [0.5, 1, 16, 30, 30]


def test_the_lock_is_free_again_after_the_supervisor_whatever_it_left_in_the_file(home, tmp_path):
    site = run.Site(home, "127.0.0.1", 8000, 1)
    refused = pytest.raises(run.Refused, match=f"process {os.getpid()}")
    with run.only_one(site), refused, run.only_one(site):
        pytest.fail("two at once")
    with run.only_one(site), (home / "run.lock").open() as lock, pytest.raises(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_colour_is_for_terminals_alone(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    leader, follower = os.openpty()
    with os.fdopen(follower, "w") as terminal:
        Console(terminal).line("up", "bold")
        assert b"\x1b[1mup" in os.read(leader, 100)
        monkeypatch.setenv("NO_COLOR", "1")
        Console(terminal).line("up", "bold")
        assert b"\x1b" not in os.read(leader, 100)
    os.close(leader)


def test_stop_signals_may_be_used_again():
    for _ in range(2):
        with StopSignals() as signals:
            os.kill(os.getpid(), signal.SIGTERM)
            assert signals.requests == 1
