"""The home page: what Tollgate is, with the site's own figures."""

from collections.abc import Sequence

from django.http import HttpRequest, HttpResponse, QueryDict

from accounts import views
from gateway.snippets import CLIENTS, FAMILIES, families_of
from guides.calculator import calculate
from guides.catalogue import Offered, find_model, providers_of, read_catalogue
from guides.examples import examples_for
from guides.localization import (
    DEFAULT_LANGUAGE,
    active_language,
    is_markdown,
    public_page,
    render_page,
    site_root,
)

FEATURED = 8
EMBLEMS = 8


@public_page
def home(request: HttpRequest) -> HttpResponse:
    """For those who are signed in, `/` is their dashboard; the other languages' addresses show the page to all."""
    is_root = active_language() == DEFAULT_LANGUAGE and not is_markdown(request)
    if is_root and request.user.is_authenticated:
        return views.home(request)
    catalogue = read_catalogue()
    providers = providers_of(catalogue)
    calculation = calculate(catalogue, QueryDict())
    example = calculation.offered
    context = {
        "catalogue": catalogue,
        "providers": providers,
        "emblems": list(providers.items())[:EMBLEMS],
        "shares": sorted({one.share_bps for one in catalogue}),
        "featured": featured_models(catalogue),
        "examples": examples_for(example, site_root(request)) if example else [],
        "receipt": calculation,
        "clients": [(client, families_of(client.slug)[0]) for client in CLIENTS],
    }
    return render_page(request, "public/home.html", context)


def featured_models(catalogue: Sequence[Offered]) -> list[Offered]:
    """The example of each family, then one of each provider that is not among them yet."""
    found: list[Offered] = []
    for family in FAMILIES:
        names = [one.name for one in catalogue if family.holds(one.name, one.model.mode)]
        example = find_model(catalogue, family.example(names))
        if example is not None:
            found.append(example)
    for one in catalogue:
        if one.model.provider not in {known.model.provider for known in found}:
            found.append(one)
    return found[:FEATURED]
