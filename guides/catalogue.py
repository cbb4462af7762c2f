"""The models that the public may call, at everybody's prices: what GET /v1/models lists, out of the same rows.

A group's own price is nobody else's business: none is read here.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Literal, NamedTuple

from django.utils import timezone

from billing import models as billing_models
from billing.picture_pricing import priced_keys
from billing.pricing import Price, RateTable
from gateway import catalog
from gateway.endpoints.models import MODALITIES, SERVED_MODES, can_be_called
from gateway.exchange import offered_paths
from gateway.images.offers import OFFERS, Offer, image_paths
from gateway.models import Channel, Model, Provider
from gateway.operator.price_reading import ShownRate, show_rate, shown_tables

Kind = Literal["text", "image", "embedding"]

KINDS: Mapping[str, Kind] = {
    "chat": "text",
    "responses": "text",
    "embedding": "embedding",
    "image_generation": "image",
    "image_upscale": "image",
}
TIERS = ("standard", "flex", "priority")


class Offered(NamedTuple):
    """A model with its price of now. `channels` counts those that serve it, `endpoints` are paths of ours."""

    model: catalog.Model
    provider_name: str
    price: Price
    endpoints: tuple[str, ...]
    channels: int
    retires_on: date | None
    list_is_estimated: bool

    @property
    def name(self) -> str:
        """As callers name it: `openai/gpt-5.5`."""
        return self.model.name

    @property
    def own_name(self) -> str:
        """The same without the provider."""
        return self.model.name.partition("/")[2]

    @property
    def kind(self) -> Kind:
        return KINDS[self.model.mode]

    @property
    def modality(self) -> str:
        """What goes in and what comes out, as /v1/models says it: `text->text`."""
        return MODALITIES[self.model.mode]

    @property
    def offer(self) -> Offer | None:
        """What an image model can be asked for."""
        return OFFERS.get(self.model.name)

    @property
    def short_name(self) -> str:
        """The shortest name that callers may use."""
        return min((self.model.name, *self.model.aliases), key=len)

    @property
    def tiers(self) -> tuple[str, ...]:
        """The service tiers that have prices, standard first."""
        priced = {table.tier for table in self.price.tables}
        return tuple(tier for tier in TIERS if tier in priced)

    def tables(self, tier: str = "standard") -> list[RateTable]:
        """The tables of a tier, shorter contexts first."""
        found = [table for table in self.price.tables if table.tier == tier]
        return sorted(found, key=lambda table: table.above_input_tokens)

    def rate(self, bucket: str, tier: str = "standard") -> ShownRate | None:
        """The listed rate for calls of any length; None where the vendor lists none."""
        tables = self.tables(tier)
        rate = tables[0].rates.get(bucket) if tables else None
        return None if rate is None else show_rate(bucket, rate)

    def shown_rates(self, table: RateTable) -> list[ShownRate]:
        """Every rate of a table: input before output before pictures, the cheaper pictures first."""
        return shown_tables([table])[0].rates

    @property
    def picture_rates(self) -> list[ShownRate]:
        """Prices of pictures, cheapest first; empty for a model that sells tokens."""
        return [show_rate(one.bucket, one.rate) for one in priced_keys(self.price)]

    @property
    def share_bps(self) -> int:
        """The greatest share of list price that any of its rates is sold at."""
        return max(rate.sell_bps for table in self.price.tables for rate in table.rates.values())


def read_catalogue() -> list[Offered]:
    """Every model that is enabled, priced and served by one of our endpoints, by name."""
    now = timezone.now()
    rows = {
        row.name: row
        for row in Model.objects.filter(is_enabled=True, mode__in=SERVED_MODES).select_related(
            "provider"
        )
    }
    prices = {
        price.model: price
        for price in billing_models.Price.objects.filter(group=None, model__in=rows)
        .in_force(now)
        .prefetch_related("rates")
    }
    models = {name: _as_model(row) for name, row in rows.items()}
    serving = catalog.channels_by_model(models.values(), _read_channels())
    frozen = {name: price.frozen() for name, price in prices.items()}
    found = []
    for name in sorted(frozen):
        model = models[name]
        if not can_be_called(model, frozen[name]):
            continue
        row = rows[name]
        found.append(
            Offered(
                model=model,
                provider_name=row.provider.name,
                price=frozen[name],
                endpoints=_endpoints(model, serving.get(name, ()), row.provider),
                channels=len(serving.get(name, ())),
                retires_on=row.retires_on,
                list_is_estimated=prices[name].list_is_estimated,
            )
        )
    return found


def find_model(catalogue: Iterable[Offered], name: str) -> Offered | None:
    """The model of that canonical name."""
    return next((one for one in catalogue if one.name == name), None)


def matches(offered: Offered, text: str) -> bool:
    """Whether every word of `text` stands in one of the model's names or in its provider's."""
    names = " ".join((offered.name, *offered.model.aliases, offered.provider_name)).lower()
    return all(word in names for word in text.lower().split())


def providers_of(catalogue: Iterable[Offered]) -> dict[str, str]:
    """Slugs and names of the providers whose models these are, by name."""
    found = {one.model.provider: one.provider_name for one in catalogue}
    return dict(sorted(found.items(), key=lambda item: item[1].casefold()))


def _as_model(row: Model) -> catalog.Model:
    return catalog.Model(
        name=row.name,
        provider=row.provider_id,
        upstream_name=row.upstream_name,
        mode=row.mode,
        aliases=tuple(row.aliases),
        context_length=row.context_length,
        max_completion_tokens=row.max_completion_tokens,
    )


def _read_channels() -> list[catalog.Channel]:
    """Those that are switched on, without their credentials."""
    rows = Channel.objects.filter(is_enabled=True).select_related("provider").defer("credential")
    return [_as_channel(row.pk, row.provider, row.model_map) for row in rows]


def _as_channel(pk: int, provider: Provider, model_map: Mapping[str, str]) -> catalog.Channel:
    return catalog.Channel(
        id=pk,
        provider=provider.slug,
        dialect=provider.dialect,
        name="",
        base_url="",
        credential="",
        priority=0,
        weight=1,
        model_map=model_map,
    )


def _endpoints(
    model: catalog.Model, serving: tuple[catalog.Channel, ...], provider: Provider
) -> tuple[str, ...]:
    """Where the model can be called; without a channel, where its provider could serve it."""
    paths = image_paths(model.name)
    if paths:
        return tuple(paths)
    return tuple(offered_paths(model, serving or [_as_channel(0, provider, {})]))
