"""The price book as operators see it: every model with what it sells for, what it costs, and its history."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from django.utils import timezone

from billing.models import Price
from billing.money import divide_half_even
from billing.picture_pricing import parse_bucket, priced_keys
from billing.pricing import BPS, Rate, RateTable
from gateway import catalog
from gateway.models import Channel, Model
from gateway.operator.costs import Costs, costs_at

PERMILLE = 1000


class Margin(NamedTuple):
    """What is left of the revenue, in permille of it, at the dearest and at the cheapest of the channels."""

    low: int
    high: int

    @property
    def is_negative(self) -> bool:
        return self.low < 0


class ModelRow(NamedTuple):
    """A model in the list. `price` is the one in force for everybody, None for a model that cannot be called;
    `main_rates` are the two that it is known by (or the one); `own_prices` counts groups with a price of their own."""

    model: Model
    price: Price | None
    main_rates: list["ShownRate"]
    margin: Margin | None
    upcoming: Price | None
    own_prices: int
    channels: int


class ShownRate(NamedTuple):
    """A rate in the list or in a table; `sale_nanos` is rounded half-even to a nano-dollar."""

    bucket: str
    list_nanos: int
    sale_nanos: int
    per: int
    sell_bps: int


class ShownTable(NamedTuple):
    """The rates of a tier and a context length."""

    tier: str
    above_input_tokens: int
    rates: list[ShownRate]


class DatedPrice(NamedTuple):
    """A price in a model's history: it holds `until` the next one of the same group begins, None for ever.
    `state` is `current`, `coming` or `over`."""

    price: Price
    until: datetime | None
    state: str
    tables: list[ShownTable]


def list_models() -> list[ModelRow]:
    """Every model, by name. All prices and channels are read: hundreds of rows, not millions."""
    now = timezone.now()
    current: dict[str, Price] = {}
    upcoming: dict[str, Price] = {}
    own: dict[str, set[object]] = {}
    for price in Price.objects.prefetch_related("rates").order_by("-effective_from", "-id"):
        if price.group_id is not None:
            own.setdefault(price.model, set()).add(price.group_id)
        elif price.effective_from > now:
            upcoming[price.model] = price  # the last one that is seen is the next to come
        else:
            current.setdefault(price.model, price)
    models = list(Model.objects.select_related("provider").order_by("name"))
    serving = channels_of(models)
    costs = costs_at(now)
    return [
        ModelRow(
            model,
            current.get(model.name),
            main_rates(current.get(model.name)),
            margin_of(current.get(model.name), serving.get(model.name, ()), costs),
            upcoming.get(model.name),
            len(own.get(model.name, ())),
            len(serving.get(model.name, ())),
        )
        for model in models
    ]


def channels_of(models: Iterable[Model]) -> Mapping[str, tuple[catalog.Channel, ...]]:
    """The enabled channels that serve each model, by its name."""
    shown = [
        catalog.Model(
            name=m.name, provider=m.provider_id, upstream_name=m.upstream_name, mode=m.mode
        )
        for m in models
    ]
    channels = [
        catalog.Channel(
            id=c.pk, provider=c.provider_id, dialect="", name=c.name, base_url=c.base_url,
            credential="", priority=c.priority, weight=c.weight, model_map=c.model_map,
        )
        for c in Channel.objects.filter(is_enabled=True).order_by("priority", "id")
    ]  # fmt: skip
    return catalog.channels_by_model(shown, channels)


def margin_of(
    price: Price | None, serving: Iterable[catalog.Channel], costs: Costs
) -> Margin | None:
    """The margin at the channels' costs now. None without a price or a channel, or where nothing is charged."""
    if price is None:
        return None
    shares = {price.sell_bps if r.sell_bps is None else r.sell_bps for r in price.rates.all()}
    found = [
        divide_half_even((sell - costs.of(channel.id)) * PERMILLE, sell)
        for channel in serving
        for sell in shares
        if sell
    ]
    return Margin(min(found), max(found)) if found else None


def main_rates(price: Price | None) -> list[ShownRate]:
    """Input and output of the standard tier; for pictures the cheapest; else whatever comes first."""
    if price is None:
        return []
    frozen = price.frozen()
    table = next(t for t in frozen.tables if (t.tier, t.above_input_tokens) == ("standard", 0))
    keyed = priced_keys(frozen)
    if keyed:
        return [show_rate(keyed[0].bucket, keyed[0].rate)]
    known: tuple[str, ...] = ("input", "output", "image_output")
    names = [name for name in known if name in table.rates][:2] or list(table.rates)[:1]
    return [show_rate(name, table.rates[name]) for name in names]


def shown_tables(tables: Iterable[RateTable]) -> list[ShownTable]:
    """The tables as a page lists them: standard first, shorter contexts first."""
    order = {"standard": 0, "flex": 1, "priority": 2}
    ordered = sorted(tables, key=lambda t: (order[t.tier], t.above_input_tokens))
    return [
        ShownTable(
            table.tier,
            table.above_input_tokens,
            [
                show_rate(name, rate)
                for name, rate in sorted(table.rates.items(), key=_bucket_order)
            ],
        )
        for table in ordered
    ]


def read_history(model: Model) -> list[DatedPrice]:
    """Every price of the model, newest first, those of groups among them."""
    now = timezone.now()
    prices = list(
        Price.objects.filter(model=model.name)
        .select_related("group__organization")
        .prefetch_related("rates")
        .order_by("-effective_from", "-id")
    )
    next_at: dict[object, datetime] = {}
    found = []
    for price in prices:
        until = next_at.get(price.group_id)
        next_at[price.group_id] = price.effective_from
        state = "coming" if price.effective_from > now else "current"
        if until is not None and until <= now:
            state = "over"
        found.append(DatedPrice(price, until, state, shown_tables(price.frozen().tables)))
    return found


def show_rate(bucket: str, rate: Rate) -> ShownRate:
    """The rate as pages show it."""
    sale = divide_half_even(rate.list_nanos * rate.sell_bps, BPS)
    return ShownRate(bucket, rate.list_nanos, sale, rate.per, rate.sell_bps)


_TOKEN_BUCKETS = ("input", "cached_input", "cache_write", "cache_write_1h", "cache_write_12h")


def _bucket_order(item: tuple[str, Rate]) -> tuple[int, int, str]:
    """Input before output before pictures; of pictures the cheaper first."""
    name, rate = item
    if parse_bucket(name) is not None:
        return 3, rate.list_nanos, name
    if name in _TOKEN_BUCKETS:
        return 0, _TOKEN_BUCKETS.index(name), name
    return (1 if "input" in name else 2), 0, name
