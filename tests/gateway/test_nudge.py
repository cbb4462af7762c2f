import logging
import threading
import time

import pytest

from gateway.nudge import Nudger

BURST = 200


def test_a_burst_is_a_few_messages_and_the_last_nudge_is_never_swallowed() -> None:
    sent: list[float] = []

    def send() -> None:
        sent.append(time.monotonic())
        time.sleep(0.01)

    nudger = Nudger(send)
    begun: list[float] = []

    def nudge() -> None:
        begun.append(time.monotonic())
        nudger.nudge()

    threads = [threading.Thread(target=nudge) for _ in range(BURST)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 <= len(sent) < BURST / 4
    assert max(sent) >= max(begun)


def test_while_one_thread_waits_for_the_broker_nobody_else_does() -> None:
    release, entered = threading.Event(), threading.Event()
    sent: list[None] = []

    def send() -> None:
        entered.set()
        release.wait(5)
        sent.append(None)

    nudger = Nudger(send)
    first = threading.Thread(target=nudger.nudge)
    first.start()
    assert entered.wait(5)
    began = time.monotonic()
    nudger.nudge()
    assert time.monotonic() - began < 0.5
    release.set()
    first.join()
    assert len(sent) == 2


def test_a_broker_that_is_away_raises_nothing_and_fills_no_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def send() -> None:
        raise OSError("no broker")

    nudger = Nudger(send)
    with caplog.at_level(logging.WARNING):
        for _ in range(50):
            nudger.nudge()
    assert [record.getMessage() for record in caplog.records] == [
        "no worker can be woken, the sweep has to do: no broker"
    ]
