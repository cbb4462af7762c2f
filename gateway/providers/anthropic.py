"""Anthropic: Messages (API reference), and Chat Completions ("OpenAI SDK compatibility")."""

from gateway.providers.base import Dialect, Headers
from gateway.usage import read_chat_usage, read_messages_usage

API_VERSION = "2023-06-01"


class Anthropic(Dialect, frozen=True):
    """The vendor's own clients take its address without /v1, OpenAI's with it: a base URL may be either."""

    def root(self, base_url: str) -> str:
        base_url = base_url.rstrip("/")
        return base_url if base_url.endswith("/v1") else f"{base_url}/v1"

    def headers(self, surface: str, credential: str) -> Headers:
        if surface == "chat":
            return super().headers(surface, credential)
        return [("x-api-key", credential), ("anthropic-version", API_VERSION)]


ANTHROPIC = Anthropic(
    slug="anthropic",
    name="Anthropic",
    base_url="https://api.anthropic.com/v1",
    paths={
        "chat": "/chat/completions",
        "messages": "/messages",
        "messages/count_tokens": "/messages/count_tokens",
    },
    usage={"chat": read_chat_usage, "messages": read_messages_usage},
)
