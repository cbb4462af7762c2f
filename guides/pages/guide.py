"""A guide: a client with a family of models, or the overview of a client."""

from django.http import Http404, HttpRequest, HttpResponse

from accounts.models import APIKey
from gateway.snippets.clients import clients_of, families_of
from guides.catalogue import read_catalogue
from guides.composing import compose_guide, compose_overview, find_topic
from guides.document import Document, Link
from guides.localization import (
    LANGUAGE_TAGS,
    MARKDOWN,
    active_language,
    is_markdown,
    page_path,
    public_page,
    render_page,
    site_root,
)
from guides.markdown_text import write_markdown
from guides.pairs import Pair, find_pair
from guides.values import Reader

KEY_CHARS_MAX = 60


@public_page
def guide(request: HttpRequest, slug: str) -> HttpResponse:
    """The page, or its twin in Markdown. Prices and models are those of this moment."""
    pair = find_pair(slug)
    if pair is None:
        raise Http404
    reader = Reader(site_root(request), _key_note(request))
    topic = find_topic(pair, read_catalogue(), reader)
    document = compose_guide(topic) if pair.family else compose_overview(topic)
    if is_markdown(request):
        text = write_markdown(document, _front_matter(document, pair, reader.root), reader.root)
        return HttpResponse(text, content_type=MARKDOWN)
    context = {
        "document": document,
        "pair": pair,
        "families": _families(pair),
        "clients": _clients(pair),
    }
    return render_page(request, "public/guides/guide.html", context)


def _front_matter(document: Document, pair: Pair, root: str) -> dict[str, str]:
    return {
        "title": document.title,
        "url": root + page_path("guide_md", slug=pair.slug),
        "canonical": root + page_path("guide", slug=pair.slug),
        "locale": LANGUAGE_TAGS[active_language()],
        "client": pair.client.slug,
        "family": pair.family.slug if pair.family else "",
    }


def _key_note(request: HttpRequest) -> str:
    """What stands above the place for the key, of the reader's newest key; never a part of its secret."""
    if not request.user.is_authenticated:
        return ""
    keys = APIKey.objects.usable().filter(created_by=request.user, purpose=APIKey.Purpose.CALLER)
    key = keys.order_by("-created_at").first()
    return f"key: {key.name[:KEY_CHARS_MAX]}" if key else ""


def _families(pair: Pair) -> list[Link]:
    return [
        Link(one.name, page_path("guide", slug=Pair(pair.client, one).slug), one == pair.family)
        for one in families_of(pair.client.slug)
    ]


def _clients(pair: Pair) -> list[Link]:
    if pair.family is None:
        return []
    return [
        Link(one.name, page_path("guide", slug=Pair(one, pair.family).slug), one == pair.client)
        for one in clients_of(pair.family.slug)
    ]
