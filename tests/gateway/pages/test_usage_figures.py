"""The figures on top, and what became of them."""

import pytest

from gateway.latencies import DIGITS
from gateway.pages.usage_figures import Figure, Period, make_figures, percent
from gateway.usage_analytics import Totals

USD = 1_000_000_000


def figures(now: Totals, before: Totals) -> dict[str, Figure]:
    made = make_figures(Period(now, now), Period(before, before))
    return {figure.name: figure for figure in made}


def test_each_says_by_how_much_it_changed_and_what_it_was() -> None:
    now = Totals(completed=150, amount_nanos=2 * USD, list_nanos=5 * USD, input_tokens=1000)
    before = Totals(completed=100, amount_nanos=4 * USD, list_nanos=8 * USD, input_tokens=1000)
    shown = figures(now, before)
    assert list(shown) == [
        "spend", "saved", "calls", "tokens", "cached", "errors", "latency", "first_token",
    ]  # fmt: skip
    spend, calls, saved, tokens = (
        shown[name].delta for name in ("spend", "calls", "saved", "tokens")
    )
    assert spend == ("down", "plain", "50.0%", "50.0% less than before ($4.00)")
    assert calls == ("up", "plain", "50.0%", "50.0% more than before (100)")
    assert saved == ("down", "bad", "25.0%", "25.0% less than before ($4.00)")
    assert tokens == ("same", "plain", "unchanged", "Unchanged: 1,000")
    assert shown["spend"].note == "$5.00 at list price"
    assert shown["saved"].note == "60.0% of list price"


def test_shares_change_by_points_and_less_errors_are_good() -> None:
    now = Totals(completed=9, refused=1, input_tokens=50, cached_input_tokens=50)
    before = Totals(completed=8, lost=2, input_tokens=75, cached_input_tokens=25)
    shown = figures(now, before)
    assert (shown["errors"].value, shown["cached"].value) == ("10.0%", "50.0%")
    assert shown["errors"].delta == (
        "down",
        "good",
        "10.0 points",
        "10.0 points less than before (20.0%)",
    )
    assert shown["cached"].delta == (
        "up",
        "good",
        "25.0 points",
        "25.0 points more than before (25.0%)",
    )
    assert shown["errors"].note == "1 call failed, not charged"
    assert shown["cached"].note == "50 of 100 input tokens"


def test_times_are_those_of_api_calls() -> None:
    def one_at(bucket: int) -> int:
        return 10 ** (DIGITS * bucket)

    slow, fast = (
        Totals(completed=1, latencies=one_at(40)),
        Totals(completed=1, latencies=one_at(20)),
    )
    made = make_figures(Period(slow, fast), Period(fast, slow))
    latency = next(figure for figure in made if figure.name == "latency")
    assert latency.value == f"{fast.latency_ms(50)} ms"
    assert latency.delta is not None
    assert (latency.delta.direction, latency.delta.tone) == ("down", "good")


def test_without_calls_nothing_is_compared_and_nothing_is_made_up() -> None:
    shown = figures(Totals(), Totals())
    assert all(figure.delta is None for figure in shown.values())
    assert "no calls" in shown["errors"].value
    assert "not known" in shown["latency"].value
    assert [shown[name].note for name in ("saved", "tokens", "errors", "latency")] == [""] * 4
    assert figures(Totals(completed=3), Totals())["calls"].delta is None


@pytest.mark.parametrize(
    ("now", "text"), [(1_000_000, "999,900%"), (2000, "1,900%"), (199, "99.0%"), (210, "110%")]
)
def test_large_changes_are_short(now: int, text: str) -> None:
    delta = figures(Totals(completed=now), Totals(completed=100))["calls"].delta
    assert delta is not None
    assert delta.text == text


def test_percentages_are_rounded_half_up() -> None:
    assert [percent(part, 2000) for part in (0, 1, 2, 3, 2000)] == [
        "0.0%", "0.1%", "0.1%", "0.2%", "100.0%",
    ]  # fmt: skip
    assert percent(1, 0) == ""
