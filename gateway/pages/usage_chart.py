"""The chart of a page about usage, and the same figures as a table."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.contrib.humanize.templatetags.humanize import intcomma
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts import dates
from billing.presentation import dollars, exact_usd, fraction_digits
from gateway.pages.charts import Chart, Label, Row, Unit, draw_bars, draw_lines
from gateway.pages.usage_names import RESTS, Days, Subject, calls_url, names_of
from gateway.templatetags.calls import duration
from gateway.usage_analytics import By, Measure, Span, Step, Totals, read_latencies, read_series

MEASURES = {
    "spend": gettext_lazy("Spend"),
    "calls": gettext_lazy("Calls"),
    "tokens": gettext_lazy("Tokens"),
    "errors": gettext_lazy("Errors"),
    "latency": gettext_lazy("Latency"),
}
HEADINGS = {
    ("spend", "hour"): gettext_lazy("Spent per hour"),
    ("spend", "day"): gettext_lazy("Spent per day"),
    ("spend", "month"): gettext_lazy("Spent per month"),
    ("calls", "hour"): gettext_lazy("Calls per hour"),
    ("calls", "day"): gettext_lazy("Calls per day"),
    ("calls", "month"): gettext_lazy("Calls per month"),
    ("tokens", "hour"): gettext_lazy("Tokens per hour"),
    ("tokens", "day"): gettext_lazy("Tokens per day"),
    ("tokens", "month"): gettext_lazy("Tokens per month"),
    ("errors", "hour"): gettext_lazy("Failed calls per hour"),
    ("errors", "day"): gettext_lazy("Failed calls per day"),
    ("errors", "month"): gettext_lazy("Failed calls per month"),
    ("latency", "hour"): gettext_lazy("Latency of API calls per hour"),
    ("latency", "day"): gettext_lazy("Latency of API calls per day"),
    ("latency", "month"): gettext_lazy("Latency of API calls per month"),
}
STEPS = {"hour": gettext_lazy("Hour"), "day": gettext_lazy("Day"), "month": gettext_lazy("Month")}


class View(NamedTuple):
    """What the chart shows of whom: `measure` is one of MEASURES, `by` what it is stacked by."""

    subject: Subject
    span: Span
    step: Step
    measure: str
    by: By


class StepRow(NamedTuple):
    """A step of the table: its name, where it leads (empty: nowhere), a value for each column; None is not known."""

    label: str
    link: str
    cells: list[int | None]


class Drawing(NamedTuple):
    """The chart, None where there is nothing to draw, with its table, newest first; the last column is the sum unless
    it is about latency."""

    heading: str
    step_title: str
    chart: Chart | None
    columns: list[str]
    rows: list[StepRow]
    is_money: bool
    is_time: bool
    fraction: int


def draw(view: View) -> Drawing:
    """Reads and draws."""
    if view.measure == "latency":
        starts, rows = _latency_rows(view)
        chart = draw_lines(_labels(starts, view.step), rows, _unit(view.measure))
    else:
        starts, rows = _rows(view)
        rest = str(RESTS.get(view.by, ""))
        chart = draw_bars(_labels(starts, view.step), rows, rest, _unit(view.measure))
    table = _tabulate(view, starts, chart) if chart else []
    columns = [part.name for part in chart.legend] if chart else []
    if view.measure != "latency":
        columns.append(_("In all"))
    return Drawing(
        heading=str(HEADINGS[view.measure, view.step]),
        step_title=str(STEPS[view.step]),
        chart=chart,
        columns=columns,
        rows=table,
        is_money=view.measure == "spend",
        is_time=view.measure == "latency",
        fraction=fraction_digits(value or 0 for row in table for value in row.cells),
    )


def csv_table(view: View) -> tuple[list[str], list[list[object]]]:
    """Header and rows, oldest first, of every series, also those that the chart puts together. Money is in US dollars,
    latency in milliseconds."""
    starts, rows = _latency_rows(view) if view.measure == "latency" else _rows(view)
    header = [view.step, *(row.name for row in rows)]
    lines: list[list[object]] = []
    for index, start in enumerate(starts):
        values = [row.values[index] for row in rows]
        cells: list[object] = [
            exact_usd(value) if view.measure == "spend" and value is not None else value
            for value in values
        ]
        lines.append([_csv_start(start, view.step), *cells])
    return header, lines


def _csv_start(start: datetime, step: Step) -> str:
    return {"hour": f"{start.isoformat()}", "day": f"{start:%Y-%m-%d}", "month": f"{start:%Y-%m}"}[
        step
    ]


def _rows(view: View) -> tuple[Sequence[datetime], list[Row]]:
    measure: Measure = view.measure  # type: ignore[assignment]
    series = read_series(view.subject.scope, view.span, step=view.step, by=view.by, measure=measure)
    names = names_of(view.by, [key for key, _values in series.rows])
    return series.starts, [Row(names[key], values) for key, values in series.rows]


def _latency_rows(view: View) -> tuple[Sequence[datetime], list[Row]]:
    starts, steps = read_latencies(view.subject.scope.only("api"), view.span, step=view.step)

    def row(name: str, read: Any) -> Row:
        return Row(name, [read(totals) for totals in steps])

    return starts, [
        row(_("Median"), lambda totals: Totals.latency_ms(totals, 50)),
        row(_("95th percentile"), lambda totals: Totals.latency_ms(totals, 95)),
        row(_("First token, median"), lambda totals: Totals.time_to_first_token_ms(totals, 50)),
    ]


def _labels(starts: Sequence[datetime], step: Step) -> list[Label]:
    if step == "hour":
        return [
            Label(f"{start:%H:%M}", f"{dates.day_of_year(start)}, {start:%H:%M}")
            for start in starts
        ]
    if step == "day":
        return [Label(dates.day_of_year(start), dates.weekday(start)) for start in starts]
    return [Label(dates.short_month(start), dates.month(start)) for start in starts]


def _unit(measure: str) -> Unit:
    if measure == "spend":
        return Unit(dollars, dollars)
    if measure == "latency":
        return Unit(_time, _time)
    return Unit(intcomma, compact)


def _time(milliseconds: int) -> str:
    return str(duration(milliseconds))


def compact(value: int) -> str:
    """A round number for an axis: `500`, `20K`, `1M`, `5B`."""
    for size, letter in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
        if value >= size and value % (size // 10) == 0:
            whole, tenth = divmod(value * 10 // size, 10)
            return f"{whole}.{tenth}{letter}" if tenth else f"{whole}{letter}"
    return str(value)


def _tabulate(view: View, starts: Sequence[datetime], chart: Chart) -> list[StepRow]:
    """The steps at which there was something, newest first."""
    rows = []
    ends = [*starts[1:], view.span.until.astimezone(view.span.zone)]
    for column, start, end in reversed(list(zip(chart.columns, starts, ends, strict=True))):
        if not column.parts:
            continue
        values = {part.series: part.value for part in column.parts}
        missing = None if view.measure == "latency" else 0
        cells = [values.get(part.series, missing) for part in chart.legend]
        if view.measure != "latency":
            cells.append(sum(values.values()))
        link = ""
        if view.subject.group is not None:
            link = calls_url(view.subject, Days(start, end), {})
        rows.append(StepRow(column.label.long, link, cells))
    return rows
