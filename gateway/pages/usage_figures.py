"""The figures on top of a page about usage, each with what became of it since the days before."""

from typing import NamedTuple

from django.contrib.humanize.templatetags.humanize import intcomma
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from billing.presentation import dollars
from billing.templatetags.money import usd_figure
from gateway.templatetags.calls import duration, unknown
from gateway.usage_analytics import Totals


class Delta(NamedTuple):
    """A change: `direction` is up, down or same, `tone` good, bad or plain; `sentence` says all of it."""

    direction: str
    tone: str
    text: str
    sentence: str


class Figure(NamedTuple):
    """A tile. `delta` is None where there is nothing to compare with."""

    name: str
    label: str
    value: str | SafeString
    note: str
    delta: Delta | None


class Period(NamedTuple):
    """The totals of a period, and those of its API calls alone: how long a task takes, nobody waits for."""

    all: Totals
    api: Totals


def make_figures(now: Period, before: Period) -> list[Figure]:
    """The tiles in their order."""
    return [
        *_amounts(now.all, before.all),
        *_shares(now.all, before.all),
        *_times(now.api, before.api),
    ]


def _amounts(now: Totals, before: Totals) -> list[Figure]:
    images = ngettext("%(count)s image made", "%(count)s images made", now.images)
    tokens = _("%(input)s in · %(cached)s cached · %(output)s out") % {
        "input": intcomma(now.tokens_in - now.cached_input_tokens),
        "cached": intcomma(now.cached_input_tokens),
        "output": intcomma(now.tokens_out),
    }
    listed = _("%(list)s at list price") % {"list": dollars(now.list_nanos)}
    return [
        Figure(
            "spend",
            _("Spent"),
            usd_figure(now.amount_nanos),
            listed if now.saved_nanos else "",
            compare(now.amount_nanos, before.amount_nanos, dollars(before.amount_nanos)),
        ),
        Figure(
            "saved",
            _("Saved against list price"),
            usd_figure(now.saved_nanos),
            _("%(percent)s of list price") % {"percent": percent(now.saved_nanos, now.list_nanos)}
            if now.list_nanos
            else "",
            compare(now.saved_nanos, before.saved_nanos, dollars(before.saved_nanos), good="up"),
        ),
        Figure(
            "calls",
            _("Calls"),
            intcomma(now.calls),
            images % {"count": intcomma(now.images)} if now.images else "",
            compare(now.calls, before.calls, intcomma(before.calls)),
        ),
        Figure(
            "tokens",
            _("Tokens"),
            intcomma(now.tokens),
            tokens if now.tokens else "",
            compare(now.tokens, before.tokens, intcomma(before.tokens)),
        ),
    ]


def _shares(now: Totals, before: Totals) -> list[Figure]:
    cached = _("%(count)s of %(all)s input tokens") % {
        "count": intcomma(now.cached_input_tokens),
        "all": intcomma(now.tokens_in),
    }
    failed = ngettext(
        "%(count)s call failed, not charged", "%(count)s calls failed, not charged", now.errors
    )
    return [
        Figure(
            "cached",
            _("Input from caches"),
            permille(now.cached_permille) or unknown(_("no input tokens")),
            cached if now.tokens_in else "",
            _points(now.cached_permille, before.cached_permille, good="up"),
        ),
        Figure(
            "errors",
            _("Error rate"),
            permille(now.error_permille) or unknown(_("no calls")),
            failed % {"count": intcomma(now.errors)} if now.calls else "",
            _points(now.error_permille, before.error_permille, good="down"),
        ),
    ]


def _times(now: Totals, before: Totals) -> list[Figure]:
    latency, first = now.latency_ms(50), now.time_to_first_token_ms(50)
    slow, slow_first = now.latency_ms(95), now.time_to_first_token_ms(95)
    return [
        Figure(
            "latency",
            _("Latency, median"),
            duration(latency),
            _("95%% of API calls within %(time)s") % {"time": duration(slow)} if slow else "",
            _time_change(latency, before.latency_ms(50)),
        ),
        Figure(
            "first_token",
            _("Time to first token, median"),
            duration(first),
            _("95%% of streams within %(time)s") % {"time": duration(slow_first)}
            if slow_first
            else "",
            _time_change(first, before.time_to_first_token_ms(50)),
        ),
    ]


def percent(part: int, whole: int) -> str:
    """The share to a tenth of a percent; empty without a whole."""
    return permille((part * 2000 + whole) // (2 * whole) if whole else None)


def permille(value: int | None) -> str:
    """Thousandths as a percentage: `12.5%`; empty for None."""
    return "" if value is None else f"{value // 10}.{value % 10}%"


def _time_change(now_ms: int | None, before_ms: int | None) -> Delta | None:
    if now_ms is None or before_ms is None:
        return None
    return compare(now_ms, before_ms, str(duration(before_ms)), good="down")


def compare(now: int, before: int, before_text: str, *, good: str = "") -> Delta | None:
    """By how many percent it changed; `good` is the direction that is welcome. None with nothing before."""
    if not before:
        return None
    difference = (abs(now - before) * 2000 + before) // (2 * before)
    text = permille(difference) if difference < 1000 else f"{intcomma(difference // 10)}%"
    return _delta(now - before if difference else 0, text, before_text, good)


def _points(now: int | None, before: int | None, *, good: str) -> Delta | None:
    """By how many percentage points it changed."""
    if now is None or before is None:
        return None
    tenths = abs(now - before)
    points = _("%(number)s points") % {"number": f"{tenths // 10}.{tenths % 10}"}
    return _delta(now - before, points, permille(before), good)


def _delta(change: int, text: str, before: str, good: str) -> Delta:
    values = {"change": text, "before": before}
    if change == 0:
        return Delta("same", "plain", _("unchanged"), _("Unchanged: %(before)s") % values)
    direction = "up" if change > 0 else "down"
    sentence = _("%(change)s more than before (%(before)s)") % values
    if change < 0:
        sentence = _("%(change)s less than before (%(before)s)") % values
    tone = "plain" if not good else "good" if direction == good else "bad"
    return Delta(direction, tone, text, sentence)
