import fcntl
import os
import pwd
import shutil
import signal
import sys
import threading
from pathlib import Path

import psycopg
import pytest

from config.embedded import EmbeddedPostgres, PostgresError
from config.embedded_place import (
    STATE_FOLDER,
    Binaries,
    find_binaries,
    find_place,
    reachable_binaries,
)
from config.process import spawn

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of a parent's end")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs it under another account")

STAYING = """
import sys, time
from pathlib import Path
from config.embedded import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]), for_tests=True)
server.start()
print(server.pid, flush=True)
time.sleep(600)
"""


def ask(server: EmbeddedPostgres, query: str) -> object:
    with psycopg.connect(server.url) as connection:
        row = connection.execute(query).fetchone()
        return row[0] if row else None


def write_row(server: EmbeddedPostgres, number: int, fresh: bool = False) -> None:
    with psycopg.connect(server.url) as connection:
        if fresh:
            connection.execute("DROP TABLE IF EXISTS kept")
        connection.execute("CREATE TABLE IF NOT EXISTS kept (number int)")
        connection.execute("INSERT INTO kept VALUES (%s)", [number])


def lock_is_free(path: Path) -> bool:
    with path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def test_a_fresh_server_is_durable_sorts_by_code_point_and_listens_on_no_port(home):
    with EmbeddedPostgres(home) as server:
        settings = ("fsync", "synchronous_commit", "full_page_writes", "max_connections")
        assert [ask(server, f"SHOW {name}") for name in settings] == ["on", "on", "on", "200"]
        assert ask(server, "SHOW listen_addresses") == ""
        assert (
            ask(server, "SELECT string_agg(t, '' ORDER BY t) FROM unnest('{a,B,é,Z}'::text[]) t")
            == "BZaé"
        )
        assert ask(server, "SELECT upper('é')") == "É"
        assert server.place.sockets.stat().st_mode & 0o777 == 0o700
    assert not server.alive()
    assert lock_is_free(server.place.lock)


def test_committed_rows_outlive_every_kind_of_end(used_home):
    server = EmbeddedPostgres(used_home)
    with server:
        write_row(server, 1, fresh=True)
        server.restart("fast")
        write_row(server, 2)
        server.restart("immediate")
        write_row(server, 3)
        server.kill()
        assert not server.alive()
        server.start()
        write_row(server, 4)
    with server:
        assert ask(server, "SELECT array_agg(number ORDER BY number) FROM kept") == [1, 2, 3, 4]


@linux
def test_killing_the_launcher_leaves_no_server_and_the_next_start_works(
    used_home, start, runs, until
):
    launcher = start(sys.executable, "-c", STAYING, used_home)
    server_pid = int(launcher.stdout.readline())
    launcher.kill()
    launcher.wait()
    with EmbeddedPostgres(used_home, for_tests=True) as server:
        assert server.pid not in (None, server_pid)
    until(lambda: not runs(server_pid), 5)


def test_a_pid_file_that_names_another_living_process_does_not_prevent_a_start(used_home):
    server = EmbeddedPostgres(used_home, for_tests=True)
    with server:
        server.kill()
        pid_file = server.place.data / "postmaster.pid"
        lines = pid_file.read_text().splitlines()
        other = spawn(["sleep", "600"], signal.SIGKILL, server.place.account, cwd="/")
        try:
            for path in (pid_file, server.place.sockets / ".s.PGSQL.5432.lock"):
                path.write_text("\n".join([str(other.pid), *lines[1:]]) + "\n")
            server.start()
            assert ask(server, "SELECT 1") == 1
        finally:
            other.kill()
            other.wait()


def test_a_server_started_by_hand_on_the_same_data_is_left_alone(used_home):
    with EmbeddedPostgres(used_home, for_tests=True) as server:
        found = find_binaries(os.environ)
        binaries = reachable_binaries(found, server.place.account, STATE_FOLDER)
    argv = [str(binaries.folder / "postgres"), "-D", str(server.place.data)]
    argv += ["-c", "listen_addresses="]
    argv += ["-c", f"unix_socket_directories={server.place.data}", "-c", "port=6543"]
    with server.log.open("ab") as log:
        stranger = spawn(argv, signal.SIGINT, server.place.account, cwd="/", stdout=log, stderr=log)
    try:
        socket = server.place.data / ".s.PGSQL.6543"
        while not socket.exists():
            assert stranger.poll() is None
        with pytest.raises(PostgresError, match=f"process {stranger.pid} works on"):
            server.start()
        assert stranger.poll() is None
    finally:
        stranger.send_signal(signal.SIGINT)
        stranger.wait()


def test_a_second_launcher_uses_the_running_server_and_does_not_stop_it(used_home):
    with EmbeddedPostgres(used_home, for_tests=True) as first:
        with EmbeddedPostgres(used_home, for_tests=True) as second:
            assert second.pid is None
            assert second.alive()
            write_row(second, 7, fresh=True)
            with pytest.raises(PostgresError, match="another command"):
                second.kill()
        assert ask(first, "SELECT number FROM kept") == 7


def test_a_server_that_stops_just_when_it_is_joined_is_started_again(used_home, monkeypatch):
    first = EmbeddedPostgres(used_home, for_tests=True)
    second = EmbeddedPostgres(used_home, for_tests=True)
    create = second._create_database

    def stop_first() -> None:
        first.stop()
        create()

    monkeypatch.setattr(second, "_create_database", stop_first)
    with first, second:
        assert second.pid is not None
        assert ask(second, "SELECT 1") == 1


def test_a_server_whose_launcher_is_gone_is_joined_only_if_it_stays(used_home, monkeypatch):
    first = EmbeddedPostgres(used_home, for_tests=True)
    with first:
        first._disown()  # as the kernel does for a launcher that was killed
        monkeypatch.setattr("config.embedded.ORPHAN_TIMEOUT_S", 0.2)
        with EmbeddedPostgres(used_home, for_tests=True) as second:
            assert second.pid is None
        monkeypatch.setattr("config.embedded.ORPHAN_TIMEOUT_S", 30)
        threading.Timer(0.3, os.kill, (first.pid, signal.SIGINT)).start()
        with EmbeddedPostgres(used_home, for_tests=True) as second:
            assert second.pid not in (None, first.pid)


def test_launchers_that_start_at_once_on_a_fresh_home_share_one_server(home, start):
    launchers = [start(sys.executable, "-c", STAYING, home) for _ in range(4)]
    answers = [launcher.stdout.readline().strip() for launcher in launchers]
    assert sorted(answer == "None" for answer in answers) == [False, True, True, True]


@pytest.mark.parametrize("name", ["long-" * 20, "a, 'b'"])
def test_a_home_with_a_long_or_odd_path_gets_a_short_socket_folder_while_it_runs(home, name):
    deep = home / name
    with EmbeddedPostgres(deep, for_tests=True) as server:
        sockets = server.place.sockets
        assert sockets != server.place.data
        assert sockets.stat().st_mode & 0o777 == 0o700
        assert ask(server, "SELECT 1") == 1
    assert not sockets.exists()


def test_a_short_socket_folder_that_somebody_else_made_is_refused(home):
    deep = home / ("long-" * 20)
    sockets = find_place(deep).sockets
    sockets.mkdir(mode=0o755)
    try:
        with pytest.raises(PostgresError, match="not a private folder of ours"):
            EmbeddedPostgres(deep, for_tests=True).start()
    finally:
        sockets.rmdir()


def test_what_an_interrupted_initdb_left_is_made_anew(home):
    server = EmbeddedPostgres(home, for_tests=True)
    left = server.place.data.with_name("postgres.new")
    left.mkdir()
    (left / "PG_VERSION").write_text("18\n")
    with server:
        assert ask(server, "SELECT 1") == 1
    assert not left.exists()


def test_data_of_another_major_version_and_foreign_files_are_refused_and_kept(home):
    server = EmbeddedPostgres(home, for_tests=True)
    server.place.data.mkdir()
    if server.place.account is not None:
        os.chown(server.place.data, server.place.account.uid, server.place.account.gid)
    letter = server.place.data / "letter.txt"
    letter.write_text("dear all")
    with pytest.raises(PostgresError, match="not empty and holds no PostgreSQL data"):
        server.start()
    (server.place.data / "PG_VERSION").write_text("9\n")
    with pytest.raises(PostgresError, match="made by PostgreSQL 9, and here is only"):
        server.start()
    assert letter.read_text() == "dear all"


def test_a_server_that_ends_at_once_is_reported_with_its_log(used_home):
    server = EmbeddedPostgres(used_home, for_tests=True)
    server.start()
    server.stop()
    extra = server.place.data / "postgresql.auto.conf"
    before = extra.read_text()
    extra.write_text("no_such_setting = 1\n")
    try:
        with pytest.raises(PostgresError, match="no_such_setting"):
            server.start()
        assert server.pid is None
    finally:
        extra.write_text(before)


def test_pg_bin_is_taken_alone(home_on_disk):
    wheel = find_binaries({})
    assert find_binaries({"PG_BIN": str(wheel.folder)}) == wheel
    with pytest.raises(PostgresError, match="set PG_BIN"):
        find_binaries({"PG_BIN": "/nowhere"})
    fake = home_on_disk / "bin"
    fake.mkdir(parents=True)
    for name in ("postgres", "initdb"):
        (fake / name).write_text("#!/bin/sh\nexit 1\n")
        (fake / name).chmod(0o755)
    with pytest.raises(PostgresError, match="set PG_BIN"):
        find_binaries({"PG_BIN": str(fake)})


def test_every_other_postgresql_that_is_installed_works_too(home, home_on_disk):
    """The wheel is replaceable: whichever sources this machine has beside it, all of them serve."""
    for number, binaries in enumerate(installed_beside()):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PG_BIN", str(binaries.folder))
            server = EmbeddedPostgres(home / str(number), for_tests=True, state=home_on_disk)
            with server:
                version = str(ask(server, "SHOW server_version"))
                assert version.split()[0] == binaries.version
                assert ask(server, "SELECT upper('é')") == "É"


def installed_beside() -> list[Binaries]:
    sources = {}
    for major in range(14, 30):
        try:
            found = find_binaries({"PATH": os.environ["PATH"]}, major)
        except PostgresError:
            continue
        sources[found.folder] = found
    sources.pop(find_binaries({}).folder)
    return list(sources.values())


def link(source: str, target: str) -> None:
    """Forty megabytes need not be copied where the file system can name them twice."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


@as_root
def test_root_below_a_folder_of_mode_700_leaves_that_mode_and_runs_as_nobody(
    home_on_disk, monkeypatch
):
    closed = home_on_disk
    closed.mkdir(mode=0o700)
    package = find_binaries({}).folder.parent.parent
    for folder in (package, package.with_name(package.name + ".libs")):
        shutil.copytree(folder, closed / folder.name, symlinks=True, copy_function=link)
    monkeypatch.setenv("PG_BIN", str(closed / package.name / "pginstall" / "bin"))
    state = home_on_disk.parent / "state"
    server = EmbeddedPostgres(closed / "var", state=state)
    with server:
        write_row(server, 1)
        assert os.stat(f"/proc/{server.pid}").st_uid == pwd.getpwnam("nobody").pw_uid
        assert server.place.data.parent == state
        assert server.place.data.stat().st_mode & 0o777 == 0o700
        executable = Path(f"/proc/{server.pid}/exe").resolve()
        assert executable.is_relative_to(state)
    assert closed.stat().st_mode & 0o777 == 0o700
    with server:
        assert ask(server, "SELECT number FROM kept") == 1
    copies = sorted(path.name for path in state.iterdir())
    assert len([name for name in copies if name.startswith("postgresql-")]) == 1
    assert len([name for name in copies if name.startswith("copy-")]) == 0


@as_root
def test_tests_below_a_folder_of_mode_700_leave_no_data_behind(home):
    home.mkdir(mode=0o700)
    state = home.parent / "state"
    with EmbeddedPostgres(home / "var", for_tests=True, state=state) as server:
        assert ask(server, "SHOW fsync") == "off"
        assert server.place.data.parent == state
    assert not list(state.glob("data-*"))
    assert not (home / "var" / "postgres").is_symlink()


@as_root
def test_data_that_belongs_to_root_is_refused(home):
    (home / "postgres").mkdir(parents=True)
    with pytest.raises(PostgresError, match="belongs to root"):
        EmbeddedPostgres(home).start()


def test_the_command_runs_beside_a_server_and_its_exit_code_is_ours(home, start):
    script = (
        "import os, sys, psycopg; c = psycopg.connect(os.environ['DATABASE_URL']);"
        "print(c.execute('SELECT current_database()').fetchone()[0], os.environ['TOLLGATE_HOME'],"
        "len(os.environ['TOLLGATE_CREDENTIAL_KEY'])); sys.exit(7)"
    )
    argv = [
        sys.executable,
        "-m",
        "config.embedded",
        "exec",
        "--tests",
        "--",
        sys.executable,
        "-c",
        script,
    ]
    without = {
        "DATABASE_URL": "",
        "PGPORT": "1",
        "PGHOST": "/nowhere",
        "TOLLGATE_CREDENTIAL_KEY": "own",
    }
    process = start(*argv, **without)
    output, _ = process.communicate(timeout=30)
    database, temporary, length = output.split()
    assert (database, length, process.returncode) == ("tollgate", "3", 7)
    assert not Path(temporary).exists()


def test_a_given_database_is_used_and_no_server_is_started(home, start):
    argv = [sys.executable, "-m", "config.embedded", "exec", "--home", home]
    process = start(
        *argv,
        "--",
        "sh",
        "-c",
        "echo $DATABASE_URL; kill -TERM $$",
        DATABASE_URL="postgresql:///mine",
    )
    output, _ = process.communicate(timeout=30)
    assert output == "postgresql:///mine\n"
    assert process.returncode == 128 + signal.SIGTERM
    assert not (home / "postgres").exists()


def test_a_command_that_cannot_be_started_is_named(home, start):
    argv = [
        sys.executable,
        "-m",
        "config.embedded",
        "exec",
        "--home",
        home,
        "--",
        "no-such-program",
    ]
    process = start(*argv, DATABASE_URL="postgresql:///mine")
    output, _ = process.communicate(timeout=30)
    assert output == "no-such-program: No such file or directory\n"
    assert process.returncode == 127


def test_a_signal_reaches_the_command_and_the_server_stops_after_it(used_home, start, until):
    script = "trap 'echo asked; exit 5' TERM; echo ready; while :; do sleep 0.05; done"
    argv = [
        sys.executable,
        "-m",
        "config.embedded",
        "exec",
        "--home",
        used_home,
        "--",
        "sh",
        "-c",
        script,
    ]
    process = start(*argv, DATABASE_URL="")
    assert process.stdout.readline() == "ready\n"
    url = [sys.executable, "-m", "config.embedded", "url", "--home", used_home]
    assert start(*url).communicate(timeout=10)[0] == EmbeddedPostgres(used_home).url + "\n"
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=30)
    assert (output, process.returncode) == ("asked\n", 5)
    assert lock_is_free(used_home / "postgres.lock")
    answer = start(*url)
    assert answer.communicate(timeout=10)[0] == f"no PostgreSQL runs on {used_home}\n"
    assert answer.returncode == 1


@linux
def test_killing_exec_ends_the_command_and_the_server(used_home, start, runs, until):
    argv = [sys.executable, "-m", "config.embedded", "exec", "--home", used_home]
    process = start(*argv, "--", "sh", "-c", "echo $$; exec sleep 600", DATABASE_URL="")
    command = int(process.stdout.readline())
    server = int((used_home / "postgres" / "postmaster.pid").read_text().split()[0])
    assert runs(command)
    assert runs(server)
    process.kill()
    until(lambda: not runs(command) and not runs(server), 5)
