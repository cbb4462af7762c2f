"""Prices and catalogs small enough to compute in one's head: a token costs 2,000 nano-dollars in and 10,000 out,
at half of list.

Flex costs half of that, priority twice.
"""

from datetime import UTC, datetime

from billing.pricing import MILLION, Price, Rate, RateTable
from gateway.catalog import Channel, Model

BOOK_DAY = datetime(2026, 1, 1, tzinfo=UTC)
HALF = 5000


def rate(usd_per_million: int, sell_bps: int = HALF) -> Rate:
    return Rate(usd_per_million * 10**9, MILLION, sell_bps)


def price(
    number: int = 1,
    model: str = "openai/small",
    group_id: str | None = None,
    effective_from: datetime = BOOK_DAY,
    sell_bps: int = HALF,
) -> Price:
    """A price of 4 USD per million tokens in and 20 out at list, sold at `sell_bps`."""
    tables = (
        RateTable("standard", 0, {"input": rate(4, sell_bps), "output": rate(20, sell_bps)}),
        RateTable("flex", 0, {"input": rate(2, sell_bps), "output": rate(10, sell_bps)}),
        RateTable("priority", 0, {"input": rate(8, sell_bps), "output": rate(40, sell_bps)}),
    )
    return Price(number, model, group_id, effective_from, tables)


def model(name: str = "openai/small", mode: str = "chat", aliases: tuple[str, ...] = ()) -> Model:
    provider, _, upstream_name = name.partition("/")
    return Model(
        name=name, provider=provider, upstream_name=upstream_name, mode=mode, aliases=aliases
    )


def channel(credential: str = "sk-provider-secret") -> Channel:
    return Channel(
        id=1,
        provider="openai",
        dialect="openai",
        name="main",
        base_url="http://127.0.0.1:1/v1",
        credential=credential,
        priority=0,
        weight=1,
    )
