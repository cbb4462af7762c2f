"""Links between public pages, what is said on them twice, and figures of models."""

import html
from collections.abc import Mapping
from typing import Any
from zlib import crc32

from django import template
from django.template import Context
from django.template.base import NodeList, Parser, Token
from django.utils.functional import Promise
from django.utils.translation import gettext, ngettext

from billing.picture_pricing import parse_bucket
from billing.presentation import dollars
from gateway.images.offers import Offer
from gateway.operator.price_reading import ShownRate
from guides.catalogue import Offered
from guides.localization import page_path

register = template.Library()


@register.simple_tag
def page_url(page: str, **parameters: Any) -> str:
    """The path of a public page in the language of this one."""
    return page_path(page, **parameters)


@register.simple_tag(takes_context=True)
def absolute_url(context: Context, page: str, **parameters: Any) -> str:
    """The same with the host, for Markdown, which is read elsewhere."""
    return f"{context['root']}{page_path(page, **parameters)}"


@register.tag
def keep(parser: Parser, token: Token) -> template.Node:
    """`{% keep title %}...{% endkeep %}` shows nothing and keeps the text under that name, for attributes too: a block
    can be filled only once."""
    _, name = token.split_contents()
    nodes = parser.parse(("endkeep",))
    parser.delete_first_token()
    return _Kept(name, nodes)


class _Kept(template.Node):
    def __init__(self, name: str, nodelist: NodeList) -> None:
        self.name = name
        self.nodelist = nodelist

    def render(self, context: Context) -> str:
        # Plain again, so that it is escaped where it is shown.
        context[self.name] = html.unescape(" ".join(self.nodelist.render(context).split()))
        return ""


@register.filter
def picture_label(rate: ShownRate, offer: Offer | None) -> str:
    """What a price of pictures is for, in the words of the model's own choices: `2K`, `4 pictures`, `×8`."""
    parsed = parse_bucket(rate.bucket)
    key = parsed.key if parsed else ""
    priced_by = offer.priced_by if offer else ""
    if priced_by == "count" and key.isdigit():
        return ngettext("%(count)s picture", "%(count)s pictures", int(key)) % {"count": key}
    if priced_by == "factor":
        return f"×{key}"
    return key.upper() if key else gettext("Each picture")


@register.filter
def tokens(count: int | None) -> str:
    """A limit of tokens in three digits, cut: `1.05M`, `200K`, `8.19K`; a dash where it is unknown."""
    if count is None:
        return "–"
    for unit, size in (("M", 1_000_000), ("K", 1_000)):
        if count >= size:
            whole, rest = divmod(count * 100 // size, 100)
            digits = f"{whole}.{rest:02d}"[:4] if whole < 100 else str(whole)
            return (digits.rstrip("0").rstrip(".") if "." in digits else digits) + unit
    return str(count)


@register.filter
def table_cell(text: Any) -> str:
    """For a cell of a table in Markdown, which a bar or a line break would end."""
    return " ".join(str(text).replace("|", "\\|").split())


@register.filter
def rate(offered: Offered, bucket: str) -> ShownRate | None:
    """The model's rate of a bucket in the standard tier."""
    return offered.rate(bucket)


@register.filter
def main_prices(offered: Offered, whose: str) -> str:
    """Input and output, or the cheapest picture: `$2.50 / $15.00`. `whose` is `yours` or `list`."""
    rates: list[ShownRate | None] = list(offered.picture_rates[:1])
    rates = rates or [offered.rate("input"), offered.rate("output")]
    amounts = [one.sale_nanos if whose == "yours" else one.list_nanos for one in rates if one]
    return " / ".join(map(dollars, amounts))


@register.filter
def word(words: Mapping[str, Promise], key: str) -> str:
    """What stands for a key of guides/words.py."""
    return str(words[key])


@register.filter
def state_tone(state: str) -> str:
    """The colour of a badge."""
    return {"operational": "good", "degraded": "warn", "down": "bad"}.get(state, "")


@register.filter
def percent(permille: int | None) -> str:
    """A share of 1,000, cut to a tenth of a percent: `99.9%`; a dash where there is none."""
    if permille is None:
        return "–"
    whole, tenth = divmod(permille, 10)
    return f"{whole}.{tenth}%" if tenth else f"{whole}%"


@register.filter
def tone(provider: str) -> int:
    """One of six colours for a provider, always the same one."""
    return crc32(provider.encode()) % 6 + 1


@register.filter
def concat(text: str, number: int) -> str:
    """An id that ends in a number."""
    return f"{text}{number}"


@register.simple_tag
def guide_url(client: str, family: str, *, markdown: bool = False) -> str:
    """The path of the guide for a client and a family."""
    return page_path("guide_md" if markdown else "guide", slug=f"{client}-{family}")
