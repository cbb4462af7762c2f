"""Bars and lines, laid out."""

import pytest

from gateway.pages import charts
from gateway.pages.charts import REST, Chart, Label, Row, Unit, draw_bars, draw_lines

PLAIN = Unit(lambda value: f"{value} in full", str)


def labels(count: int) -> list[Label]:
    return [Label(str(number), f"number {number}") for number in range(1, count + 1)]


def bars(*rows: Row) -> Chart:
    chart = draw_bars(labels(len(rows[0].values)), rows, "the rest", PLAIN)
    assert chart is not None
    return chart


def test_where_all_is_zero_there_is_no_chart() -> None:
    assert draw_bars(labels(3), [Row("a", [0, 0, 0])], "", PLAIN) is None
    assert draw_bars(labels(3), [], "", PLAIN) is None
    assert draw_lines(labels(2), [Row("a", [None, None])], PLAIN) is None


def test_bars_fill_the_plot_in_proportion() -> None:
    chart = bars(Row("a", [3, *[0] * 28, 2]), Row("b", [1, *[0] * 29]))
    assert [column.number for column in chart.columns] == list(range(1, 31))
    assert [tick.label for tick in chart.ticks] == ["0", "1", "2", "3", "4"]
    first, last = chart.columns[0], chart.columns[29]
    assert [(part.series, part.height) for part in first.segments] == [
        ("1", "150.0"),
        ("2", "50.0"),
    ]
    assert first.segments[1].y == "10.0", "the highest bar reaches the top line"
    assert first.total == "4 in full"
    assert [part.text for part in first.parts] == ["3 in full", "1 in full"]
    assert [part.height for part in last.segments] == ["100.0"]
    assert chart.columns[14].segments == chart.columns[14].parts == []
    assert [(part.name, part.value) for part in chart.legend] == [("a", 5), ("b", 1)]


def test_beyond_six_series_the_rest_is_one() -> None:
    chart = bars(*(Row(name, [8 - index, 1]) for index, name in enumerate("abcdefgh")))
    assert [part.name for part in chart.legend] == [*"abcdef", "the rest"]
    assert (chart.legend[-1].series, chart.legend[-1].value) == (REST, 2 + 1 + 1 + 1)
    assert sum(part.value for part in chart.columns[0].parts) == sum(range(1, 9))
    assert chart.columns[0].total == "36 in full"
    assert [part.name for part in bars(*(Row(name, [1]) for name in "abcdef")).legend] == [
        *"abcdef"
    ]


@pytest.mark.parametrize("peak", [1, 2, 3, 9, 10, 11, 999, 2**62])
def test_ticks_are_round_and_few(peak: int) -> None:
    step = charts.tick_step(peak)
    assert str(step).strip("0") in ("1", "2", "5")
    assert peak <= step * charts.TICKS_MAX
    assert step == 1 or peak > step * charts.TICKS_MAX / 2.5


def test_a_sliver_is_still_seen() -> None:
    assert bars(Row("a", [1000, 1])).columns[1].segments[0].height == "0.5"


@pytest.mark.parametrize("count", [1, 7, 12, 24, 30, 31, 92])
def test_labels_are_few_and_every_second_gives_way(count: int) -> None:
    chart = bars(Row("a", [1] * count))
    ranks = [column.label_rank for column in chart.columns if column.label_rank]
    assert len(ranks) <= charts.LABELS_MAX
    assert ranks == [1, 2, 1, 2, 1, 2, 1, 2][: len(ranks)]
    assert chart.columns[0].label_rank == 1


def test_lines_break_where_nothing_is_known() -> None:
    chart = draw_lines(labels(4), [Row("p50", [10, None, 20, 40]), Row("p95", [None] * 4)], PLAIN)
    assert chart is not None
    assert [line.path for line in chart.lines] == ["M1250 160.0 M6250 110.0 L8750 10.0", ""]
    assert [[dot.y for dot in column.dots] for column in chart.columns] == [
        ["160.0"],
        [],
        ["110.0"],
        ["10.0"],
    ]
    assert [part.text for part in chart.columns[3].parts] == ["40 in full"]
    assert chart.columns[3].total == ""
