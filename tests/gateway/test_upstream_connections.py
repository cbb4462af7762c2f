"""The client towards providers: when bytes pass, what is sent along, and when a connection closes."""

import asyncio
import random
import time

import pytest
from uvloop import run as run_loop

from gateway.upstream import Upstream
from tests.gateway.calling import (
    BODY,
    HEADERS,
    SECRET,
    STREAM_HEAD,
    Play,
    answered,
    never,
    post,
    sends,
    upstream,
)
from tests.gateway.far_end import AsyncFarEnd, Seen, chunked, far_end, head, stream, whole

# What passes, and when.


@pytest.mark.parametrize("size", [1, 20, 5000])
def test_bytes_pass_as_they_come(size: int) -> None:
    async def run() -> None:
        go_on = asyncio.Event()

        async def play(seen: Seen, out: asyncio.Transport) -> None:
            out.write(STREAM_HEAD + b"%x\r\n%b\r\n" % (size, b"a" * size))
            await go_on.wait()
            out.write(chunked(b"b"))

        async with answered(play) as (_, answer):
            first = b""
            async with asyncio.timeout(0.5):
                while len(first) < size:
                    first += await answer.chunk() or b""
            assert first == b"a" * size
            go_on.set()
            assert await answer.chunk() == b"b"
            assert await answer.chunk() is None

    run_loop(run())


def test_an_answer_comes_back_byte_for_byte() -> None:
    bodies = [bytes(range(256)) * 40, b"", b"\r\n0\r\n\r\n", "한글 😀".encode()]

    async def run() -> None:
        async with upstream() as client:
            for body in bodies:
                for answer in (whole(body), stream(*([body] if body else []), b"end")):
                    async with far_end(sends(answer)) as far:
                        status, got = await post(client, far.url)
                        expected = body if answer.startswith(whole(body)[:40]) else body + b"end"
                        assert (status, got) == (200, expected)

    run_loop(run())


def test_an_answer_that_ends_with_its_connection_is_whole() -> None:
    async def run() -> tuple[int, bytes]:
        play = sends(
            b"HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\n\r\n", b"all of it", close=True
        )
        async with far_end(play) as far, upstream() as client:
            return await post(client, far.url)

    assert run_loop(run()) == (200, b"all of it")


def test_a_compressed_answer_is_neither_asked_for_nor_opened() -> None:
    async def run() -> None:
        answer = head("200 OK", "content-encoding: gzip", "content-length: 4") + b"\x1f\x8b00"
        async with far_end(sends(answer)) as far, upstream() as client:
            assert await post(client, far.url) == (200, b"\x1f\x8b00")
            assert "accept-encoding" not in far.requests[0].headers

    run_loop(run())


@pytest.mark.parametrize(
    "status", ["404 Not Found", "429 Too Many", "500 Oops", "529 Overloaded", "204 None"]
)
def test_every_status_is_an_answer_with_its_headers(status: str) -> None:
    async def run() -> None:
        body = b"" if status.startswith("204") else b'{"error":1}'
        lines = ["retry-after: 7"] + ([f"content-length: {len(body)}"] if body else [])
        async with answered(sends(head(status, *lines) + body)) as (_, answer):
            assert answer.status == int(status[:3])
            assert answer.header("Retry-After") == "7"
            assert answer.header("x-absent") is None
            assert await answer.read() == body

    run_loop(run())


# What is sent along.


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_the_credential_not_sent_on(status: int) -> None:
    async def run() -> None:
        async with far_end(sends(whole(b"{}"))) as thief:
            answer = head(
                f"{status} Elsewhere", f"location: {thief.url}/steal", "content-length: 0"
            )
            async with far_end(sends(answer)) as far, upstream() as client:
                assert await post(client, far.url) == (status, b"")
            assert thief.connections == []

    run_loop(run())


def test_only_the_headers_that_were_given_are_sent() -> None:
    async def run() -> dict[str, str]:
        async with far_end(sends(whole(b"{}"))) as far, upstream() as client:
            await post(client, f"{far.url}/v1/chat/completions")
            assert far.requests[0].lines[0] == "POST /v1/chat/completions HTTP/1.1"
            assert far.requests[0].body == BODY
            headers = dict(far.requests[0].headers)
            assert headers.pop("host") == far.url.removeprefix("http://")
            return headers

    sent = run_loop(run())
    assert sent.pop("accept", "*/*") == "*/*"  # the library's own, where the caller gives none
    assert sent == {
        "content-type": "application/json",
        "authorization": f"Bearer {SECRET}",
        "content-length": str(len(BODY)),
        "user-agent": "tollgate",
    }


def test_cookies_of_a_provider_are_not_kept() -> None:
    async def run() -> None:
        answer = head("200 OK", "set-cookie: session=1; path=/", "content-length: 0")
        async with far_end(sends(answer)) as far, upstream() as client:
            await post(client, far.url)
            await post(client, far.url)
            assert [seen.headers.get("cookie") for seen in far.requests] == [None, None]

    run_loop(run())


def test_a_proxy_in_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async with far_end(sends(whole(b"{}"))) as far, far_end(sends(whole(b"proxy"))) as proxy:
            for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
                monkeypatch.setenv(name, proxy.url)
            async with upstream() as client:
                assert await post(client, far.url) == (200, b"{}")
            assert proxy.connections == []

    run_loop(run())


# Connections.


async def reading(far: AsyncFarEnd, client: Upstream) -> None:
    async with await client.open(far.url, HEADERS, BODY) as answer:
        while await answer.chunk() is not None:
            pass


async def endless(seen: Seen, out: asyncio.Transport) -> None:
    out.write(STREAM_HEAD)
    while True:
        out.write(b"1\r\nx\r\n")
        await asyncio.sleep(0.01)


async def silent(seen: Seen, out: asyncio.Transport) -> None:
    out.write(STREAM_HEAD + b"1\r\nx\r\n")
    await never(seen, out)


@pytest.mark.parametrize("play", [endless, silent], ids=["talking", "silent"])
@pytest.mark.parametrize("how", ["left", "cancelled"])
def test_leaving_an_answer_early_closes_its_connection_at_once(play: Play, how: str) -> None:
    async def run() -> float:
        async with far_end(play) as far, upstream() as client:
            if how == "left":
                async with await client.open(far.url, HEADERS, BODY) as answer:
                    await answer.chunk()
                    began = time.monotonic()
            else:
                task = asyncio.create_task(reading(far, client))
                await asyncio.sleep(0.1)
                began = time.monotonic()
                task.cancel()
                await asyncio.wait((task,), timeout=1)
            return await far.wait_until_left() - began

    assert run_loop(run()) < 0.2


def test_giving_up_before_the_answer_begins_closes_the_connection_with_its_deadline() -> None:
    # The library goes on waiting for the head of an answer that nobody awaits any more; its deadline must end that.
    deadlines = {"first_byte_timeout_s": 0.3, "between_bytes_timeout_s": 0.3}

    async def run() -> float:
        async with far_end(never) as far, upstream(**deadlines) as client:
            task = asyncio.create_task(reading(far, client))
            await asyncio.sleep(0.1)
            began = time.monotonic()
            task.cancel()
            await asyncio.wait((task,), timeout=1)
            return await far.wait_until_left() - began

    assert run_loop(run()) < 0.6


def crowded(late_s: float) -> Play:
    """An answer whose head comes within that time, and then bytes at every moment."""
    chance = random.Random(3)

    async def play(seen: Seen, out: asyncio.Transport) -> None:
        await asyncio.sleep(late_s * chance.random())
        out.write(STREAM_HEAD)
        while True:
            out.write(b"1\r\nx\r\n")
            await asyncio.sleep(0.002)

    return play


@pytest.mark.parametrize("late_s", [0.0, 0.1], ids=["chunk", "head"])
def test_no_cancellation_is_lost_to_bytes_that_arrive_in_the_same_moment(late_s: float) -> None:
    # A deadline cancels once: where that is lost, the call goes on for as long as its provider does.
    async def run() -> int:
        lost = 0
        async with far_end(crowded(late_s)) as far, upstream() as client:
            for _ in range(5):
                tasks = [asyncio.create_task(reading(far, client)) for _ in range(100)]
                await asyncio.sleep(0.03)
                for task in tasks:
                    await asyncio.sleep(0.0005)
                    task.cancel()
                _, going_on = await asyncio.wait(tasks, timeout=0.3)
                lost += len(going_on)
                while going_on:
                    for task in going_on:
                        task.cancel()
                    _, going_on = await asyncio.wait(going_on, timeout=0.1)
        return lost

    assert run_loop(run()) == 0


def test_finishing_gives_up_in_time_while_bytes_keep_coming() -> None:
    async def one(far: AsyncFarEnd, client: Upstream) -> None:
        async with await client.open(far.url, HEADERS, BODY) as got:
            await got.chunk()
            await got.finish()

    async def run() -> None:
        async with far_end(crowded(0.0)) as far, upstream() as client, asyncio.timeout(2):
            await asyncio.gather(*(one(far, client) for _ in range(60)))

    run_loop(run())


@pytest.mark.parametrize("plain", [True, False])
def test_an_answer_that_was_read_to_its_end_leaves_a_connection_to_use_again(plain: bool) -> None:
    async def run() -> int:
        answer = whole(b"{}") if plain else stream(b"data: [DONE]\n\n")
        async with far_end(sends(answer)) as far, upstream() as client:
            for _ in range(5):
                async with await client.open(far.url, HEADERS, BODY) as got:
                    if plain:
                        await got.read()
                    else:
                        await got.chunk()
                        await got.finish()
            assert len(far.requests) == 5
            return len(far.connections)

    assert run_loop(run()) == 1


def test_without_finishing_the_connection_is_not_used_again() -> None:
    async def run() -> int:
        async with far_end(silent) as far, upstream() as client:
            for _ in range(2):
                async with await client.open(far.url, HEADERS, BODY) as got:
                    await got.chunk()
            return len(far.connections)

    assert run_loop(run()) == 2


def test_finishing_an_answer_that_does_not_end_takes_half_a_second_at_most() -> None:
    async def run() -> float:
        async with answered(endless) as (_, got), asyncio.timeout(3):
            await got.chunk()
            began = time.monotonic()
            await got.finish()
            return time.monotonic() - began

    assert 0.4 < run_loop(run()) < 0.8


def test_finishing_an_answer_that_breaks_off_is_no_failure() -> None:
    async def run() -> None:
        play = sends(STREAM_HEAD + b"1\r\nx\r\n", close=True)
        async with (
            far_end(play) as far,
            upstream() as client,
            await client.open(far.url, HEADERS, BODY) as got,
        ):
            assert await got.chunk() == b"x"
            await got.finish()

    run_loop(run())


def test_many_calls_run_side_by_side() -> None:
    async def run() -> None:
        at_once = asyncio.Event()

        async def play(seen: Seen, out: asyncio.Transport) -> None:
            if len(far.requests) == 100:
                at_once.set()
            await at_once.wait()
            out.write(whole(seen.headers["x-number"].encode()))

        async def one(number: int) -> bytes:
            headers = [*HEADERS, ("x-number", str(number))]
            async with await client.open(far.url, headers, BODY) as answer:
                return await answer.read()

        async with far_end(play) as far, upstream() as client:
            answers = await asyncio.gather(*map(one, range(100)))
            assert answers == [str(number).encode() for number in range(100)]

    run_loop(run())
