"""Requests to image vendors: bounded in time and size, never redirected, and every failure as an error of base.py."""

import contextlib
import ssl
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar

import httpcore
import httpx
import msgspec

from gateway import outbound
from gateway.addresses import Policy, UnsafeAddress
from gateway.breaker import read_retry_after
from gateway.errors import UpstreamFailed
from gateway.images.vendors.base import (
    MESSAGE_CHARS_MAX,
    MIB,
    Access,
    Failed,
    Fetch,
    JobLost,
    Refused,
    Unauthorized,
    VendorError,
)
from gateway.refusals import ERROR_BYTES_MAX, error_fields, refusal_error

CONNECT_TIMEOUT_S = 5.0
JSON_BYTES_MAX = MIB
CONNECTIONS_MAX = 100
# The caller's own request, whatever the channel. Other 4xx speak of what this channel offers.
_REFUSALS = frozenset({400, 413, 415, 422})
_TRANSIENT = frozenset({408, 409, 425, 429})
# OpenAI's image generation guide, "Content moderation", and its error of that name.
_CONTENT_CODES = frozenset({"moderation_blocked", "content_policy_violation"})

T = TypeVar("T")


class Reply(NamedTuple):
    """A whole answer; the body of a refusal is cut."""

    status: int
    headers: httpx.Headers
    body: bytearray


def make_client() -> httpx.Client:
    """The client of a process's drivers. It keeps connections; `close` it."""
    return httpx.Client(
        transport=_Transport(),
        follow_redirects=False,  # a redirect would carry our credential to a host nobody chose
        trust_env=False,
        # Nothing compressed: a small answer cannot become a large one.
        headers={
            "user-agent": "tollgate",
            "accept": "application/json",
            "accept-encoding": "identity",
        },
    )


def send(
    access: Access,
    method: str,
    url: str,
    *,
    timeout_s: float,
    bytes_max: int = JSON_BYTES_MAX,
    **content: Any,
) -> Reply:
    """Send one request and read its answer whole; `content` as httpx's build_request takes it.

    Raises Refused, Failed or Unauthorized: what returns has a status of 2xx.
    """
    if timeout_s <= 0:
        raise _too_slow()
    timeout = httpx.Timeout(timeout_s, connect=min(CONNECT_TIMEOUT_S, timeout_s))
    with _failures_named():
        request = access.client.build_request(method, url, timeout=timeout, **content)
        with contextlib.closing(access.client.send(request, stream=True)) as response:
            good = response.is_success
            body = _read(response, bytes_max if good else ERROR_BYTES_MAX, whole=good)
    reply = Reply(response.status_code, response.headers, body)
    if not good:
        raise _refusal(access, reply)
    return reply


def ask(access: Access, url: str, headers: Sequence[tuple[str, str]]) -> Reply:
    """The answer to a question about a job. Raises Failed or Unauthorized, and JobLost for a job that is not known
    there: the order was taken before, so nothing that is said here is about the customer's request."""
    try:
        return send(access, "GET", url, headers=headers, timeout_s=access.limits.poll_timeout_s)
    except (Refused, Failed) as error:
        if error.status == 404:
            raise JobLost(404) from None
        if isinstance(error, Refused):
            raise Failed(
                "The provider failed to answer.", transient=False, status=error.status
            ) from None
        raise


def decode(body: bytes | bytearray, form: type[T]) -> T:
    """A JSON answer. Raises Failed for anything else."""
    try:
        return msgspec.json.decode(body, type=form)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Failed(
            "The provider answered with something else than expected.", transient=True
        ) from None


def report_error(access: Access, body: bytes | bytearray) -> VendorError:
    """The error of an answer that is one in spite of its 2xx."""
    fields = _fields(body)
    if fields.get("code") in _CONTENT_CODES:
        return Refused(_words(access, fields.get("message", "")), code="content_refused")
    return Failed("The provider answered with an error.", transient=True)


def make_fetch(base_url: str, limits: outbound.Limits) -> Fetch:
    """What follows a vendor's links to pictures, under the guard for addresses that others name: they may lead to the
    Internet or to the channel's own origin."""
    policy = Policy(own_origin=_origin(base_url))

    def fetch(link: str) -> bytes:
        try:
            return outbound.fetch(link, policy, limits).data
        except UnsafeAddress:
            raise Failed(
                "The provider's link to the picture is not safe.", transient=False
            ) from None
        except outbound.TooLarge:
            raise Failed("The provider's picture is too large.", transient=False) from None
        except outbound.FetchFailed as error:
            raise Failed(
                "The provider's picture could not be fetched.",
                transient=error.transient,
                status=error.status,
            ) from None

    return fetch


def job_failed(access: Access, reason: object) -> Failed:
    """The error of a job that ended without pictures; `reason` is what the vendor said of it, if that is a text."""
    words = ""
    if isinstance(reason, str):
        cleaned = error_fields({"error": {"message": reason}}).get("message", "")
        words = _words(access, cleaned)
    told = f"The provider could not make the pictures: {words}" if words else ""
    return Failed(
        told[:MESSAGE_CHARS_MAX] or "The provider could not make the pictures.", transient=False
    )


def _origin(base_url: str) -> str | None:
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL:
        return None
    return f"{url.scheme}://{url.netloc.decode()}" if url.host else None


def _read(response: httpx.Response, bytes_max: int, *, whole: bool) -> bytearray:
    """Grown as it comes: an answer with pictures is too large to be there in parts and joined as well."""
    body = bytearray()
    for chunk in response.iter_raw():
        body += chunk
        if len(body) > bytes_max:
            if whole:
                raise Failed("The provider's answer is too large.", transient=False)
            del body[bytes_max:]
            break
    return body


@contextlib.contextmanager
def _failures_named() -> Iterator[None]:
    """The client's own words may quote addresses and headers: none of them is passed on."""
    try:
        yield
    except (httpx.ConnectTimeout, httpx.ConnectError):
        raise Failed("The provider could not be reached.", transient=True) from None
    except httpx.TimeoutException:
        raise _too_slow() from None
    except (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.InvalidURL, UnicodeError):
        raise Failed("The provider could not be called.", transient=False) from None
    except httpx.HTTPError:
        raise Failed("The provider's answer broke off.", transient=True) from None


def _too_slow() -> Failed:
    return Failed("The provider did not answer in time.", transient=True, timed_out=True)


def _refusal(access: Access, reply: Reply) -> VendorError:
    """The error of an answer other than 2xx."""
    status = reply.status
    retry_after_s = read_retry_after(reply.headers.get("retry-after"), datetime.now(UTC))
    if not 400 <= status < 500:
        return Failed(
            "The provider failed to answer.",
            transient=status >= 500,
            status=status,
            retry_after_s=retry_after_s,
        )
    fields = _fields(reply.body)
    error = refusal_error(status, msgspec.json.encode({"error": fields}), retry_after_s)
    if isinstance(error, UpstreamFailed):  # it speaks of our account
        return Unauthorized(status)
    if status in _REFUSALS:
        is_content = fields.get("code") in _CONTENT_CODES
        code = "content_refused" if is_content else "invalid_request"
        return Refused(_words(access, error.message), code=code, status=status)
    told = "has too many requests" if status == 429 else f"answered with status {status}"
    return Failed(
        f"The provider {told}.",
        transient=status in _TRANSIENT,
        status=status,
        retry_after_s=retry_after_s,
    )


def _fields(body: bytes | bytearray) -> dict[str, str]:
    """The texts of an error, its message among them, without what speaks of our keys and accounts."""
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    if isinstance(answer, dict) and "detail" in answer:
        answer = {"error": {"message": _detail(answer["detail"])}}
    return error_fields(answer)


def _detail(detail: object) -> str:
    """FastAPI's error (Black Forest Labs): a text, or what is wrong with which field."""
    if isinstance(detail, str):
        return detail
    first = detail[0] if isinstance(detail, list) and detail else None
    if not isinstance(first, dict):
        return ""
    where = first.get("loc")
    field = str(where[-1]) if isinstance(where, list) and where else "request"
    return f"{field}: {first.get('msg', 'wrong')}"


def _words(access: Access, text: str) -> str:
    """A vendor's words on one line, without the channel's credential."""
    if access.credential:
        text = text.replace(access.credential, "…")
    return " ".join(text.split())[:MESSAGE_CHARS_MAX] or "The provider refused the request."


class _Transport(httpx.HTTPTransport):
    """httpx bounds each read by its timeout; here it bounds all of them together."""

    def __init__(self) -> None:
        super().__init__(trust_env=False)
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(),  # the usual authorities, or SSL_CERT_FILE's
            max_connections=CONNECTIONS_MAX,
            keepalive_expiry=30.0,
            network_backend=_ClockedBackend(),
        )


class _ClockedStream(httpcore.NetworkStream):
    """A connection whose timeouts count from the first byte of the request that it carries."""

    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner
        self._began = time.monotonic()
        self._has_read = False

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self._has_read = True
        return self._inner.read(max_bytes, self._left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if self._has_read:  # the next request on this connection
            self._has_read = False
            self._began = time.monotonic()
        self._inner.write(buffer, self._left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        return _ClockedStream(self._inner.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)

    def _left(self, timeout: float | None, error: type[Exception]) -> float | None:
        if timeout is None:
            return None
        left = timeout - (time.monotonic() - self._began)
        if left <= 0:
            raise error
        return left


class _ClockedBackend(httpcore.NetworkBackend):
    def __init__(self) -> None:
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        stream = self._inner.connect_tcp(host, port, timeout, local_address, socket_options)
        return _ClockedStream(stream)
