"""Google Gemini: generateContent (API reference), Chat Completions and Embeddings ("OpenAI compatibility")."""

from urllib.parse import quote

from gateway.providers.base import Dialect, Headers
from gateway.usage import (
    read_embeddings_usage,
    read_gemini_chat_usage,
    read_generate_usage,
)

VERSION = "/v1beta"
COMPATIBLE = "/openai"
COMPATIBLE_SURFACES = frozenset({"chat", "embeddings"})


class Gemini(Dialect, frozen=True):
    """The vendor's own API is at /v1beta, the compatible one at /v1beta/openai: a base URL may end in either.

    What ends otherwise is taken for the address of something compatible.
    """

    def root(self, base_url: str) -> str:
        return base_url.rstrip("/").removesuffix(COMPATIBLE)

    def url(self, base_url: str, surface: str, model: str, *, stream: bool) -> str:
        path = self.paths[surface]
        if surface in COMPATIBLE_SURFACES:
            base_url = base_url.rstrip("/")
            return base_url + (COMPATIBLE if base_url.endswith(VERSION) else "") + path
        if stream:
            path = path.replace(":generateContent", ":streamGenerateContent?alt=sse")
        return self.root(base_url) + path.replace("{model}", quote(model, safe=""))

    def headers(self, surface: str, credential: str) -> Headers:
        if surface in COMPATIBLE_SURFACES:
            return super().headers(surface, credential)
        return [("x-goog-api-key", credential)]


GEMINI = Gemini(
    slug="gemini",
    name="Google Gemini",
    base_url="https://generativelanguage.googleapis.com/v1beta/openai",
    paths={
        "chat": "/chat/completions",
        "embeddings": "/embeddings",
        "generate": "/models/{model}:generateContent",
        "generate/count_tokens": "/models/{model}:countTokens",
    },
    usage={
        "chat": read_gemini_chat_usage,
        "embeddings": read_embeddings_usage,
        "generate": read_generate_usage,
    },
)
