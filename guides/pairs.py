"""Which guides there are: one for each client, and one for each family that the client can call."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from gateway.snippets.clients import CLIENTS, Client, families_of
from gateway.snippets.families import Family

_ENDPOINTS: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("anthropic-sdk", "claude"): "messages",
        ("claude-code", "claude"): "messages",
        ("codex", "gpt"): "responses",
        ("codex", "claude"): "responses",
        ("codex", "gemini"): "responses",
        ("google-genai", "gemini"): "generate",
        ("openai-python", "gpt-image"): "images",
        ("openai-node", "gpt-image"): "images",
        ("openclaw", "gpt-image"): "images",
        ("langchain", "gpt-image"): "images",
        ("vercel-ai", "gpt-image"): "images",
    }
)


class Pair(NamedTuple):
    """A client with one of the families that it can call; without a family, the client's overview."""

    client: Client
    family: Family | None = None

    @property
    def slug(self) -> str:
        """The last part of the guide's address."""
        return f"{self.client.slug}-{self.family.slug}" if self.family else self.client.slug

    @property
    def draws(self) -> bool:
        """Whether it is about pictures."""
        return self.family is not None and "image_generation" in self.family.modes

    @property
    def endpoint(self) -> str:
        """What the client calls for this family, or its first one, by the name in guides/texts/endpoints.py."""
        family = self.family or families_of(self.client.slug)[0]
        usual = "text_to_image" if self.draws else "chat"
        return _ENDPOINTS.get((self.client.slug, family.slug), usual)


def list_pairs() -> list[Pair]:
    """Overviews and guides, client by client."""
    found = []
    for client in CLIENTS:
        found.append(Pair(client))
        found.extend(Pair(client, family) for family in families_of(client.slug))
    return found


def find_pair(slug: str) -> Pair | None:
    """The one of that address."""
    return next((pair for pair in list_pairs() if pair.slug == slug), None)
