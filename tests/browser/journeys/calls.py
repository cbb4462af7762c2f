"""Calls as a customer's program makes them, and what the books say of them."""

import time
from collections.abc import Callable
from typing import Any

import httpx

from billing.presentation import dollars
from tests.browser.place import Place

HEARD_S = 3.0
"""How long a gateway may take to hear of a change; half a second is usual."""


def call(place: Place, secret: str, model: str = "openai/gpt-5.4-nano") -> httpx.Response:
    """One small call of chat."""
    body = {"model": model, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 20}
    headers = {"authorization": f"Bearer {secret}"}
    url = f"{place.site.root}/v1/chat/completions"
    return httpx.post(url, json=body, headers=headers, timeout=30, trust_env=False)


def record_of(place: Place, answer: httpx.Response) -> dict[str, Any]:
    """The record of a call that was answered. Raises AssertionError if it is not written within `HEARD_S`."""
    number = answer.headers["x-request-id"].removeprefix("call_")
    rows: list[dict[str, Any]] = []

    def written() -> bool:
        rows[:] = place.world.database.query(
            "SELECT * FROM gateway_callrecord WHERE id = %s::uuid", number
        )
        return bool(rows)

    assert comes_true(written), f"no record of call_{number}"
    return rows[0]


def comes_true(condition: Callable[[], bool]) -> bool:
    """Whether it holds within `HEARD_S`."""
    deadline = time.monotonic() + HEARD_S
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def charge_text(record: dict[str, Any]) -> str:
    """What a page says that the call was charged."""
    return dollars(record["amount_nanos"])
