"""What was used: totals, series over time and top lists, for a key, a group, an organization or everything.

Every answer is exact at the moment it is given. It is the sum of what is rolled up and of the calls that are not yet,
read by one statement, and so in one snapshot. A call counts where it began.

    span = Span.of_days(date(2026, 11, 1), date(2026, 11, 21), zone)
    read_totals(Scope.of_group(group), span).amount_nanos
    read_series(Scope.of_organization(organization), span, by="group", measure="spend")
    read_top(Scope.everything(), span, by="organization")
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from itertools import pairwise
from typing import Any, Literal, NamedTuple, Self
from uuid import UUID

from django.db import connection, transaction

from accounts.models import APIKey, Group, Organization
from gateway.latencies import percentile_ms
from gateway.rollups import DIMENSIONS, JOINS, SUMS, TIERS

By = Literal["model", "key", "member", "source", "group", "organization", "channel", "none"]
Step = Literal["hour", "day", "month"]
Measure = Literal["spend", "calls", "tokens", "errors", "served", "failed"]
Key = str | UUID | int | None
"""Of a model its name, of a key, group or organization its UUID, of a member the user's id, of a channel its id (None
where there is none), of a source `api` or `task`; of `none` the empty text."""

COLUMN_OF: dict[By, str] = {
    "model": "model",
    "key": "api_key_id",
    "member": "member_id",
    "source": "source",
    "group": "group_id",
    "organization": "organization_id",
    "channel": "channel_id",
}
ERRORS = ("upstream_failed", "timed_out", "lost", "refused")
CALLS = ("completed", "client_gone", *ERRORS)
TOKENS_IN = (
    "input_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "audio_input_tokens",
)
TOKENS = (*TOKENS_IN, "output_tokens", "audio_output_tokens")
MEASURES: dict[Measure, tuple[str, ...]] = {
    "spend": ("amount_nanos",),
    "calls": CALLS,
    "tokens": TOKENS,
    "errors": ERRORS,
    # How a provider or we did: refusals are the caller's own.
    "served": ("completed", "client_gone"),
    "failed": ("upstream_failed", "timed_out", "lost"),
}
HISTOGRAMS = ("latencies", "first_token_latencies")
QUARTER = timedelta(minutes=15)
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
STEPS_MAX = 10_000


@dataclass(frozen=True)
class Scope:
    """Whose calls: made by one of the constructors. `source` restricts them to `api` or `task`."""

    organization_id: UUID | None = None
    group_id: UUID | None = None
    key_id: UUID | None = None
    source: str = ""

    @classmethod
    def everything(cls) -> Self:
        """Calls of all organizations; for operators."""
        return cls()

    @classmethod
    def of_organization(cls, organization: Organization) -> Self:
        return cls(organization_id=organization.pk)

    @classmethod
    def of_group(cls, group: Group) -> Self:
        return cls(group_id=group.pk)

    @classmethod
    def of_key(cls, key: APIKey) -> Self:
        return cls(group_id=key.group_id, key_id=key.pk)

    def only(self, source: str) -> Self:
        """The same without the calls of the other source."""
        return replace(self, source=source)


@dataclass(frozen=True)
class Span:
    """From `since` up to, not including, `until`, both aware; `zone` is where days and months begin.

    Both are cut to quarters of an hour, outward: a span that ends now takes in the whole of this quarter.
    """

    since: datetime
    until: datetime
    zone: tzinfo

    @classmethod
    def of_days(cls, first: date, last: date, zone: tzinfo) -> Self:
        """Whole days of the zone, `last` included."""
        return cls(_midnight(first, zone), _midnight(last + timedelta(days=1), zone), zone)

    @property
    def last_day(self) -> date:
        """The last day of the zone that it touches."""
        return (self.until - timedelta(microseconds=1)).astimezone(self.zone).date()

    @property
    def days(self) -> int:
        """Days of the zone that it touches."""
        return (self.last_day - self.since.astimezone(self.zone).date()).days + 1

    def before(self, now: datetime) -> "Span":
        """The span of as many days just before it. Of one that is still running only as much as has passed of this one,
        so that the two can be compared."""
        back = timedelta(days=self.days)
        since = self.since.astimezone(self.zone) - back
        until = min(self.until, max(now, self.since + QUARTER)).astimezone(self.zone) - back
        return Span(since.astimezone(UTC), until.astimezone(UTC), self.zone)


@dataclass(frozen=True)
class Totals:
    """Sums over calls. Buckets of tokens are disjoint, except that reasoning stands inside output; `duration_ms` and
    the histograms (gateway/latencies.py) are those of completed calls."""

    completed: int = 0
    client_gone: int = 0
    upstream_failed: int = 0
    timed_out: int = 0
    lost: int = 0
    refused: int = 0
    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    audio_input_tokens: int = 0
    audio_output_tokens: int = 0
    images: int = 0
    list_nanos: int = 0
    amount_nanos: int = 0
    written_off_nanos: int = 0
    duration_ms: int = 0
    first_token_ms: int = 0
    first_tokens: int = 0
    latencies: int = 0
    first_token_latencies: int = 0

    def __add__(self, other: "Totals") -> "Totals":
        return Totals(*(getattr(self, name) + getattr(other, name) for name in COLUMNS))

    def sum_of(self, measure: Measure) -> int:
        """The value of a measure."""
        return sum(getattr(self, name) for name in MEASURES[measure])

    @property
    def calls(self) -> int:
        return self.sum_of("calls")

    @property
    def errors(self) -> int:
        """Calls that failed on our side or upstream, or were refused: none of them is charged."""
        return self.sum_of("errors")

    @property
    def tokens_in(self) -> int:
        """Everything on the input side, read from a cache or written to one included."""
        return sum(getattr(self, name) for name in TOKENS_IN)

    @property
    def tokens_out(self) -> int:
        return self.output_tokens + self.audio_output_tokens

    @property
    def tokens(self) -> int:
        return self.sum_of("tokens")

    @property
    def saved_nanos(self) -> int:
        """What the list price is above the charge."""
        return max(self.list_nanos - self.amount_nanos - self.written_off_nanos, 0)

    @property
    def error_permille(self) -> int | None:
        """Errors of 1,000 calls, rounded; None without calls."""
        return permille(self.errors, self.calls)

    @property
    def cached_permille(self) -> int | None:
        """Of 1,000 input tokens those read from a cache, rounded; None without input."""
        return permille(self.cached_input_tokens, self.tokens_in)

    def latency_ms(self, percent: int) -> int | None:
        """A percentile of how long completed calls took, to about a tenth; None where there are none."""
        return percentile_ms(self.latencies, percent)

    def time_to_first_token_ms(self, percent: int) -> int | None:
        """The same of how long streams took to their first token."""
        return percentile_ms(self.first_token_latencies, percent)


COLUMNS = tuple(field.name for field in fields(Totals))
UNTIMED = tuple(name for name in COLUMNS if name not in HISTOGRAMS)


class Series(NamedTuple):
    """A measure over time. `starts` are the beginnings of the steps in the span's zone; `rows` has for each key a value
    per step, greatest sum first, and nothing for keys whose values are all 0."""

    starts: tuple[datetime, ...]
    rows: list[tuple[Key, list[int]]]


class Part(NamedTuple):
    """A stretch of a step that whole sums of one tier cover; `since` and `until` are multiples of its `minutes`."""

    step: int
    minutes: int
    since: datetime
    until: datetime


@contextmanager
def one_snapshot() -> Iterator[None]:
    """All that is read inside is of one moment; in a transaction that is open already, of whatever that sees."""
    if connection.in_atomic_block:
        yield
        return
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def read_totals(scope: Scope, span: Span) -> Totals:
    """The sums over the span."""
    rows = _read(scope, _whole(span), "none", COLUMNS)
    return _totals(rows[0][2:]) if rows else Totals()


def read_top(
    scope: Scope, span: Span, by: By, *, with_times: bool = True
) -> list[tuple[Key, Totals]]:
    """The sums for each key of the dimension, dearest first, then by calls. Without times the histograms stay empty,
    which takes half the work."""
    columns = COLUMNS if with_times else UNTIMED
    found = [
        (_key(by, key), Totals(**dict(zip(columns, map(int, sums), strict=True))))
        for _step, key, *sums in _read(scope, _whole(span), by, columns)
    ]
    return sorted(
        found, key=lambda pair: (-pair[1].amount_nanos, -pair[1].calls, str(pair[0]).lower())
    )


def read_series(
    scope: Scope, span: Span, *, step: Step = "day", by: By = "none", measure: Measure = "spend"
) -> Series:
    """A measure over time, for each key of the dimension. Raises ValueError beyond STEPS_MAX steps."""
    edges = _edges(span, step)
    values: dict[Key, list[int]] = {}
    for index, key, *sums in _read(scope, edges, by, MEASURES[measure]):
        if any(sums):
            values.setdefault(_key(by, key), [0] * (len(edges) - 1))[index] = sum(sums)
    rows = sorted(values.items(), key=lambda item: (-sum(item[1]), str(item[0]).lower()))
    return Series(_starts(edges, span.zone), rows)


def read_steps(
    scope: Scope, span: Span, *, step: Step = "day"
) -> tuple[tuple[datetime, ...], list[Totals]]:
    """The beginnings of the steps, in the span's zone, and the sums over each. Raises as `read_series`."""
    edges = _edges(span, step)
    steps = [Totals()] * (len(edges) - 1)
    for row in _read(scope, edges, "none", COLUMNS):
        steps[row[0]] = _totals(row[2:])
    return _starts(edges, span.zone), steps


def read_latencies(
    scope: Scope, span: Span, *, step: Step = "day"
) -> tuple[tuple[datetime, ...], list[Totals]]:
    """As `read_steps`, with nothing in the totals but the histograms."""
    edges = _edges(span, step)
    steps = [Totals()] * (len(edges) - 1)
    for index, _key, *histograms in _read(scope, edges, "none", HISTOGRAMS):
        steps[index] = Totals(**dict(zip(HISTOGRAMS, map(int, histograms), strict=True)))
    return _starts(edges, span.zone), steps


def _read(
    scope: Scope, edges: Sequence[datetime], by: By, columns: Sequence[str]
) -> list[tuple[Any, ...]]:
    """Rows of step, key and the sums of the columns. Steps lie between the edges."""
    column = COLUMN_OF.get(by, "''")
    owners = {
        "organization_id": scope.organization_id,
        "group_id": scope.group_id,
        "api_key_id": scope.key_id,
        "source": scope.source or None,
    }
    asked = {name: value for name, value in owners.items() if value is not None}
    rolled = "".join(f" AND u.{name} = %({name})s" for name in asked)
    tail = "".join(
        f" AND {'r' if name in ('api_key_id', 'source') else 'q'}.{name} = %({name})s"
        for name in asked
    )
    parts = [part for index, (since, until) in enumerate(pairwise(edges))
             for part in _cover(index, since, until)]  # fmt: skip
    statement = f"""
        SELECT step, key, {", ".join(map(_sum, columns))} FROM (
            SELECT p.step, u.*
            FROM unnest(%(steps)s::int[], %(minutes)s::smallint[], %(sinces)s::timestamptz[], %(untils)s::timestamptz[])
                AS p(step, minutes, since, until)
            CROSS JOIN LATERAL (
                SELECT {column} AS key, {", ".join(columns)} FROM gateway_usagesum u
                WHERE u.minutes = p.minutes AND u.began_at >= p.since AND u.began_at < p.until{rolled}
                OFFSET 0 -- or it is joined as a whole, which reads all sums of the group
            ) AS u
            UNION ALL
            SELECT width_bucket(r.created_at, %(edges)s::timestamptz[]) - 1,
                {DIMENSIONS.get(column, column)}, {", ".join(SUMS[name] for name in columns)}
            FROM gateway_uncounted q JOIN gateway_callrecord r ON r.id = q.call_id {JOINS}
            WHERE r.created_at >= %(first)s AND r.created_at < %(last)s{tail}
        ) AS calls GROUP BY 1, 2
    """  # noqa: S608 - made of constants
    parameters: dict[str, Any] = asked | {
        "steps": [part.step for part in parts],
        "minutes": [part.minutes for part in parts],
        "sinces": [part.since for part in parts],
        "untils": [part.until for part in parts],
        "edges": list(edges),
        "first": edges[0],
        "last": edges[-1],
    }
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


def _cover(
    step: int, since: datetime, until: datetime, tiers: Sequence[int] = TIERS[::-1]
) -> list[Part]:
    """The fewest sums that make up the stretch: days, and finer ones where no whole day fits."""
    if since >= until:
        return []
    width = timedelta(minutes=tiers[0])
    first = since + (EPOCH - since) % width
    last = until - (until - EPOCH) % width
    if first >= last:
        return _cover(step, since, until, tiers[1:])
    middle = Part(step, tiers[0], first, last)
    finer = tiers[1:]
    return [*_cover(step, since, first, finer), middle, *_cover(step, last, until, finer)]


def _whole(span: Span) -> list[datetime]:
    """The span as one step."""
    since = span.since.astimezone(UTC)
    until = span.until.astimezone(UTC)
    first, last = since - (since - EPOCH) % QUARTER, until + (EPOCH - until) % QUARTER
    if first >= last:
        raise ValueError(f"a span ends after it begins: {span}")
    return [first, last]


def _edges(span: Span, step: Step) -> list[datetime]:
    """Where the steps begin, and where the last one ends."""
    first, last = _whole(span)
    edges = [first]
    while edges[-1] < last:
        edges.append(min(_next(edges[-1], step, span.zone), last))
        if len(edges) > STEPS_MAX + 1:
            raise ValueError(f"more than {STEPS_MAX} steps: {span} by {step}")
    return edges


def _next(moment: datetime, step: Step, zone: tzinfo) -> datetime:
    """Where the step after this moment begins. Hours are those of the zone's clock."""
    local = moment.astimezone(zone)
    if step == "hour":
        return moment + timedelta(hours=1) - timedelta(minutes=local.minute)
    day = local.date()
    after = day + timedelta(days=1)
    if step == "month":
        after = (day.replace(day=28) + timedelta(days=4)).replace(day=1)
    return _midnight(after, zone).astimezone(UTC)


def _midnight(day: date, zone: tzinfo) -> datetime:
    """The first moment of the day; where the clock jumps over midnight, the jump."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def _starts(edges: Sequence[datetime], zone: tzinfo) -> tuple[datetime, ...]:
    return tuple(edge.astimezone(zone) for edge in edges[:-1])


def _sum(column: str) -> str:
    """Sums of bigint are numeric; only a histogram is wider than a bigint."""
    return f"sum({column})" if column.endswith("latencies") else f"sum({column})::bigint"


def _totals(values: Sequence[Any]) -> Totals:
    return Totals(*map(int, values))


def _key(by: By, value: Any) -> Key:
    if by in ("member", "channel"):
        return value or None
    key: Key = value
    return key


def permille(part: int, whole: int) -> int | None:
    """The share in thousandths; None of nothing."""
    return (part * 2000 + whole) // (2 * whole) if whole else None
