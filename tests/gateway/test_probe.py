"""Open channels are asked whether they answer again."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any

import msgspec
import pytest
from uvloop import run as run_loop

from gateway import probe
from gateway.breaker import Breakers
from gateway.catalog import Catalog, Channel
from gateway.probe import Prober
from tests.gateway import pricing_samples
from tests.gateway.calling import never, sends, unused_port, upstream
from tests.gateway.far_end import AsyncFarEnd, Seen, far_end, head, whole

SMALL = pricing_samples.model("openai/small")
SECRET = "sk-provider-secret"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(probe, "PROBE_TIMEOUT_S", 0.2)


def channel(number: int, url: str, **changed: Any) -> Channel:
    made = pricing_samples.channel(SECRET)
    return msgspec.structs.replace(
        made, id=number, name=f"c{number}", base_url=f"{url}/v1", **changed
    )


def opened(*channels: Channel) -> Breakers:
    """Breakers whose channels all opened long ago, so that each is due."""
    breakers = Breakers()
    breakers.follow(Catalog(channels={SMALL.name: channels}))
    then = time.monotonic() - 100
    for one in channels:
        for _ in range(5):
            admission = breakers.admit(one, SMALL, then)
            assert admission is not None
            breakers.record_failure(admission, "status 500", then)
    assert len(breakers.due(time.monotonic())) == len(channels)
    return breakers


@asynccontextmanager
async def probing(breakers: Breakers) -> AsyncIterator[Prober]:
    async with upstream() as client:
        prober = Prober(breakers, client)
        await prober.start()
        try:
            yield prober
        finally:
            await prober.stop()
            assert prober._probes == {}


async def until(true: Callable[[], bool], timeout_s: float = 2.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not true():
            await asyncio.sleep(0.01)


def is_usable(breakers: Breakers, one: Channel) -> bool:
    return breakers.usable(one, SMALL, time.monotonic())


def test_an_open_channel_that_answers_is_closed() -> None:
    async def run() -> AsyncFarEnd:
        async with far_end(sends(whole(b'{"data":[]}'))) as far:
            one = channel(1, far.url)
            breakers = opened(one)
            async with probing(breakers):
                await until(lambda: is_usable(breakers, one))
                await asyncio.sleep(0.1)
            return far

    far = run_loop(run())
    (asked,) = far.requests  # and closed channels are not asked
    assert asked.lines[0] == "GET /v1/models HTTP/1.1"
    assert asked.headers["authorization"] == f"Bearer {SECRET}"
    assert asked.body == b""


def rest_of(answer: bytes, close: bool = False) -> tuple[bool, float, int]:
    """After one probe that is answered so: whether the channel closed, its rest in seconds, how often it was asked."""

    async def run() -> tuple[bool, float, int]:
        async with far_end(sends(answer, close=close)) as far:
            one = channel(1, far.url)
            breakers = opened(one)
            async with probing(breakers):
                await until(lambda: not breakers.due(time.monotonic()))
                await asyncio.sleep(0.1)
                now = time.monotonic()
                return is_usable(breakers, one), _rest_s(breakers, now), len(far.requests)

    return run_loop(run())


def _rest_s(breakers: Breakers, now: float) -> float:
    return next(rest for rest in range(100) if breakers.due(now + rest) or rest == 99)


@pytest.mark.parametrize("status", ["404 Not Found", "405 Method Not Allowed", "204 No Content"])
def test_an_address_that_answers_without_such_a_page_is_closed(status: str) -> None:
    assert rest_of(head(status, "content-length: 0"))[0]


@pytest.mark.parametrize(
    ("answer", "close"),
    [
        (whole(b"{}", status="500 Internal Server Error"), False),
        (whole(b"{}", status="429 Too Many Requests"), False),
        (head("302 Found", "location: /v1/elsewhere", "content-length: 0"), False),
        (b"", True),
        (b"garbage\r\n\r\n", True),
    ],
)
def test_any_other_answer_lets_it_rest_for_twice_as_long(answer: bytes, close: bool) -> None:
    assert rest_of(answer, close) == (False, 4, 1)


def test_a_probe_that_is_not_answered_ends_after_its_deadline() -> None:
    async def run() -> float:
        async with far_end(never) as far:
            breakers = opened(channel(1, far.url))
            began = time.monotonic()
            async with probing(breakers):
                await until(lambda: not breakers.due(time.monotonic()))
                await far.wait_until_left()
                return time.monotonic() - began

    assert 0.2 <= run_loop(run()) < 1.0


def test_an_address_where_nobody_listens_keeps_its_channel_open() -> None:
    async def run() -> bool:
        one = channel(1, f"http://127.0.0.1:{unused_port()}")
        breakers = opened(one)
        async with probing(breakers):
            await until(lambda: not breakers.due(time.monotonic()))
        return is_usable(breakers, one)

    assert run_loop(run()) is False


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden"])
def test_a_refused_credential_is_an_error_for_the_operator(
    status: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert rest_of(whole(b"{}", status=status))[:2] == (False, 4)
    (told,) = [row.getMessage() for row in caplog.records if row.levelno == logging.ERROR]
    assert "openai:c1" in told
    assert status[:3] in told


@pytest.mark.parametrize("credential", [SECRET, f"{SECRET}\n", f"{SECRET}\x00"])
@pytest.mark.parametrize("answer", [b"", whole(b"{}", status="401 Unauthorized")])
def test_the_credential_is_never_in_the_log(
    credential: str,
    answer: bytes,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class InAddress:
        def probe(self, base_url: str, credential: str) -> tuple[str, list[tuple[str, str]]]:
            return f"{base_url}/models?key={credential}", [("x-key", credential)]

    monkeypatch.setattr(probe, "DIALECTS", MappingProxyType({"openai": InAddress()}))
    caplog.set_level(logging.DEBUG)

    async def run() -> None:
        async with far_end(sends(answer, close=True)) as far:
            breakers = opened(channel(1, far.url, credential=credential))
            async with probing(breakers):
                await until(lambda: not breakers.due(time.monotonic()))

    run_loop(run())
    assert "stays open" in caplog.text
    assert SECRET not in caplog.text


def test_a_channel_that_cannot_be_probed_gets_one_live_call_instead(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def run() -> None:
        async with far_end(sends(whole(b"{}"))) as far:
            odd, good = channel(1, far.url, dialect="nobody's"), channel(2, far.url)
            breakers = opened(odd, good)
            async with probing(breakers):
                await until(lambda: is_usable(breakers, odd))
                await until(lambda: is_usable(breakers, good))
                assert breakers.admit(odd, SMALL, time.monotonic()) is not None
                assert not is_usable(breakers, odd)
            assert len(far.requests) == 1

    run_loop(run())
    told = [row.getMessage() for row in caplog.records if row.levelno == logging.ERROR]
    assert told == ["channel openai:c1 cannot be probed: KeyError"]


def test_four_probes_at_once_and_one_of_each_channel() -> None:
    running: list[int] = []
    release = asyncio.Event()

    async def play(seen: Seen, out: asyncio.Transport) -> None:
        running.append(len(far_ends[0].requests))
        await release.wait()
        out.write(whole(b"{}"))

    far_ends: list[AsyncFarEnd] = []

    async def run() -> None:
        async with far_end(play) as far:
            far_ends.append(far)
            channels = [channel(number, far.url) for number in range(1, 7)]
            breakers = opened(*channels)
            async with probing(breakers):
                await until(lambda: len(running) == 4)
                await asyncio.sleep(0.1)
                assert len(running) == 4
                release.set()
                await until(lambda: all(is_usable(breakers, one) for one in channels))
            assert len(far.requests) == 6

    run_loop(run())


def test_stopping_ends_running_probes() -> None:
    async def run() -> float:
        async with far_end(never) as far:
            breakers = opened(channel(1, far.url))
            async with probing(breakers):
                await until(lambda: bool(far.requests))
            stopped = time.monotonic()
            return await far.wait_until_left() - stopped

    assert run_loop(run()) < 0.5
