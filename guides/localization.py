"""The languages of public pages: each has an address of its own, and beside it a twin in Markdown.

English stands without a prefix, the others under /ko/, /zh-hans/, /zh-hant/. The address decides, not cookie or
browser: one address answers everybody alike, so that search engines and caches can keep it.
"""

import re
from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template import Engine, RequestContext
from django.urls import reverse
from django.utils import translation
from django.utils.cache import patch_cache_control, patch_vary_headers
from django.utils.translation import gettext
from django.views.decorators.http import require_safe

DEFAULT_LANGUAGE = "en"
# Long enough to spare a crowd's reloads, short enough that a changed price is seen soon.
CACHE_AGE_S = 60
MARKDOWN = "text/markdown; charset=utf-8"
MARKDOWN_SUFFIX = "_md"
# What hreflang calls our languages.
LANGUAGE_TAGS = {"en": "en", "ko": "ko", "zh-hans": "zh-Hans", "zh-hant": "zh-Hant"}
OPEN_GRAPH_LOCALES = {"en": "en_US", "ko": "ko_KR", "zh-hans": "zh_CN", "zh-hant": "zh_TW"}

_BLANK_LINES = re.compile(r"\n{3,}")


class Alternate(NamedTuple):
    """The same page in a language: `path` for links of ours, `url` with the host for machines; `open_graph` is what
    Open Graph calls the language."""

    language: str
    tag: str
    open_graph: str
    name: str
    path: str
    url: str
    is_current: bool


class Offer(NamedTuple):
    """A page in the language that the reader seems to prefer, in words of that language."""

    tag: str
    path: str
    text: str


def language_codes() -> tuple[str, ...]:
    """English first."""
    return tuple(code for code, _ in settings.LANGUAGES)


def language_prefix(language: str) -> str:
    """What stands in front of every path in this language: "" or "ko/"."""
    return "" if language == DEFAULT_LANGUAGE else f"{language}/"


def site_root(request: HttpRequest) -> str:
    """The site as its visitors reach it, without a slash at the end."""
    return settings.PUBLIC_URL or request.build_absolute_uri("/").rstrip("/")


def page_path(page: str, language: str = "", /, **parameters: object) -> str:
    """The path of a public page by the name of its URL, in the active language unless another is named."""
    return reverse(page, kwargs={"language": language or active_language(), **parameters})


def active_language() -> str:
    """One of ours, whatever is active."""
    language = translation.get_language() or DEFAULT_LANGUAGE
    return language if language in LANGUAGE_TAGS else DEFAULT_LANGUAGE


def public_page(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """For a view of guides/page_urls.py: speaks the language of its address, and lets the answer be kept for a minute.

    The view is called without `language`; it is the active one. Only GET and HEAD are answered.
    """

    @require_safe
    @wraps(view)
    def localized(request: HttpRequest, *, language: str, **parameters: Any) -> HttpResponse:
        preferred = _preferred_language(request)
        translation.activate(language)
        request.LANGUAGE_CODE = language
        request.preferred_language = preferred  # type: ignore[attr-defined]
        response = view(request, **parameters)
        return _let_be_kept(request, response)

    return localized


def render_page(
    request: HttpRequest, template: str, context: dict[str, Any], *, status: int = 200
) -> HttpResponse:
    """The template, or the one that ends in .md instead of .html where the address is the twin's; both get the same
    context.

    Markdown is not escaped: what goes into it must be ours.
    """
    values = context | page_context(request)
    if not is_markdown(request):
        return render(request, template, values, status=status)
    markdown = Engine.get_default().get_template(template.removesuffix(".html") + ".md")
    text = markdown.render(RequestContext(request, values, autoescape=False))
    body = _BLANK_LINES.sub("\n\n", text).strip() + "\n"
    return HttpResponse(body, content_type=MARKDOWN, status=status)


def is_markdown(request: HttpRequest) -> bool:
    """Whether the twin in Markdown is asked for."""
    match = request.resolver_match
    return match is not None and (match.url_name or "").endswith(MARKDOWN_SUFFIX)


def page_context(request: HttpRequest) -> dict[str, Any]:
    """What the frame of a public page needs: where it stands, in which languages, and as what.

    `root` and `base_url` (ending in /v1) are for examples: what the reader himself calls us by.
    """
    match = request.resolver_match
    name = (match.url_name or "") if match else ""
    page = name.removesuffix(MARKDOWN_SUFFIX)
    parameters = dict(match.kwargs) if match else {}
    parameters.pop("language", None)
    root = site_root(request)
    alternates = alternates_of(page, root, parameters)
    current = next(one for one in alternates if one.is_current)
    markdown_path = page_path(page + MARKDOWN_SUFFIX, **parameters)
    return {
        "page": page,
        "root": root,
        "base_url": f"{root}/v1",
        "canonical": current.url,
        "alternates": alternates,
        "default_url": alternates[0].url,
        "current_language": current,
        "markdown_path": markdown_path,
        "markdown_url": root + markdown_path,
        "offer": _offer(request, alternates),
    }


def alternates_of(page: str, root: str, parameters: dict[str, Any]) -> tuple[Alternate, ...]:
    """The page in each of our languages, English first."""
    active = active_language()
    found = []
    for code, name in settings.LANGUAGES:
        path = page_path(page, code, **parameters)
        found.append(
            Alternate(
                language=code,
                tag=LANGUAGE_TAGS[code],
                open_graph=OPEN_GRAPH_LOCALES[code],
                name=name,
                path=path,
                url=root + path,
                is_current=code == active,
            )
        )
    return tuple(found)


def _preferred_language(request: HttpRequest) -> str:
    """What the middleware settled on before the address was looked at; "" where the reader named none."""
    named = settings.LANGUAGE_COOKIE_NAME in request.COOKIES or "Accept-Language" in request.headers
    return active_language() if named else ""


def _offer(request: HttpRequest, alternates: tuple[Alternate, ...]) -> Offer | None:
    preferred = getattr(request, "preferred_language", "")
    for one in alternates:
        if one.language == preferred and not one.is_current:
            with translation.override(one.language):
                text = gettext("This page is also available in %(language)s.")
            return Offer(one.tag, one.path, text % {"language": one.name})
    return None


def _let_be_kept(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """By everybody who is not signed in; colours, zone and the offered language make one address several answers."""
    if request.user.is_authenticated:
        patch_cache_control(response, private=True, no_cache=True)
    elif response.status_code == 200:
        patch_cache_control(response, public=True, max_age=CACHE_AGE_S)
    patch_vary_headers(response, ("Accept-Language", "Cookie"))
    return response
