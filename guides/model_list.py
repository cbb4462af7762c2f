"""The catalogue: which models match, what each can do, and what it can be asked for."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import NamedTuple

from django.http import QueryDict

from guides.catalogue import Offered, matches
from guides.words import FEATURES, KINDS

CONTEXTS = (32_000, 128_000, 200_000, 1_000_000)
QUERY_CHARACTERS_MAX = 80
SIMILAR_MAX, SIMILAR_LEAST = 6, 0.5
_SURFACES = {
    "/v1/chat/completions": "chat",
    "/v1/responses": "responses",
    "/v1/messages": "messages",
    "/v1beta/models/{model}:generateContent": "generate",
    "/v1/text_to_image": "draw",
    "/v1/edit_image": "edit",
    "/v1/upscale_image": "upscale",
}


class Wanted(NamedTuple):
    """What the reader asked for; what is not understood is as if it were not asked."""

    text: str = ""
    provider: str = ""
    kind: str = ""
    context: int = 0
    feature: str = ""

    @property
    def is_filtered(self) -> bool:
        return any(self)


class Parameter(NamedTuple):
    """A field of a request for pictures, the values it takes and the one it has if it is left out."""

    name: str
    values: tuple[str, ...]
    default: str = ""


def read_wanted(parameters: QueryDict, providers: Mapping[str, str]) -> Wanted:
    """What the query string asks for."""
    context = parameters.get("context", "")
    known = {
        name: value
        for name, choices in (("provider", providers), ("kind", KINDS), ("feature", FEATURES))
        if (value := parameters.get(name, "")) in choices
    }
    return Wanted(
        text=" ".join(parameters.get("q", "")[:QUERY_CHARACTERS_MAX].replace("\0", "").split()),
        context=int(context) if context in map(str, CONTEXTS) else 0,
        **known,
    )


def choose_models(catalogue: Sequence[Offered], wanted: Wanted) -> list[Offered]:
    """The models that match, by provider and name."""
    return [
        one
        for one in catalogue
        if matches(one, wanted.text)
        and wanted.provider in ("", one.model.provider)
        and wanted.kind in ("", one.kind)
        and (not wanted.context or (one.model.context_length or 0) >= wanted.context)
        and (not wanted.feature or wanted.feature in features_of(one))
    ]


def features_of(offered: Offered) -> tuple[str, ...]:
    """Keys of FEATURES that hold for the model, in that order."""
    found = {_SURFACES[path] for path in offered.endpoints if path in _SURFACES}
    if offered.kind == "text" and offered.rate("cached_input"):
        found.add("caching")
    if len(offered.tables()) > 1:
        found.add("long_context")
    if len(offered.tiers) > 1:
        found.add("tiers")
    offer = offered.offer
    if offer is not None and offer.has_mask:
        found.add("mask")
    if offer is not None and "transparent" in offer.backgrounds:
        found.add("transparent")
    return tuple(key for key in FEATURES if key in found)


def find_by_alias(catalogue: Sequence[Offered], asked: str) -> Offered | None:
    """The model that has this other name, with or without the provider in front of it."""
    provider, _, own_name = asked.partition("/")
    for one in catalogue:
        of_provider = one.model.provider == provider and own_name in one.model.aliases
        if of_provider or asked in one.model.aliases:
            return one
    return None


def similar_models(catalogue: Sequence[Offered], asked: str) -> list[Offered]:
    """Models whose names are written alike, the likest first."""
    by_name = {one.own_name: one for one in catalogue}
    close = get_close_matches(asked.partition("/")[2], by_name, SIMILAR_MAX, SIMILAR_LEAST)
    return [by_name[name] for name in close]


def picture_parameters(offered: Offered) -> list[Parameter]:
    """What a request for pictures can name, out of the model's offer."""
    offer = offered.offer
    if offer is None:
        return []
    sources = (f"1–{offer.sources_max}",) if offer.sources_max > 1 else ("1",)
    listed = [
        Parameter(
            "output_resolution",
            offer.resolutions,
            offer.resolutions[0] if offer.resolutions else "",
        ),
        Parameter("aspect_ratio", offer.ratios, offer.auto_ratio),
        Parameter("output_count", tuple(map(str, offer.counts)), "1"),
        Parameter(
            "background", offer.backgrounds, offer.backgrounds[0] if offer.backgrounds else ""
        ),
        Parameter("upscale_factor", tuple(map(str, offer.factors)), str(offer.default_factor)),
    ]
    found = [one for one in listed if one.values]
    if {"edit_image", "upscale_image"} & set(offer.actions):
        found.append(Parameter("source_image_urls", sources))
    return found
