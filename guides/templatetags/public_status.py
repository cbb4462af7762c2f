"""Times and shares of the status page, in words."""

from datetime import UTC, datetime

from django import template
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import dates
from guides.health import Bar, Incident, Range, Service
from guides.templatetags.public import percent

register = template.Library()


@register.filter
def exact_time(moment: datetime) -> str:
    """To the second, with the zone."""
    return dates.exactly(moment)


@register.filter
def bar_title(bar: Bar, stretch: Range) -> str:
    """When it was and what share was served; a bar with too few calls says only that."""
    words = {"when": _when(bar.since, stretch), "share": percent(bar.permille)}
    if bar.state == "quiet":
        return _("%(when)s: too few calls to say") % words
    return _("%(when)s: %(share)s served") % words


@register.filter
def bars_label(service: Service) -> str:
    """The bars for those who do not see them."""
    troubled = sum(1 for bar in service.bars if bar.state in ("degraded", "down"))
    words = {"provider": service.provider_name, "troubled": troubled, "all": len(service.bars)}
    return _("%(provider)s: trouble in %(troubled)s of %(all)s stretches") % words


@register.filter
def incident_span(incident: Incident, stretch: Range) -> str:
    """From when until when; one that lasts has no end."""
    words = {"since": _when(incident.since, stretch)}
    if incident.until is None:
        return _("since %(since)s") % words
    if stretch == "90d":
        days = (incident.until - incident.since).days
        return (
            words["since"]
            if days <= 1
            else _("%(since)s to %(until)s") % (words | {"until": _when(incident.last, stretch)})
        )
    return _("%(since)s to %(until)s") % (words | {"until": _when(incident.until, stretch)})


def _when(moment: datetime, stretch: Range) -> str:
    # Days are cut in UTC: in the reader's zone one would begin on the day before.
    if stretch == "90d":
        return dates.day(moment.astimezone(UTC).date())
    return dates.minute(timezone.localtime(moment))
