"""Dates as the reader's language writes them, in the zone that is active. Times are in 24 hours everywhere, since they
are compared down a column."""

from datetime import date, datetime
from functools import cache
from typing import Any

from babel import Locale
from babel.dates import format_skeleton
from django.utils import timezone
from django.utils.translation import get_language

# English as most of the world writes dates: the day before the month.
LOCALES = {"en": "en_GB", "ko": "ko_KR", "zh-hans": "zh_Hans_CN", "zh-hant": "zh_Hant_TW"}


def day(moment: date) -> str:
    """“21 Nov 2026”, “2026년 11월 21일”."""
    return _format("yMMMd", moment)


def day_of_year(moment: date) -> str:
    """“21 Nov”, for where the year is known."""
    return _format("MMMd", moment)


def weekday(moment: date) -> str:
    """“Sat 21 Nov”."""
    return _format("MMMEd", moment)


def month(moment: date) -> str:
    """“November 2026”."""
    return _format("yMMMM", moment)


def short_month(moment: date) -> str:
    """“Nov”, for where the year is known."""
    return _format("MMM", moment)


def time_of_day(moment: datetime) -> str:
    """“14:03:22”."""
    return f"{_local(moment):%H:%M:%S}"


def minute(moment: datetime) -> str:
    """Day and time to the minute: “21 Nov 2026, 14:03”."""
    return _join(day(moment), f"{_local(moment):%H:%M}")


def exactly(moment: datetime) -> str:
    """Day and time to the second with the zone: “21 Nov 2026, 14:03:22 UTC”."""
    return _join(day(moment), f"{time_of_day(moment)} {_local(moment).tzname()}")


def _format(skeleton: str, moment: date) -> str:
    text: str = format_skeleton(skeleton, _local(moment), locale=_locale(get_language() or "en"))
    return text


def _join(day_text: str, time_text: str) -> str:
    pattern = str(_locale(get_language() or "en").datetime_formats["medium"])
    return pattern.replace("{1}", day_text).replace("{0}", time_text)


def _local(moment: date) -> Any:
    """In the active zone; a date without a time is what it is."""
    if not isinstance(moment, datetime) or timezone.is_naive(moment):
        return moment
    return timezone.localtime(moment)


@cache
def _locale(language: str) -> Locale:
    return Locale.parse(LOCALES.get(language, "en_GB"))
