"""The folder of messages, with several processes and threads at it, and deleted now and then."""

import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection

ROOT = Path(__file__).resolve().parents[2]
WRITER = """
import sys
from tests.config.test_file_broker import connect
with connect(sys.argv[1]) as connection:
    producer = connection.Producer()
    for number in range(int(sys.argv[3])):
        producer.publish({"from": sys.argv[2], "number": number}, exchange="tasks", routing_key="tasks")
"""


def connect(folder: Path | str) -> Connection:
    options = {"folder": str(folder), "polling_interval": 0.01}
    return Connection(
        "filesystem://", transport="config.file_broker:Transport", transport_options=options
    )


def take(connection: Connection, queue: str = "tasks") -> Any:
    message = connection.default_channel.basic_get(queue, no_ack=True)
    return None if message is None else message.decode()


def publish(connection: Connection, body: Any, queue: str = "tasks") -> None:
    connection.Producer().publish(body, exchange=queue, routing_key=queue)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "broker" / "messages"


def test_messages_come_once_in_order_to_their_queue(folder: Path) -> None:
    with connect(folder) as writer, connect(folder) as reader:
        for number in range(5):
            publish(writer, number)
        publish(writer, "other", "celery")
        assert [take(reader) for _ in range(6)] == [0, 1, 2, 3, 4, None]
        assert take(reader, "celery") == "other"
        assert list(folder.iterdir()) == []


def test_no_message_is_lost_or_taken_twice_or_read_half_written(folder: Path) -> None:
    count = 150
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(folder), name, str(count)], cwd=ROOT)
        for name in ("a", "b")
    ]
    got: list[tuple[str, int]] = []

    def read() -> None:
        with connect(folder) as connection:
            while any(writer.poll() is None for writer in writers) or _names(folder):
                message = take(connection)
                if message is not None:
                    got.append((message["from"], message["number"]))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert [writer.returncode for writer in writers] == [0, 0]
    assert sorted(got) == [(name, number) for name in "ab" for number in range(count)]


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.glob("*.tasks")] if folder.exists() else []


def test_a_folder_that_was_deleted_is_made_again(folder: Path) -> None:
    with connect(folder) as writer, connect(folder) as reader:
        publish(writer, 1)
        shutil.rmtree(folder.parent)
        assert take(reader) is None
        publish(writer, 2)
        assert take(reader) == 2


def test_what_is_no_message_is_dropped(folder: Path) -> None:
    with connect(folder) as connection:
        publish(connection, 1)
        (folder / "0-torn.tasks").write_bytes(b'{"body": ')
        assert take(connection) == 1
        assert list(folder.iterdir()) == []


def test_messages_are_for_their_owner_alone(folder: Path) -> None:
    with connect(folder) as connection:
        publish(connection, 1)
    assert folder.stat().st_mode & 0o077 == 0


def test_a_queue_is_counted_and_emptied(folder: Path) -> None:
    with connect(folder) as connection:
        channel = connection.default_channel
        assert channel.queue_purge("tasks") == 0
        for number in range(3):
            publish(connection, number)
        publish(connection, "other", "celery")
        assert channel.queue_purge("tasks") == 3
        assert (take(connection), take(connection, "celery")) == (None, "other")
