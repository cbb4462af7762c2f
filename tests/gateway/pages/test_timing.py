"""Where the time of a call went."""

from itertools import pairwise
from typing import Any

import pytest

from accounts.models import APIKey
from gateway.pages.timing import BAR_WIDTH, list_spans
from tests.gateway.pages.dated_calls import NOW, dated
from tests.people import People


def tries(*durations: int) -> list[dict[str, Any]]:
    return [{"channel": "x", "status": 200, "error": None, "ms": ms} for ms in durations]


@pytest.mark.parametrize(
    ("fields", "parts"),
    [
        (
            {
                "duration_ms": 1000,
                "stream": True,
                "first_token_ms": 400,
                "attempts": tries(100, 850),
            },
            [("own", 50), ("earlier", 100), ("waiting", 250), ("generating", 600)],
        ),
        ({"duration_ms": 1000, "attempts": tries(900)}, [("own", 100), ("waiting", 900)]),
        ({"duration_ms": 3, "attempts": []}, [("own", 3)]),
        ({"duration_ms": 0, "attempts": []}, [("own", 0)]),
        # Clocks of their own: what attempts took may be more than the whole, a first token may seem too early.
        (
            {"duration_ms": 500, "attempts": tries(300, 400)},
            [("own", 0), ("earlier", 100), ("waiting", 400)],
        ),
        (
            {"duration_ms": 500, "stream": True, "first_token_ms": 1, "attempts": tries(400)},
            [("own", 100), ("generating", 400)],
        ),
        ({"duration_ms": 900, "attempts": [{"channel": "x", "ms": None}]}, [("own", 900)]),
    ],
)
def test_the_parts_add_up_and_fill_the_bar(
    people: People, key: APIKey, fields: dict[str, Any], parts: list[tuple[str, int]]
) -> None:
    spans = list_spans(dated(key, NOW, **fields))
    assert [(span.name, span.ms) for span in spans] == parts
    assert sum(span.ms for span in spans) == fields["duration_ms"]
    assert sum(span.width for span in spans) == (BAR_WIDTH if fields["duration_ms"] else 0)
    for one, following in pairwise(spans):
        assert one.left + one.width == following.left


def test_a_task_waits_in_the_queue(people: People, key: APIKey) -> None:
    [queue, made] = list_spans(dated(key, NOW, source="task", duration_ms=90, attempts=tries(50)))
    assert (queue.label, made.label) == ("Waiting in the queue", "At the provider")
