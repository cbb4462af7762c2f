"""The one guard for every request to an address that a caller named, or that a vendor named in an answer. For worker
threads: it blocks.

Each hop: the link is checked (gateway/addresses.py), its name is resolved once, every answer must be safe, and the
connection goes to those very IP addresses. The HTTP client below is given no way to resolve anything: it sees the name
(Host, TLS, certificate) and a backend that knows where to connect. It reads no proxies from the environment, keeps no
cookies, signs nothing and decodes nothing. Everything together, names and TLS included, ends at one deadline.
"""

import contextlib
import functools
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple
from urllib.parse import urljoin

import httpcore
import httpx

from gateway.addresses import (
    URL_LENGTH_MAX,
    Destination,
    Policy,
    UnsafeAddress,
    check_answers,
    check_url,
)

REDIRECTS_MAX = 3
ADDRESSES_MAX = 4  # tried in turn: a name with hundreds of answers shall not have us knock at each
CONNECT_S = 5.0
EXCERPT_BYTES = 1_000
USER_AGENT = "tollgate"
REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})
TRANSIENT_STATUSES = frozenset({408, 425, 429})

Resolver = Callable[[str], list[str]]


class FetchFailed(Exception):
    """No answer, or none that is of use. `transient`: the same request may succeed later. `status` where there is one.

    `reason` may be shown to who named the address.
    """

    def __init__(self, reason: str, *, transient: bool, status: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.transient = transient
        self.status = status


class TooLarge(Exception):
    """The answer has more than `bytes_max` bytes, or says so."""


class Limits(NamedTuple):
    bytes_max: int
    timeout_s: float


class Fetched(NamedTuple):
    """`content_type` as the server claims it, in lower case without parameters; `url` where the redirects ended."""

    data: bytes
    content_type: str
    url: str


class Posted(NamedTuple):
    """`excerpt`: what is printable of the first EXCERPT_BYTES of the answer. `retry_after`: that header as it came."""

    status: int
    ms: int
    excerpt: str
    retry_after: str = ""


def resolve_name(name: str) -> list[str]:
    """All IP addresses of a name, in the order of preference. Raises OSError."""
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Network(NamedTuple):
    """How names are found and which certificates are trusted. Without `tls`: the usual authorities."""

    resolve: Resolver = resolve_name
    tls: ssl.SSLContext | None = None


INTERNET = Network()


def fetch(
    url: str,
    policy: Policy,
    limits: Limits,
    network: Network = INTERNET,
) -> Fetched:
    """GET, after at most REDIRECTS_MAX redirects. Raises UnsafeAddress, FetchFailed, TooLarge."""
    deadline = time.monotonic() + limits.timeout_s
    destination = check_url(url, policy)
    for _ in range(REDIRECTS_MAX + 1):
        backend = _Pinned(_find_addresses(destination, network.resolve, deadline), deadline)
        with _exchange("GET", destination, {}, None, backend, network.tls) as answer:
            if answer.status not in REDIRECT_STATUSES:
                data = _read_whole(answer, limits.bytes_max)
                kind = _header(answer, b"content-type").partition(";")[0].strip().lower()
                return Fetched(data, kind, destination.url)
            location = _header(answer, b"location")
        destination = _follow(destination, location, policy)
    raise FetchFailed(f"more than {REDIRECTS_MAX} redirects", transient=False)


def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    policy: Policy,
    timeout_s: float,
    network: Network = INTERNET,
) -> Posted:
    """POST; a redirect is an answer like any other. Raises UnsafeAddress, and FetchFailed where no status came."""
    begun = time.monotonic()
    deadline = begun + timeout_s
    destination = check_url(url, policy)
    backend = _Pinned(_find_addresses(destination, network.resolve, deadline), deadline)
    with _exchange("POST", destination, headers, body, backend, network.tls) as answer:
        ms = round((time.monotonic() - begun) * 1_000)
        return Posted(answer.status, ms, _read_excerpt(answer), _header(answer, b"retry-after"))


def _follow(base: Destination, location: str, policy: Policy) -> Destination:
    if not location:
        raise FetchFailed("a redirect to nowhere", transient=False)
    # Looked at before it is joined: urljoin drops tabs and line ends in silence.
    if len(location) > URL_LENGTH_MAX or not location.isprintable() or "\\" in location:
        raise UnsafeAddress("A redirect leads to an address that is not valid.")
    try:
        joined = urljoin(base.url, location.partition("#")[0])
    except ValueError:
        raise UnsafeAddress("A redirect leads to an address that is not valid.") from None
    following = check_url(joined, policy)
    if base.scheme == "https" and following.scheme == "http" and following.reach != "loopback":
        raise UnsafeAddress("A redirect leads from https to http.")
    return following


def _find_addresses(destination: Destination, resolve: Resolver, deadline: float) -> list[str]:
    if destination.address is not None:
        return [str(destination.address)]
    answers = check_answers(destination, _resolve_in_time(destination.host, resolve, deadline))
    if not answers:
        raise FetchFailed(f"{destination.host} has no IP address", transient=False)
    return answers[:ADDRESSES_MAX]


def _resolve_in_time(name: str, resolve: Resolver, deadline: float) -> list[str]:
    # The system's resolver takes no timeout, so it is left behind: its thread ends when it gives up.
    box: queue.SimpleQueue[list[str] | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            box.put(resolve(name))
        except Exception as error:
            box.put(error)

    threading.Thread(target=ask, name="resolve", daemon=True).start()
    try:
        found = box.get(timeout=max(0.0, deadline - time.monotonic()))
    except queue.Empty:
        raise FetchFailed(f"{name} was not resolved in time", transient=True) from None
    if isinstance(found, OSError):
        is_transient = not isinstance(found, socket.gaierror) or found.errno == socket.EAI_AGAIN
        raise FetchFailed(f"{name} was not resolved", transient=is_transient) from found
    if isinstance(found, Exception):
        raise found
    return found


@contextmanager
def _exchange(
    method: str,
    destination: Destination,
    headers: Mapping[str, str],
    body: bytes | None,
    backend: "_Pinned",
    tls: ssl.SSLContext | None,
) -> Iterator[httpcore.Response]:
    """One request on a connection of its own, closed at the end however much was read. Raises FetchFailed."""
    ours = {"host": destination.authority, "user-agent": USER_AGENT, "accept-encoding": "identity"}
    sent = {name.lower(): value for name, value in headers.items()} | ours
    target = httpcore.URL(
        scheme=destination.scheme.encode(),
        host=destination.host.encode(),
        port=destination.port,
        target=destination.path.encode(),
    )
    try:
        with (
            httpcore.ConnectionPool(
                ssl_context=tls or _trusted(), http2=False, network_backend=backend
            ) as pool,
            pool.stream(method, target, headers=list(sent.items()), content=body) as answer,
        ):
            yield answer
    except httpcore.TimeoutException as error:
        raise FetchFailed("no whole answer in time", transient=True) from error
    except _BadCertificate as error:
        raise FetchFailed("its certificate is not valid", transient=False) from error
    except httpcore.ConnectError as error:
        raise FetchFailed("no connection", transient=True) from error
    except (httpcore.NetworkError, httpcore.ProtocolError) as error:
        raise FetchFailed("the connection broke", transient=True) from error


def _read_whole(answer: httpcore.Response, bytes_max: int) -> bytes:
    if answer.status != 200:
        is_transient = answer.status >= 500 or answer.status in TRANSIENT_STATUSES
        reason = f"answered with status {answer.status}"
        raise FetchFailed(reason, transient=is_transient, status=answer.status)
    if not _is_plain(answer):
        raise FetchFailed("answered with a content encoding", transient=False, status=200)
    said = _header(answer, b"content-length")
    if said.isdecimal() and int(said) > bytes_max:
        raise TooLarge(f"more than {bytes_max} bytes")
    data = bytearray()
    for chunk in answer.iter_stream():
        data += chunk
        if len(data) > bytes_max:
            raise TooLarge(f"more than {bytes_max} bytes")
    return bytes(data)


def _read_excerpt(answer: httpcore.Response) -> str:
    data = bytearray()
    # The status has come, and it is what counts: an answer that breaks off afterwards has said enough.
    with contextlib.suppress(
        httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError
    ):
        for chunk in answer.iter_stream():
            data += chunk
            if len(data) >= EXCERPT_BYTES:
                break
    if not _is_plain(answer):
        return ""
    text = bytes(data[:EXCERPT_BYTES]).decode("utf-8", "replace")
    return "".join(char if char.isprintable() else " " for char in text)


def _is_plain(answer: httpcore.Response) -> bool:
    return _header(answer, b"content-encoding").lower() in ("", "identity")


def _header(answer: httpcore.Response, name: bytes) -> str:
    values = [value.strip() for key, value in answer.headers if key.lower() == name]
    return b",".join(values).decode("latin-1")


@functools.cache
def _trusted() -> ssl.SSLContext:
    """The usual certificate authorities, or those of SSL_CERT_FILE. Reading them takes many milliseconds."""
    return httpx.create_ssl_context()


class _BadCertificate(httpcore.ConnectError):
    """A kind of its own, because the client drops the causes of errors on their way."""


class _Pinned(httpcore.NetworkBackend):
    """Connects to the given IP addresses, whatever host it is asked for."""

    def __init__(self, addresses: list[str], deadline: float) -> None:
        self._addresses = addresses
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        failure: OSError | None = None
        for address in self._addresses:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            sock = socket.socket(family, socket.SOCK_STREAM)
            try:
                sock.settimeout(min(CONNECT_S, _remaining_s(self._deadline)))
                sock.connect((address, port))
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return _Stream(sock, self._deadline)
            except OSError as error:
                sock.close()
                failure = error
        if isinstance(failure, TimeoutError):
            raise httpcore.ConnectTimeout from failure
        raise httpcore.ConnectError from failure


class _Stream(httpcore.NetworkStream):
    """A socket of which every operation ends at the deadline. The timeouts that the client passes are per operation:
    a peer that drips would outlast them."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._socket = sock
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            self._socket.settimeout(_remaining_s(self._deadline))
            return self._socket.recv(max_bytes)
        except TimeoutError as error:
            raise httpcore.ReadTimeout from error
        except OSError as error:
            raise httpcore.ReadError from error

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        rest = memoryview(buffer)
        try:
            while rest:
                self._socket.settimeout(_remaining_s(self._deadline))
                rest = rest[self._socket.send(rest) :]
        except TimeoutError as error:
            raise httpcore.WriteTimeout from error
        except OSError as error:
            raise httpcore.WriteError from error

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        try:
            self._socket.settimeout(_remaining_s(self._deadline))
            secured = ssl_context.wrap_socket(self._socket, server_hostname=server_hostname)
        except TimeoutError as error:
            self.close()
            raise httpcore.ConnectTimeout from error
        except ssl.SSLCertVerificationError as error:
            self.close()
            raise _BadCertificate(error.verify_message) from error
        except OSError as error:
            self.close()
            raise httpcore.ConnectError from error
        return _Stream(secured, self._deadline)

    def close(self) -> None:
        self._socket.close()


def _remaining_s(deadline: float) -> float:
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise TimeoutError
    return remaining
