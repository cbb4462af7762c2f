"""The top lists of a page about usage: who and what used most."""

from collections.abc import Mapping
from typing import NamedTuple

from django.utils.translation import gettext_lazy

from billing.presentation import exact_usd, fraction_digits
from gateway.pages.usage_figures import permille
from gateway.pages.usage_names import RESTS, TITLES, Days, Subject, links_of, names_of
from gateway.pages.usage_range import Range
from gateway.usage_analytics import By, Totals, read_top

ROWS_MAX = 10
HEADINGS = {
    "model": gettext_lazy("By model"),
    "key": gettext_lazy("By key"),
    "member": gettext_lazy("By member"),
    "source": gettext_lazy("By source"),
    "group": gettext_lazy("By group"),
}
CSV_HEADER = (
    "id", "name", "calls", "failed_calls", "input_tokens", "cached_input_tokens", "output_tokens", "images",
    "spent_usd", "list_usd", "latency_p50_ms", "latency_p95_ms", "first_token_p50_ms",
)  # fmt: skip


class TopRow(NamedTuple):
    """One of a list. `link` may be empty; `bar` is its length as a percentage, of the dearest's spend."""

    name: str
    link: str
    totals: Totals
    error_share: str
    bar: str


class TopList(NamedTuple):
    """The dearest; the last row may be the sum of all that follow, `rest` is how many these are."""

    by: By
    heading: str
    title: str
    rows: list[TopRow]
    rest: int
    fraction: int


def make_list(subject: Subject, chosen: Range, by: By) -> TopList:
    """Reads the list; beyond ROWS_MAX, the others are one row."""
    found = read_top(subject.scope, chosen.span, by, with_times=False)
    shown = found if len(found) <= ROWS_MAX + 1 else found[:ROWS_MAX]
    rest = found[len(shown) :]
    keys = [key for key, _totals in shown]
    names = names_of(by, keys)
    links = links_of(subject, by, keys, chosen.query, days_of(chosen))
    peak = max((totals.amount_nanos for _key, totals in shown), default=0)
    rows = [_row(names[key], links.get(key, ""), totals, peak) for key, totals in shown]
    if rest:
        together = sum((totals for _key, totals in rest), Totals())
        rows.append(_row(str(RESTS[by]), "", together, peak))
    return TopList(
        by=by,
        heading=str(HEADINGS[by]),
        title=str(TITLES[by]),
        rows=rows,
        rest=len(rest),
        fraction=fraction_digits(row.totals.amount_nanos for row in rows),
    )


def csv_rows(subject: Subject, chosen: Range, by: By) -> list[list[object]]:
    """The whole list under CSV_HEADER."""
    found = read_top(subject.scope, chosen.span, by)
    names = names_of(by, [key for key, _totals in found])
    return [_csv_row(str(key or ""), names[key], totals) for key, totals in found]


def days_of(chosen: Range) -> Days:
    """The range on the viewer's clock."""
    span = chosen.span
    return Days(span.since.astimezone(span.zone), span.until.astimezone(span.zone))


def _row(name: str, link: str, totals: Totals, peak: int) -> TopRow:
    hundredths = min(totals.amount_nanos * 10_000 // peak, 10_000) if peak else 0
    bar = f"{hundredths // 100}.{hundredths % 100:02d}%"
    return TopRow(name, link, totals, permille(totals.error_permille) if totals.errors else "", bar)


def _csv_row(identity: str, name: str, totals: Totals) -> list[object]:
    fields: Mapping[str, object] = {
        "id": identity,
        "name": name,
        "calls": totals.calls,
        "failed_calls": totals.errors,
        "input_tokens": totals.tokens_in - totals.cached_input_tokens,
        "cached_input_tokens": totals.cached_input_tokens,
        "output_tokens": totals.tokens_out,
        "images": totals.images,
        "spent_usd": exact_usd(totals.amount_nanos),
        "list_usd": exact_usd(totals.list_nanos),
        "latency_p50_ms": totals.latency_ms(50),
        "latency_p95_ms": totals.latency_ms(95),
        "first_token_p50_ms": totals.time_to_first_token_ms(50),
    }
    return [fields[name] for name in CSV_HEADER]
