"""Pairs of a client and a family, and the models of a family in the price book."""

from gateway.snippets import FAMILIES, clients_of, family_of, find_family
from tests.flows.billing_checks import BOOK

AGENTS = ("hermes", "openclaw", "codex", "claude-code", "aider")


def pairs(*, of_agents: bool) -> list[tuple[str, str]]:
    """Slugs of every pair that works together."""
    return [
        (client.slug, family.slug)
        for family in FAMILIES
        for client in clients_of(family.slug)
        if (client.slug in AGENTS) == of_agents
    ]


def models_of(family_slug: str) -> list[str]:
    """Canonical names of the family's models that are sold, by name."""
    names = {model["name"]: model["mode"] for model in BOOK.values() if model["prices"]}
    family = find_family(family_slug)
    return sorted(name for name, mode in names.items() if family_of(name, mode) == family)


def example_of(family_slug: str) -> str:
    """The model that examples of the family name."""
    return find_family(family_slug).example(models_of(family_slug))
