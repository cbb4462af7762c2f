"""How the models do, as their callers see it. Nothing of a tenant, a channel or a credential leaves this module: only
shares of calls, by model.

What counts is how a call ended: a provider that failed and was replaced by another channel did its callers no harm. The
judgement of a try is the operator's own (gateway/operator/health.py).
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple

from django.core.cache import cache
from django.db import connection
from django.utils import timezone

from accounts.ids import first_id_at
from gateway.operator.health import (
    DEGRADED_PERCENT,
    FAILING_PERCENT,
    JUDGED,
    READ_MAX,
    SPAN,
    TRIES_MIN,
)
from gateway.usage_analytics import Scope, Span, read_series
from guides.catalogue import Kind, Offered

State = Literal["operational", "degraded", "down", "unserved", "quiet"]
Range = Literal["24h", "90d"]

SECONDS_KEPT: Mapping[str, int] = {"now": 15, "24h": 60, "90d": 600}
HOURS, DAYS = 24, 90
# A bar speaks of fewer calls only if none of them failed: one failure of two is no outage.
CALLS_MIN = 3
WORST_FIRST: tuple[State, ...] = ("down", "degraded", "operational", "quiet", "unserved")

READ_MODELS = f"""{JUDGED}
SELECT model, count(*) AS calls, count(*) FILTER (WHERE coalesce(failed, false)) AS failures
FROM judged WHERE is_last AND model <> '' GROUP BY model
"""  # noqa: S608 - made of constants


class Recent(NamedTuple):
    """Calls of the last hour that reached a provider, and how many of them failed there."""

    calls: int = 0
    failures: int = 0

    def __add__(self, other: object) -> "Recent":
        if not isinstance(other, Recent):
            return NotImplemented
        return Recent(self.calls + other.calls, self.failures + other.failures)

    @property
    def state(self) -> State:
        """As the operator's page judges a channel."""
        if not self.calls:
            return "quiet"
        if self.calls >= TRIES_MIN and self.failures * 100 >= self.calls * FAILING_PERCENT:
            return "down"
        if self.calls >= TRIES_MIN and self.failures * 100 >= self.calls * DEGRADED_PERCENT:
            return "degraded"
        return "operational"


class Bar(NamedTuple):
    """A stretch of time: how many calls were served and how many failed."""

    since: datetime
    served: int
    failed: int

    @property
    def state(self) -> State:
        calls = self.served + self.failed
        if not calls or (self.failed and calls < CALLS_MIN):
            return "quiet"
        return Recent(calls, self.failed).state

    @property
    def permille(self) -> int | None:
        """The share that was served, cut, so that 1000 means all of them; None without calls."""
        calls = self.served + self.failed
        return self.served * 1000 // calls if calls else None


class Service(NamedTuple):
    """What a provider serves of one kind of model: its state now and its bars, oldest first."""

    provider: str
    provider_name: str
    kind: Kind
    state: State
    bars: tuple[Bar, ...]

    @property
    def permille(self) -> int | None:
        """The share of calls that were served over all bars."""
        return _whole(self.bars).permille


class Incident(NamedTuple):
    """Bars in a row that were not operational, the last of which began at `last`; `until` is None while it lasts."""

    service: Service
    state: State
    since: datetime
    last: datetime
    until: datetime | None
    permille: int


def read_recent() -> dict[str, Recent]:
    """The last hour by the name of the model; at most READ_MAX calls are read, and kept for some seconds."""
    found: dict[str, Recent] | None = cache.get("guides.health.now")
    if found is None:
        parameters: dict[str, Any] = {"since": first_id_at(timezone.now() - SPAN), "most": READ_MAX}
        with connection.cursor() as cursor:
            cursor.execute(READ_MODELS, parameters)
            found = {model: Recent(calls, failures) for model, calls, failures in cursor.fetchall()}
        cache.set("guides.health.now", found, SECONDS_KEPT["now"])
    return found


def state_of(offered: Offered, recent: Mapping[str, Recent]) -> State:
    """How the model does now; one without a channel cannot be called at all."""
    if not offered.channels:
        return "unserved"
    return recent.get(offered.name, Recent()).state


def read_services(catalogue: Sequence[Offered], stretch: Range) -> list[Service]:
    """Every provider and kind of which there is a model, by the provider's name."""
    recent = read_recent()
    served, failed, starts = _read_bars(stretch)
    groups: dict[tuple[str, str, Kind], list[Offered]] = {}
    for one in catalogue:
        groups.setdefault((one.provider_name, one.model.provider, one.kind), []).append(one)
    found = []
    for (name, slug, kind), models in sorted(groups.items()):
        names = [one.name for one in models]
        bars = tuple(
            Bar(start, _sum(served, names, at), _sum(failed, names, at))
            for at, start in enumerate(starts)
        )
        found.append(Service(slug, name, kind, _state(models, recent), bars))
    return found


def list_incidents(services: Iterable[Service], step: timedelta) -> list[Incident]:
    """Rows of bars that were degraded or down, newest first. A quiet bar ends one."""
    found = []
    for service in services:
        run: list[Bar] = []
        for bar in (*service.bars, None):
            if bar is not None and bar.state in ("degraded", "down"):
                run.append(bar)
            elif run:
                found.append(_incident(service, run, step, is_open=bar is None))
                run = []
    return sorted(found, key=lambda incident: incident.since, reverse=True)


def worst(states: Iterable[State]) -> State:
    """Of several states the one that matters most."""
    present = set(states)
    return next((state for state in WORST_FIRST if state in present), "quiet")


def _state(models: Sequence[Offered], recent: Mapping[str, Recent]) -> State:
    served = [one for one in models if one.channels]
    if not served:
        return "unserved"
    return sum((recent.get(one.name, Recent()) for one in served), Recent()).state


def _incident(service: Service, run: Sequence[Bar], step: timedelta, *, is_open: bool) -> Incident:
    whole = _whole(run)
    until = None if is_open and service.state in ("degraded", "down") else run[-1].since + step
    return Incident(
        service=service,
        state=worst(bar.state for bar in run),
        since=whole.since,
        last=run[-1].since,
        until=until,
        permille=whole.permille or 0,
    )


def _whole(bars: Sequence[Bar]) -> Bar:
    return Bar(bars[0].since, sum(bar.served for bar in bars), sum(bar.failed for bar in bars))


Counts = dict[str, list[int]]


def _read_bars(stretch: Range) -> tuple[Counts, Counts, tuple[datetime, ...]]:
    """Served and failed calls by model and step, out of the sums of usage, and the beginnings of the steps in UTC."""
    key = f"guides.health.{stretch}"
    kept: tuple[Counts, Counts, tuple[datetime, ...]] | None = cache.get(key)
    if kept is not None:
        return kept
    now = timezone.now().astimezone(UTC)
    if stretch == "24h":
        end = now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
        span = Span(end - timedelta(hours=HOURS), end, UTC)
        step: Literal["hour", "day"] = "hour"
    else:
        span = Span.of_days(now.date() - timedelta(days=DAYS - 1), now.date(), UTC)
        step = "day"
    everything = Scope.everything()
    served = read_series(everything, span, step=step, by="model", measure="served")
    failed = read_series(everything, span, step=step, by="model", measure="failed")
    found = (
        {str(name): values for name, values in served.rows},
        {str(name): values for name, values in failed.rows},
        served.starts,
    )
    cache.set(key, found, SECONDS_KEPT[stretch])
    return found


def _sum(counts: Counts, names: Sequence[str], at: int) -> int:
    return sum(counts[name][at] for name in names if name in counts)
