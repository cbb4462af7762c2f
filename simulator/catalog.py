"""The models this vendor knows: their limits are enforced, and the lists of models name them.

Any other name is served too, without limits, except `no-such-model`.
"""

import re
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from simulator.script import Vendor

UNKNOWN_MODEL = "no-such-model"

# The first part of a model's name -> whose it is; what is not listed counts as OpenAI's.
_FAMILIES: dict[str, Vendor] = {
    "claude": "anthropic",
    "gemini": "gemini",
    "solar": "upstage",
    "deepseek": "deepseek",
    "grok": "xai",
    "mistral": "mistral",
    "magistral": "mistral",
    "ministral": "mistral",
    "codestral": "mistral",
}
_RESPONSES_ONLY = re.compile(r"gpt-\S*-(?:pro|codex)(?:-\S*)?\Z")
_EMBEDDING = re.compile(r"(?:text-|gemini-)?embedding-|solar-embedding|mistral-embed")


class ModelCard(NamedTuple):
    """A known model; limits in tokens, `created` in epoch seconds, `dimensions` of its vectors."""

    id: str
    owned_by: str
    created: int
    context: int
    max_output: int
    dimensions: int = 0


CATALOG: tuple[ModelCard, ...] = (
    ModelCard("gpt-5.5", "openai", 1776816000, 1_050_000, 128_000),
    ModelCard("gpt-5.5-pro", "openai", 1776816000, 1_050_000, 128_000),
    ModelCard("gpt-5.4", "openai", 1772668800, 1_050_000, 128_000),
    ModelCard("gpt-5.4-pro", "openai", 1772668800, 1_050_000, 128_000),
    ModelCard("gpt-5.4-mini", "openai", 1773705600, 400_000, 128_000),
    ModelCard("gpt-5.4-nano", "openai", 1773705600, 400_000, 128_000),
    ModelCard("gpt-5.3-codex", "openai", 1770249600, 400_000, 128_000),
    ModelCard("gpt-5.2", "openai", 1765411200, 400_000, 128_000),
    ModelCard("gpt-5.2-pro", "openai", 1765411200, 400_000, 128_000),
    ModelCard("gpt-5.2-codex", "openai", 1765411200, 400_000, 128_000),
    ModelCard("gpt-4o", "openai", 1715367049, 128_000, 16_384),
    ModelCard("gpt-4o-mini", "openai", 1721172741, 128_000, 16_384),
    ModelCard("text-embedding-3-small", "openai", 1705948997, 8_192, 0, 1_536),
    ModelCard("text-embedding-3-large", "openai", 1705953180, 8_192, 0, 3_072),
    ModelCard("claude-opus-4-8", "anthropic", 1779840000, 1_000_000, 128_000),
    ModelCard("claude-opus-4-5", "anthropic", 1763942400, 200_000, 64_000),
    ModelCard("claude-sonnet-5", "anthropic", 1782777600, 1_000_000, 128_000),
    ModelCard("claude-sonnet-4-6", "anthropic", 1771286400, 1_000_000, 64_000),
    ModelCard("claude-sonnet-4-5", "anthropic", 1759104000, 200_000, 64_000),
    ModelCard("claude-haiku-4-5", "anthropic", 1760486400, 200_000, 64_000),
    ModelCard("gemini-2.5-pro", "google", 1750118400, 1_048_576, 65_536),
    ModelCard("gemini-2.5-flash", "google", 1750118400, 1_048_576, 65_536),
    ModelCard("gemini-2.5-flash-lite", "google", 1753142400, 1_048_576, 65_536),
    ModelCard("gemini-3.1-pro-preview", "google", 1771459200, 1_048_576, 65_536),
    ModelCard("gemini-3-flash-preview", "google", 1765929600, 1_048_576, 65_536),
    ModelCard("gemini-embedding-001", "google", 1752451200, 2_048, 0, 3_072),
    ModelCard("solar-pro3", "upstage", 1769385600, 131_072, 131_072),
    ModelCard("solar-mini", "upstage", 1705968000, 32_768, 32_768),
    ModelCard("deepseek-v4-pro", "deepseek", 1777017600, 1_000_000, 384_000),
    ModelCard("deepseek-v4-flash", "deepseek", 1777017600, 1_000_000, 384_000),
    ModelCard("deepseek-chat", "deepseek", 1733184000, 128_000, 8_192),
    ModelCard("deepseek-reasoner", "deepseek", 1737331200, 128_000, 64_000),
    ModelCard("grok-4", "xai", 1752019200, 256_000, 256_000),
    ModelCard("grok-4-fast", "xai", 1758240000, 2_000_000, 30_000),
    ModelCard("mistral-large-latest", "mistralai", 1764633600, 256_000, 256_000),
    ModelCard("mistral-small-latest", "mistralai", 1750377600, 128_000, 128_000),
)
_BY_ID = {card.id: card for card in CATALOG}


def find_card(name: str) -> ModelCard | None:
    """The card of a model named plainly or as `provider/model`."""
    return _BY_ID.get(name.rpartition("/")[2])


def vendor_of(name: str) -> Vendor:
    """Whose model a name is, by its family; `openai` for one that is not known."""
    return _FAMILIES.get(name.rpartition("/")[2].partition("-")[0], "openai")


def serves_only(name: str) -> str | None:
    """The one endpoint that serves a model, `responses` or `embeddings`; None: the usual ones."""
    plain = name.rpartition("/")[2]
    # Asked of every call: a search for words is cheaper than the patterns, and usually enough.
    if ("-pro" in plain or "-codex" in plain) and _RESPONSES_ONLY.match(plain):
        return "responses"
    return "embeddings" if "embed" in plain and _EMBEDDING.match(plain) else None


def _as_object(card: ModelCard, name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": card.created, "owned_by": card.owned_by}


def encode_list() -> bytes:
    """The body of GET /v1/models."""
    data = [_as_object(card, card.id) for card in CATALOG]
    return msgspec.json.encode({"object": "list", "data": data})


def encode_one(name: str) -> bytes | None:
    """The body of GET /v1/models/{name}, or None for a name that is not listed."""
    card = find_card(name)
    return None if card is None else msgspec.json.encode(_as_object(card, name))


def encode_compatible_list() -> bytes:
    """The body of GET /v1beta/openai/models: Google's models in OpenAI's form."""
    data = [_as_object(card, f"models/{card.id}") for card in CATALOG if card.owned_by == "google"]
    return msgspec.json.encode({"object": "list", "data": data})


def encode_google_list() -> bytes:
    """The body of GET /v1beta/models."""
    cards = [card for card in CATALOG if card.owned_by == "google"]
    return msgspec.json.encode({"models": [_as_google(card) for card in cards]})


def encode_google_one(name: str) -> bytes | None:
    """The body of GET /v1beta/models/{name}, or None for a name that is not listed."""
    card = find_card(name)
    if card is None or card.owned_by != "google":
        return None
    return msgspec.json.encode(_as_google(card))


def _as_google(card: ModelCard) -> dict[str, object]:
    methods = ["embedContent"] if card.dimensions else ["generateContent", "countTokens"]
    return {
        "name": f"models/{card.id}",
        "displayName": card.id,
        "inputTokenLimit": card.context,
        "outputTokenLimit": card.max_output,
        "supportedGenerationMethods": methods,
    }


def encode_anthropic_list() -> bytes:
    """The body of GET /v1/models as Anthropic gives it to its own clients."""
    cards = [card for card in CATALOG if card.owned_by == "anthropic"]
    return msgspec.json.encode(
        {
            "data": [_as_anthropic(card) for card in cards],
            "has_more": False,
            "first_id": cards[0].id,
            "last_id": cards[-1].id,
        }
    )


def encode_anthropic_one(name: str) -> bytes | None:
    """The body of Anthropic's GET /v1/models/{name}, or None for a name that is not listed."""
    card = find_card(name)
    if card is None or card.owned_by != "anthropic":
        return None
    return msgspec.json.encode(_as_anthropic(card))


def _as_anthropic(card: ModelCard) -> dict[str, object]:
    created = datetime.fromtimestamp(card.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"type": "model", "id": card.id, "display_name": card.id, "created_at": created}
