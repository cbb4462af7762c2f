"""Redis and RabbitMQ, started by a test on free ports of this machine, with their data in a folder of its own."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from config.process import spawn
from tests.world import free_port

START_TIMEOUT_S = 60.0
RABBIT_PLACES = "/usr/lib/rabbitmq/bin:/usr/lib/rabbitmq/sbin:/usr/sbin:/opt/homebrew/sbin"


class BrokerServer:
    """A broker that can be killed and started again at the same address, with what it had kept.

    A context manager; `url` is for CELERY_BROKER_URL.
    """

    scheme = ""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}//"

    @property
    def log(self) -> Path:
        return self.folder / "broker.log"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    def start(self) -> None:
        """Start it and wait until it greets."""
        self.launch()
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self.greets():
            assert self._processes[-1].poll() is None, self.log.read_text()[-3000:]
            assert time.monotonic() < deadline, self.log.read_text()[-3000:]
            time.sleep(0.1)

    def kill(self) -> None:
        """kill -9 of all of it."""
        while self._processes:
            process = self._processes.pop()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)

    def launch(self) -> None:
        raise NotImplementedError

    def greets(self) -> bool:
        raise NotImplementedError

    def run(self, command: list[str], **environment: str) -> None:
        with self.log.open("ab") as log:
            process = spawn(
                command,
                signal.SIGKILL,
                cwd=self.folder,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._processes.append(process)

    def ask(self, question: bytes) -> bytes:
        """The beginning of what it answers; empty if it does not."""
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self.port), 1) as line,
        ):
            line.settimeout(1)
            line.sendall(question)
            return line.recv(64)
        return b""


class RedisServer(BrokerServer):
    """Without persistence: what it held is gone with it."""

    scheme = "redis"

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def launch(self) -> None:
        program = find_program("redis-server", "redis-server")
        command = [program, "--bind", "127.0.0.1", "--port", str(self.port), "--save", ""]
        self.run([*command, "--dir", str(self.folder)])

    def greets(self) -> bool:
        return self.ask(b"PING\r\n").startswith(b"+PONG")


class RabbitServer(BrokerServer):
    """A node of its own, under the account that runs the tests, with its own port mapper."""

    scheme = "amqp"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._mapper_port, self._node_port = free_port(), free_port()

    def launch(self) -> None:
        program = find_program("rabbitmq-server", "rabbitmq-server", RABBIT_PLACES)
        mapper = find_program("epmd", "rabbitmq-server (Erlang)")
        environment = {
            "HOME": str(self.folder),  # of the cookie
            "ERL_EPMD_PORT": str(self._mapper_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"tollgate{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._node_port),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder / "logs"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "rabbitmq-env.conf"),
        }
        self.run([mapper, "-port", str(self._mapper_port), "-address", "127.0.0.1"])
        self.run([program], **environment)

    def greets(self) -> bool:
        # A header with a version it does not speak is answered with the one it speaks.
        return self.ask(b"AMQP\x00\x00\x08\x00").startswith(b"AMQP")


def find_program(name: str, package: str, places: str = "") -> str:
    """The program's path; a test that needs it fails where it is missing, instead of passing unseen."""
    found = shutil.which(name, path=os.pathsep.join([places, os.environ.get("PATH", os.defpath)]))
    assert found, f"{name} is needed here. Debian: apt-get install {package}"
    return found
