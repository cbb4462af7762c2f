"""Amounts on pages: exact, with the decimal points of a column under each other."""

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from billing.money import NANOS_PER_USD, divide_half_even
from billing.presentation import dollars, share_of_list

register = template.Library()

CENT = NANOS_PER_USD // 100


@register.filter
def usd(nanos: int) -> str:
    """Plain text: `$0.00152`."""
    return dollars(nanos)


@register.filter
def usd_whole(nanos: int) -> str:
    """Whole dollars without their zeros, for choices: `$1,000`."""
    return dollars(nanos).removesuffix(".00")


@register.filter
def usd_cents(nanos: int) -> SafeString:
    """A sum to the cent, half to even, with the exact amount in its title. Below a cent it is exact."""
    cents = divide_half_even(nanos, CENT)
    exact = dollars(nanos)
    if nanos and not cents:
        return format_html('<span class="money">{}</span>', exact)
    sign = "−" if cents < 0 else ""
    whole, rest = divmod(abs(cents), 100)
    return format_html(
        '<span class="money" title="{}">{}</span>', exact, f"{sign}${whole:,}.{rest:02d}"
    )


@register.filter
def usd_change(nanos: int) -> SafeString:
    """A signed amount for a column: `+$5.00` or `−$0.00152`."""
    sign = "+" if nanos > 0 else ""
    return format_html(
        '<span class="{}">{}</span>',
        "plus" if nanos > 0 else "minus",
        _aligned(sign + dollars(nanos)),
    )


@register.filter
def usd_cell(nanos: int) -> SafeString:
    """An amount for a column; a zero is paler than what costs something."""
    if nanos == 0:
        return format_html('<span class="zero">{}</span>', _aligned(dollars(0)))
    return _aligned(dollars(nanos))


@register.filter
def usd_text_cell(text: str) -> SafeString:
    """The same for an exact decimal text, finer than a nano-dollar."""
    return _aligned(f"${text}")


@register.filter
def usd_figure(nanos: int) -> SafeString:
    """A large figure: dollars and cents, what is finer smaller. Nothing is rounded away.

    Below a dollar all of it is large, or two hundredths of a cent would look like nothing at all.
    """
    whole, _, fraction = dollars(nanos).partition(".")
    if len(fraction) == 2 or abs(nanos) < NANOS_PER_USD:
        return format_html('<span class="money">{}.{}</span>', whole, fraction)
    return format_html(
        '<span class="money">{}.{}<span class="money-tail">{}</span></span>',
        whole,
        fraction[:2],
        fraction[2:],
    )


@register.simple_tag
def usd_unknown(why: str) -> SafeString:
    """A dash where an amount would stand, in line with the dollars of its column."""
    return format_html(
        '<span class="unknown money" title="{}"><span aria-hidden="true">–</span>'
        '<span class="visually-hidden">{}</span><span class="money-fraction"></span></span>',
        why,
        why,
    )


@register.filter
def share(sell_bps: int) -> str:
    """Basis points of list as a percentage: `50%`, `52.5%`."""
    return share_of_list(sell_bps)


def _aligned(text: str) -> SafeString:
    whole, _, fraction = text.partition(".")
    return format_html(
        '<span class="money">{}.<span class="money-fraction">{}</span></span>', whole, fraction
    )
