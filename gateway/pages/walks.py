"""How pages of calls are found among millions.

A *leg* is an index that has the calls of one group (or key, model, status ...) newest first. A page is found by walking
along one leg, slice by slice, keeping the calls that fit the rest of the filter, until the page is full, the leg ends,
or the time for it is over. So a page takes no longer with ten million calls than with a thousand; where calls that fit
are rare, the answer says honestly how far back it looked, and the walk goes on from there when it is asked to.

Where several legs would do, a slice of each is tried, and the one that reaches furthest back is the one to walk on: its
condition is the rarest. This needs no statistics and no guess of the planner's. The legs are indexes of migration 0010,
of the group and of the key. Conditions of partial indexes stand in the statements as they stand in the index.
"""

import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection, transaction
from psycopg import sql

from accounts.ids import CLOCK_SKEW, first_id_at
from accounts.models import Group
from billing.presentation import Page, cut_page
from gateway.models import CallRecord
from gateway.pages.history import CallFilter

# A page is answered within this time; whoever asks to look further gives it more.
PAGE_S, FURTHER_S = 0.025, 1.5
FIRST_SLICE, LARGEST_SLICE = 400, 8000
# So many calls an export takes in one statement; between two of them it holds neither transaction nor connection.
EXPORT_ROWS = 2000
EXPORT_STEP_S = 0.25
LEAST_ID, GREATEST_ID = UUID(int=0), UUID(int=2**128 - 1)

# The planner takes every row for a random read from disk, unless ids and places on disk go together, as they do in the
# primary key: so it would rather read the calls of all tenants in turn than those of one group along its index.
ALONG_LEGS = "SET LOCAL random_page_cost = 0"
STATEMENT = sql.SQL(
    """
WITH walked AS MATERIALIZED (
    SELECT found.* FROM unnest(%(values)s::{type}[]) AS leg (value) CROSS JOIN LATERAL (
        SELECT id, group_id, api_key_id, created_at, source, endpoint, model, status, stream, duration_ms,
               amount_nanos, error_code
        FROM gateway_callrecord
        WHERE {leg} AND id > %(low)s AND id < %(high)s ORDER BY id {order} LIMIT %(slice)s
    ) AS found ORDER BY found.id {order} LIMIT %(slice)s
)
SELECT (SELECT count(*) FROM walked),
       (SELECT id FROM walked ORDER BY id {back} LIMIT 1),
       ARRAY(SELECT id FROM walked WHERE {rest} ORDER BY id {order} LIMIT %(wanted)s)
"""
)


class Leg(NamedTuple):
    """An index to walk: the condition that it is for, merged over `values`, an array of the SQL type `kind`."""

    condition: str
    kind: str
    values: Sequence[object]


class Slice(NamedTuple):
    """What one statement saw of a leg: the ids that fit, the last id it looked at, whether the leg ended there."""

    ids: list[UUID]
    reached: UUID | None
    ended: bool


class Walk(NamedTuple):
    """Ids of calls that fit, in the order of the walk. `reached` is where the time was over; None: it saw all it had
    to see."""

    ids: list[UUID]
    reached: UUID | None


class CallPage(NamedTuple):
    """A page of calls as of `Page`. `looked_back_to` is set where the time was over before the page was full: older
    calls may fit, and `older` goes on from there."""

    rows: list[CallRecord]
    older: UUID | None
    newer: UUID | None
    looked_back_to: UUID | None = None


class Cut(NamedTuple):
    """Which page: the newest, or the one older than `before` or newer than `after`, of `size` calls, in `time_s`."""

    size: int
    before: UUID | None = None
    after: UUID | None = None
    time_s: float = PAGE_S


def read_page(group: Group, wanted: CallFilter, cut: Cut) -> CallPage:
    """A page of the group's calls that the filter lets through, newest first.

    Going newer, what is left above a full page is not a page of its own: the newest page is answered instead.
    """
    if cut.after is not None:
        newer = walk(group, wanted, cut._replace(size=cut.size + 1), newer=True)
        if newer.reached is None and len(newer.ids) <= cut.size:
            return read_page(group, wanted, cut._replace(after=None))
        rows = read_calls(newer.ids)
        return _as_page(cut_page(rows, cut.size, newer.ids, cut.after, None), None)
    older = walk(group, wanted, cut._replace(size=cut.size + 1))
    page = cut_page(read_calls(older.ids), cut.size, older.ids, None, cut.before)
    return _as_page(page, older.reached)


def _as_page(page: Page[CallRecord], reached: UUID | None) -> CallPage:
    if reached is None or page.older is not None:
        return CallPage(page.rows, page.older, page.newer)
    return CallPage(page.rows, reached, page.newer, reached)


def read_calls(ids: Sequence[UUID]) -> list[CallRecord]:
    """The calls of these ids, in their order."""
    found = CallRecord.objects.in_bulk(ids)
    return [found[call_id] for call_id in ids if call_id in found]


def read_slices(group: Group, wanted: CallFilter) -> Iterator[list[CallRecord]]:
    """All calls that the filter lets through, newest first, in lists of at most EXPORT_ROWS. A list may be empty:
    it says that the search goes on, so that whoever reads can stop it."""
    before: UUID | None = None
    while True:
        found = walk(group, wanted, Cut(EXPORT_ROWS, before=before, time_s=EXPORT_STEP_S))
        yield read_calls(found.ids)
        if found.reached is not None:
            before = found.reached
        elif len(found.ids) == EXPORT_ROWS:
            before = found.ids[-1]
        else:
            return


@transaction.atomic
def walk(group: Group, wanted: CallFilter, cut: Cut, *, newer: bool = False) -> Walk:
    """Up to `cut.size` calls beyond the cursor: older than `before`, or, with `newer`, newer than `after`."""
    with connection.cursor() as cursor:
        cursor.execute(ALONG_LEGS)
    until = time.perf_counter() + cut.time_s
    low, high = id_bounds(wanted)
    if newer:
        low = max(low, cut.after or LEAST_ID)
    else:
        high = min(high, cut.before or GREATEST_ID)
    legs = choose_legs(group, wanted)
    step = _Step(group, wanted, cut.size, newer)
    rows = max(FIRST_SLICE, cut.size)
    leg, seen = _choose(step, legs, low, high, rows)
    ids = list(seen.ids)
    while len(ids) < cut.size and not seen.ended:
        assert seen.reached is not None
        if time.perf_counter() >= until:
            return Walk(ids, seen.reached)
        low, high = (seen.reached, high) if newer else (low, seen.reached)
        rows = min(rows * 2, LARGEST_SLICE)
        seen = step.take(leg, low, high, rows)
        ids += seen.ids
    return Walk(ids[: cut.size], None)


def _choose(
    step: "_Step", legs: Sequence[Leg], low: UUID, high: UUID, rows: int
) -> tuple[Leg, Slice]:
    """The leg whose first slice ends or reaches furthest, with that slice."""
    tried = [(leg, step.take(leg, low, high, rows)) for leg in legs]

    def distance(pair: tuple[Leg, Slice]) -> tuple[bool, int]:
        _leg, seen = pair
        reached = seen.reached.int if seen.reached else 0
        return seen.ended, reached if step.newer else -reached

    return max(tried, key=distance)


class _Step(NamedTuple):
    """What is the same for all slices of one walk."""

    group: Group
    wanted: CallFilter
    size: int
    newer: bool

    def take(self, leg: Leg, low: UUID, high: UUID, rows: int) -> Slice:
        """The next slice of a leg: at most `rows` calls with ids between the two."""
        conditions, parameters = conditions_of(self.wanted)
        # A leg of many keys merges a slice of each of them.
        rows = max(rows // max(len(leg.values), 1), self.size)
        order = ("ASC", "DESC") if self.newer else ("DESC", "ASC")
        statement = STATEMENT.format(
            type=sql.SQL(leg.kind),
            leg=sql.SQL(leg.condition),
            order=sql.SQL(order[0]),
            back=sql.SQL(order[1]),
            rest=sql.SQL(" AND ").join(map(sql.SQL, ("group_id = %(group)s", *conditions))),
        )
        parameters |= {
            "group": self.group.pk,
            "values": list(leg.values),
            "low": low,
            "high": high,
            "slice": rows,
            "wanted": self.size,
        }
        with connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            examined, reached, ids = cursor.fetchone()
        return Slice(ids, reached, examined < rows)


def id_bounds(wanted: CallFilter) -> tuple[UUID, UUID]:
    """Ids between which (both excluded) every call of the filter is: from its span of time and its beginning of an
    id."""
    low, high = LEAST_ID, GREATEST_ID
    if wanted.since is not None:
        low = UUID(int=first_id_at(wanted.since - CLOCK_SKEW).int - 1)
    if wanted.until is not None:
        high = first_id_at(wanted.until + CLOCK_SKEW)
    if wanted.id_digits:
        shift = 4 * (32 - len(wanted.id_digits))
        first = int(wanted.id_digits, 16) << shift
        low = max(low, UUID(int=max(first - 1, 0)))
        high = min(high, UUID(int=min(first + (1 << shift), 2**128 - 1)))
    return low, high


def choose_legs(group: Group, wanted: CallFilter) -> list[Leg]:
    """The indexes that serve the filter. Without any of its own it is the index of the group."""
    legs = []
    if wanted.error_code:
        condition = "group_id = %(group)s AND error_code = leg.value AND error_code > ''"
        legs.append(Leg(condition, "text", [wanted.error_code]))
    if wanted.statuses and CallRecord.Status.COMPLETED not in wanted.statuses:
        condition = "group_id = %(group)s AND status = leg.value AND status <> 'completed'"
        legs.append(Leg(condition, "text", list(wanted.statuses)))
    if wanted.source == CallRecord.Source.TASK:
        legs.append(Leg("group_id = leg.value AND source = 'task'", "uuid", [group.pk]))
    if wanted.model:
        legs.append(Leg("group_id = %(group)s AND model = leg.value", "text", [wanted.model]))
    if wanted.key_ids is not None:
        legs.append(Leg("api_key_id = leg.value", "uuid", wanted.key_ids))
    return legs or [Leg("group_id = leg.value", "uuid", [group.pk])]


def conditions_of(wanted: CallFilter) -> tuple[list[str], dict[str, Any]]:
    """The filter as conditions on a row, and their parameters."""
    keys = None if wanted.key_ids is None else list(wanted.key_ids)
    checks: list[tuple[str, str, Any]] = [
        ("created_at >= %(since)s", "since", wanted.since),
        ("created_at < %(until)s", "until", wanted.until),
        ("source = %(source)s", "source", wanted.source or None),
        ("endpoint = %(endpoint)s", "endpoint", wanted.endpoint or None),
        ("model = %(model)s", "model", wanted.model or None),
        ("status = ANY(%(statuses)s)", "statuses", list(wanted.statuses) or None),
        ("stream = %(stream)s", "stream", wanted.stream),
        ("error_code = %(error_code)s", "error_code", wanted.error_code or None),
        ("amount_nanos >= %(charge)s", "charge", wanted.charge_min_nanos),
        ("duration_ms >= %(duration)s", "duration", wanted.duration_min_ms),
        ("api_key_id = ANY(%(keys)s::uuid[])", "keys", keys),
    ]
    used = [check for check in checks if check[2] is not None]
    return [condition for condition, _, _ in used], {name: value for _, name, value in used}
