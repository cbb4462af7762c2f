"""Tools for tests of breakers: two channels, two models, and calls of them that end well or badly."""

import msgspec

from gateway.breaker import Admission, Breakers
from gateway.catalog import Catalog, Channel, Model
from tests.gateway import pricing_samples

SMALL = pricing_samples.model("openai/small")
LARGE = pricing_samples.model("openai/large")
SECRET = "sk-provider-secret"


def channel(number: int = 1, **changed: object) -> Channel:
    made = msgspec.structs.replace(pricing_samples.channel(SECRET), id=number, name=f"c{number}")
    return msgspec.structs.replace(made, **changed)


MAIN, OTHER = channel(1), channel(2)


def following(*channels: Channel) -> Breakers:
    made = Breakers()
    made.follow(Catalog(channels={SMALL.name: channels, LARGE.name: channels}))
    return made


def admitted(breakers: Breakers, now: float, model: Model = SMALL) -> Admission:
    admission = breakers.admit(MAIN, model, now)
    assert admission is not None
    return admission


def fail(breakers: Breakers, times: int, now: float) -> None:
    for _ in range(times):
        breakers.record_failure(admitted(breakers, now), "status 500", now)


def succeed(breakers: Breakers, times: int, now: float) -> None:
    for _ in range(times):
        breakers.record_success(admitted(breakers, now), now)


def opened(now: float = 0.0) -> Breakers:
    """Breakers whose MAIN opened at that moment for its first two seconds."""
    breakers = following(MAIN, OTHER)
    fail(breakers, 5, now)
    assert not breakers.usable(MAIN, SMALL, now)
    return breakers
