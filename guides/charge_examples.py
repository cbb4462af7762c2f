"""A charge worked out at the prices of now, line by line, by the function that charges calls."""

from django.utils.translation import gettext as _

from billing.money import format_usd
from billing.presentation import share_of_list
from billing.pricing import PricingError, Usage, charge_usage
from gateway.templatetags.operator import bucket_name
from guides.catalogue import Offered
from guides.document import Amount, Column, Exact, Table
from guides.model_tables import tokens_text

USAGE = Usage(input_tokens=2_000, cached_input_tokens=40_000, output_tokens=1_500)
"""A turn of an agent in the midst of its work: most of what it reads was read before."""


def charge_table(offered: Offered) -> Table | None:
    """The lines of the charge for USAGE; None for a model whose price does not cover it."""
    try:
        charge = charge_usage(offered.price, USAGE)
    except PricingError:
        return None
    columns = (
        Column(_("Tokens")),
        Column(_("Quantity"), is_number=True),
        Column(_("List price per 1M"), is_number=True),
        Column(_("Your share"), is_number=True),
        Column(_("Amount"), is_number=True),
    )
    rows = tuple(
        (
            bucket_name(line.bucket),
            tokens_text(line.quantity),
            Amount(line.list_nanos),
            share_of_list(line.sell_bps),
            Exact(line.amount),
        )
        for line in charge.lines
    )
    total = (_("Charge"), "", "", "", Exact(format_usd(charge.amount_nanos)))
    return Table(_("Example of a charge"), columns, rows, total)
