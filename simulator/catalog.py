"""The models this vendor knows: their limits are enforced, and GET /v1/models lists them.

Any other name is served too, without limits, except `no-such-model`.
"""

from typing import NamedTuple

import msgspec

UNKNOWN_MODEL = "no-such-model"


class ModelCard(NamedTuple):
    """A known model; limits in tokens, `created` in epoch seconds."""

    id: str
    owned_by: str
    created: int
    context: int
    max_output: int


CATALOG: tuple[ModelCard, ...] = (
    ModelCard("gpt-5.5", "openai", 1776816000, 1_050_000, 128_000),
    ModelCard("gpt-5.4", "openai", 1772668800, 1_050_000, 128_000),
    ModelCard("gpt-5.4-mini", "openai", 1773705600, 400_000, 128_000),
    ModelCard("gpt-5.4-nano", "openai", 1773705600, 400_000, 128_000),
    ModelCard("gpt-5.3-codex", "openai", 1770249600, 400_000, 128_000),
    ModelCard("gpt-5.2", "openai", 1765411200, 400_000, 128_000),
    ModelCard("gpt-4o", "openai", 1715367049, 128_000, 16_384),
    ModelCard("gpt-4o-mini", "openai", 1721172741, 128_000, 16_384),
    ModelCard("gemini-2.5-pro", "google", 1750118400, 1_048_576, 65_536),
    ModelCard("solar-pro3", "upstage", 1769385600, 131_072, 131_072),
    ModelCard("solar-mini", "upstage", 1705968000, 32_768, 32_768),
    ModelCard("deepseek-v4-pro", "deepseek", 1777017600, 1_000_000, 384_000),
    ModelCard("deepseek-chat", "deepseek", 1733184000, 128_000, 8_192),
)
_BY_ID = {card.id: card for card in CATALOG}


def find_card(name: str) -> ModelCard | None:
    """The card of a model named plainly or as `provider/model`."""
    return _BY_ID.get(name.rpartition("/")[2])


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
