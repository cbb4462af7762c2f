"""GET /v1/models and /v1/models/{id}: what can be called, and at what price."""

from typing import Any

import msgspec

from billing.money import format_scaled
from billing.pricing import Price, Rate
from gateway.catalog import Model
from gateway.errors import NotFound
from gateway.services import Services
from gateway.wire import Wire

SERVED_MODES = frozenset({"chat"})
BUCKET_NAMES = {
    "input": "prompt",
    "output": "completion",
    "cached_input": "cache_read",
    "cache_write": "cache_write",
}
NANO_DECIMALS = 9
PER_TOKEN_DECIMALS = 15
BPS_DECIMALS = 4


async def list_models(wire: Wire, services: Services) -> None:
    """The list needs no key: agents read it before they have one."""
    priced = services.catalog.priced_models(services.now(), SERVED_MODES)
    answer = {
        "object": "list",
        "data": [_as_object(model.name, model, price) for model, price in priced],
    }
    await wire.send_json(200, msgspec.json.encode(answer))


async def get_model(wire: Wire, services: Services, name: str) -> None:
    """One model, by name or alias, with a raw slash or with %2F."""
    model = services.catalog.models.get(name)
    price = services.catalog.price_of(model, None, services.now()) if model else None
    if model is None or price is None or model.mode not in SERVED_MODES:
        raise NotFound(
            f"The model '{name[:120]}' does not exist.", code="model_not_found", param="model"
        )
    await wire.send_json(200, msgspec.json.encode(_as_object(name, model, price)))


def _as_object(name: str, model: Model, price: Price) -> dict[str, Any]:
    rates = next(
        t.rates for t in price.tables if t.tier == "standard" and t.above_input_tokens == 0
    )
    per_token = {
        BUCKET_NAMES[bucket]: rate for bucket, rate in rates.items() if bucket in BUCKET_NAMES
    }
    per_image = {bucket: rate for bucket, rate in rates.items() if rate.per == 1}
    pricing: dict[str, Any] = {shown: _yours(rate) for shown, rate in per_token.items()}
    pricing["list"] = {shown: _listed(rate) for shown, rate in per_token.items()}
    if per_image:
        pricing["per_image"] = {shown: _yours(rate) for shown, rate in per_image.items()}
    return {
        "id": name,
        "object": "model",
        "created": model.created_at,
        "owned_by": model.provider,
        "aliases": list(model.aliases),
        "context_length": model.context_length,
        "max_completion_tokens": model.max_completion_tokens,
        "modality": "text->text",
        "pricing": pricing,
    }


def _listed(rate: Rate) -> str:
    """USD of one unit at list."""
    decimals = NANO_DECIMALS if rate.per == 1 else PER_TOKEN_DECIMALS
    return format_scaled(rate.list_nanos, decimals)


def _yours(rate: Rate) -> str:
    """USD of one unit as sold."""
    decimals = (NANO_DECIMALS if rate.per == 1 else PER_TOKEN_DECIMALS) + BPS_DECIMALS
    return format_scaled(rate.list_nanos * rate.sell_bps, decimals)
