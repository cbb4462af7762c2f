"""/llms.txt: what there is to read here, for models (llmstxt.org)."""

from collections.abc import Iterator

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import translation
from django.utils.cache import patch_cache_control
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from guides.catalogue import Offered, read_catalogue
from guides.guides_list import list_guides
from guides.localization import CACHE_AGE_S, DEFAULT_LANGUAGE, page_path, site_root

PLAIN = "text/plain; charset=utf-8"
# One file for all languages: its head is English.
SUMMARY = (
    "A gateway to model APIs: one key and one base URL for GPT, Claude, Gemini and others, metered call by call and "
    "charged to prepaid credits at a share of list price."
)
DETAILS = (
    "The base URL is %(base_url)s, with the key in the header `Authorization: Bearer`. Anthropic's and Google's "
    "clients take %(root)s and add the rest. Every page exists as HTML too, at its address without `.md`."
)


@require_safe
def llms(request: HttpRequest) -> HttpResponse:
    """Every public page in Markdown, English first, then in each other language."""
    root, catalogue = site_root(request), read_catalogue()
    base_url = f"{root}/v1"
    lines = ["# Tollgate", "", f"> {SUMMARY}", "", DETAILS % {"base_url": base_url, "root": root}]
    with translation.override(DEFAULT_LANGUAGE):
        lines += _list_pages(root, catalogue)
    for code, name in settings.LANGUAGES:
        if code == DEFAULT_LANGUAGE:
            continue
        with translation.override(code):
            lines += _list_pages(root, catalogue, f"{name}: ")
    response = HttpResponse("\n".join(lines) + "\n", content_type=PLAIN)
    patch_cache_control(response, public=True, max_age=CACHE_AGE_S)
    return response


def _list_pages(root: str, catalogue: list[Offered], prefix: str = "") -> Iterator[str]:
    """The sections of one language: pages, guides, models."""
    pages = [
        (_("Home"), "public_home"),
        (_("Pricing"), "pricing"),
        (_("Models"), "models"),
        (_("Status"), "status"),
        (_("Guides"), "guides"),
    ]
    yield from ("", f"## {prefix}Tollgate", "")
    for title, name in pages:
        yield f"- [{title}]({root}{page_path(f'{name}_md')})"
    guides, models = _("Guides"), _("Models")
    yield from ("", f"## {prefix}{guides}", "")
    for one in list_guides():
        yield f"- [{one.title}]({root}{page_path('guide_md', **one.parameters)})"
    yield from ("", f"## {prefix}{models}", "")
    for offered in catalogue:
        provider, _slash, name = offered.name.partition("/")
        path = page_path("model_page_md", provider=provider, name=name)
        yield f"- [{offered.name}]({root}{path})"
