"""GET /v1/models and /v1/models/{id}: what can be called, and at what price; GET /v1beta/models for Google's clients.

The list answers OpenAI's and Anthropic's clients at once: each reads its own fields and passes over the other's.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import msgspec

from billing.money import format_scaled
from billing.picture_pricing import PricedKey, priced_keys
from billing.pricing import Price, Rate
from gateway.catalog import Model
from gateway.errors import Forbidden, NotFound, Unauthorized
from gateway.exchange import choose_exchange
from gateway.images.offers import MODES, OFFERS, price_keys
from gateway.services import Services
from gateway.surfaces import SURFACES
from gateway.wire import Wire, is_google_client

MODALITIES = MappingProxyType(
    {
        "chat": "text->text",
        "responses": "text->text",
        "embedding": "text->embedding",
        "image_generation": "text+image->image",
        "image_upscale": "image->image",
    }
)
SERVED_MODES = frozenset(MODALITIES)
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
    """The list needs no key: agents read it before they have one. With one, the prices are those of its group."""
    if is_google_client(wire):
        await list_gemini_models(wire, services)
        return
    priced = _callable_models(services, await _group_of(wire, services))
    answer = {
        "object": "list",
        "data": [_as_object(model.name, model, price) for model, price in priced],
        "has_more": False,
        "first_id": priced[0][0].name if priced else None,
        "last_id": priced[-1][0].name if priced else None,
    }
    await wire.send_json(200, msgspec.json.encode(answer))


async def get_model(wire: Wire, services: Services, name: str) -> None:
    """One model, by name or alias, with a raw slash or with %2F."""
    if is_google_client(wire):
        await get_gemini_model(wire, services, name)
        return
    model, price = _find(services, name, await _group_of(wire, services))
    await wire.send_json(200, msgspec.json.encode(_as_object(name, model, price)))


async def list_gemini_models(wire: Wire, services: Services) -> None:
    """The models that Google's clients can call here, in the shape of Gemini's `models.list`."""
    priced = _callable_models(services)
    shown = [_as_gemini(model.name, model) for model, _ in priced if _generates(services, model)]
    await wire.send_json(200, msgspec.json.encode({"models": shown}))


async def get_gemini_model(wire: Wire, services: Services, name: str) -> None:
    """One of them."""
    model, _ = _find(services, name)
    if not _generates(services, model):
        raise _unknown(name)
    await wire.send_json(200, msgspec.json.encode(_as_gemini(name, model)))


async def _group_of(wire: Wire, services: Services) -> str | None:
    """The group of the request's key; None without a good one."""
    if wire.header(b"authorization") is None and wire.header(b"x-api-key") is None:
        return None
    try:
        caller = await services.authenticator.authenticate(wire, any_scope=True)
    except (Unauthorized, Forbidden):
        return None
    return caller.group_id


def _callable_models(services: Services, group_id: str | None = None) -> list[tuple[Model, Price]]:
    priced = services.catalog.priced_models(services.now(), SERVED_MODES, group_id)
    return [(model, price) for model, price in priced if can_be_called(model, price)]


def can_be_called(model: Model, price: Price) -> bool:
    """Whether an endpoint of ours serves the model at this price."""
    if model.mode not in MODES:
        return model.mode in SERVED_MODES
    offer = OFFERS.get(model.name)
    priced = {one.key for one in priced_keys(price)}
    return offer is not None and not priced.isdisjoint(price_keys(offer))


def _find(services: Services, name: str, group_id: str | None = None) -> tuple[Model, Price]:
    model = services.catalog.models.get(name)
    price = services.catalog.price_of(model, group_id, services.now()) if model else None
    if model is None or price is None or not can_be_called(model, price):
        raise _unknown(name)
    return model, price


def _unknown(name: str) -> NotFound:
    return NotFound(
        f"The model '{name[:120]}' does not exist.", code="model_not_found", param="model"
    )


def _generates(services: Services, model: Model) -> bool:
    surface = SURFACES["generate"]
    channels = services.catalog.channels_of(model)
    return any(choose_exchange(surface, model, channel) for channel in channels)


def _as_gemini(name: str, model: Model) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "name": f"models/{name}",
        "displayName": _own_name(model),
        "supportedGenerationMethods": ["generateContent", "countTokens"],
    }
    if model.context_length is not None:
        shown["inputTokenLimit"] = model.context_length
    if model.max_completion_tokens is not None:
        shown["outputTokenLimit"] = model.max_completion_tokens
    return shown


def _as_object(name: str, model: Model, price: Price) -> dict[str, Any]:
    return {
        "id": name,
        "object": "model",
        "type": "model",
        "display_name": _own_name(model),
        "created": model.created_at,
        "created_at": datetime.fromtimestamp(model.created_at, UTC).isoformat(),
        "owned_by": model.provider,
        "aliases": list(model.aliases),
        "context_length": model.context_length,
        "max_completion_tokens": model.max_completion_tokens,
        "max_input_tokens": model.context_length,
        "max_tokens": model.max_completion_tokens,
        "modality": MODALITIES[model.mode],
        "pricing": _describe_price(price),
    }


def _own_name(model: Model) -> str:
    """The name without its provider. What the provider calls it may be the name of another model."""
    return model.name.partition("/")[2]


def _describe_price(price: Price) -> dict[str, Any]:
    rates = next(
        t.rates for t in price.tables if t.tier == "standard" and t.above_input_tokens == 0
    )
    per_token = {
        BUCKET_NAMES[bucket]: rate for bucket, rate in rates.items() if bucket in BUCKET_NAMES
    }
    pictures = priced_keys(price)
    return {
        **{shown: _yours(rate) for shown, rate in per_token.items()},
        **_describe_pictures(pictures, _yours),
        "list": {
            **{shown: _listed(rate) for shown, rate in per_token.items()},
            **_describe_pictures(pictures, _listed),
        },
    }


def _describe_pictures(
    pictures: Sequence[PricedKey], usd_of: Callable[[Rate], str]
) -> dict[str, Any]:
    if not pictures:
        return {}
    return {
        "per_image": {one.key or "image": usd_of(one.rate) for one in pictures},
        "per_image_unit": pictures[0].unit,
    }


def _listed(rate: Rate) -> str:
    """USD of one unit at list."""
    decimals = NANO_DECIMALS if rate.per == 1 else PER_TOKEN_DECIMALS
    return format_scaled(rate.list_nanos, decimals)


def _yours(rate: Rate) -> str:
    """USD of one unit as sold."""
    decimals = (NANO_DECIMALS if rate.per == 1 else PER_TOKEN_DECIMALS) + BPS_DECIMALS
    return format_scaled(rate.list_nanos * rate.sell_bps, decimals)
