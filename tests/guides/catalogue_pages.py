"""A small catalogue, and reading what public pages say of it."""

import re
from datetime import UTC, datetime

from billing.models import Price
from billing.price_book import PriceEntry
from billing.pricing import Rate, RateTable
from gateway.models import Model
from gateway.provisioning import book_price, provide_vendors

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
USD = 10**9
MILLION = 10**6


def add_model(name: str, *tables: RateTable, mode: str = "chat", **fields: object) -> Model:
    """A model that is sold at these rates to everybody, since long ago."""
    provide_vendors()
    provider, _slash, own_name = name.partition("/")
    facts = {
        "provider_id": provider,
        "upstream_name": own_name,
        "mode": mode,
        "aliases": [own_name],
    }
    model = Model.objects.create(name=name, **(facts | fields))
    if tables:
        sell(model, *tables)
    return model


def sell(model: Model, *tables: RateTable, group: object = None) -> Price:
    entry = PriceEntry(LONG_AGO, 5000, False, "a price page", tables)
    return book_price(model.name, group, entry, None, is_told=False)[0]  # type: ignore[arg-type]


def tokens(
    input_usd: int, output_usd: int, *, above: int = 0, tier: str = "standard", bps: int = 5000
) -> RateTable:
    """List prices per million tokens."""
    rates = {
        "input": Rate(input_usd * USD, MILLION, bps),
        "output": Rate(output_usd * USD, MILLION, bps),
    }
    return RateTable(tier, above, rates)  # type: ignore[arg-type]


def words(html: str) -> str:
    """What a page says, without its tags."""
    text = re.sub(r"<(script|style|svg)\b.*?</\1>", " ", html, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


def row_of(html: str, name: str) -> str:
    """The words of the row of the table that names the model."""
    rows = re.findall(r"<tr\b.*?</tr>", html, flags=re.DOTALL)
    return next(words(row) for row in rows if f">{name}</a>" in row)


def names_in_order(html: str) -> list[str]:
    """The models of the list of token prices, as they stand."""
    return re.findall(r'class="row-link"[^>]*>([^<]+)</a>', html)
