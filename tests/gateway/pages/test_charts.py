"""The chart of a month."""

from datetime import UTC, datetime

import pytest

from gateway.pages import charts
from gateway.pages.history import Totals
from gateway.pages.history import Usage as MonthUsage

USD = 1_000_000_000
FIRST, LAST = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)


def month(days: dict[int, dict[str, int]]) -> MonthUsage:
    """A month's usage out of nothing but charts."""
    models: dict[str, int] = {}
    for by_model in days.values():
        for name, nanos in by_model.items():
            models[name] = models.get(name, 0) + nanos
    sums = sorted(models.items(), key=lambda item: -item[1])
    total = Totals(calls=1, amount_nanos=sum(models.values()))
    return MonthUsage(total, [(name, Totals(amount_nanos=nanos)) for name, nanos in sums], [], days)


def test_a_month_without_charges_has_no_chart() -> None:
    assert charts.draw_month(month({3: {"a": 0}}), FIRST, LAST) is None


def test_bars_fill_the_plot_in_proportion() -> None:
    chart = charts.draw_month(month({1: {"a": 3 * USD, "b": USD}, 30: {"a": 2 * USD}}), FIRST, LAST)
    assert chart is not None
    assert [day.number for day in chart.days] == list(range(1, 31))
    assert [tick.label for tick in chart.ticks] == ["$0.00", "$1.00", "$2.00", "$3.00", "$4.00"]
    first, last = chart.days[0], chart.days[29]
    assert [(segment.series, segment.height) for segment in first.segments] == [
        (1, "135.0"),
        (2, "45.0"),
    ]
    assert first.segments[1].y == "10.0", "the highest day reaches the top line"
    assert [segment.height for segment in last.segments] == ["90.0"]
    assert chart.days[14].segments == []
    assert [day.number for day in chart.days if day.is_labelled] == [1, 5, 10, 15, 20, 25, 30]


def test_beyond_five_models_the_rest_is_one() -> None:
    chart = charts.draw_month(
        month({7: {name: 8 - index for index, name in enumerate("abcdefg")}}), FIRST, LAST
    )
    assert chart is not None
    assert [part.name for part in chart.legend] == [*"abcde", "Other models"]
    assert chart.legend[-1].nanos == 3 + 2
    assert sum(part.nanos for part in chart.days[6].parts) == chart.days[6].nanos == 35
    assert charts.tabulate_days(chart) == [("Sat, 7 Nov", [8, 7, 6, 5, 4, 5], 35)]


@pytest.mark.parametrize("peak", [1, 2, 3, 9, 10, 11, 999, 2**62])
def test_lines_are_round_and_few(peak: int) -> None:
    step = charts._tick_step(peak)
    assert str(step).strip("0") in ("1", "2", "5")
    assert peak <= step * charts.TICKS_MAX
    assert step == 1 or peak > step * charts.TICKS_MAX / 2.5


def test_a_sliver_of_spending_is_still_seen() -> None:
    chart = charts.draw_month(month({1: {"a": 1000 * USD}, 2: {"a": 1}}), FIRST, LAST)
    assert chart is not None
    assert chart.days[1].segments[0].height == "0.5"


def test_months_are_counted_over_the_turn_of_the_year() -> None:
    assert charts.month_after(datetime(2026, 12, 1, tzinfo=UTC), 1) == datetime(
        2027, 1, 1, tzinfo=UTC
    )
    assert charts.month_after(datetime(2026, 1, 1, tzinfo=UTC), -1) == datetime(
        2025, 12, 1, tzinfo=UTC
    )
