"""One address for each page."""

from urllib.parse import quote

from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect
from django.views.decorators.http import require_safe

from guides.localization import language_prefix


@require_safe
def without_slash(request: HttpRequest, page: str, language: str) -> HttpResponse:
    """`/pricing/` leads to `/pricing`, with what was asked."""
    query = request.META.get("QUERY_STRING", "")
    path = f"/{language_prefix(language)}{quote(page)}"
    return HttpResponsePermanentRedirect(f"{path}?{query}" if query else path)
