"""Figures and badges of the operator's pages."""

from datetime import datetime
from typing import Any

from django import template
from django.contrib.humanize.templatetags.humanize import intcomma
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from accounts import dates
from billing.models import PriceRate
from billing.picture_pricing import parse_bucket
from billing.presentation import dollars
from billing.price_book import BUCKETS
from gateway.models import Model
from gateway.operator.differences import MODES, Line, read_lines
from gateway.operator.health import Health
from gateway.operator.price_reading import Margin, ShownRate
from gateway.operator.price_uploads import Planned
from gateway.pages.charges import BUCKET_LABELS
from gateway.pages.usage_figures import compare

register = template.Library()

UNITS = {bucket.name: bucket.unit for bucket in BUCKETS}


@register.filter
def health_badge(health: Health) -> SafeString:
    """How a channel does, as a word with a colour and a shape."""
    tone, word = {
        "idle": ("", _("No calls")),
        "good": ("good", _("Healthy")),
        "degraded": ("warn", _("Degraded")),
        "failing": ("bad", _("Failing")),
    }[health.state]
    return format_html('<span class="badge {}">{}</span>', tone, word)


@register.filter
def bucket_name(name: str) -> str:
    """What a rate is for, in words."""
    pictures = parse_bucket(name)
    if pictures is None or not pictures.key:
        return str(BUCKET_LABELS.get(name, name.replace("_", " ").capitalize()))
    words = {"key": pictures.key.replace(",", ", ")}
    if pictures.unit == "request":
        return _("Request for %(key)s") % words
    return _("Images, %(key)s") % words


@register.filter
def unit_name(rate: ShownRate) -> str:
    """What the list price of the rate is for one of: `1M tokens`, `image`."""
    pictures = parse_bucket(rate.bucket)
    unit = pictures.unit if pictures else UNITS.get(rate.bucket, "token")
    return {
        "token": _("1M tokens"),
        "image": _("image"),
        "request": _("request"),
        "character": _("1M characters"),
        "second": _("second"),
    }[unit]


@register.filter
def unit_short(rate: ShownRate) -> str:
    """The same for a narrow column, with what is counted."""
    pictures = parse_bucket(rate.bucket)
    if pictures is not None:
        return unit_name(rate) if not pictures.key else f"{unit_name(rate)}, {pictures.key}"
    if rate.per == 1:
        return unit_name(rate)
    return {"input": _("1M in"), "output": _("1M out")}.get(rate.bucket, unit_name(rate))


@register.filter
def tier_name(tier: str) -> str:
    """A service tier in words."""
    return str(PriceRate.Tier(tier).label)


@register.filter
def mode_name(mode: str) -> str:
    """What kind of model it is."""
    return str(MODES.get(mode, mode))


@register.filter
def margin_cell(margin: Margin | None) -> SafeString:
    """A margin, or the span of it, to a tenth of a percent; a loss in the colour of losses."""
    if margin is None:
        return format_html('<span class="unknown">{}</span>', "–")
    text = permille(margin.low)
    if margin.high != margin.low:
        text = f"{text} … {permille(margin.high)}"
    return format_html('<span class="{}">{}</span>', "loss" if margin.is_negative else "", text)


@register.filter
def permille(value: int | None) -> str:
    """A share of 1,000 as a percentage, with a true minus sign."""
    if value is None:
        return "–"
    whole, rest = divmod(abs(value), 10)
    sign = "−" if value < 0 else ""
    return f"{sign}{whole:,}.{rest}%"


@register.filter
def day(moment: datetime) -> str:
    """The day in the viewer's zone."""
    return dates.day(moment)


@register.filter
def day_time(moment: datetime) -> str:
    """Day and time to the minute in the viewer's zone."""
    return dates.minute(moment)


@register.simple_tag
def model_url(model: Model) -> str:
    """The operator's page of the model."""
    return reverse("operator_model", args=model.name.split("/", 1))


@register.filter
def changed_fields(planned: Planned) -> list[Line]:
    """What a price book would change of a model, line by line."""
    return read_lines(planned.before, planned.after)


@register.filter
def item(mapping: Any, key: Any) -> Any:
    """The value under a key that a template has in a variable; None where there is none."""
    return mapping.get(key)


@register.simple_tag
def spark_x(index: int) -> int:
    """Where the bar of a sparkline stands, in its 96 by 24 pixels of 24 bars."""
    return index * 4


@register.simple_tag
def spark_height(percent: int) -> int:
    """How tall it is: one pixel for what is not nothing, and a line for what is."""
    return max(percent * 24 // 100, 3 if percent else 1)


@register.simple_tag
def spark_y(percent: int) -> int:
    """Where it begins."""
    return 24 - spark_height(percent)


@register.simple_tag
def delta(now: int, before: int, good: str = "", unit: str = "") -> SafeString:
    """How much more or less than before; `good` as in `compare`, `unit` is `usd` for nano-dollars."""
    before_text = dollars(before) if unit == "usd" else intcomma(before)
    change = compare(now, before, before_text, good=good)
    if change is None:
        return SafeString("")
    return format_html(
        '<span class="trend {} {}" title="{}"><span aria-hidden="true">{}</span>'
        '<span class="visually-hidden">{}</span></span>',
        change.direction,
        change.tone,
        change.sentence,
        change.text,
        change.sentence,
    )
