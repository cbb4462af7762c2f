"""Times as people read them: near ones relative, the exact one in `datetime` and in the title."""

from datetime import date, datetime, timedelta

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts import dates

register = template.Library()


def relatively(moment: datetime, now: datetime) -> str:
    """How long ago (or ahead) for up to 30 days, the date beyond."""
    ahead = moment > now
    distance = moment - now if ahead else now - moment
    if distance >= timedelta(days=30):
        return dates.day(moment)
    if distance < timedelta(minutes=1):
        return _("in a moment") if ahead else _("just now")
    count, unit = _largest_unit(distance)
    if unit == "days":
        text = (
            ngettext("in %(count)d day", "in %(count)d days", count)
            if ahead
            else (ngettext("%(count)d day ago", "%(count)d days ago", count))
        )
    elif unit == "hours":
        text = (
            ngettext("in %(count)d hour", "in %(count)d hours", count)
            if ahead
            else (ngettext("%(count)d hour ago", "%(count)d hours ago", count))
        )
    else:
        text = (
            ngettext("in %(count)d min", "in %(count)d min", count)
            if ahead
            else (ngettext("%(count)d min ago", "%(count)d min ago", count))
        )
    return text % {"count": count}


def _largest_unit(distance: timedelta) -> tuple[int, str]:
    if distance.days:
        return distance.days, "days"
    if distance.seconds >= 3600:
        return distance.seconds // 3600, "hours"
    return distance.seconds // 60, "minutes"


@register.simple_tag
def ago(moment: datetime | None) -> SafeString:
    """A `<time>` that reads “3 min ago”; a dash where there is no moment."""
    if moment is None:
        return format_html('<span class="unknown">{}</span>', "–")
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        moment.isoformat(),
        dates.exactly(moment),
        relatively(moment, timezone.now()),
    )


@register.simple_tag
def clock(moment: datetime) -> SafeString:
    """A `<time>` to the second for logs, where rows a second apart must be told apart: “21 Nov 14:03:22”."""
    local = timezone.localtime(moment)
    here = timezone.localtime()
    day = dates.day_of_year(local) if local.year == here.year else dates.day(local)
    return format_html(
        '<time class="clock" datetime="{}" title="{}, {}"><span class="clock-day">{}</span> {}</time>',
        moment.isoformat(),
        dates.exactly(moment),
        relatively(moment, here),
        day,
        dates.time_of_day(local),
    )


@register.filter
def exact(moment: datetime) -> str:
    """Date and time to the second with the zone."""
    return dates.exactly(moment)


@register.filter
def day(moment: date | None) -> str:
    """The date as the reader's language writes it; empty where there is none."""
    return dates.day(moment) if moment else ""


@register.filter
def month(moment: date) -> str:
    """“November 2026”."""
    return dates.month(moment)
