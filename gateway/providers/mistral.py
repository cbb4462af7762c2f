"""Mistral (API reference)."""

from gateway.providers.base import Dialect
from gateway.usage import read_embeddings_usage, read_mistral_chat_usage

MISTRAL = Dialect(
    slug="mistral",
    name="Mistral",
    base_url="https://api.mistral.ai/v1",
    paths={"chat": "/chat/completions", "embeddings": "/embeddings"},
    usage={"chat": read_mistral_chat_usage, "embeddings": read_embeddings_usage},
)
