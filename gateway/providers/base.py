"""How to speak to a vendor: where its APIs are, how we sign in, and how to read what it says a call has used."""

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from gateway.usage import UsageReader

Headers = list[tuple[str, str]]


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """A vendor. As it stands, one whose APIs are OpenAI's under an address of its own; subclasses say what differs.

    `base_url` is the vendor's address for its OpenAI-compatible endpoints, without a slash at the end. `paths` are by
    surface (chat, responses, messages, embeddings, generate) what follows a channel's base URL, and by
    `<surface>/count_tokens` where its tokens are counted: what is not there is not spoken. `usage` reads the usage
    object of each surface. `output_limit` is the field of a chat body for the most output tokens.
    """

    slug: str
    name: str
    base_url: str
    paths: Mapping[str, str]
    usage: Mapping[str, UsageReader]
    output_limit: str = "max_tokens"

    def __post_init__(self) -> None:
        for name in ("paths", "usage"):
            frozen = MappingProxyType(dict(getattr(self, name)))
            msgspec.structs.force_setattr(self, name, frozen)

    def root(self, base_url: str) -> str:
        """What paths follow, of a channel's base URL."""
        return base_url.rstrip("/")

    def url(self, base_url: str, surface: str, model: str, *, stream: bool) -> str:
        """Where a call goes. `model` and `stream` count where the vendor has them in the address. Raises KeyError for
        a surface that is not spoken."""
        return self.root(base_url) + self.paths[surface]

    def headers(self, surface: str, credential: str) -> Headers:
        """The headers that sign us in, and those without which the vendor refuses; a client's own go before the
        latter."""
        return [("authorization", f"Bearer {credential}")]

    def probe(self, base_url: str, credential: str) -> tuple[str, Headers]:
        """Address and headers of a GET that costs nothing and that only a good credential is answered 200: the list
        of models."""
        return f"{self.root(base_url)}/models", self.headers("models", credential)
