"""Receivers of callbacks on this machine, to be told how to answer; they note what came."""

import contextlib
import socketserver
import threading
import time
from collections.abc import Iterator

from standardwebhooks import Webhook

from tests.gateway.far_end import Seen, read_head, whole

OK = whole(b"", status="200 OK")


class Receiver:
    """A server in a thread. `answers` are used up one by one, the last one for ever; None: silence for `hang_s`.

    An answer of no bytes closes the connection. `received` is what came, whole.
    """

    def __init__(self) -> None:
        self.answers: list[bytes | None] = [OK]
        self.hang_s = 30.0
        self.received: list[Seen] = []
        self.arrived = threading.Semaphore(0)
        self.released = threading.Event()
        receiver = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    receiver._serve(self)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True
            request_queue_size = 64

        self._server = Server(("127.0.0.1", 0), Handler)
        self.root = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.url = f"{self.root}/hook?token=abc"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self._thread.start()

    def _serve(self, handler: socketserver.StreamRequestHandler) -> None:
        raw = bytearray()
        while not raw.endswith(b"\r\n\r\n"):
            line = handler.rfile.readline()
            if not line:
                return
            raw += line
        lines, headers = read_head(bytes(raw))
        body = handler.rfile.read(int(headers.get("content-length", "0")))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self.received.append(Seen(lines, headers, body))
        self.arrived.release()
        if answer is None:
            self.released.wait(self.hang_s)
            return
        for start in range(0, len(answer), 65536):
            handler.wfile.write(answer[start : start + 65536])
        handler.wfile.flush()
        time.sleep(0.01)

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


@contextlib.contextmanager
def receiver() -> Iterator[Receiver]:
    """One receiver, closed at the end."""
    made = Receiver()
    try:
        yield made
    finally:
        made.close()


def verify(secret: str, seen: Seen) -> dict[str, object]:
    """The message as its receiver reads it. Raises WebhookVerificationError."""
    message: dict[str, object] = Webhook(secret).verify(seen.body, seen.headers)
    return message
