"""Where the time of a call went."""

from typing import NamedTuple

from django.utils.translation import gettext as _

from gateway.models import CallRecord

BAR_WIDTH = 1000


class Span(NamedTuple):
    """A part of the call's duration. `left` and `width` are its place on a bar of BAR_WIDTH."""

    name: str
    label: str
    ms: int
    left: int
    width: int


def list_spans(call: CallRecord) -> list[Span]:
    """The duration in the order in which it passed: with us, attempts that failed, until the first token, generating.

    The parts add up to the duration. What an attempt took is on the record; the rest of the duration was spent in the
    gateway (checks, hold, settlement), or by a task in the queue.
    """
    tries = [max(int(attempt.get("ms") or 0), 0) for attempt in call.attempts]
    duration = max(call.duration_ms, 0)
    asking = min(sum(tries), duration)
    own = duration - asking
    last = min(tries[-1], asking) if tries else 0
    earlier = asking - last
    waiting = last
    if call.stream and call.first_token_ms is not None:
        waiting = min(max(call.first_token_ms - own - earlier, 0), last)
    is_task = call.source == CallRecord.Source.TASK
    parts = [
        ("own", _("Waiting in the queue") if is_task else _("In Tollgate: checks and hold"), own),
        ("earlier", _("Attempts that failed before"), earlier),
        (
            "waiting",
            _("Until the first token") if waiting < last else _("At the provider"),
            waiting,
        ),
        ("generating", _("Generating"), last - waiting),
    ]
    return _laid_out([part for part in parts if part[2] or part[0] == "own"], duration)


def _laid_out(parts: list[tuple[str, str, int]], duration: int) -> list[Span]:
    spans: list[Span] = []
    passed = 0
    for name, label, ms in parts:
        left = passed * BAR_WIDTH // max(duration, 1)
        passed += ms
        right = passed * BAR_WIDTH // max(duration, 1)
        spans.append(Span(name, label, ms, left, right - left))
    return spans
