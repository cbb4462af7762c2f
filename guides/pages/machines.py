"""Files for crawlers: what they may read, and every public page in every language."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from accounts.anonymous import knows_nobody
from guides.catalogue import read_catalogue
from guides.guides_list import guide_addresses
from guides.localization import (
    CACHE_AGE_S,
    DEFAULT_LANGUAGE,
    LANGUAGE_TAGS,
    language_codes,
    page_path,
    site_root,
)

# What is behind the sign-in, and what is for programs with a key.
CLOSED = (
    "/accounts/",
    "/admin/",
    "/api/",
    "/groups/",
    "/mcp",
    "/operator/",
    "/organization/",
    "/v1/",
    "/v1beta/",
)


class SitemapEntry(NamedTuple):
    """A page in one language with all its languages, as (tag, URL); `default_url` is the English one."""

    url: str
    alternates: tuple[tuple[str, str], ...]
    default_url: str


@require_safe
@knows_nobody
@cache_control(public=True, max_age=CACHE_AGE_S)
def robots(request: HttpRequest) -> HttpResponse:
    """Everything public, also the answers in Markdown, is for everybody."""
    lines = ["User-agent: *", *(f"Disallow: {path}" for path in CLOSED), ""]
    lines.append(f"Sitemap: {site_root(request)}{reverse('sitemap')}")
    return HttpResponse("\n".join(lines) + "\n", content_type="text/plain; charset=utf-8")


@require_safe
@knows_nobody
@cache_control(public=True, max_age=CACHE_AGE_S)
def sitemap(request: HttpRequest) -> HttpResponse:
    """Each page once for each language (the protocol of sitemaps.org, with alternates as search engines read them)."""
    entries = list(_entries(site_root(request)))
    return render(
        request, "public/sitemap.xml", {"entries": entries}, content_type="application/xml"
    )


def public_addresses() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every public page by the name of its URL and its parameters, without the language."""
    for name in ("public_home", "pricing", "models", "status"):
        yield name, {}
    for one in read_catalogue():
        yield "model_page", {"provider": one.model.provider, "name": one.own_name}
    yield from guide_addresses()


def _entries(root: str) -> Iterator[SitemapEntry]:
    for name, parameters in public_addresses():
        urls = {code: root + page_path(name, code, **parameters) for code in language_codes()}
        alternates = tuple((LANGUAGE_TAGS[code], url) for code, url in urls.items())
        for url in urls.values():
            yield SitemapEntry(url, alternates, urls[DEFAULT_LANGUAGE])
