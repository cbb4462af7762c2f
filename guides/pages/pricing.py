"""The price list: every model with what its vendor asks and what it costs here."""

from django.http import HttpRequest, HttpResponse

from guides.calculator import calculate
from guides.catalogue import TIERS, providers_of, read_catalogue
from guides.localization import public_page, render_page
from guides.price_list import SORTS, columns, list_prices, read_wanted
from guides.words import KINDS


@public_page
def pricing(request: HttpRequest) -> HttpResponse:
    """Everything is in the query string, so that it works without a script, can be linked, and goes back and forth."""
    catalogue = read_catalogue()
    providers = providers_of(catalogue)
    wanted = read_wanted(request.GET, providers)
    context = {
        "catalogue": catalogue,
        "list": list_prices(catalogue, wanted),
        "wanted": wanted,
        "columns": columns(wanted),
        "providers": providers,
        "kinds": KINDS,
        "tiers": TIERS,
        "sorts": SORTS,
        "texts": [one for one in catalogue if one.kind == "text"],
        "calculation": calculate(catalogue, request.GET),
        "shares": sorted({one.share_bps for one in catalogue}),
    }
    return render_page(request, "public/pricing.html", context)
