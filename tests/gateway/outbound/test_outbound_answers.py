"""What an answer may bring and how long it may take, of fetches and of callbacks."""

import contextlib
import gzip
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from gateway.outbound import (
    EXCERPT_BYTES,
    FetchFailed,
    Limits,
    Network,
    TooLarge,
    fetch,
    post,
)
from tests.gateway.far_end import Seen, chunked, head, whole
from tests.gateway.outbound_calls import (
    LIMITS,
    LOOPBACK,
    STRICT,
    Names,
    redirect_to,
)
from tests.gateway.outbound_servers import (
    LoopbackServer,
    Play,
    answer,
    drip,
    say_nothing,
    serving,
)

# Size


def test_an_answer_of_the_greatest_size_is_whole() -> None:
    body = b"x" * LIMITS.bytes_max
    with serving(answer(whole(body))) as server:
        assert fetch(server.url, LOOPBACK, LIMITS).data == body


@pytest.mark.parametrize(
    "pieces",
    [
        (whole(b"x" * 1_001),),
        (head("200 OK", "content-length: 999999999999"),),
        (head("200 OK"), b"x" * 1_001),
        (head("200 OK", "transfer-encoding: chunked"), chunked(b"x" * 600, b"x" * 600)),
    ],
    ids=["said and sent", "only said", "unsaid", "chunked"],
)
def test_an_answer_that_is_larger_is_refused(pieces: tuple[bytes, ...]) -> None:
    with (
        serving(answer(*pieces)) as server,
        pytest.raises(TooLarge),
    ):
        fetch(server.url, LOOPBACK, LIMITS)


@pytest.mark.parametrize(
    ("start", "drop"),
    [
        (head("200 OK"), b"x" * 10_000),
        (head("200 OK", "transfer-encoding: chunked"), b"2710\r\n%b\r\n" % (b"x" * 10_000)),
    ],
)
def test_an_endless_answer_is_left_as_soon_as_it_is_too_large(start: bytes, drop: bytes) -> None:
    with serving(drip(start, drop, 0.001)) as server:
        begun = time.monotonic()
        with pytest.raises(TooLarge):
            fetch(server.url, LOOPBACK, LIMITS)
        assert time.monotonic() - begun < LIMITS.timeout_s / 2


def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    with serving(answer(head("200 OK"), b"abc", b"def")) as server:
        assert fetch(server.url, LOOPBACK, LIMITS) == (b"abcdef", "", f"{server.url}/")


@pytest.mark.parametrize(
    "pieces",
    [
        (head("200 OK", "content-length: 10"), b"short"),
        (head("200 OK", "transfer-encoding: chunked"), b"5\r\nshort\r\n"),
        (b"HTTP/1.1 200",),
        (b"not http at all\r\n\r\n",),
        (head("200 OK", "content-length: 3", "content-length: 4"), b"abcd"),
        (head("200 OK", f"x: {'y' * 200_000}"),),
        (),
    ],
)
def test_a_broken_answer_is_a_failure_that_may_pass(pieces: tuple[bytes, ...]) -> None:
    with (
        serving(answer(*pieces)) as server,
        pytest.raises(FetchFailed, match="broke") as failure,
    ):
        fetch(server.url, LOOPBACK, LIMITS)
    assert failure.value.transient


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "br", "identity, gzip"])
def test_an_encoded_answer_is_refused(coding: str) -> None:
    body = gzip.compress(b"x" * 100)
    lines = (f"content-encoding: {coding}", f"content-length: {len(body)}")
    with (
        serving(answer(head("200 OK", *lines), body)) as server,
        pytest.raises(FetchFailed, match="encoding") as failure,
    ):
        fetch(server.url, LOOPBACK, LIMITS)
    assert not failure.value.transient


@pytest.mark.parametrize("status", [204, 206, 304, 401, 404, 410, 408, 425, 429, 500, 503])
def test_another_status_is_a_failure(status: int) -> None:
    with (
        serving(answer(head(f"{status} X", "content-length: 0"))) as server,
        pytest.raises(FetchFailed) as failure,
    ):
        fetch(server.url, LOOPBACK, LIMITS)
    assert failure.value.status == status
    assert failure.value.transient is (status in (408, 425, 429, 500, 503))


# Time


@contextlib.contextmanager
def ends_in_time(timeout_s: float) -> Iterator[None]:
    """A failure that may pass, not before its time and not long after."""
    begun = time.monotonic()
    with pytest.raises(FetchFailed, match="in time") as failure:
        yield
    assert failure.value.transient
    assert timeout_s * 0.9 < time.monotonic() - begun < timeout_s + 1.0


@pytest.mark.parametrize(
    "play",
    [
        say_nothing,
        drip(b"HTTP/1.1 200 OK\r\nx: ", b"y"),
        drip(head("200 OK", "content-length: 900"), b"x"),
        drip(head("200 OK", "transfer-encoding: chunked"), b"1\r\nx\r\n"),
        drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["silence", "head", "body", "chunks", "continue"],
)
def test_a_slow_answer_ends_at_the_deadline(play: Play) -> None:
    with serving(play) as server, ends_in_time(0.5):
        fetch(server.url, LOOPBACK, Limits(1_000, 0.5))


def test_all_hops_together_have_one_deadline() -> None:
    def play(connection: socket.socket, seen: Seen, over: threading.Event) -> None:
        over.wait(0.3)
        connection.sendall(redirect_to("/"))

    with serving(play) as server, ends_in_time(0.5):
        fetch(server.url, LOOPBACK, Limits(1_000, 0.5))


def test_a_handshake_that_never_ends_does_at_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, ends_in_time(0.5):
        fetch(f"https://127.0.0.1:{listener.getsockname()[1]}", LOOPBACK, Limits(1_000, 0.5))


def test_a_name_that_is_never_resolved_is_given_up_at_the_deadline() -> None:
    over = threading.Event()

    def hang(name: str) -> list[str]:
        over.wait(10)
        return ["127.0.0.1"]

    with ends_in_time(0.5):
        fetch("https://good.example/", STRICT, Limits(1_000, 0.5), Network(hang))
    over.set()


def test_a_callback_that_nobody_reads_ends_at_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, ends_in_time(0.5):
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        post(url, b"x" * 50_000_000, {}, LOOPBACK, 0.5)


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (socket.gaierror(socket.EAI_NONAME, "unknown"), False),
        (socket.gaierror(socket.EAI_AGAIN, "later"), True),
        (OSError("no resolver"), True),
    ],
)
def test_a_name_that_is_not_resolved_is_a_failure(error: OSError, transient: bool) -> None:
    def fail(name: str) -> list[str]:
        raise error

    with pytest.raises(FetchFailed, match=r"good\.example was not resolved") as failure:
        fetch("https://good.example/", STRICT, LIMITS, Network(fail))
    assert failure.value.transient is transient


def test_a_name_without_an_address_is_a_failure() -> None:
    with pytest.raises(FetchFailed, match="no IP address"):
        fetch("https://good.example/", STRICT, LIMITS, Network(Names([])))


# Callbacks


def test_a_callback_is_posted_with_its_headers_and_our_own_cannot_be_replaced() -> None:
    headers = {"Webhook-Id": "msg_1", "Content-Type": "application/json", "HOST": "evil.example"}
    with serving(answer(whole(b"thank you\x00\n", status="201 Created"))) as server:
        posted = post(f"{server.url}/hook", b'{"a":1}', headers, LOOPBACK, 10.0)
    assert (posted.status, posted.excerpt) == (201, "thank you  ")
    assert 0 <= posted.ms < 10_000
    (seen,) = server.requests
    assert seen.lines[0] == "POST /hook HTTP/1.1"
    assert seen.body == b'{"a":1}'
    assert seen.headers == {
        "webhook-id": "msg_1",
        "content-type": "application/json",
        "host": f"127.0.0.1:{server.port}",
        "user-agent": "tollgate",
        "accept-encoding": "identity",
        "content-length": "7",
    }


@pytest.mark.parametrize("status", [301, 302, 307, 308, 404, 500])
def test_whatever_answers_a_callback_is_a_status(status: int, canary: LoopbackServer) -> None:
    with serving(answer(redirect_to(canary.url, f"{status} X"))) as server:
        assert post(server.url, b"{}", {}, LOOPBACK, 10.0).status == status


def test_no_more_than_an_excerpt_of_an_endless_answer_is_read() -> None:
    with serving(drip(head("200 OK"), b"x" * 700, 0.001)) as server:
        begun = time.monotonic()
        posted = post(server.url, b"{}", {}, LOOPBACK, 10.0)
        assert time.monotonic() - begun < 4.0
    assert posted.excerpt == "x" * EXCERPT_BYTES


def test_a_callback_whose_answer_does_not_end_has_its_status_all_the_same() -> None:
    with serving(drip(head("200 OK", "content-length: 900"), b"x", 0.1)) as server:
        posted = post(server.url, b"{}", {}, LOOPBACK, 0.5)
    assert posted.status == 200
    assert 1 <= len(posted.excerpt) <= 6


def test_an_encoded_answer_has_no_excerpt() -> None:
    with serving(answer(head("200 OK", "content-encoding: gzip"), b"PK")) as server:
        assert post(server.url, b"{}", {}, LOOPBACK, 10.0).excerpt == ""


def test_a_callback_to_nobody_is_a_failure_that_may_pass() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(FetchFailed, match="no connection") as failure:
        post(f"http://127.0.0.1:{port}", b"{}", {}, LOOPBACK, 10.0)
    assert failure.value.transient
