"""The catalogue of models, and a page for each."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from guides.catalogue import Offered, find_model, providers_of, read_catalogue
from guides.examples import examples_for
from guides.guides_list import guides_of_model
from guides.health import read_recent, state_of
from guides.localization import is_markdown, page_path, public_page, render_page, site_root
from guides.model_list import (
    CONTEXTS,
    choose_models,
    features_of,
    find_by_alias,
    picture_parameters,
    read_wanted,
    similar_models,
)
from guides.words import ENDPOINTS, FEATURES, GEMINI_ENDPOINT, KINDS, MODALITIES, STATES


@public_page
def models(request: HttpRequest) -> HttpResponse:
    """Every model that can be called; filters stand in the query string."""
    catalogue = read_catalogue()
    providers = providers_of(catalogue)
    wanted = read_wanted(request.GET, providers)
    recent = read_recent()
    found = choose_models(catalogue, wanted)
    context = {
        "cards": [(one, _named(features_of(one)), state_of(one, recent)) for one in found],
        "total": len(catalogue),
        "wanted": wanted,
        "providers": providers,
        "kinds": KINDS,
        "contexts": CONTEXTS,
        "features": FEATURES,
        "states": STATES,
    }
    return render_page(request, "public/models.html", context)


@public_page
def model_page(request: HttpRequest, provider: str, name: str) -> HttpResponse:
    """One model by its canonical name. An alias leads there; an unknown name gets a page that helps to find it."""
    catalogue = read_catalogue()
    asked = f"{provider}/{name}"
    offered = find_model(catalogue, asked)
    if offered is None and (known := find_by_alias(catalogue, asked)) is not None:
        page = "model_page_md" if is_markdown(request) else "model_page"
        return redirect(page_path(page, provider=known.model.provider, name=known.own_name))
    if offered is None:
        unknown = {"asked": asked[:120], "similar": similar_models(catalogue, asked)}
        return render_page(request, "public/model_unknown.html", unknown, status=404)
    context: dict[str, Any] = {
        "offered": offered,
        "kind_name": KINDS[offered.kind],
        "modality_name": MODALITIES[offered.modality],
        "state": state_of(offered, read_recent()),
        "states": STATES,
        "features": _named(features_of(offered)),
        "endpoints": [(path, ENDPOINTS.get(path, GEMINI_ENDPOINT)) for path in offered.endpoints],
        "price_tables": [
            (tier, table.above_input_tokens, offered.shown_rates(table))
            for tier in offered.tiers
            for table in offered.tables(tier)
        ],
        "parameters": picture_parameters(offered),
        "examples": examples_for(offered, site_root(request)),
        "guides": guides_of_model(offered.name),
        "others": _others(catalogue, offered),
    }
    return render_page(request, "public/model.html", context)


def _named(features: tuple[str, ...]) -> list[object]:
    return [FEATURES[key] for key in features]


def _others(catalogue: list[Offered], offered: Offered, most: int = 6) -> list[Offered]:
    """More of the same provider and kind."""
    return [
        one
        for one in catalogue
        if one.model.provider == offered.model.provider
        and one.kind == offered.kind
        and one.name != offered.name
    ][:most]
