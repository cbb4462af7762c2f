"""The list of guides: clients down, families across."""

from typing import NamedTuple

from django.http import HttpRequest, HttpResponse
from django.utils.functional import Promise

from gateway.snippets.clients import CLIENTS, LEFT_OUT, Client, families_of
from gateway.snippets.families import FAMILIES, Family
from guides.guides_list import title_of
from guides.localization import page_path, public_page, render_page
from guides.pairs import Pair
from guides.texts import calls


class Entry(NamedTuple):
    """A cell of the table: the guide's `slug` and title, or, where there is none, why."""

    family: Family
    slug: str
    title: str
    reason: str | Promise


class Row(NamedTuple):
    client: Client
    path: str
    entries: list[Entry]


@public_page
def guides(request: HttpRequest) -> HttpResponse:
    """Every guide, in a table."""
    rows = [
        Row(client, page_path("guide", slug=client.slug), [_entry(client, f) for f in FAMILIES])
        for client in CLIENTS
    ]
    context = {
        "rows": rows,
        "families": FAMILIES,
        "title": calls.GUIDES_TITLE,
        "lead": calls.GUIDES_LEAD,
        "description": calls.GUIDES_DESCRIPTION,
    }
    return render_page(request, "public/guides/index.html", context)


def _entry(client: Client, family: Family) -> Entry:
    if family not in families_of(client.slug):
        return Entry(family, "", "", LEFT_OUT[client.slug, family.slug])
    pair = Pair(client, family)
    return Entry(family, pair.slug, title_of(pair), "")
