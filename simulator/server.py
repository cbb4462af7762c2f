"""The vendor: routes requests, keeps the counters, and runs until it is told to stop."""

import asyncio
import contextlib
import gc
import hmac
import signal
import time
from collections import deque
from email.utils import formatdate
from pathlib import Path

from simulator import control
from simulator.calls import Call
from simulator.connection import REASONS, Connection, Request
from simulator.dialect import Dialect
from simulator.errors import ApiError
from simulator.gates import Gates
from simulator.jobs import Jobs, Plain
from simulator.log import CallLog, Ended, Received
from simulator.replies import Composer
from simulator.routes import Routes
from simulator.script import NO_SCRIPT

_KEPT_REQUESTS = 100
_KEPT_BODY = 1024 * 1024
_STOP_GRACE_S = 0.5


class Vendor:
    """Everything one simulator process shares between its calls."""

    def __init__(self, log: CallLog, api_key: str | None) -> None:
        self.log = log
        self.gates = Gates()
        self.composer = Composer()
        self.default_script = NO_SCRIPT
        self.recent: deque[control.RecentRequest] = deque(maxlen=_KEPT_REQUESTS)
        self.stopping = False
        self._api_key = None if api_key is None else api_key.encode()
        self._received = 0
        self._ended = 0
        self._idle = asyncio.Event()
        self._date = (0, b"")
        self._connections: set[Connection] = set()
        self._routes = Routes(self.gates)

    def make_connection(self) -> Connection:
        """A protocol instance for a connection that is being accepted."""
        connection = Connection(self._serve, self._connections.discard)
        self._connections.add(connection)
        return connection

    def authorize(self, dialect: Dialect, key: bytes | None) -> None:
        """Raises ApiError(401), in the dialect's words, unless the key is right or none is required."""
        if self._api_key is None:
            return
        if key is None or not hmac.compare_digest(key, self._api_key):
            raise dialect.unauthorized(key)

    def call_received(self, line: Received, request: Request) -> None:
        """Count and log a call before anything is done for it."""
        self._received += 1
        self.log.write(line)
        self.remember(line.id, line.call_id, request)

    def remember(self, call: str, call_id: str | None, request: Request) -> None:
        """Keep a request for those who ask what arrived."""
        body = request.body if len(request.body) <= _KEPT_BODY else None
        self.recent.append(
            control.RecentRequest(call, call_id, request.target, request.headers, body)
        )

    def call_ended(self, line: Ended) -> None:
        """Count and log the end of a call."""
        self._ended += 1
        self.log.write(line)
        if self.stopping and self._ended == self._received:
            self._idle.set()

    def state(self) -> dict[str, object]:
        """Counts since the start; `served` are the calls that ended, well or badly."""
        return {
            "in_flight": self._received - self._ended,
            "received": self._received,
            "served": self._ended,
            "waiting": self.gates.waiting(),
            **self.jobs.state(),
        }

    @property
    def jobs(self) -> Jobs:
        """The jobs of all dialects."""
        return self._routes.jobs

    def http_date(self, now: float) -> bytes:
        """The date header's value, made once a second."""
        second = int(now)
        if self._date[0] != second:
            self._date = (second, formatdate(second, usegmt=True).encode())
        return self._date[1]

    async def stop(self) -> None:
        """Break off what is in flight, so that each call gets its last log line."""
        self.stopping = True
        for connection in list(self._connections):
            if connection.exchange is not None:
                connection.exchange.client_gone()
        if self._received > self._ended:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), _STOP_GRACE_S)
        for connection in list(self._connections):
            connection.close()

    def _serve(self, connection: Connection, request: Request) -> None:
        dialect = self._routes.find(request)
        if dialect is not None:
            Call(self, dialect, connection, request).begin()
            return
        try:
            if request.target.startswith(control.PREFIX):
                if not control.is_loopback(connection.peer):
                    raise ApiError(403, "Control is for this machine only.")
                answer = Plain(control.answer(self, request))
            else:
                answer = self._routes.answer(self, request)
        except ApiError as refused:
            answer = Plain(refused.body(), refused.status)
        closing = b"" if request.keep_alive else b"connection: close\r\n"
        connection.write(
            b"HTTP/1.1 %d %b\r\ndate: %b\r\ncontent-type: %b\r\n%b%b"
            b"content-length: %d\r\n\r\n%b"
            % (
                answer.status,
                REASONS.get(answer.status, b"Unknown"),
                self.http_date(time.time()),
                answer.kind,
                answer.headers,
                closing,
                len(answer.body),
                b"" if request.method == b"HEAD" else answer.body,
            )
        )
        connection.finish()


async def run(
    host: str, port: int, log_path: Path, api_key: str | None, ready_file: Path | None
) -> None:
    """Serve until SIGTERM or SIGINT; port 0 takes a free one.

    Raises OSError if the address or the log cannot be had.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    log = CallLog(log_path)
    vendor = Vendor(log, api_key)
    listener = await loop.create_server(vendor.make_connection, host, port, backlog=1024)
    bound = listener.sockets[0].getsockname()[1]
    shown = f"[{host}]" if ":" in host else host
    url = f"http://{shown}:{bound}"
    # What start-up made lives as long as the process: keep the collector from walking it.
    gc.collect()
    gc.freeze()
    print(f"simulator listening on {url}", flush=True)  # noqa: T201
    if ready_file is not None:
        _write_whole(ready_file, url)
    await stop.wait()
    listener.close()
    await vendor.stop()
    log.close()


def _write_whole(path: Path, text: str) -> None:
    """Write so that a reader sees all of the text or no file."""
    partial = path.with_name(path.name + ".part")
    partial.write_text(text + "\n")
    partial.replace(path)
