"""Writes to what can be called: the price book's models and prices, providers and their channels."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from django.conf import settings
from django.db import transaction
from django.utils.crypto import salted_hmac

from accounts import trail
from accounts.models import Group, User
from billing.models import Price, PriceRate
from billing.money import format_usd
from billing.price_book import ModelEntry, PriceEntry
from gateway.credentials import BadCredential, seal, unseal
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
def load_price_book(entries: Sequence[ModelEntry], actor: User | None = None) -> Loaded:
    """Bring in models and prices that are not there yet. Facts of a model follow the book; a price of a date that
    is booked already stays, since prices are never edited.

    What a person brings in, and what changes for a model that is known, leaves lines in the audit trail.
    """
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
        created = _put_model(entry, slug, actor)
        models += created
        is_told = actor is not None or not created
        for price in entry.prices:
            prices += book_price(entry.name, None, price, actor, is_told=is_told)[1]
    return Loaded(models, prices)


def facts_of(entry: ModelEntry) -> dict[str, Any]:
    """What the book says of a model beside its name and its prices."""
    return {
        "upstream_name": entry.upstream_name,
        "aliases": list(entry.aliases),
        "mode": entry.mode,
        "context_length": entry.context_length,
        "max_completion_tokens": entry.max_completion_tokens,
        "retires_on": entry.retires_on,
    }


def _put_model(entry: ModelEntry, slug: str, actor: User | None) -> bool:
    """Whether the model is new."""
    model = Model.objects.select_for_update().filter(name=entry.name).first()
    before = describe_model(model) if model else None
    model = model or Model(name=entry.name, provider_id=slug)
    for field, value in facts_of(entry).items():
        setattr(model, field, value)
    model.save()
    if before is None:
        if actor is not None:
            trail.record(actor, "model.added", model, after=describe_model(model))
        return True
    old, new = trail.differences(before, describe_model(model))
    if new:
        trail.record(actor, "model.changed", model, before=old, after=new)
    return False


def describe_model(model: Model) -> dict[str, Any]:
    """What the audit trail says of a model."""
    return {
        "is_enabled": model.is_enabled,
        "upstream_name": model.upstream_name,
        "aliases": list(model.aliases),
        "mode": model.mode,
        "context_length": model.context_length,
        "max_completion_tokens": model.max_completion_tokens,
        "retires_on": model.retires_on.isoformat() if model.retires_on else None,
    }


def book_price(
    model_name: str,
    group: Group | None,
    price: PriceEntry,
    actor: User | None,
    *,
    is_told: bool = True,
) -> tuple[Price, bool]:
    """The price of that model, group and moment, and whether it is new: what is booked already stays as it is.

    `is_told`: with a line in the audit trail.
    """
    earlier = (
        Price.objects.filter(model=model_name, group=group, effective_from__lt=price.effective_from)
        .prefetch_related("rates")
        .order_by("-effective_from")
        .first()
    )
    booked, created = Price.objects.get_or_create(
        model=model_name,
        group=group,
        effective_from=price.effective_from,
        defaults={
            "sell_bps": price.sell_bps,
            "list_is_estimated": price.list_is_estimated,
            "source": price.source,
        },
    )
    if not created:
        return booked, False
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
    if is_told:
        old, new = trail.differences(
            describe_price(earlier) if earlier else {}, describe_price(booked)
        )
        model = Model.objects.get(name=model_name)
        trail.record(actor, "price.added", model, before=old, after=new, within=group)
    return booked, True


def describe_price(price: Price) -> dict[str, Any]:
    """What the audit trail says of a price: its rates as words, one for each bucket."""
    rates = []
    for rate in price.rates.all():
        where = "" if rate.tier == "standard" else f"{rate.tier} "
        if rate.above_input_tokens:
            where += f">{rate.above_input_tokens} "
        per = "1M" if rate.per > 1 else "1"
        share = "" if rate.sell_bps is None else f" x {rate.sell_bps} bps"
        rates.append(f"{where}{rate.bucket}: ${format_usd(rate.list_nanos)} / {per}{share}")
    return {
        "effective_from": price.effective_from.isoformat(),
        "sell_bps": price.sell_bps,
        "source": price.source,
        "group": price.group.name if price.group else None,
        "rates": sorted(rates),
    }


@transaction.atomic
def put_channel(
    provider: Provider, name: str, base_url: str, credential: str, actor: User | None = None
) -> Channel:
    """The provider's channel of that name with this address and credential, enabled."""
    channel = Channel.objects.select_for_update().filter(provider=provider, name=name).first()
    before = describe_channel(channel) if channel else None
    channel = channel or Channel(provider=provider, name=name)
    channel.base_url = base_url.rstrip("/")
    seal_credential(channel, credential)
    channel.is_enabled = True
    channel.save()
    record_channel(actor, channel, before)
    return channel


@transaction.atomic
def disable_channel(provider: Provider, name: str, actor: User | None = None) -> None:
    """Take the channel of that name, if there is one, out of routing."""
    channel = Channel.objects.select_for_update().filter(provider=provider, name=name).first()
    if channel is None or not channel.is_enabled:
        return
    before = describe_channel(channel)
    channel.is_enabled = False
    channel.save(update_fields=["is_enabled"])
    record_channel(actor, channel, before)


def seal_credential(channel: Channel, credential: str) -> None:
    """Give the channel this credential, encrypted; one that it has already stays as it lies."""
    if open_credential(channel) != credential:
        channel.credential = seal(credential, settings.CREDENTIAL_KEY, channel_label(channel))


def open_credential(channel: Channel) -> str | None:
    """The credential in the clear: never to be shown or logged. None where it opens under no key."""
    try:
        return unseal(bytes(channel.credential), settings.CREDENTIAL_KEYS, channel_label(channel))
    except BadCredential:
        return None


def channel_label(channel: Channel) -> str:
    """What logs and records call it."""
    return f"{channel.provider_id}:{channel.name}"


def fingerprint(channel: Channel) -> str:
    """Eight digits that tell credentials apart and say nothing of them; empty where it does not open."""
    credential = open_credential(channel)
    if credential is None:
        return ""
    return salted_hmac("channel", credential, algorithm="sha256").hexdigest()[:8]


def describe_channel(channel: Channel) -> dict[str, Any]:
    """What the audit trail says of a channel."""
    return {
        "base_url": channel.base_url,
        "priority": channel.priority,
        "weight": channel.weight,
        "model_map": channel.model_map,
        "is_enabled": channel.is_enabled,
        "fingerprint": fingerprint(channel),
    }


def record_channel(actor: User | None, channel: Channel, before: dict[str, Any] | None) -> None:
    """The line about what became of a channel; none where nothing changed. `before` None: it is new."""
    after = describe_channel(channel)
    if before is None:
        trail.record(actor, "channel.added", channel, after=after)
        return
    old, new = trail.differences(before, after)
    if not new:
        return
    verb = "channel.changed"
    if new.keys() == {"is_enabled"}:
        verb = "channel.enabled" if channel.is_enabled else "channel.disabled"
    elif new.keys() == {"fingerprint"}:
        verb = "channel.rotated"
    trail.record(actor, verb, channel, before=old, after=new)
