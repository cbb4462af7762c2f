"""Charts as they are drawn: stacked bars and lines, laid out on the server (templates/parts/chart.html).

Places along the time are percentages of the width, so that a chart stretches and its text does not; heights are pixels.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

SERIES_MAX = 6
REST = "rest"
PLOT_TOP, PLOT_HEIGHT = 10, 200
TICKS_MAX = 4
LABELS_MAX = 8
# The lines' own coordinates: they are stretched to the width of the plot.
WIDTH = 10_000


class Row(NamedTuple):
    """A series to draw: a value for each column. None, of a line, is a gap."""

    name: str
    values: Sequence[int | None]


class Label(NamedTuple):
    """How a column is called: `short` below the axis, `long` where its values are told."""

    short: str
    long: str


class Part(NamedTuple):
    """A series in the legend or in a column; `series` picks its colour, 1 to 6 or `rest`."""

    series: str
    name: str
    value: int
    text: str


class Segment(NamedTuple):
    """A part as a rectangle, in pixels of the plot."""

    series: str
    y: str
    height: str


class Dot(NamedTuple):
    """A value of a line, in pixels from the top."""

    series: str
    y: str


class Column(NamedTuple):
    """A step of time; `total` is the sum of its parts as text, empty for lines. `label_rank` says which labels stand
    below the axis: 1 always, 2 where there is room, 0 never."""

    number: int
    label: Label
    slot_x: str
    slot_width: str
    x: str
    width: str
    middle: str
    segments: list[Segment]
    dots: list[Dot]
    parts: list[Part]
    total: str
    label_rank: int


class Tick(NamedTuple):
    """A line across the plot."""

    y: int
    label: str


class Line(NamedTuple):
    """A series as the data of an SVG path, WIDTH wide."""

    series: str
    path: str


class Chart(NamedTuple):
    """A chart with everything in place."""

    columns: list[Column]
    ticks: list[Tick]
    legend: list[Part]
    lines: list[Line]
    height: int
    floor: int
    width: int = WIDTH
    height_of_lines: int = PLOT_TOP + PLOT_HEIGHT


class Unit(NamedTuple):
    """How values are written: in full, and beside the axis."""

    text: Callable[[int], str]
    tick: Callable[[int], str]


def draw_bars(
    labels: Sequence[Label], rows: Sequence[Row], rest_name: str, unit: Unit
) -> Chart | None:
    """Bars that stack the rows, the first at the bottom; rows beyond six become one. None where all is 0."""
    shown = [[value or 0 for value in row.values] for row in rows]
    names = [row.name for row in rows[:SERIES_MAX]]
    series = [str(number) for number in range(1, len(names) + 1)]
    if len(rows) > SERIES_MAX:
        rest = [sum(values) for values in zip(*shown[SERIES_MAX:], strict=True)]
        shown, names, series = [*shown[:SERIES_MAX], rest], [*names, rest_name], [*series, REST]
    totals = [sum(values) for values in zip(*shown, strict=True)]
    peak = max(totals, default=0)
    if peak == 0:
        return None
    ticks, top = _ticks(peak, unit.tick)
    form = unit.text
    columns = []
    for number, (label, total) in enumerate(zip(labels, totals, strict=True), 1):
        parts = [
            Part(which, name, values[number - 1], form(values[number - 1]))
            for which, name, values in zip(series, names, shown, strict=True)
            if values[number - 1]
        ]
        column = _column(number, label, len(labels))
        columns.append(column._replace(parts=parts, total=form(total), segments=_stack(parts, top)))
    legend = [
        Part(which, name, sum(values), form(sum(values)))
        for which, name, values in zip(series, names, shown, strict=True)
    ]
    floor = PLOT_TOP + PLOT_HEIGHT
    return Chart(columns, ticks, legend, [], floor + 26, floor)


def draw_lines(labels: Sequence[Label], rows: Sequence[Row], unit: Unit) -> Chart | None:
    """A line for each row. None where there are no values."""
    peak = max((value for row in rows for value in row.values if value is not None), default=None)
    if peak is None:
        return None
    ticks, top = _ticks(max(peak, 1), unit.tick)
    count = len(labels)
    columns = []
    for number, label in enumerate(labels, 1):
        at = [(str(which), row.name, row.values[number - 1]) for which, row in enumerate(rows, 1)]
        known = [(which, name, value) for which, name, value in at if value is not None]
        columns.append(
            _column(number, label, count)._replace(
                parts=[Part(which, name, value, unit.text(value)) for which, name, value in known],
                dots=[Dot(which, _y(value, top)) for which, _name, value in known],
            )
        )
    lines = [Line(str(which), _path(row.values, top)) for which, row in enumerate(rows, 1)]
    legend = [Part(str(which), row.name, 0, "") for which, row in enumerate(rows, 1)]
    floor = PLOT_TOP + PLOT_HEIGHT
    return Chart(columns, ticks, legend, lines, floor + 26, floor)


def tick_step(peak: int) -> int:
    """The least of 1, 2, 5, 10, 20 ... that needs at most TICKS_MAX lines above zero."""
    step = 1
    while True:
        for factor in (1, 2, 5):
            if step * factor * TICKS_MAX >= peak:
                return step * factor
        step *= 10


def _ticks(peak: int, form: Callable[[int], str]) -> tuple[list[Tick], int]:
    """Lines across the plot, and the value at its top."""
    step = tick_step(peak)
    top = -(-peak // step) * step
    return [
        Tick(PLOT_TOP + PLOT_HEIGHT - PLOT_HEIGHT * value // top, form(value))
        for value in range(0, top + 1, step)
    ], top


def _stack(parts: Sequence[Part], top: int) -> list[Segment]:
    segments = []
    below = 0
    for part in parts:
        # Both edges are rounded from sums, not the height: rounded heights would add up to a wrong total.
        lower = PLOT_HEIGHT * 10 * below // top
        below += part.value
        upper = max(PLOT_HEIGHT * 10 * below // top, lower + 5)
        y = (PLOT_TOP + PLOT_HEIGHT) * 10 - upper
        segments.append(Segment(part.series, _tenths(y), _tenths(upper - lower)))
    return segments


def _column(number: int, label: Label, count: int) -> Column:
    slot = 100_000 // count
    left = 100_000 * (number - 1) // count
    stride = -(-count // LABELS_MAX)
    position = (number - 1) // stride
    labelled = (number - 1) % stride == 0
    gap = max(slot * 19 // 100, (slot - 4_000) // 2)  # a bar is not a wall: at most 4% of the width
    return Column(
        number=number,
        label=label,
        slot_x=_percent(left),
        slot_width=_percent(slot),
        x=_percent(left + gap),
        width=_percent(slot - 2 * gap),
        middle=_percent(left + slot // 2),
        segments=[],
        dots=[],
        parts=[],
        total="",
        label_rank=(1 + position % 2) if labelled else 0,
    )


def _path(values: Sequence[int | None], top: int) -> str:
    """Moves to where a stretch of known values begins, lines along it."""
    slot = WIDTH // len(values)
    steps = []
    drawing = False
    for index, value in enumerate(values):
        if value is None:
            drawing = False
            continue
        steps.append(
            f"{'L' if drawing else 'M'}{WIDTH * index // len(values) + slot // 2} {_y(value, top)}"
        )
        drawing = True
    return " ".join(steps)


def _y(value: int, top: int) -> str:
    return _tenths((PLOT_TOP + PLOT_HEIGHT) * 10 - PLOT_HEIGHT * 10 * value // top)


def _tenths(value: int) -> str:
    return f"{value // 10}.{value % 10}"


def _percent(thousandths: int) -> str:
    return f"{thousandths // 1000}.{thousandths % 1000:03d}%"
