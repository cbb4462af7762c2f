"""Which days a page about usage shows. The choice stands in the URL."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import NamedTuple

from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts import dates
from gateway.usage_analytics import Span, Step

PRESETS = {
    "today": gettext_lazy("Today"),
    "7d": gettext_lazy("7 days"),
    "30d": gettext_lazy("30 days"),
    "month": gettext_lazy("This month"),
    "last_month": gettext_lazy("Last month"),
    "12m": gettext_lazy("12 months"),
}
DEFAULT = "30d"
FIRST_YEAR = 2000
DAYS_MAX = 5 * 366
# Up to so many days the steps of a chart are days.
DAILY_MAX = 92
MONTHS_OFFERED = 36


class Range(NamedTuple):
    """What was chosen: `query` is what stands in the URL for it, `error` why the default is shown instead, `note` what
    was changed about it. `first` and `last` are the viewer's days, both included."""

    first: date
    last: date
    query: Mapping[str, str]
    error: str = ""
    note: str = ""

    @property
    def span(self) -> Span:
        return Span.of_days(self.first, self.last, timezone.get_current_timezone())

    @property
    def step(self) -> Step:
        """Hours of up to two days, days of up to three months, else months."""
        days = (self.last - self.first).days + 1
        if days <= 2:
            return "hour"
        return "day" if days <= DAILY_MAX else "month"

    @property
    def words(self) -> str:
        """“1 – 21 Nov 2026” in words of the reader's language: the first and the last day."""
        return days_in_words(self.first, self.last)


class Refusal(Exception):
    """A choice that makes no sense; the text says why."""


def days_in_words(first: date, last: date) -> str:
    """The days as text; one day is one date."""
    if first == last:
        return dates.day(first)
    beginning = dates.day_of_year(first) if first.year == last.year else dates.day(first)
    return _("%(first)s – %(last)s") % {"first": beginning, "last": dates.day(last)}


def read_range(query: Mapping[str, str], now: datetime) -> Range:
    """The days that the URL asks for; the default, with a message, where they make no sense."""
    today = timezone.localtime(now).date()
    try:
        if query.get("since") or query.get("until"):
            return _free(query.get("since", ""), query.get("until", ""), today)
        if query.get("month"):
            return _month(query["month"], today)
        name = query.get("range", DEFAULT)
        if name not in PRESETS:
            raise Refusal(_("There is no such range of days."))
    except Refusal as refusal:
        return _preset(DEFAULT, today)._replace(error=str(refusal))
    return _preset(name, today)


def _preset(name: str, today: date) -> Range:
    this_month = today.replace(day=1)
    before = this_month - timedelta(days=1)
    first, last = {
        "today": (today, today),
        "7d": (today - timedelta(days=6), today),
        "30d": (today - timedelta(days=29), today),
        "month": (this_month, today),
        "last_month": (before.replace(day=1), before),
        "12m": (month_back(today, 11), today),
    }[name]
    return Range(first, last, {} if name == DEFAULT else {"range": name})


def _month(text: str, today: date) -> Range:
    first = _parse(f"{text}-01") if len(text) == len("2026-11") else None
    if first is None:
        raise Refusal(_("A month is written like 2026-11."))
    if first > today:
        raise Refusal(_("This month has not begun yet."))
    last = min(month_back(first, -1) - timedelta(days=1), today)
    return Range(first, last, {"month": text})


def _free(since: str, until: str, today: date) -> Range:
    first, last = _parse(since), _parse(until) if until else today
    if first is None or last is None:
        raise Refusal(_("Both days are needed, each written like 2026-11-21."))
    if last < first:
        raise Refusal(_("The last day is before the first one."))
    if first > today:
        raise Refusal(_("These days have not begun yet."))
    query = {"since": since, "until": until} if until else {"since": since}
    last = min(last, today)
    if (last - first).days < DAYS_MAX:
        return Range(first, last, query)
    note = _("Five years are the most that is shown at once: here are the last five of them.")
    return Range(last - timedelta(days=DAYS_MAX - 1), last, query, note=note)


def _parse(text: str) -> date | None:
    try:
        found = parse_date(text)
    except ValueError:
        return None
    return found if found is not None and FIRST_YEAR <= found.year <= 2999 else None


def month_back(day: date, months: int) -> date:
    """The first of the month that many months before the day's; negative: after it."""
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    return date(year, month + 1, 1)


def months_since(began: date, today: date) -> list[date]:
    """The firsts of the months from `began` to now, newest first, as many as are offered."""
    months = [month_back(today, back) for back in range(MONTHS_OFFERED)]
    return [month for month in months if month >= began.replace(day=1)] or months[:1]
