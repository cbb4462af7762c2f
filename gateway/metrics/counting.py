"""What one gateway process counts, and the list of all metrics. Pure.

Counting is on the way of every call, so it is a few additions to plain dictionaries (the event loop is the only
thread); everything that costs time waits for somebody to read (endpoints/metrics.py). Money is counted in integer
nano-dollars and becomes USD only there.

Labels have few values: no key, group or text of a caller is among them. A model is named once it is known to the price
book; codes and outcomes are our own.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

import msgspec

from billing.pricing import Charge
from gateway.call import Call, Outcome
from gateway.errors import GatewayError, UpstreamFailed, UpstreamRefused

Key = tuple[str, ...]
"""A metric's name in METRICS, then the values of its labels."""

DURATION_BOUNDS_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600)
FIRST_TOKEN_BOUNDS_S = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 20, 60)
BATCH_BOUNDS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
BATCH_BOUNDS_S = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1, 3)


class Metric(NamedTuple):
    """One metric as Prometheus sees it. `nanos`: it is counted in nano-dollars and shown in USD."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    meaning: str
    bounds: tuple[float, ...] = ()
    nanos: bool = False


_OF_CALL = ("endpoint", "provider")
METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        metric.name: metric
        for metric in (
            Metric(
                "tollgate_calls_total",
                "counter",
                (*_OF_CALL, "model", "status"),
                "Calls that have ended, by how they ended.",
            ),
            Metric(
                "tollgate_tokens_total",
                "counter",
                ("provider", "model", "bucket"),
                "Tokens of charged calls, by bucket.",
            ),
            Metric(
                "tollgate_charge_usd_total",
                "counter",
                ("provider", "model"),
                "What was charged to calls of the API.",
                nanos=True,
            ),
            Metric(
                "tollgate_list_usd_total",
                "counter",
                ("provider", "model"),
                "What the same calls cost at list price.",
                nanos=True,
            ),
            Metric(
                "tollgate_call_duration_seconds",
                "histogram",
                _OF_CALL,
                "From the request to the end of its call; without refused ones.",
                DURATION_BOUNDS_S,
            ),
            Metric(
                "tollgate_first_token_seconds",
                "histogram",
                _OF_CALL,
                "From the request to the provider's first event, or whole plain answer.",
                FIRST_TOKEN_BOUNDS_S,
            ),
            Metric(
                "tollgate_requests_total",
                "counter",
                ("path", "status"),
                "Every request of the data plane, by its path and the status of its answer.",
            ),
            Metric(
                "tollgate_errors_total",
                "counter",
                ("code",),
                "Answers with an error, by its code; a provider's own codes count as `upstream`.",
            ),
            Metric(
                "tollgate_attempts_total",
                "counter",
                ("provider", "outcome"),
                "Tries at providers' channels, by what became of each.",
            ),
            Metric(
                "tollgate_holds_total",
                "counter",
                ("result",),
                "Holds that were asked for: granted, lowered, unknown, or what refused them.",
            ),
            Metric(
                "tollgate_authentications_total",
                "counter",
                ("source",),
                "Keys that were looked up: in the cache, or in the database.",
            ),
            Metric(
                "tollgate_batch_operations",
                "histogram",
                (),
                "Money operations in one transaction.",
                BATCH_BOUNDS,
            ),
            Metric(
                "tollgate_batch_seconds",
                "histogram",
                (),
                "How long such a transaction took to commit.",
                BATCH_BOUNDS_S,
            ),
            Metric("tollgate_processes", "gauge", (), "Gateway processes that run here."),
            Metric("tollgate_calls_in_flight", "gauge", (), "Requests that are being answered."),
            Metric(
                "tollgate_drains_running",
                "gauge",
                (),
                "Streams that are read on after their client left.",
            ),
            Metric(
                "tollgate_money_operations_waiting",
                "gauge",
                (),
                "Holds and settlements that are in no transaction yet.",
            ),
            Metric(
                "tollgate_money_connected",
                "gauge",
                (),
                "Processes whose connection for money stood when it was last used; the others refuse calls.",
            ),
            Metric(
                "tollgate_caches_fresh",
                "gauge",
                (),
                "Processes that hear of changed keys and prices; the others ask the database each time.",
            ),
            Metric(
                "tollgate_channel_open",
                "gauge",
                ("provider", "channel"),
                "Processes that leave the channel alone because of its failures.",
            ),
            Metric("tollgate_database_up", "gauge", (), "1 if the database answers, else 0."),
            Metric(
                "tollgate_tasks",
                "gauge",
                ("provider", "status"),
                "Image tasks that are pending or processing, 10,000 at most.",
            ),
            Metric(
                "tollgate_tasks_ended_last_hour",
                "gauge",
                ("provider", "status"),
                "Image tasks of the last hour that have ended, 10,000 at most.",
            ),
            Metric(
                "tollgate_task_overdue_seconds",
                "gauge",
                (),
                "How long the image task that waits longest has been due: workers are missing or behind.",
            ),
            Metric(
                "tollgate_deliveries_waiting",
                "gauge",
                (),
                "Callbacks and webhooks that are still to be sent, 10,000 at most.",
            ),
            Metric(
                "tollgate_delivery_overdue_seconds",
                "gauge",
                (),
                "How long the one that waits longest has been due.",
            ),
            Metric(
                "tollgate_usage_notes_waiting",
                "gauge",
                (),
                "Call records that the sums of usage lack, 10,000 at most: more and more when jobs do not run.",
            ),
        )
    }
)


class Histogram(msgspec.Struct):
    """How many values fell at or below each bound and above the one before (the last: above all), and their sum."""

    counts: list[int]
    sum: float = 0.0


class Totals(msgspec.Struct):
    """Counters and histograms since a start; gauges as of now."""

    counters: dict[Key, int] = {}
    histograms: dict[Key, Histogram] = {}
    gauges: dict[Key, float] = {}

    def add(self, other: "Totals", *, is_running: bool) -> None:
        """Take in what another process counted. Its gauges say nothing once it has ended."""
        for key, count in other.counters.items():
            self.counters[key] = self.counters.get(key, 0) + count
        for key, theirs in other.histograms.items():
            ours = self.histograms.get(key)
            if ours is None:
                self.histograms[key] = Histogram([*theirs.counts], theirs.sum)
            else:
                ours.counts = [a + b for a, b in zip(ours.counts, theirs.counts, strict=True)]
                ours.sum += theirs.sum
        if is_running:
            for key, value in other.gauges.items():
                self.gauges[key] = self.gauges.get(key, 0) + value


class _Series:
    """The ended calls of one model at one endpoint: found once for each call, then added to."""

    __slots__ = (
        "amount_nanos", "cache_write", "cached_input", "durations", "first_tokens", "input", "list_nanos", "output",
        "reasoning", "statuses",
    )  # fmt: skip

    def __init__(self, durations: Histogram, first_tokens: Histogram) -> None:
        self.statuses: defaultdict[str, int] = defaultdict(int)
        self.durations = durations
        self.first_tokens = first_tokens
        self.input = self.cached_input = self.cache_write = self.output = self.reasoning = 0
        self.amount_nanos = self.list_nanos = 0

    def counters(self, endpoint: str, provider: str, model: str) -> Iterator[tuple[Key, int]]:
        for status, count in self.statuses.items():
            yield ("tollgate_calls_total", endpoint, provider, model, status), count
        yield ("tollgate_charge_usd_total", provider, model), self.amount_nanos
        yield ("tollgate_list_usd_total", provider, model), self.list_nanos
        for bucket in ("input", "cached_input", "cache_write", "output", "reasoning"):
            yield ("tollgate_tokens_total", provider, model, bucket), getattr(self, bucket)


class Metrics:
    """The counters of one process."""

    def __init__(self) -> None:
        self.counters: defaultdict[Key, int] = defaultdict(int)
        self.histograms: dict[Key, Histogram] = {}
        self._series: dict[tuple[str, str, str], _Series] = {}

    def observe(self, name: str, value: float) -> None:
        """One value of a histogram that has no labels."""
        histogram = self._histogram(name)
        histogram.counts[bisect_left(METRICS[name].bounds, value)] += 1
        histogram.sum += value

    def count_call(self, call: Call, outcome: Outcome, charge: Charge | None) -> None:
        """A call that has ended."""
        provider = call.model.provider if call.model is not None else ""
        model = call.price.model if call.price is not None else ""
        key = (call.endpoint, provider, model)
        series = self._series.get(key) or self._begin(key)
        status = outcome.status
        series.statuses[status] += 1
        if status == "refused":
            return
        age_s = call.age_s
        durations = series.durations
        durations.counts[bisect_left(DURATION_BOUNDS_S, age_s)] += 1
        durations.sum += age_s
        if call.first_token_at is not None:
            first_token_s = call.first_token_at - call.started
            first_tokens = series.first_tokens
            first_tokens.counts[bisect_left(FIRST_TOKEN_BOUNDS_S, first_token_s)] += 1
            first_tokens.sum += first_token_s
        usage = outcome.usage
        if charge is None or usage is None:
            return
        series.amount_nanos += charge.amount_nanos
        series.list_nanos += charge.list_nanos
        series.input += usage.input_tokens
        series.cached_input += usage.cached_input_tokens
        series.cache_write += usage.cache_write_tokens + usage.cache_write_1h_tokens
        series.output += usage.output_tokens
        series.reasoning += usage.reasoning_tokens

    def count_error(self, error: GatewayError) -> None:
        """An answer with an error. What a provider calls it could be anything."""
        if isinstance(error, UpstreamRefused):
            code = "upstream"
        elif isinstance(error, UpstreamFailed):
            code = "upstream_error"
        else:
            code = error.code or error.type
        self.counters["tollgate_errors_total", code] += 1

    def totals(self, gauges: dict[Key, float]) -> Totals:
        """What stands now. The histograms are still ours."""
        counters = defaultdict(int, self.counters)
        for (endpoint, provider, model), series in self._series.items():
            for key, count in series.counters(endpoint, provider, model):
                if count:
                    counters[key] += count
        histograms = {key: one for key, one in self.histograms.items() if any(one.counts)}
        return Totals(dict(counters), histograms, gauges)

    def _begin(self, key: tuple[str, str, str]) -> _Series:
        durations = self._histogram("tollgate_call_duration_seconds", *key[:2])
        first_tokens = self._histogram("tollgate_first_token_seconds", *key[:2])
        series = self._series[key] = _Series(durations, first_tokens)
        return series

    def _histogram(self, *key: str) -> Histogram:
        histogram = self.histograms.get(key)
        if histogram is None:
            counts = [0] * (len(METRICS[key[0]].bounds) + 1)
            histogram = self.histograms[key] = Histogram(counts)
        return histogram
