"""What can be called, at what price and where: a frozen snapshot of the database. Pure."""

from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec

from billing.pricing import Price


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A model that callers may name. `upstream_name` is what its provider calls it."""

    name: str
    provider: str
    upstream_name: str
    mode: str
    aliases: tuple[str, ...] = ()
    context_length: int | None = None
    max_completion_tokens: int | None = None
    created_at: int = 0


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """One credential and base URL; `credential` is in the clear and must never be printed.

    `model_map` names what is served here and what it is called here; empty: every model of the provider, under the
    model's own upstream name.
    """

    id: int
    provider: str
    dialect: str
    name: str
    base_url: str
    credential: str
    priority: int
    weight: int
    model_map: Mapping[str, str] = {}

    def __repr__(self) -> str:
        return f"Channel({self.label})"

    @property
    def label(self) -> str:
        """What logs and records call it."""
        return f"{self.provider}:{self.name}"

    def upstream_name(self, model: Model) -> str:
        """What the model is called at this channel."""
        return self.model_map.get(model.name, model.upstream_name)


class Catalog(msgspec.Struct, frozen=True, kw_only=True):
    """`models` by name and by alias; `prices` by model and group (None: every group), newest first; `channels` by
    the name of the model that they serve."""

    models: dict[str, Model] = {}
    prices: dict[tuple[str, str | None], tuple[Price, ...]] = {}
    channels: dict[str, tuple[Channel, ...]] = {}

    def channels_of(self, model: Model) -> tuple[Channel, ...]:
        """The channels that serve the model, by priority."""
        return self.channels.get(model.name, ())

    def price_of(self, model: Model, group_id: str | None, moment: datetime) -> Price | None:
        """The price in force: the group's own if it has one, else everybody's. None: cannot be called."""
        for owner in (group_id, None):
            for price in self.prices.get((model.name, owner), ()):
                if price.effective_from <= moment:
                    return price
        return None

    def priced_models(
        self, moment: datetime, modes: frozenset[str], group_id: str | None = None
    ) -> list[tuple[Model, Price]]:
        """Every model of these modes that has a price now, by name; with the group's own prices where it has some."""
        found = []
        for name, model in sorted(self.models.items()):
            if name != model.name or model.mode not in modes:
                continue
            price = self.price_of(model, group_id, moment)
            if price is not None:
                found.append((model, price))
        return found


def channels_by_model(
    models: Iterable[Model], channels: Iterable[Channel]
) -> dict[str, tuple[Channel, ...]]:
    """Which channels serve which model, by its name; the order of the channels is kept."""
    names: dict[str, set[str]] = {}
    for model in models:
        names.setdefault(model.provider, set()).add(model.name)
    known = {name for of_provider in names.values() for name in of_provider}
    found: dict[str, list[Channel]] = {}
    for channel in channels:
        served = (
            known & channel.model_map.keys()
            if channel.model_map
            else names.get(channel.provider, set())
        )
        for name in served:
            found.setdefault(name, []).append(channel)
    return {name: tuple(serving) for name, serving in found.items()}
