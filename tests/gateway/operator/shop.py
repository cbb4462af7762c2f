"""Channels, prices and calls for the operator's tests."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils import timezone

from accounts.models import APIKey
from billing.price_book import PriceEntry
from billing.pricing import Rate, RateTable
from gateway.models import CallRecord, Channel, Model, Provider
from gateway.provisioning import book_price, provide_vendors, put_channel
from tests.gateway.call_rows import record

SECRET = "sk-operator-secret"
URL = "http://vllm:8000/v1"
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def add_channel(name: str = "main", provider: str = "openai", base_url: str = URL) -> Channel:
    """An enabled channel of that vendor."""
    provide_vendors()
    return put_channel(Provider.objects.get(slug=provider), name, base_url, SECRET)


def add_model(name: str = "openai/tiny", **fields: Any) -> Model:
    """A chat model without a price."""
    provide_vendors()
    provider, _slash, upstream = name.partition("/")
    facts = {"provider_id": provider, "upstream_name": upstream, "mode": "chat"} | fields
    return Model.objects.create(name=name, **facts)


def entry(
    input_usd: int = 2, output_usd: int = 8, sell_bps: int = 5000, start: datetime | None = None
) -> PriceEntry:
    """A price per million tokens, from tomorrow on unless said otherwise."""
    rates = {
        "input": Rate(input_usd * 10**9, 10**6, sell_bps),
        "output": Rate(output_usd * 10**9, 10**6, sell_bps),
    }
    begins = start or timezone.now() + timedelta(days=1)
    return PriceEntry(begins, sell_bps, False, "a price page", (RateTable("standard", 0, rates),))


def sell(model: Model, price: PriceEntry | None = None, group: Any = None) -> Any:
    """The model has that price, since long ago."""
    return book_price(model.name, group, price or entry(start=LONG_AGO), None, is_told=False)[0]


def tried(
    key: APIKey, channel: str = "openai:main", seconds_ago: float = 60, **fields: Any
) -> CallRecord:
    """A call that was tried on the channel once; `attempt` changes what is recorded of the try."""
    attempt = {"channel": channel, "status": 200, "error": None, "ms": 100}
    attempt |= fields.pop("attempt", {})
    return record(key, seconds_ago, **{"attempts": [attempt]} | fields)
