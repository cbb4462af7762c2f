"""The chart of what was spent on the days of a month."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from billing.presentation import dollars
from gateway.pages.history import Usage

SERIES_MAX = 5
PLOT_TOP, PLOT_HEIGHT = 10, 180
TICKS_MAX = 4


class Part(NamedTuple):
    """A model's share of a day or of the month; `series` picks its colour, 1 to 6."""

    series: int
    name: str
    nanos: int


class Segment(NamedTuple):
    """A part as a rectangle, in pixels of the plot."""

    series: int
    y: str
    height: str


class Day(NamedTuple):
    """A column of the chart: places are percentages of the width, so that it stretches and its text does not."""

    number: int
    label: str
    slot_x: str
    slot_width: str
    x: str
    width: str
    middle: str
    segments: list[Segment]
    parts: list[Part]
    nanos: int
    is_labelled: bool


class Tick(NamedTuple):
    """A line across the plot."""

    y: int
    label: str


class Chart(NamedTuple):
    """Spend per day of a month, stacked by model."""

    days: list[Day]
    ticks: list[Tick]
    legend: list[Part]
    height: int
    floor: int


class DayRow(NamedTuple):
    """A day of the table below the chart: one amount for each entry of the legend."""

    label: str
    cells: list[int]
    nanos: int


def tabulate_days(chart: Chart) -> list[DayRow]:
    """The days on which something was spent, newest first."""
    rows = []
    for day in reversed(chart.days):
        if day.nanos:
            nanos = {part.series: part.nanos for part in day.parts}
            rows.append(
                DayRow(day.label, [nanos.get(part.series, 0) for part in chart.legend], day.nanos)
            )
    return rows


def draw_month(usage: Usage, first: datetime, last: datetime) -> Chart | None:
    """The chart of the month; None where nothing was spent."""
    if usage.total.amount_nanos == 0:
        return None
    spenders = [(name, sums.amount_nanos) for name, sums in usage.models if sums.amount_nanos]
    series = {name: index + 1 for index, (name, _nanos) in enumerate(spenders[:SERIES_MAX])}
    legend = [Part(series[name], name, nanos) for name, nanos in spenders[:SERIES_MAX]]
    rest = sum(nanos for _name, nanos in spenders[SERIES_MAX:])
    if rest:
        legend.append(Part(SERIES_MAX + 1, _("Other models"), rest))
    peak = max(sum(by_model.values()) for by_model in usage.days.values())
    step = _tick_step(peak)
    top = -(-peak // step) * step
    count = (last - timedelta(days=1)).day
    days = [
        _draw_day(first, number, count, _parts(usage.days.get(number, {}), series), top)
        for number in range(1, count + 1)
    ]
    ticks = [
        Tick(PLOT_TOP + PLOT_HEIGHT - PLOT_HEIGHT * value // top, dollars(value))
        for value in range(0, top + 1, step)
    ]
    floor = PLOT_TOP + PLOT_HEIGHT
    return Chart(days, ticks, legend, floor + 26, floor)


def _tick_step(peak: int) -> int:
    """The least of 1, 2, 5, 10, 20 ... nano-dollars that needs at most TICKS_MAX lines above zero."""
    step = 1
    while True:
        for factor in (1, 2, 5):
            if step * factor * TICKS_MAX >= peak:
                return step * factor
        step *= 10


def _parts(by_model: Mapping[str, int], series: Mapping[str, int]) -> list[Part]:
    parts = [
        Part(series[name], name, nanos)
        for name, nanos in by_model.items()
        if nanos and name in series
    ]
    parts.sort()
    rest = sum(nanos for name, nanos in by_model.items() if name not in series)
    if rest:
        parts.append(Part(SERIES_MAX + 1, _("Other models"), rest))
    return parts


def _draw_day(first: datetime, number: int, count: int, parts: list[Part], top: int) -> Day:
    segments = []
    below = 0
    for part in parts:
        # Both edges are rounded from sums, not the height: rounded heights would add up to a wrong total.
        lower = PLOT_HEIGHT * 10 * below // top
        below += part.nanos
        upper = max(PLOT_HEIGHT * 10 * below // top, lower + 5)
        y = (PLOT_TOP + PLOT_HEIGHT) * 10 - upper
        segments.append(Segment(part.series, _tenths(y), _tenths(upper - lower)))
    slot = 100_000 // count
    left = 100_000 * (number - 1) // count
    return Day(
        number=number,
        label=date_format(first.replace(day=number), "D, j M"),
        slot_x=_percent(left),
        slot_width=_percent(slot),
        x=_percent(left + slot * 19 // 100),
        width=_percent(slot * 62 // 100),
        middle=_percent(left + slot // 2),
        segments=segments,
        parts=parts,
        nanos=sum(part.nanos for part in parts),
        is_labelled=number == 1 or number % 5 == 0,
    )


def _tenths(value: int) -> str:
    return f"{value // 10}.{value % 10}"


def _percent(thousandths: int) -> str:
    return f"{thousandths // 1000}.{thousandths % 1000:03d}%"


def month_name(first: datetime) -> str:
    """“November 2026”."""
    return date_format(first, "F Y")


def month_after(first: datetime, months: int) -> datetime:
    """Midnight of the first, so many months later, in the same zone."""
    year, month = divmod(first.year * 12 + first.month - 1 + months, 12)
    return timezone.make_aware(datetime(year, month + 1, 1), first.tzinfo)  # noqa: DTZ001
