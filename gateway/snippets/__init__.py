"""Texts to copy: how each client is set up for this gateway and what its first calls are, for each family of models.

The texts stand in `texts/` with markers for the reader's address, key and model; `parts` says which of them a client
needs for a family. Nothing is written per model.
"""

from gateway.snippets.clients import (
    CLIENTS,
    LEFT_OUT,
    Client,
    clients_of,
    families_of,
    find_client,
)
from gateway.snippets.families import FAMILIES, Family, family_of, find_family
from gateway.snippets.rendering import (
    KEY_PLACEHOLDER,
    KEY_VARIABLE,
    VARIABLE_KEY,
    Snippet,
    render,
)

__all__ = [
    "CLIENTS",
    "FAMILIES",
    "KEY_PLACEHOLDER",
    "KEY_VARIABLE",
    "LEFT_OUT",
    "VARIABLE_KEY",
    "Client",
    "Family",
    "Snippet",
    "clients_of",
    "families_of",
    "family_of",
    "find_client",
    "find_family",
    "render",
]
