"""The filters that are set, each as a chip that can be taken off by itself."""

from datetime import datetime
from typing import Any, NamedTuple

from django.forms import BoundField
from django.utils.text import Truncator
from django.utils.translation import gettext as _

from accounts import dates
from billing.presentation import dollars
from gateway.pages.forms import CUSTOM, CallFilterForm, encode_query

CHIP_CHARS_MAX = 48
# The toggle shows its own state, and how long a page is says nothing about what is on it.
WITHOUT_CHIP = ("source", "size", "since", "until")


class Chip(NamedTuple):
    """`name` of the field, `label` and `value` in words, and the encoded query without it."""

    name: str
    label: str
    value: str
    rest: str


def list_chips(form: CallFilterForm) -> list[Chip]:
    """A chip for each filter that stands in the URL, also where it is refused: it must be possible to take it off."""
    query = form.query()
    chips = []
    for name in query:
        if name in WITHOUT_CHIP:
            continue
        rest = {other: value for other, value in query.items() if other != name}
        field = form[name]
        if name == "status":
            chips += [_status_chip(field, status, query) for status in query["status"]]
            continue
        if name == "period" and query["period"] == CUSTOM:
            rest = {other: value for other, value in rest.items() if other not in WITHOUT_CHIP[2:]}
            chips.append(Chip(name, str(field.label), _span(form), encode_query(rest)))
            continue
        chips.append(_chip(field, query[name], rest))
    return chips


def _chip(field: BoundField, value: str, rest: dict[str, Any]) -> Chip:
    return Chip(field.name, str(field.label), _in_words(field, value), encode_query(rest))


def _status_chip(field: BoundField, status: str, query: dict[str, Any]) -> Chip:
    """One of several: the others stay, in the place where they stood."""
    kept = [other for other in query["status"] if other != status]
    return _chip(field, status, query | {"status": kept})


def _in_words(field: BoundField, value: str) -> str:
    if field.name == "charge_min" and (nanos := _cleaned(field)) is not None:
        return dollars(nanos)
    if field.name == "duration_min" and (seconds := _cleaned(field)) is not None:
        return _("%(seconds)s s") % {"seconds": f"{seconds.normalize():f}"}
    choices = {str(key): str(words) for key, words in getattr(field.field, "choices", ())}
    return Truncator(choices.get(value, value).replace("\x00", "")).chars(CHIP_CHARS_MAX)


def _cleaned(field: BoundField) -> Any:
    return getattr(field.form, "cleaned_data", {}).get(field.name)


def _span(form: CallFilterForm) -> str:
    values = getattr(form, "cleaned_data", {})
    since, until = values.get("since"), values.get("until")
    if since and until:
        return _("%(since)s to %(until)s") % {"since": _moment(since), "until": _moment(until)}
    if since:
        return _("from %(since)s") % {"since": _moment(since)}
    if until:
        return _("before %(until)s") % {"until": _moment(until)}
    return _("without an end")


def _moment(moment: datetime) -> str:
    return dates.minute(moment)
