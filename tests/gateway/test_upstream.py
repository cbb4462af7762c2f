"""The client towards providers: what each failure is called."""

import asyncio
import socket
import time

import pytest
from uvloop import run as run_loop

from gateway.upstream import Broken, NotReached, TooSlow, UpstreamError
from tests.gateway.calling import (
    BODY,
    HEADERS,
    STREAM_HEAD,
    Play,
    answered,
    failure,
    failure_of,
    never,
    post,
    sends,
    unused_port,
    upstream,
)
from tests.gateway.far_end import AsyncFarEnd, Seen, far_end, head, whole

# Not reached: nothing can have been served.


def test_a_refused_connection_is_not_reached() -> None:
    assert type(run_loop(failure(f"http://127.0.0.1:{unused_port()}/v1"))) is NotReached


def test_a_name_that_does_not_resolve_is_not_reached() -> None:
    assert type(run_loop(failure("http://nobody.invalid/v1"))) is NotReached


def test_a_host_that_does_not_take_connections_is_not_reached() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:  # they fill the queue; what comes after them gets no answer at all
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        began = time.monotonic()
        error = run_loop(
            failure(f"http://127.0.0.1:{full.getsockname()[1]}", connect_timeout_s=0.3)
        )
        for one in waiting:
            one.close()
    assert type(error) is NotReached
    assert time.monotonic() - began < 1.5


def test_a_host_that_does_not_speak_tls_is_not_reached() -> None:
    async def run() -> UpstreamError:
        async with far_end(never) as far:
            error = await failure(far.url.replace("http:", "https:"), connect_timeout_s=0.3)
            assert far.requests == []
            return error

    assert type(run_loop(run())) is NotReached


@pytest.mark.parametrize(
    "url", ["", "http://", "127.0.0.1/v1", "ftp://127.0.0.1/v1", "http://127.0.0.1:99999/v1", "http://[::1/"]
)  # fmt: skip
def test_an_address_that_is_none_is_not_reached(url: str) -> None:
    assert type(run_loop(failure(url))) is NotReached


@pytest.mark.parametrize("credential", ["sk-a\nb", "sk-a\r\nx-other: 1", "sk-\x00", "sk-\x7f"])
def test_a_credential_that_is_no_header_is_not_reached_and_not_shown(credential: str) -> None:
    async def run() -> NotReached:
        async with far_end(sends(whole(b"{}"))) as far, upstream() as client:
            headers = [("authorization", f"Bearer {credential}")]
            with pytest.raises(NotReached) as caught:
                await client.open(far.url, headers, BODY)
            assert far.requests == []
            return caught.value

    assert "sk-" not in str(run_loop(run()))


# Broken: the provider may have served the call.


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\ncontent-length: 11\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\nabc",
        whole(b"x" * 1000)[:-1],
        head("200 OK", "content-length: 5"),
        STREAM_HEAD,
        STREAM_HEAD + b"5\r\nhello\r\n",
        STREAM_HEAD + b"5\r\nhel",
        STREAM_HEAD + b"5\r\nhello\r\n0\r\n",
        STREAM_HEAD + b"zz\r\nhello\r\n0\r\n\r\n",
    ],
    ids=lambda answer: str(answer[-24:]),
)
def test_a_connection_that_ends_before_its_answer_is_broken(answer: bytes) -> None:
    assert type(run_loop(failure_of(sends(answer, close=True)))) is Broken


@pytest.mark.parametrize("answer", [b"", STREAM_HEAD + b"5\r\nhello\r\n"])
def test_a_reset_is_broken(answer: bytes) -> None:
    async def play(seen: Seen, out: asyncio.Transport) -> None:
        out.write(answer)
        await asyncio.sleep(0.02)
        linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
        out.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        out.abort()

    assert type(run_loop(failure_of(play))) is Broken


def test_a_hang_up_on_a_connection_that_was_used_before_is_broken_and_not_sent_again() -> None:
    # The far end read the request: sending it a second time could be a second call.
    async def run() -> None:
        async def play(seen: Seen, out: asyncio.Transport) -> None:
            if len(far.requests) == 1:
                out.write(whole(b"{}"))
            else:
                out.close()

        async with far_end(play) as far, upstream() as client:
            assert await post(client, far.url) == (200, b"{}")
            with pytest.raises(Broken):
                await post(client, far.url)
            assert (len(far.connections), len(far.requests)) == (1, 2)

    run_loop(run())


def test_an_answer_over_the_cap_is_broken_and_its_connection_closed() -> None:
    async def run() -> None:
        async def play(seen: Seen, out: asyncio.Transport) -> None:
            out.write(STREAM_HEAD)
            for _ in range(100):
                out.write(b"3e8\r\n" + b"x" * 1000 + b"\r\n")
                await asyncio.sleep(0.005)

        async with far_end(play) as far, upstream() as client:
            with pytest.raises(Broken, match="over 20000 bytes"):
                async with await client.open(far.url, HEADERS, BODY) as answer:
                    await answer.read(20_000)
            await far.wait_until_left()

    run_loop(run())


def test_an_answer_of_exactly_the_cap_is_read() -> None:
    async def run() -> bytes:
        async with answered(sends(whole(b"x" * 20_000))) as (_, answer):
            return await answer.read(20_000)

    assert run_loop(run()) == b"x" * 20_000


# Too slow.


def slow_phase(error: UpstreamError) -> str:
    assert isinstance(error, TooSlow)
    return error.phase


def test_a_late_first_byte_is_too_slow_and_the_provider_is_let_go() -> None:
    deadlines = {"first_byte_timeout_s": 0.2, "between_bytes_timeout_s": 0.2}

    async def run() -> None:
        async with far_end(never) as far:
            began = time.monotonic()
            assert slow_phase(await failure(far.url, **deadlines)) == "first_byte"
            assert await far.wait_until_left() - began < 0.6

    run_loop(run())


@pytest.mark.parametrize(
    "answer", [STREAM_HEAD, STREAM_HEAD + b"5\r\nhello\r\n", head("200 OK", "content-length: 9") + b"part"]
)  # fmt: skip
def test_silence_within_an_answer_is_too_slow(answer: bytes) -> None:
    async def play(seen: Seen, out: asyncio.Transport) -> None:
        out.write(answer)
        await never(seen, out)

    async def run() -> None:
        async with far_end(play) as far:
            began = time.monotonic()
            error = await failure(far.url, between_bytes_timeout_s=0.2)
            assert slow_phase(error) == "between_bytes"
            assert await far.wait_until_left() - began < 0.6

    run_loop(run())


def test_a_slow_but_steady_answer_is_not_too_slow() -> None:
    async def play(seen: Seen, out: asyncio.Transport) -> None:
        out.write(STREAM_HEAD)
        for _ in range(8):
            await asyncio.sleep(0.08)
            out.write(b"1\r\nx\r\n")
        out.write(b"0\r\n\r\n")

    async def run() -> tuple[int, bytes]:
        async with (
            far_end(play) as far,
            upstream(first_byte_timeout_s=0.3, between_bytes_timeout_s=0.3) as client,
        ):
            return await post(client, far.url)

    assert run_loop(run()) == (200, b"x" * 8)


# Probes.


def get(play: Play, timeout_s: float = 1.0) -> tuple[int, AsyncFarEnd]:
    """The status of a GET that is answered so, and who answered."""

    async def run() -> tuple[int, AsyncFarEnd]:
        async with far_end(play) as far, upstream() as client:
            status = await client.get(f"{far.url}/v1/models", HEADERS, timeout_s)
            await far.wait_until_left()
            return status, far

    return run_loop(run())


@pytest.mark.parametrize(
    ("status", "code"),
    [("200 OK", 200), ("302 Found", 302), ("404 Not Found", 404), ("503 X", 503)],
)
def test_a_get_tells_the_status_and_follows_nothing(status: str, code: int) -> None:
    told, far = get(sends(head(status, "location: /elsewhere", "content-length: 0"), close=True))
    assert told == code
    (asked,) = far.requests
    assert asked.lines[0] == "GET /v1/models HTTP/1.1"
    assert asked.headers["authorization"] == HEADERS[1][1]


def test_a_get_reads_nothing_of_a_long_body() -> None:
    async def endless(seen: Seen, out: asyncio.Transport) -> None:
        out.write(STREAM_HEAD)
        await never(seen, out)

    assert get(endless)[0] == 200


def test_a_late_answer_to_a_get_is_too_slow_and_its_connection_is_let_go() -> None:
    async def run() -> None:
        async with far_end(never) as far, upstream() as client:
            began = time.monotonic()
            with pytest.raises(TooSlow) as caught:
                await client.get(far.url, HEADERS, 0.2)
            assert caught.value.phase == "first_byte"
            assert await far.wait_until_left() - began < 0.6

    run_loop(run())


@pytest.mark.parametrize("answer", [b"", b"garbage\r\n\r\n"])
def test_a_get_whose_connection_ends_is_broken(answer: bytes) -> None:
    async def run() -> None:
        async with far_end(sends(answer, close=True)) as far, upstream() as client:
            with pytest.raises(Broken):
                await client.get(far.url, HEADERS, 1.0)

    run_loop(run())


@pytest.mark.parametrize("url", ["", "ftp://127.0.0.1/v1", "http://127.0.0.1:{port}/"])
def test_a_get_to_where_nobody_is_is_not_reached(url: str) -> None:
    url = url.format(port=unused_port())

    async def run() -> None:
        async with upstream() as client:
            with pytest.raises(NotReached):
                await client.get(url, HEADERS, 1.0)

    run_loop(run())


def test_a_credential_that_a_get_cannot_send_is_not_shown() -> None:
    async def run() -> str:
        async with upstream() as client:
            with pytest.raises(NotReached) as caught:
                await client.get("http://127.0.0.1:1/", [("x-key", "sk-a\nb")], 1.0)
            return str(caught.value)

    assert "sk-" not in run_loop(run())
