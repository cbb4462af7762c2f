"""What can be called, at what price and where: a frozen snapshot of the database. Pure."""

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
    """One credential and base URL; `credential` is in the clear and must never be printed."""

    id: int
    provider: str
    dialect: str
    name: str
    base_url: str
    credential: str
    priority: int
    weight: int

    def __repr__(self) -> str:
        return f"Channel({self.provider}:{self.name})"


class Catalog(msgspec.Struct, frozen=True, kw_only=True):
    """`models` by name and by alias; `prices` by model and group (None: every group), newest first."""

    models: dict[str, Model] = {}
    prices: dict[tuple[str, str | None], tuple[Price, ...]] = {}
    channels: dict[str, tuple[Channel, ...]] = {}

    def price_of(self, model: Model, group_id: str | None, moment: datetime) -> Price | None:
        """The price in force: the group's own if it has one, else everybody's. None: cannot be called."""
        for owner in (group_id, None):
            for price in self.prices.get((model.name, owner), ()):
                if price.effective_from <= moment:
                    return price
        return None

    def priced_models(self, moment: datetime, modes: frozenset[str]) -> list[tuple[Model, Price]]:
        """Every model of these modes that has a price now, by name."""
        found = []
        for name, model in sorted(self.models.items()):
            if name != model.name or model.mode not in modes:
                continue
            price = self.price_of(model, None, moment)
            if price is not None:
                found.append((model, price))
        return found
