"""The models of a family with their prices of now, as tables, and what follows from them for who has to choose."""

import re
from collections.abc import Iterable
from datetime import date

from django.utils.translation import gettext as _

from accounts import dates
from billing.presentation import share_of_list
from billing.pricing import RateTable
from gateway.operator.price_reading import show_rate
from gateway.pages.charges import BUCKET_LABELS
from gateway.templatetags.operator import bucket_name
from guides.catalogue import Offered
from guides.document import Amount, Bullets, Cell, Column, Paragraph, PricePair, Table
from guides.localization import page_path
from guides.prose import name_of
from guides.texts import calls
from guides.values import Topic, say

_NUMBER = re.compile("([0-9]+)")
_TOKEN_BUCKETS = ("input", "cached_input", "cache_write", "cache_write_1h", "output")


def share_line(topic: Topic) -> str:
    """What share of list price the family's models are sold at."""
    shares = {
        rate.sell_bps
        for offered in topic.models
        for table in offered.tables()
        for rate in table.rates.values()
    }
    if not shares:
        return ""
    lowest, highest = share_of_list(min(shares)), share_of_list(max(shares))
    if lowest == highest:
        return say(calls.SHARE, topic.values(), share=lowest)
    return say(calls.SHARES, topic.values(), lowest=lowest, highest=highest)


def price_table(topic: Topic) -> Table:
    """Tokens by bucket, or pictures by what their price goes by."""
    if any(offered.picture_rates for offered in topic.models):
        return _picture_table(topic)
    return _token_table(topic)


def _token_table(topic: Topic) -> Table:
    listed = {
        name for offered in topic.models for table in offered.tables() for name in table.rates
    }
    buckets = [name for name in _TOKEN_BUCKETS if name in listed]
    columns = (
        Column(_("Model")),
        Column(_("Context"), is_number=True),
        *(Column(str(BUCKET_LABELS[name]), is_number=True) for name in buckets),
    )
    rows = tuple(
        _token_row(offered, table, buckets)
        for offered in topic.models
        for table in offered.tables()
    )
    return Table(_("Prices for a million tokens"), columns, rows)


def _token_row(offered: Offered, table: RateTable, buckets: Iterable[str]) -> tuple[Cell, ...]:
    head, context = model_link(offered), tokens_text(offered.model.context_length)
    if table.above_input_tokens:
        words = {
            "name": f"`{name_of(offered.short_name)}`",
            "tokens": tokens_text(table.above_input_tokens),
        }
        head, context = _("%(name)s above %(tokens)s input tokens") % words, ""
    cells: list[Cell] = []
    for name in buckets:
        rate = table.rates.get(name)
        shown = show_rate(name, rate) if rate else None
        cells.append(PricePair(shown.sale_nanos, shown.list_nanos) if shown else "–")
    return (head, context, *cells)


def _picture_table(topic: Topic) -> Table:
    columns = (
        Column(_("Model")),
        Column(_("Priced by")),
        Column(_("Your price"), is_number=True),
        Column(_("List price"), is_number=True),
    )
    rows = tuple(
        (
            model_link(offered),
            bucket_name(rate.bucket),
            Amount(rate.sale_nanos),
            Amount(rate.list_nanos),
        )
        for offered in topic.models
        for rate in offered.picture_rates
    )
    return Table(_("Prices of pictures"), columns, rows)


def choices(topic: Topic, today: date) -> tuple[Paragraph | Bullets, ...]:
    """How to tell the models apart, and what the price book says about some of them."""
    values = topic.values()
    assert topic.pair.family is not None
    items = []
    if topic.example is not None:
        items.append(say(calls.EXAMPLE_MODEL, values, name=topic.model_name))
    cheapest = min(_usable(topic, today), key=_token_price, default=None)
    if cheapest is not None and not topic.pair.draws:
        items.append(say(calls.CHEAPEST_MODEL, values, name=name_of(cheapest.short_name)))
    longest = max(_usable(topic, today), key=_context_of, default=None)
    if longest is not None and longest.model.context_length:
        tokens = tokens_text(longest.model.context_length)
        words = {"name": name_of(longest.short_name), "tokens": tokens}
        items.append(say(calls.LONGEST_CONTEXT, values, **words))
    for offered in topic.models:
        if offered.retires_on is not None and is_lasting(offered, today):
            words = {"name": name_of(offered.short_name), "date": dates.day(offered.retires_on)}
            items.append(say(calls.RETIRING, values, **words))
    return (Bullets(tuple(items)),) if items else ()


def model_link(offered: Offered) -> str:
    """The model's shortest name as a link to its page."""
    provider, _slash, own_name = offered.name.partition("/")
    path = page_path("model_page", provider=provider, name=own_name)
    return f"[`{name_of(offered.short_name)}`]({path})"


def tokens_text(tokens: int | None) -> str:
    """`1,050,000`; a dash where nobody knows."""
    return "–" if tokens is None else f"{tokens:,}"


def is_lasting(offered: Offered, today: date) -> bool:
    """Whether its maker has not retired it."""
    return offered.retires_on is None or offered.retires_on > today


def by_number(offered: Offered) -> tuple[tuple[int, str], ...]:
    """For sorting: numbers in names as numbers, so that 5.10 comes after 5.9."""
    parts = _NUMBER.split(offered.name)
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in parts)


def has_long_context(topic: Topic) -> bool:
    """Whether one of the models has other rates for long inputs."""
    return any(len(offered.tables()) > 1 for offered in topic.models)


def _usable(topic: Topic, today: date) -> list[Offered]:
    return [one for one in topic.models if is_lasting(one, today)]


def _token_price(offered: Offered) -> tuple[int, str]:
    """One token in and one out."""
    rates = (offered.rate("input"), offered.rate("output"))
    return sum(rate.sale_nanos for rate in rates if rate), offered.name


def _context_of(offered: Offered) -> int:
    return offered.model.context_length or 0
