"""How tests of the guard call it, and who answers."""

import socket
import threading

import pytest

from gateway.addresses import Policy
from gateway.outbound import (
    Limits,
    Network,
    fetch,
    post,
)
from tests.gateway.far_end import Seen, head, whole
from tests.gateway.outbound_servers import (
    Play,
)

STRICT = Policy()
LOOPBACK = Policy(allow_loopback=True)
LIMITS = Limits(bytes_max=1_000, timeout_s=10.0)
PICTURE = whole(b"a picture", "Image/PNG; q=1")


class Names:
    """A resolver that gives one list of answers after the other, the last for ever, and remembers who was asked for."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, name: str) -> list[str]:
        self.asked.append(name)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def refuse_to_resolve(name: str) -> list[str]:
    raise AssertionError(f"{name} was looked up")


def redirect_to(location: str, status: str = "302 Found") -> bytes:
    return head(status, f"location: {location}", "content-length: 0")


def by_path(answers: dict[str, bytes]) -> Play:
    """Answers each path with what is written for it."""

    def play(connection: socket.socket, seen: Seen, over: threading.Event) -> None:
        connection.sendall(answers[seen.lines[0].split()[1]])

    return play


def read_link(url: str, network: Network) -> object:
    return fetch(url, STRICT, LIMITS, network)


def call_back(url: str, network: Network) -> object:
    return post(url, b"{}", {}, STRICT, 10.0, network)


BOTH_WAYS = pytest.mark.parametrize("go", [read_link, call_back])
