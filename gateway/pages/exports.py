"""The calls of a group as a file: CSV, NDJSON (a JSON object on each line) or one JSON array.

The file is made while it goes out, a slice of the list at a time. Between two slices it holds no transaction, no cursor
and no connection, so that a reader who takes an hour keeps nothing from anybody; one who leaves ends it with the slice
that is being read.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection
from django.http import StreamingHttpResponse
from django.utils.text import slugify

from accounts.models import APIKey, Group
from accounts.spreadsheets import Download, csv_lines
from billing.models import Price
from billing.money import format_usd
from gateway.call_objects import USAGE_FIELDS
from gateway.images.shape import public_task_id
from gateway.models import CallRecord
from gateway.pages import walks
from gateway.pages.history import CallFilter

HEADER = (
    "id",
    "task_id",
    "created_at",
    "source",
    "endpoint",
    "model",
    "status",
    "stream",
    "service_tier",
    "key_id",
    "key",
    "member",
    "duration_ms",
    "first_token_ms",
    *USAGE_FIELDS,
    "usage_basis",
    "price_key",
    "price_id",
    "sell_bps",
    "list_price_usd",
    "charge_usd",
    "written_off_usd",
    "hold_usd",
    "error_code",
    "error_message",
)
AMOUNTS = ("list_price_usd", "charge_usd", "written_off_usd", "hold_usd")


class KeyWords(NamedTuple):
    """A key as a file names it: its name and the e-mail address of the member who made it."""

    name: str
    member: str


class Words:
    """What the rows of a file name by id, looked up once: the group's keys, and the shares of the prices it meets."""

    def __init__(self, group: Group) -> None:
        keys = APIKey.objects.filter(group=group).values_list("pk", "name", "created_by__email")
        self._keys = {pk: KeyWords(name, email) for pk, name, email in keys}
        self._shares: dict[int, int | None] = {}

    def key(self, key_id: UUID) -> KeyWords:
        return self._keys.get(key_id, KeyWords("", ""))

    def learn_prices(self, calls: Iterable[CallRecord]) -> None:
        """Reads the prices of these calls that are not known yet."""
        missing = {call.price_id for call in calls if call.price_id} - self._shares.keys()
        for price in Price.objects.filter(pk__in=missing).prefetch_related("rates"):
            shares = {
                price.sell_bps if rate.sell_bps is None else rate.sell_bps
                for rate in price.rates.all()
            }
            self._shares[price.pk] = shares.pop() if len(shares) == 1 else None

    def share(self, price_id: int | None) -> int | None:
        """Basis points of list that the price asks; None where its buckets differ: the call's page has each."""
        return self._shares.get(price_id) if price_id is not None else None


def row_of(call: CallRecord, words: Words) -> list[Any]:
    """A line of the file, in the order of HEADER. Amounts are exact decimal texts in US dollars."""
    key = words.key(call.api_key_id)
    return [
        call.public_id,
        public_task_id(call.id) if call.source == CallRecord.Source.TASK else None,
        call.created_at.astimezone(UTC).isoformat(),
        call.source,
        call.endpoint,
        call.model,
        call.status,
        call.stream,
        call.service_tier,
        str(call.api_key_id),
        key.name,
        key.member,
        call.duration_ms,
        call.first_token_ms,
        *(getattr(call, name) for name in USAGE_FIELDS),
        call.basis,
        call.price_key,
        call.price_id,
        words.share(call.price_id),
        format_usd(call.list_nanos),
        format_usd(call.amount_nanos),
        format_usd(call.written_off_nanos),
        format_usd(call.hold_nanos),
        call.error_code,
        call.error_message,
    ]


def read_rows(group: Group, wanted: CallFilter) -> Iterator[list[list[Any]]]:
    """The rows of the file in slices, which may be empty while the search goes on."""
    words = Words(group)
    for calls in walks.read_slices(group, wanted):
        words.learn_prices(calls)
        rows = [row_of(call, words) for call in calls]
        _give_back_connection()
        yield rows


def _give_back_connection() -> None:
    """Between two slices others may have the connection; a transaction around the view (a test's) keeps its own."""
    if not connection.in_atomic_block:
        connection.close()


def write_csv(slices: Iterable[list[list[Any]]]) -> Iterator[bytes]:
    """Lines of CSV, one piece for each slice. Cells that a spreadsheet would run are made text."""
    yield "".join(csv_lines(HEADER, ())).encode()
    places = [HEADER.index(name) for name in AMOUNTS]
    for rows in slices:
        for row in rows:
            for place in places:
                row[place] = Decimal(row[place])
        # The first row stands where `csv_lines` expects the header: cells of both are treated alike.
        yield "".join(csv_lines(rows[0], rows[1:])).encode() if rows else b""


def write_ndjson(slices: Iterable[list[list[Any]]]) -> Iterator[bytes]:
    """A JSON object on each line, one piece for each slice."""
    for rows in slices:
        yield "".join(f"{_encode(row)}\n" for row in rows).encode()


def write_json(slices: Iterable[list[list[Any]]]) -> Iterator[bytes]:
    """One JSON array of objects, one piece for each slice."""
    yield b"["
    before = "\n"
    for rows in slices:
        piece = ""
        for row in rows:
            piece += before + _encode(row)
            before = ",\n"
        yield piece.encode()
    yield b"\n]\n"


def _encode(row: list[Any]) -> str:
    return json.dumps(dict(zip(HEADER, row, strict=True)), ensure_ascii=False)


class Format(NamedTuple):
    """A kind of file: how it is written, and what it is called."""

    write: Callable[[Iterable[list[list[Any]]]], Iterator[bytes]]
    ending: str
    content_type: str


FORMATS: Mapping[str, Format] = {
    "csv": Format(write_csv, "csv", "text/csv; charset=utf-8"),
    "ndjson": Format(write_ndjson, "ndjson", "application/x-ndjson"),
    "json": Format(write_json, "json", "application/json"),
}


def download_calls(
    group: Group, wanted: CallFilter, format_name: str, now: datetime
) -> StreamingHttpResponse:
    """The calls that the filter lets through, newest first, as a file of that format."""
    form = FORMATS[format_name]
    name = slugify(group.name, allow_unicode=True) or "group"
    filename = f"calls-{name}-{now:%Y%m%d-%H%M}.{form.ending}"
    return Download(form.write(read_rows(group, wanted)), filename, form.content_type)
