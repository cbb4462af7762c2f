"""The guides for who lists pages: the site map, the pages of models, /llms.txt."""

from typing import NamedTuple

from gateway.models import Model
from gateway.snippets.clients import clients_of
from gateway.snippets.families import family_of
from guides.pairs import Pair, list_pairs
from guides.texts import calls

Parameters = dict[str, str]


class ListedGuide(NamedTuple):
    """A guide in a list: its title in the active language, and the parameters of the URL `guide`."""

    title: str
    parameters: Parameters


def guide_addresses() -> list[tuple[str, Parameters]]:
    """The URL name and parameters of every page about guides, without language."""
    return [("guides", {}), *(("guide", {"slug": pair.slug}) for pair in list_pairs())]


def list_guides() -> list[ListedGuide]:
    """Every guide and overview, client by client."""
    return [_list(pair) for pair in list_pairs()]


def guides_of_model(name: str) -> list[ListedGuide]:
    """The guides that speak of the model with this canonical name."""
    mode = Model.objects.filter(name=name).values_list("mode", flat=True).first()
    family = family_of(name, mode) if mode else None
    if family is None:
        return []
    return [_list(Pair(client, family)) for client in clients_of(family.slug)]


def title_of(pair: Pair) -> str:
    """What the guide is called."""
    text = calls.TITLE if pair.family else calls.OVERVIEW_TITLE
    family = pair.family.name if pair.family else ""
    return str(text) % {"client": pair.client.name, "family": family}


def _list(pair: Pair) -> ListedGuide:
    return ListedGuide(title_of(pair), {"slug": pair.slug})
