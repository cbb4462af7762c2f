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
from urllib.parse import unquote

from simulator import control
from simulator.calls import Call
from simulator.catalog import encode_list, encode_one
from simulator.connection import REASONS, Connection, Request
from simulator.errors import ApiError
from simulator.gates import Gates
from simulator.log import CallLog, Ended, Received
from simulator.replies import Composer
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
        self._models = encode_list()

    def make_connection(self) -> Connection:
        """A protocol instance for a connection that is being accepted."""
        connection = Connection(self._serve, self._connections.discard)
        self._connections.add(connection)
        return connection

    def authorize(self, request: Request) -> None:
        """Raises ApiError(401) unless the bearer is right or none is required."""
        if self._api_key is None:
            return
        scheme, _, given = request.headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() != b"bearer" or not given:
            raise ApiError(
                401,
                "You didn't provide an API key. You need to provide your API key in an "
                "Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
            )
        if not hmac.compare_digest(given, self._api_key):
            raise ApiError(
                401,
                f"Incorrect API key provided: {_masked(given)}. You can find your API key at "
                "https://platform.openai.com/account/api-keys.",
                code="invalid_api_key",
            )

    def call_received(self, line: Received, request: Request) -> None:
        """Count and log a call before anything is done for it."""
        self._received += 1
        self.log.write(line)
        body = request.body if len(request.body) <= _KEPT_BODY else None
        self.recent.append(
            control.RecentRequest(line.id, line.call_id, request.target, request.headers, body)
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
        }

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
        target = request.target
        if target == b"/v1/chat/completions" and request.method == b"POST":
            Call(self, connection, request).begin()
            return
        try:
            if target.startswith(control.PREFIX):
                if not control.is_loopback(connection.peer):
                    raise ApiError(403, "Control is for this machine only.")
                body, status = control.answer(self, request), 200
            else:
                body, status = self._models_answer(request), 200
        except ApiError as refused:
            body, status = refused.body(), refused.status
        closing = b"" if request.keep_alive else b"connection: close\r\n"
        connection.write(
            b"HTTP/1.1 %d %b\r\ndate: %b\r\ncontent-type: application/json\r\n%b"
            b"content-length: %d\r\n\r\n%b"
            % (
                status,
                REASONS[status],
                self.http_date(time.time()),
                closing,
                len(body),
                b"" if request.method == b"HEAD" else body,
            )
        )
        connection.finish()

    def _models_answer(self, request: Request) -> bytes:
        if request.method == b"GET" and request.target == b"/v1/models":
            self.authorize(request)
            return self._models
        if request.method == b"GET" and request.target.startswith(b"/v1/models/"):
            self.authorize(request)
            name = unquote(request.target[len(b"/v1/models/") :].decode("latin-1"))
            found = encode_one(name)
            if found is None:
                raise ApiError(
                    404,
                    f"The model '{name}' does not exist",
                    param="model",
                    code="model_not_found",
                )
            return found
        raise ApiError(
            404, f"Invalid URL ({request.method.decode()} {request.target.decode('latin-1')})"
        )


def _masked(key: bytes) -> str:
    text = key.decode("latin-1")
    return text[:8] + "*" * 12 + text[-4:] if len(text) > 16 else "*" * len(text)


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
