"""What the playground offers to choose from."""

from typing import NamedTuple

from django.db.models import QuerySet
from django.utils import timezone

from billing.models import Price
from gateway.images.offers import OFFERS, Offer
from gateway.models import Model

# Every model that Chat Completions reaches, some of them by a translation: gateway/exchange.py.
CHAT_MODES = ("chat", "responses")
PREFERRED = "openai/gpt-5.4-mini"


class Provider(NamedTuple):
    """A vendor with its models by name."""

    name: str
    models: list[Model]


class Drawer(NamedTuple):
    """An image model and what it offers."""

    model: Model
    offer: Offer


def list_chat_models() -> list[Provider]:
    """Models that may be called and have a price, by provider."""
    providers: dict[str, Provider] = {}
    for model in _callable().filter(mode__in=CHAT_MODES).order_by("provider__name", "name"):
        listed = providers.setdefault(model.provider_id, Provider(model.provider.name, []))
        listed.models.append(model)
    return list(providers.values())


def list_drawers() -> list[Drawer]:
    """Image models that may be called and have a price, in the order of the offers."""
    models = {model.name: model for model in _callable().filter(name__in=OFFERS)}
    return [Drawer(models[name], offer) for name, offer in OFFERS.items() if name in models]


def choose(wanted: str, models: list[Model]) -> str:
    """The name to begin with: the wanted one, a cheap and well-known one, or the first. Empty where there is none."""
    names = [model.name for model in models]
    aliases = {alias: model.name for model in models for alias in model.aliases}
    for name in (wanted, aliases.get(wanted, ""), PREFERRED):
        if name in names:
            return name
    return names[0] if names else ""


def _callable() -> QuerySet[Model]:
    priced = (
        Price.objects.in_force(timezone.now()).filter(group=None).values_list("model", flat=True)
    )
    return Model.objects.filter(is_enabled=True, name__in=list(priced)).select_related("provider")
