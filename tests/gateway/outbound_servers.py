"""Servers on loopback that behave as badly as a test says, and certificates of an authority of our own."""

import contextlib
import datetime
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.gateway.far_end import Seen, read_head

TLS_HANDSHAKE = (
    22  # the type of a record (RFC 8446), here from a client that takes us for a TLS server
)
DRIP_S = 8.0
Play = Callable[[socket.socket, Seen, threading.Event], None]


class LoopbackServer:
    """Counts its connections; `play` gets each with what was asked, and an event that is set when the test is over."""

    def __init__(
        self,
        play: Play,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.play = play
        self.connections = 0
        self.requests: list[Seen] = []
        self.failures: list[OSError] = []
        self.over = threading.Event()
        self._tls = tls
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server((host, port))
        self.host, self.port = self._listener.getsockname()[:2]
        self.url = f"{'https' if tls else 'http'}://{self.host}:{self.port}"
        self._start(self._accept)

    def close(self) -> None:
        self.over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        self._listener.close()

    def _start(self, work: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self.over.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        try:
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            self._open.append(connection)
            self._answer(connection)
        except OSError as error:
            self.failures.append(error)
        finally:
            connection.close()

    def _answer(self, connection: socket.socket) -> None:
        raw = bytearray()
        while b"\r\n\r\n" not in raw:
            if not (data := connection.recv(65_536)) or data[0] == TLS_HANDSHAKE:
                return
            raw += data
        head, _, body = bytes(raw).partition(b"\r\n\r\n")
        lines, headers = read_head(head + b"\r\n\r\n")
        while len(body) < int(headers.get("content-length", "0")) < 100_000:
            body += connection.recv(65_536)
        seen = Seen(lines, headers, body)
        self.requests.append(seen)
        self.play(connection, seen, self.over)


@contextlib.contextmanager
def serving(
    play: Play, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> Iterator[LoopbackServer]:
    server = LoopbackServer(play, host, port, tls)
    try:
        yield server
    finally:
        server.close()


def answer(*pieces: bytes) -> Play:
    """Sends the pieces and hangs up."""

    def play(connection: socket.socket, seen: Seen, over: threading.Event) -> None:
        for piece in pieces:
            connection.sendall(piece)

    return play


def drip(start: bytes, drop: bytes, every_s: float = 0.05) -> Play:
    """Sends `start`, then a drop from time to time, until DRIP_S have passed: longer than any test lets it."""

    def play(connection: socket.socket, seen: Seen, over: threading.Event) -> None:
        connection.sendall(start)
        until = time.monotonic() + DRIP_S
        while time.monotonic() < until and not over.wait(every_s):
            connection.sendall(drop)

    return play


def say_nothing(connection: socket.socket, seen: Seen, over: threading.Event) -> None:
    over.wait()


class Authority:
    """A certificate authority of this test alone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "An authority of tests")])
        self._certificate = self._sign(self._name, self._key, x509.BasicConstraints(True, None))
        self._pem = self._certificate.public_bytes(serialization.Encoding.PEM)

    def trusted(self) -> ssl.SSLContext:
        """For a client that trusts this authority, and no other."""
        return ssl.create_default_context(cadata=self._pem.decode())

    def serve_as(self, name: str) -> ssl.SSLContext:
        """For a server with a certificate for this name."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._sign(subject, key, x509.SubjectAlternativeName([x509.DNSName(name)]))
        path = self._folder / f"{name}.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def _sign(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
            .sign(self._key, hashes.SHA256())
        )


class NetworkWatch:
    """What this process looks up and connects to over IP while it is on, seen by the interpreter itself.

    One is enough for many tests: the interpreter never lets go of an audit hook.
    """

    def __init__(self) -> None:
        self.lookups: list[str] = []
        self.connects: list[tuple[str, int]] = []
        self._is_on = False
        sys.addaudithook(self._see)

    @contextlib.contextmanager
    def on(self) -> Iterator["NetworkWatch"]:
        self.lookups, self.connects = [], []
        self._is_on = True
        try:
            yield self
        finally:
            self._is_on = False

    def _see(self, event: str, args: tuple[Any, ...]) -> None:
        if not self._is_on:
            return
        if event == "socket.connect" and isinstance(args[1], tuple):
            self.connects.append(args[1][:2])
        elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
            self.lookups.append(str(args[0]))
