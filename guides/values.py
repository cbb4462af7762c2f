"""What the names in texts stand for, for one guide and one reader."""

from collections.abc import Mapping
from typing import NamedTuple

from django.urls import reverse
from django.utils.functional import Promise

from gateway.images.offers import OFFERS
from guides.catalogue import Offered
from guides.localization import page_path
from guides.pairs import Pair
from guides.prose import name_of
from guides.texts.endpoints import ENDPOINT_TEXTS


class Reader(NamedTuple):
    """Where the reader is, and with which key: `root` without /v1; `key_note` is empty for who is not signed in."""

    root: str
    key_note: str = ""


class Topic(NamedTuple):
    """What a guide is about: the pair, its models of now by name, and the one that examples name."""

    pair: Pair
    models: tuple[Offered, ...]
    example: Offered | None
    reader: Reader

    @property
    def model_name(self) -> str:
        """What examples call the model; where there is none now, what they would name first."""
        if self.example is not None:
            return name_of(self.example.short_name)
        family = self.pair.family
        return family.preferred[0] if family else ""

    @property
    def vendor(self) -> str:
        if self.models:
            return self.models[0].provider_name
        return self.pair.family.name if self.pair.family else ""

    def values(self) -> Mapping[str, str]:
        """For `say`."""
        offer = OFFERS.get(self.example.name) if self.example else None
        root = self.reader.root
        return {
            "client": self.pair.client.name,
            "family": self.pair.family.name if self.pair.family else "",
            "vendor": self.vendor,
            "model": self.model_name,
            "full_model": name_of(self.example.name) if self.example else self.model_name,
            "root_url": root,
            "api_url": f"{root}/v1",
            "path": ENDPOINT_TEXTS[self.pair.endpoint].path,
            "resolutions": _choices(offer.resolutions if offer else ()),
            "ratios": _choices(offer.ratios if offer else ()),
            "sources": str(offer.sources_max if offer else 1),
            "models_url": page_path("models"),
            "guides_url": page_path("guides"),
            "sign_in_url": reverse("account_login"),
        }


def say(text: str | Promise, values: Mapping[str, str], **more: object) -> str:
    """The text in the active language with its names filled in."""
    return str(text) % {**values, **more}


def _choices(choices: tuple[str, ...]) -> str:
    return ", ".join(f"`{choice}`" for choice in choices)
