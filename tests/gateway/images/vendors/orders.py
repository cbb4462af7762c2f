"""Orders for pictures, and the scripts in them that the simulator follows."""

import itertools
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from gateway import outbound
from gateway.images.request import ImageRequest
from gateway.images.vendors.base import (
    Access,
    Delivered,
    Driver,
    Job,
    Order,
    Running,
    SourcePicture,
    VendorError,
)
from simulator.pictures import Size, draw
from simulator.png import add_comment

PROMPT = "a red bicycle"
FETCHED = outbound.Limits(bytes_max=10_000_000, timeout_s=5.0)
MakeAccess = Callable[..., Access]
_numbers = itertools.count()


def scripted(**script: Any) -> str:
    """The mark that makes the simulator follow the script."""
    return f"[[simulate {json.dumps(script)}]]" if script else ""


def png(width: int = 48, height: int = 32, comment: str = "") -> bytes:
    picture = draw("what is sent", Size(width, height), transparent=True)
    return add_comment(picture, comment) if comment else picture


def source(data: bytes | None = None, name: str = "source_1.png") -> SourcePicture:
    return SourcePicture(
        data=png() if data is None else data,
        content_type="image/png",
        width=48,
        height=32,
        name=name,
    )


def order(script: dict[str, Any] | None = None, **changes: Any) -> Order:
    """An order for one picture from a prompt; names of ImageRequest's fields change that, others the order."""
    asked: dict[str, Any] = {
        "action": "text_to_image",
        "prompt": f"{PROMPT} {scripted(**(script or {}))}".strip(),
    }
    fields: dict[str, Any] = {
        "model": "gpt-image-2",
        "size": None,
        "quality": "",
        "sources": (),
        "mask": None,
        "call_id": f"call_{next(_numbers)}_{time.monotonic_ns()}",
        "idempotency_key": "tsk_1-1",
        "deadline": time.time() + 60,
    }
    for name, value in changes.items():
        (fields if name in fields else asked)[name] = value
    return Order(request=ImageRequest(**asked), **fields)


def started(driver: Driver, given: Order) -> Job:
    """The job of an order that was accepted."""
    answer = driver.start(given)
    assert isinstance(answer, Running)
    assert (answer.progress, answer.poll_after_s > 0) == (0, True)
    return answer.job


def delivered(driver: Driver, job: Job, timeout_s: float = 5.0) -> Delivered:
    """What a job brings in the end."""
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        answer = driver.poll(job)
        if isinstance(answer, Delivered):
            return answer
        time.sleep(0.05)
    raise AssertionError(f"nothing after {timeout_s} s")


def assert_tells_nothing(error: BaseException, *secrets: str) -> None:
    """No secret is in an error that customers may see and logs may print, or in what caused it."""
    assert isinstance(error, VendorError)
    chain: BaseException | None = error
    while chain is not None:
        told = f"{chain} {chain!r} {vars(chain)}"
        assert [secret for secret in secrets if secret in told] == []
        chain = chain.__cause__ or (None if chain.__suppress_context__ else chain.__context__)
    assert 0 < len(error.message) <= 500
    assert error.message.isprintable()


def failure(kind: type[VendorError], driver: Driver, given: Order | Job) -> Any:
    """The error with which the driver answers an order or a job."""
    with pytest.raises(kind) as caught:
        driver.start(given) if isinstance(given, Order) else driver.poll(given)
    return caught.value
