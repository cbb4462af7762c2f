"""What each image model offers: actions, resolutions, ratios, counts, and what its price depends on. Pure.

The lists of gpt-image-2 follow OpenAI's image generation guide, those of FLUX.1 Kontext the reference at docs.bfl.ai,
those of the upscaler developer.topazlabs.com; what is narrower here is what the price book has a price for.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

import msgspec

from gateway.errors import BadRequest

if TYPE_CHECKING:
    from gateway.images.request import ImageRequest

PricedBy = Literal["", "resolution", "count", "factor"]
NamedSizes = Literal["", "any", "of_ratios", "by_ratio"]

# The paths on which each action can be asked for.
PATHS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "text_to_image": ("/v1/text_to_image", "/v1/images/generations"),
        "edit_image": ("/v1/edit_image", "/v1/images/edits"),
        "upscale_image": ("/v1/upscale_image",),
    }
)
# What a model of each mode of the price book may be asked for; its offer says which of it.
MODES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "image_generation": ("text_to_image", "edit_image"),
        "image_upscale": ("upscale_image",),
    }
)


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """What one model offers. An empty tuple: the model has no such choice, and the field is refused.

    `auto_ratio` is what the ratio `auto` is stored as. `sources_max`: pictures of an edit or upscale, at least one.
    `quality` is what is sent to the provider, empty where it knows none; `qualities` are those that callers of OpenAI's
    Images may name. The sizes that they may name: `any` within the provider's constraints, those `of_ratios` at 1k, or
    about a megapixel taken `by_ratio`.
    """

    model: str
    actions: tuple[str, ...]
    sources_max: int
    resolutions: tuple[str, ...] = ()
    ratios: tuple[str, ...] = ()
    auto_ratio: str = "auto"
    counts: tuple[int, ...] = ()
    backgrounds: tuple[str, ...] = ()
    factors: tuple[int, ...] = ()
    default_factor: int = 0
    quality: str = ""
    qualities: tuple[str, ...] = ()
    named_sizes: NamedSizes = ""
    has_mask: bool = False
    priced_by: PricedBy = ""


_DRAWING = MODES["image_generation"]
_BACKGROUNDS = ("auto", "transparent", "opaque")
_FLUX_RATIOS = (
    "auto", "1:1", "3:2", "2:3", "4:3", "3:4", "5:4", "4:5", "16:9", "9:16", "2:1", "1:2", "21:9", "9:21",
)  # fmt: skip


def _flux(model: str) -> Offer:
    return Offer(
        model=model,
        actions=_DRAWING,
        sources_max=1,
        resolutions=("1k",),
        ratios=_FLUX_RATIOS,
        counts=(1,),
        named_sizes="by_ratio",
    )


_ALL = (
    Offer(
        model="openai/gpt-image-2",
        actions=_DRAWING,
        sources_max=16,
        resolutions=("1k", "2k", "4k"),
        ratios=(*_FLUX_RATIOS[:-2], "3:1", "1:3", *_FLUX_RATIOS[-2:]),
        counts=tuple(range(1, 11)),
        backgrounds=_BACKGROUNDS,
        quality="medium",
        qualities=("low", "medium"),
        named_sizes="any",
        has_mask=True,
        priced_by="resolution",
    ),
    Offer(
        model="openai/gpt-4o-image",
        actions=_DRAWING,
        sources_max=5,
        resolutions=("1k",),
        ratios=("auto", "1:1", "3:2", "2:3"),
        auto_ratio="1:1",
        counts=(1, 2, 4),
        backgrounds=_BACKGROUNDS,
        quality="low",
        qualities=("low",),
        named_sizes="of_ratios",
        has_mask=True,
        priced_by="count",
    ),
    _flux("black-forest-labs/flux-kontext-pro"),
    _flux("black-forest-labs/flux-kontext-max"),
    Offer(
        model="topaz/topaz-upscale-image",
        actions=MODES["image_upscale"],
        sources_max=1,
        factors=(1, 2, 4, 8),
        default_factor=2,
        priced_by="factor",
    ),
)
OFFERS: Mapping[str, Offer] = MappingProxyType({offer.model: offer for offer in _ALL})
"""By the canonical name of the model."""


def price_key(offer: Offer, request: ImageRequest) -> str:
    """The key of the price book under which the request is charged; empty: plain `image`."""
    if offer.priced_by == "resolution":
        return request.output_resolution
    if offer.priced_by == "count":
        return str(request.output_count)
    return str(request.upscale_factor) if offer.priced_by == "factor" else ""


def price_keys(offer: Offer) -> tuple[str, ...]:
    """Every key that a request for the model can have."""
    if offer.priced_by == "resolution":
        return offer.resolutions
    if offer.priced_by == "":
        return ("",)
    return tuple(map(str, offer.counts if offer.priced_by == "count" else offer.factors))


def image_paths(model: str) -> list[str]:
    """The paths on which the model can be called; none for what is no image model."""
    offer = OFFERS.get(model)
    return [] if offer is None else [path for action in offer.actions for path in PATHS[action]]


def refuse_action(model: str, path: str, elsewhere: list[str]) -> BadRequest:
    """The error for a model that cannot be called on `path`; `elsewhere`: where it can, as of `image_paths` or of
    gateway/exchange.py."""
    hint = f"; use {' or '.join(elsewhere)}" if elsewhere else ""
    return BadRequest(
        f"'{model}' cannot be called on {path}{hint}.",
        code="model_endpoint_mismatch",
        param="model",
    )
