"""Families of models that guides and snippets are written for. Which models a family has follows from their names and
modes, so a new model joins by itself. Pure."""

from collections.abc import Iterable
from typing import NamedTuple

from gateway.images.offers import OFFERS


class Family(NamedTuple):
    """Models of one vendor that are called alike. `preferred`: the names of models that examples name, first wish
    first."""

    slug: str
    name: str
    provider: str
    modes: tuple[str, ...]
    preferred: tuple[str, ...]

    def holds(self, model: str, mode: str) -> bool:
        """Whether the model of that canonical name and mode of the price book belongs here and can be called."""
        if model.partition("/")[0] != self.provider or mode not in self.modes:
            return False
        return mode != "image_generation" or "text_to_image" in _actions(model)

    def example(self, models: Iterable[str]) -> str:
        """The one of these models of the family that an example names; empty where there is none."""
        known = sorted(models, reverse=True)
        wished = (name for name in self.preferred if name in known)
        return next(wished, known[0] if known else "")


def _actions(model: str) -> tuple[str, ...]:
    offer = OFFERS.get(model)
    return offer.actions if offer else ()


GPT = Family("gpt", "GPT", "openai", ("chat", "responses"), ("openai/gpt-5.5",))
GPT_IMAGE = Family(
    "gpt-image", "GPT Image", "openai", ("image_generation",), ("openai/gpt-image-2",)
)
CLAUDE = Family("claude", "Claude", "anthropic", ("chat",), ("anthropic/claude-sonnet-4-6",))
GEMINI = Family("gemini", "Gemini", "gemini", ("chat",), ("gemini/gemini-2.5-pro",))
FAMILIES = (GPT, GPT_IMAGE, CLAUDE, GEMINI)


def find_family(slug: str) -> Family:
    """Raises KeyError."""
    return {family.slug: family for family in FAMILIES}[slug]


def family_of(model: str, mode: str) -> Family | None:
    """The family of a model by its canonical name and mode."""
    return next((family for family in FAMILIES if family.holds(model, mode)), None)
