"""Writes to what can be called: the price book's models and prices, providers and their channels."""

from collections.abc import Sequence
from typing import NamedTuple

from django.conf import settings
from django.db import transaction

from billing.models import Price, PriceRate
from billing.price_book import ModelEntry, PriceEntry
from gateway.credentials import seal
from gateway.models import Channel, Model, Provider
from gateway.providers import DIALECTS


class Loaded(NamedTuple):
    """How many rows a price book added."""

    models: int
    prices: int


def provide_vendors() -> None:
    """The rows of the known providers; one that an operator has changed stays as it is.

    One without an address is a price book's placeholder from before its dialect was known: it is filled in.
    """
    for slug, vendor in DIALECTS.items():
        spoken = {"dialect": slug, "base_url": vendor.base_url}
        _, created = Provider.objects.get_or_create(
            slug=slug, defaults={"name": vendor.name, **spoken}
        )
        if not created:
            Provider.objects.filter(slug=slug, base_url="").update(**spoken)


@transaction.atomic
def load_price_book(entries: Sequence[ModelEntry]) -> Loaded:
    """Bring in models and prices that are not there yet. Facts of a model follow the book; a price of a date that
    is booked already stays, since prices are never edited."""
    provide_vendors()
    known = set(Provider.objects.values_list("slug", flat=True))
    models = prices = 0
    for entry in entries:
        slug = entry.name.partition("/")[0]
        if slug not in known:
            Provider.objects.create(
                slug=slug, name=slug.replace("-", " ").title(), dialect="openai", base_url=""
            )
            known.add(slug)
        _, created = Model.objects.update_or_create(
            name=entry.name,
            defaults={
                "provider_id": slug,
                "upstream_name": entry.upstream_name,
                "aliases": list(entry.aliases),
                "mode": entry.mode,
                "context_length": entry.context_length,
                "max_completion_tokens": entry.max_completion_tokens,
                "retires_on": entry.retires_on,
            },
        )
        models += created
        prices += sum(_book_price(entry, price) for price in entry.prices)
    return Loaded(models, prices)


def _book_price(entry: ModelEntry, price: PriceEntry) -> bool:
    booked, created = Price.objects.get_or_create(
        model=entry.name,
        group=None,
        effective_from=price.effective_from,
        defaults={
            "sell_bps": price.sell_bps,
            "list_is_estimated": price.list_is_estimated,
            "source": price.source,
        },
    )
    if created:
        PriceRate.objects.bulk_create(
            PriceRate(
                price=booked,
                tier=table.tier,
                above_input_tokens=table.above_input_tokens,
                bucket=bucket,
                list_nanos=rate.list_nanos,
                per=rate.per,
                sell_bps=None if rate.sell_bps == price.sell_bps else rate.sell_bps,
            )
            for table in price.tables
            for bucket, rate in table.rates.items()
        )
    return created


def put_channel(provider: Provider, name: str, base_url: str, credential: str) -> Channel:
    """The provider's channel of that name with this address and credential, enabled."""
    sealed = seal(credential, settings.CREDENTIAL_KEY, f"{provider.slug}:{name}")
    channel, _ = Channel.objects.update_or_create(
        provider=provider,
        name=name,
        defaults={"base_url": base_url.rstrip("/"), "credential": sealed, "is_enabled": True},
    )
    return channel


def disable_channel(provider: Provider, name: str) -> None:
    """Take the channel of that name, if there is one, out of routing."""
    Channel.objects.filter(provider=provider, name=name).update(is_enabled=False)
